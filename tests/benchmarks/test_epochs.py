"""The benchmark of an epoch's time: its rows on tiny work, and that a step of it is a step of training."""

from __future__ import annotations

import pytest
import torch

import epochs
import learning
from harness import Settings
from spinlight.models import RestrictedBoltzmannMachine


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"VISIBLE": 30, "HIDDEN": 20, "BATCH": 10, "ROWS": 500}.items():
        monkeypatch.setattr(epochs, name, size)


def test_every_way_is_set_against_the_bare_products_and_against_scikit_learn() -> None:
    (case,) = (case for case in learning.cases() if case.name == "epoch/rbm-784x500")
    claims = {claim.row.removeprefix("epoch/rbm-784x500/"): claim for claim in case.measure(Settings(True, 1))}
    ways = ("PCD, SGD", "PCD, Adam", "PCD, Adam, grey levels")
    bounds = {"products": 0.75, "products, new results": None, "merged products": None, "scikit-learn": 1.0}
    required = {f"{way}/{peer}": bound for way in ways for peer, bound in bounds.items()}
    assert {row: claim.required for row, claim in claims.items()} == required | {
        f"{way}/products": None for way in ("by hand, SGD", "scikit-learn")
    }
    for row, claim in claims.items():
        way, peer = row.split("/")
        slower = {name: claim.peers[f"{name} ms/step"] for name in (way, peer)}
        assert claim.value == pytest.approx(slower[peer] / slower[way])  # above 1 where the peer takes longer


def test_everybody_takes_as_many_steps_and_ours_are_steps_of_training() -> None:
    rows = torch.rand(50, 30).round()
    trained = []

    def descent(parameters) -> torch.optim.SGD:
        trained.extend(parameters)
        return torch.optim.SGD(trained, lr=0.01)

    train = epochs._training(rows, descent, None)
    assert (
        train(0)
        == epochs._products(5, 0)
        == epochs._products_anew(5, 0)
        == epochs._merged_products(5, 0)
        == epochs._by_hand(rows, 0)
        == epochs._scikit_learn(rows.numpy(), 0)
        == 5
    )
    assert len(trained) == 3
    assert all(float(part.grad.abs().max()) > 0 for part in trained)


def test_the_step_by_hand_follows_the_gradient_of_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    rows, steps = torch.rand(10, 30).round(), []
    monkeypatch.setattr(epochs, "random_bits", lambda logits, seed: (logits > 0).to(logits))
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda self: steps.append([p.grad for p in self.param_groups[0]["params"]])
    )
    monkeypatch.setattr(epochs, "RestrictedBoltzmannMachine", made := _Remembered())
    epochs._by_hand(rows, 0)
    chains = (made.machine.visible_logits(torch.zeros(10, 20)) > 0).float()
    made.machine.objective(rows, chains).backward()
    for found, parameter in zip(steps[0], made.machine.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad)


class _Remembered:
    def __call__(self, *sizes: int) -> RestrictedBoltzmannMachine:
        self.machine = RestrictedBoltzmannMachine(*sizes)
        return self.machine
