"""Parts of rows, as Lightning takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from helpers.lightning import trainer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.datasets import binarized
from spinlight.latent import QGAN, AdversarialTask
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import EnergyTask, PersistentContrastiveDivergence, RowsDataModule

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*callbacks used to create")

NUMBERED = torch.arange(60.0).reshape(30, 2)


def test_every_row_is_in_one_part_and_the_seed_says_in_which() -> None:
    data, again, other = (RowsDataModule.split(NUMBERED, valid=0.1, test=0.2, seed=seed) for seed in (1, 1, 2))
    parts = [data.train, data.valid, data.test]
    assert [len(part) for part in parts] == [21, 3, 6]
    assert torch.equal(torch.cat(parts).sort(0).values, NUMBERED)
    assert torch.equal(again.test, data.test)
    assert not torch.equal(other.test, data.test)


def test_a_share_of_nothing_is_no_part() -> None:
    data = RowsDataModule.split(NUMBERED, valid=0, test=0, seed=1)
    assert (data.valid, data.test) == (None, None)
    assert len(data.train) == 30


@pytest.mark.parametrize(("settings", "words"), [({"valid": 1.0}, "valid"), ({"test": -0.1}, "test")])
def test_shares_outside_0_to_1_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        RowsDataModule.split(NUMBERED, **settings)


def test_an_array_is_refused_by_name() -> None:
    with pytest.raises(InvalidStateError, match=r"got ndarray; torch\.from_numpy"):
        RowsDataModule.split(NUMBERED.numpy())  # type: ignore[arg-type]


def test_it_shows_its_sizes() -> None:
    assert (
        str(RowsDataModule.split(NUMBERED, valid=0, seed=0)) == "RowsDataModule(train=27, valid=0, test=3, features=2)"
    )


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="2 rows, too few"):
        RowsDataModule.split(NUMBERED[:2])


@pytest.mark.parametrize("part", [torch.zeros(3, 5), torch.zeros(0, 2), torch.zeros(2)])
def test_parts_of_another_shape_are_refused(part: Tensor) -> None:
    with pytest.raises(InvalidStateError, match=r"must have shape \(count, 2\)"):
        RowsDataModule(NUMBERED, valid=part)


def test_probabilities_become_bits_once_where_they_are_watched_and_anew_where_they_are_trained_on() -> None:
    levels = torch.full((200, 3), 0.5)
    data = RowsDataModule(levels, valid=levels, test=levels, batch_size=200, draw=binarized, seed=0)
    assert set(data.valid.unique().tolist()) == set(data.test.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(data.valid, data.test)
    (first,), (second,) = data.train_dataloader(), data.train_dataloader()
    assert not torch.equal(first, second)


def weights(module: nn.Module) -> Tensor:
    return torch.cat([part.detach().flatten() for part in module.parameters()])


def test_a_run_that_goes_on_from_a_checkpoint_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    def parts() -> tuple[EnergyTask, RowsDataModule]:
        torch.manual_seed(0)
        negatives = PersistentContrastiveDivergence(chains=8, seed=0)
        task = EnergyTask(RestrictedBoltzmannMachine(5, 3), negatives)
        return task, RowsDataModule(torch.rand(30, 5).round(), batch_size=7, draw=binarized, seed=0)

    keep = ModelCheckpoint(dirpath=tmp_path, filename="at-{step}", every_n_train_steps=8, save_top_k=-1)
    whole, data = parts()
    trainer(tmp_path, enable_checkpointing=True, callbacks=[keep]).fit(whole, datamodule=data)
    path = tmp_path / "at-step=8.ckpt"  # in the second of five-batch epochs
    cut = torch.load(path, weights_only=True)["state_dict"]
    resumed, data = parts()
    trainer(tmp_path).fit(resumed, datamodule=data, ckpt_path=path, weights_only=True)
    assert torch.equal(weights(resumed), weights(whole))
    assert not torch.equal(cut["model.weight"], whole.model.weight)


def test_an_adversarial_task_takes_it(tmp_path: Path) -> None:
    prior = BoltzmannMachine(3)
    qgan = QGAN(nn.Linear(3, 2), nn.Linear(2, 8), nn.Linear(8, 1), prior, readout=nn.Linear(8, 3))
    before = weights(qgan)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=32, seed=0)
    trainer(tmp_path, max_epochs=1).fit(AdversarialTask(qgan, negatives), datamodule=RowsDataModule(torch.rand(32, 2)))
    assert not torch.equal(weights(qgan), before)


def test_a_part_that_is_known_is_kept_whole() -> None:
    test = NUMBERED + 100
    data = RowsDataModule.split(NUMBERED, valid=0.1, test=test, seed=1)
    assert torch.equal(data.test, test)
    assert [len(data.train), len(data.valid)] == [27, 3]


def test_processes_that_train_together_cannot_pick_parts_without_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.is_available", lambda: True)
    with pytest.raises(InvalidSettingError, match=r"give RowsDataModule\.split a seed"):
        RowsDataModule.split(NUMBERED).train_dataloader()
    RowsDataModule.split(NUMBERED, seed=0).train_dataloader()
    RowsDataModule(NUMBERED).train_dataloader()  # given parts are alike; the order of the rows is agreed on later
