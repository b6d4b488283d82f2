"""`fit_machine` at the moments when something may be lost: cuts within a batch and after the last, old folders, damaged checkpoints."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from helpers.enumeration import all_bits
from spinlight._errors import FileFormatError, InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight.ising import Ising, LogPartition
from spinlight.models import BoltzmannMachine, GaussianBernoulliRBM, RestrictedBoltzmannMachine, clip_to_range
from spinlight.training import (
    CentredGradient,
    EnergyTask,
    ExactPartition,
    FittedMachine,
    InterruptedFitError,
    PersistentContrastiveDivergence,
    RowsDataModule,
    fit_machine,
    linear_decay,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers")

ROWS = all_bits(6).float()


class Cut(PersistentContrastiveDivergence):
    """Chains that a second Ctrl-C cuts off, after they have moved, at one of their calls."""

    def __init__(self, call: int) -> None:
        super().__init__(chains=10, seed=0)
        self.left = call

    def _stepped(self, *arguments):
        sides = super()._stepped(*arguments)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return sides


class CutEstimator:
    """Log Z that takes too long for somebody."""

    def estimate(self, model: Ising, *, seed=None) -> LogPartition:
        raise KeyboardInterrupt


def fitted(
    out: Path,
    *,
    negatives=None,
    hidden: int = 3,
    epochs: int = 3,
    resume: bool = False,
    estimator=None,
    machine=None,
    rate: float = 0.1,
    batch_size: int = 16,
    rows: torch.Tensor | None = None,
    centring: float | None = None,
    **options,
) -> FittedMachine:
    torch.manual_seed(0)
    phase = PersistentContrastiveDivergence(chains=10, seed=0) if negatives is None else negatives
    machine = machine or RestrictedBoltzmannMachine(6, hidden)
    centred = None if centring is None else CentredGradient(machine, rate=centring)
    task = EnergyTask(machine, phase, optimizer=partial(torch.optim.SGD, lr=rate), centring=centred, **options)
    data = RowsDataModule(ROWS, valid=ROWS, test=ROWS if rows is None else rows, batch_size=batch_size, seed=0)
    estimator = ExactPartition() if estimator is None else estimator
    return fit_machine(task, data, out, epochs=epochs, estimator=estimator, resume=resume)


def weights(found: FittedMachine) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in found.model.parameters()])


def test_a_cut_within_a_batch_leaves_the_checkpoint_of_the_epoch_before(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "whole")
    with pytest.raises(InterruptedFitError) as caught:
        fitted(tmp_path / "cut", negatives=Cut(call=7))  # of four calls per epoch
    assert [path.name for path in caught.value.saved] == ["last.ckpt"]
    # The phase must be the one of before by name; this one is not cut again.
    resumed = fitted(tmp_path / "cut", negatives=Cut(call=100), resume=True)
    assert torch.equal(weights(resumed), weights(whole))


def test_a_cut_after_the_last_batch_says_what_is_saved_and_only_the_likelihood_is_done_again(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "whole")
    with pytest.raises(InterruptedFitError) as caught:
        fitted(tmp_path / "cut", estimator=CutEstimator())
    assert [path.name for path in caught.value.saved] == ["last.ckpt"]
    resumed = fitted(tmp_path / "cut", resume=True)
    assert torch.equal(weights(resumed), weights(whole))
    assert torch.equal(resumed.likelihood.per_row, whole.likelihood.per_row)


def test_a_fit_that_begins_anew_never_replaces_the_checkpoint_of_an_interrupted_one(tmp_path: Path) -> None:
    with pytest.raises(InterruptedFitError):
        fitted(tmp_path, negatives=Cut(call=7))
    before = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(InvalidSettingError, match="resume it, delete the file, or take another folder"):
        fitted(tmp_path)
    assert (tmp_path / "last.ckpt").read_bytes() == before
    (tmp_path / "last.ckpt").unlink()
    with pytest.raises(InterruptedFitError) as caught:
        fitted(tmp_path, negatives=Cut(call=1))
    assert caught.value.saved == []
    assert not (tmp_path / "last.ckpt").exists()


def test_a_checkpoint_of_another_machine_or_a_damaged_one_is_refused_and_kept(tmp_path: Path) -> None:
    with pytest.raises(InterruptedFitError):
        fitted(tmp_path, negatives=Cut(call=7))
    with pytest.raises(InvalidStateError, match="another machine"):
        fitted(tmp_path, negatives=Cut(call=7), hidden=4, resume=True)
    path = tmp_path / "last.ckpt"
    for damaged in (b"", path.read_bytes()[:100], b"not a checkpoint"):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="damaged"):
            fitted(tmp_path, resume=True)
        assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rate": 0.2}, "whose optimizer were"),
        ({"epochs": 4}, "whose epochs were 3, and now they are 4"),
        ({"batch_size": 8}, "whose data were"),
        ({"rows": ROWS.flip(0)}, "whose data were"),
        ({"negatives": PersistentContrastiveDivergence(chains=10, sweeps=2, seed=0)}, "whose negatives were"),
        ({"centring": 0.9}, "whose centring were"),
        ({"schedule": linear_decay}, "whose schedule were"),
        ({"constraint": partial(clip_to_range, couplings=(-0.5, 0.5))}, "whose constraint were"),
    ],
    ids=["rate", "epochs", "batches", "rows", "sweeps", "centring", "schedule", "constraint"],
)
def test_a_fit_goes_on_with_the_settings_and_the_rows_of_before_or_not_at_all(
    tmp_path: Path, changed: dict, words: str
) -> None:
    with pytest.raises(InterruptedFitError):
        fitted(tmp_path, estimator=CutEstimator())
    before = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(InvalidStateError, match=words):
        fitted(tmp_path, resume=True, **changed)
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert fitted(tmp_path, resume=True).metrics["epochs"] == 3


def test_rows_of_real_numbers_must_be_numbers(tmp_path: Path) -> None:
    broken = torch.tensor([[1.0, float("nan")]])
    task = EnergyTask(GaussianBernoulliRBM(2, 2), PersistentContrastiveDivergence(chains=10, seed=0))
    with pytest.raises(InvalidStateError, match="NaN or infinity"):
        fit_machine(task, RowsDataModule(torch.randn(20, 2), test=broken), tmp_path / "out", epochs=1)
    assert not (tmp_path / "out").exists()


def test_a_machine_without_a_likelihood_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ProblemTooLargeError, match=r"2\^30"):
        fitted(tmp_path / "out", machine=BoltzmannMachine(36, 30))
    assert not (tmp_path / "out").exists()


def test_what_a_user_prints_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Talking(PersistentContrastiveDivergence):
        def objective(self, *arguments):
            print("a batch")
            return super().objective(*arguments)

    fitted(tmp_path, negatives=Talking(chains=10, seed=0), epochs=1)
    assert capsys.readouterr().out == "a batch\n" * 4


def test_without_test_rows_there_is_nothing_to_report(tmp_path: Path) -> None:
    task = EnergyTask(RestrictedBoltzmannMachine(6, 3), PersistentContrastiveDivergence(chains=10, seed=0))
    with pytest.raises(InvalidSettingError, match="give the data some"):
        fit_machine(task, RowsDataModule(ROWS, valid=ROWS), tmp_path / "out", epochs=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["valid", "test"])
def test_rows_without_a_likelihood_are_refused_before_an_older_checkpoint_is_lost(tmp_path: Path, part: str) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"of another fit")
    task = EnergyTask(RestrictedBoltzmannMachine(6, 3), PersistentContrastiveDivergence(chains=10, seed=0))
    data = RowsDataModule(ROWS, **({"valid": ROWS, "test": ROWS} | {part: ROWS + 0.5}))
    with pytest.raises(InvalidStateError, match="bits"):
        fit_machine(task, data, tmp_path, epochs=1)
    assert (tmp_path / "last.ckpt").read_bytes() == b"of another fit"


def test_valid_rows_are_watched_and_test_rows_are_looked_at_once(tmp_path: Path) -> None:
    seen = []

    class Watched(RestrictedBoltzmannMachine):
        def free_energy(self, visible, *, hidden_logits=None):
            if hidden_logits is None:
                seen.append(visible)
            return super().free_energy(visible, hidden_logits=hidden_logits)

    valid, test = ROWS[:20], ROWS[20:50]
    task = EnergyTask(Watched(6, 3), PersistentContrastiveDivergence(chains=10, seed=0))
    data = RowsDataModule(ROWS[50:], valid=valid, test=test, batch_size=7, seed=0)
    found = fit_machine(task, data, tmp_path, epochs=3, estimator=ExactPartition())
    assert [len(rows) for rows in seen] == [20, 20, 20, 30]
    assert torch.equal(seen[-1], test)
    data = {name: value for name, value in found.metrics["data"].items() if name != "sha256"}
    assert data == {"rows": 14, "valid_rows": 20, "features": 6, "batch_size": 7}
