"""The Lightning task of the adversarial network: the same steps as by hand, and a checkpoint that is gone on from bit for bit."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from helpers.lightning import trainer
from spinlight._errors import InvalidSettingError
from spinlight.latent import QGAN, AdversarialTask, independent_bits
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import Batches, PersistentContrastiveDivergence, linear_decay

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec",
    "ignore:.*logging interval",
    "ignore:.*exists and is not empty",
    "ignore:.*callbacks used to create",
    "ignore:.*ModelCheckpoint with manual optimization",
)

ROWS = torch.rand(50, 4, generator=torch.Generator().manual_seed(3))


def network(prior: AbstractBoltzmannMachine | None = None, *, readout: bool = True) -> QGAN:
    torch.manual_seed(0)
    machine = BoltzmannMachine(3) if prior is None else prior
    return QGAN(
        nn.Linear(3, 4),
        nn.Linear(4, 5 if readout else 3),
        nn.Linear(5 if readout else 3, 1),
        machine,
        readout=nn.Linear(5, 3) if readout else None,
    )


def task(seed: int = 0, prior: AbstractBoltzmannMachine | None = None, **settings) -> AdversarialTask:
    readout = settings.pop("readout", True)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=32, seed=seed)
    return AdversarialTask(network(prior, readout=readout), negatives, **settings)


def batches(seed: int = 0) -> Batches:
    return Batches(ROWS, 20, seed=seed)


def weights(trained: AdversarialTask) -> Tensor:
    return torch.cat([part.detach().flatten() for part in trained.qgan.parameters()])


@pytest.mark.parametrize("falling", [False, True])
def test_a_task_takes_the_steps_that_a_loop_takes(tmp_path: Path, falling: bool) -> None:
    schedule = linear_decay if falling else None
    sgd = partial(torch.optim.SGD, lr=0.1)
    ours, by_hand = task(optimizer=sgd, schedule=schedule, penalty=2.0, penalty_every=2), task()
    fit = trainer(tmp_path, max_epochs=3)
    fit.fit(ours, batches())
    qgan, number = by_hand.qgan, 0
    optimizers = (
        torch.optim.SGD(qgan.discriminator_parameters(), lr=0.1),
        torch.optim.SGD(qgan.generator.parameters(), lr=0.1),
        torch.optim.Adam(qgan.associative_parameters(), lr=2e-3),
    )
    rows, rates = batches(), (0.1, 0.1, 2e-3)
    for _ in range(3):
        for x in rows:
            for optimizer, rate in zip(optimizers, rates):
                optimizer.param_groups[0]["lr"] = rate * (1 - number / 9) if falling else rate
            step = qgan.step(x, by_hand.negatives)
            losses = (
                partial(step.discriminator_loss, 4.0 if number % 2 == 0 else 0.0),
                step.generator_loss,
                step.associative_loss,
            )
            for optimizer, loss in zip(optimizers, losses):
                optimizer.zero_grad()
                loss().backward()
                optimizer.step()
            number += 1
    assert number == 9
    assert torch.equal(weights(ours), weights(by_hand))
    assert set(fit.logged_metrics) == {"discriminator", "generator", "associative"}


@pytest.mark.parametrize("stop", [2, 4, 7])
def test_a_checkpoint_is_gone_on_from_bit_for_bit_in_mid_epoch(tmp_path: Path, stop: int) -> None:
    # Lightning counts the steps of all three optimisers.
    keep = ModelCheckpoint(dirpath=tmp_path, filename="at-{step}", every_n_train_steps=3 * stop, save_top_k=-1)
    whole = task(schedule=linear_decay)
    trainer(tmp_path, max_epochs=3, enable_checkpointing=True, callbacks=[keep]).fit(whole, batches())
    resumed, anew = (task(seed=1, schedule=linear_decay) for _ in range(2))
    path = tmp_path / f"at-step={3 * stop}.ckpt"
    trainer(tmp_path, max_epochs=3).fit(resumed, batches(seed=1), ckpt_path=path, weights_only=True)
    trainer(tmp_path, max_epochs=3).fit(anew, batches(seed=1))
    assert torch.equal(weights(resumed), weights(whole))
    assert not torch.equal(weights(anew), weights(whole))


def test_rates_fall_to_zero_by_the_last_step_where_steps_are_what_is_counted(tmp_path: Path) -> None:
    learner = task(schedule=linear_decay)
    fit = trainer(tmp_path, max_epochs=-1, max_steps=15)  # Lightning counts those of all three: five batches
    fit.fit(learner, batches())
    assert [optimizer.param_groups[0]["lr"] for optimizer in fit.optimizers] == [0.0] * 3


def test_fair_coins_without_a_readout_train_the_two_players_alone(tmp_path: Path) -> None:
    learner = task(prior=independent_bits(3, learned=False), readout=False)
    before = weights(learner)
    trainer(tmp_path, max_epochs=3).fit(learner, batches())
    assert learner.qgan.prior.biases.abs().max() == 0
    assert not torch.equal(weights(learner), before)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"qgan": nn.Linear(2, 2)}, "qgan must be a QGAN"),
        ({"negatives": Gibbs()}, "negatives must be a negative phase"),
        ({"penalty": -1.0}, "penalty"),
        ({"penalty_every": 0}, "penalty_every"),
    ],
    ids=str,
)
def test_a_task_refuses_what_it_cannot_train(wrong: dict, match: str) -> None:
    parts = {"qgan": network(), "negatives": PersistentContrastiveDivergence(chains=2)}
    with pytest.raises(InvalidSettingError, match=match):
        AdversarialTask(**(parts | wrong))


def test_several_processes_are_refused() -> None:
    learner = task()
    learner._trainer = type("Trainer", (), {"world_size": 2})()
    with pytest.raises(InvalidSettingError, match="one process"):
        learner.setup("fit")
