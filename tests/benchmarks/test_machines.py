"""The benchmark of machines on binary sets: its recipes, its estimates of log Z and its rows, on tiny work."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor

from harness import Settings
from helpers.enumeration import log_partition
from spinlight._random import uniform
from spinlight.datasets import DensitySet
from spinlight.ising import LogPartition
from spinlight.models import RestrictedBoltzmannMachine, SparseBoltzmannMachine

machines = importlib.import_module("machines")

VARIABLES = 6


def copies(count: int, seed: int) -> Tensor:
    """Return rows of six bits in which the second three repeat the first three, nine times of ten."""
    first, same = (uniform(derived, count, 3) for derived in (seed, seed + 100))
    half = (first < 0.5).float()
    return torch.cat([half, torch.where(same < 0.9, half, 1 - half)], 1)


SET = DensitySet("copies", {"train": copies(2_000, 1), "valid": copies(500, 2), "test": copies(500, 3)})


def known(value: float, error: float) -> LogPartition:
    return LogPartition(value, error, value, math.inf, "hand")


def test_the_edges_are_the_pairs_that_say_most_of_each_other() -> None:
    graph = machines.informative_pairs(SET.train, 3)
    assert sorted(graph.edges) == [(0, 3), (1, 4), (2, 5)]
    assert list(graph.nodes) == list(range(VARIABLES))


@pytest.mark.parametrize(
    ("estimates", "taken", "error"),
    [
        ([known(5.0, 0.1), known(4.9, 0.5)], 4.9, 0.5),  # 5.9 with two errors added
        ([known(5.0, 0.1), known(5.1, math.nan)], 5.0, 0.1),  # within two errors
        ([known(5.0, 0.1), known(7.0, math.nan)], 7.0, 2.0),
        ([known(5.0, math.nan), known(4.0, math.nan)], 5.0, math.nan),
    ],
    ids=["two errors", "no error, not above", "no error, above", "no errors"],
)
def test_the_highest_log_partition_is_taken(estimates: list[LogPartition], taken: float, error: float) -> None:
    for order in (estimates, estimates[::-1]):
        found = machines.highest(order)
        assert (found.value, found.standard_error) == (taken, pytest.approx(error, nan_ok=True))


@pytest.mark.parametrize(
    ("recipe", "kind", "words"),
    [
        (machines.Recipe(4, decay=1e-4), RestrictedBoltzmannMachine, "4 hidden, decay 0.0001"),
        (machines.Recipe(0, 2), SparseBoltzmannMachine, "2 edges per variable, decay 0.001"),
    ],
    ids=str,
)
def test_a_recipe_learns(recipe, kind: type, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "RATE", 1.0)
    machine = recipe.trained(SET.train, 2_000, seed=0)
    assert type(machine) is kind
    assert str(recipe) == words
    assert not any(part.requires_grad for part in machine.parameters())
    (estimate,) = machines.partitions(machine, SET.train, effort=1)
    assert estimate.value == pytest.approx(log_partition(machine.to_ising()), rel=1e-6)
    value = machines.log_likelihood(machine, SET.test, partition=estimate).value
    # Three fair coins and three copies: -3 log 2 - 3 * (entropy of .9) = -3.05; independent bits have -6 log 2 = -4.16.
    assert -3.35 < value < -2.9


def test_decay_makes_weights_small_and_leaves_biases_alone() -> None:
    free, held = (machines.Recipe(4, decay=decay).trained(SET.train, 1_000, seed=0) for decay in (0.0, 5.0))
    assert float(held.weight.norm()) < 0.3 * float(free.weight.norm())
    torch.testing.assert_close(held.visible_bias, free.visible_bias, atol=0.2, rtol=0)


def test_a_machine_beyond_enumeration_has_log_partition_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_ENUMERATED", 3)
    machine = machines.Recipe(4).trained(SET.train, 200, seed=0)
    annealed, tempered = machines.partitions(machine, SET.train, effort=1)
    exact = log_partition(machine.to_ising())
    assert abs(annealed.value - exact) < 5 * annealed.standard_error
    assert abs(tempered.value - exact) < 5 * tempered.standard_error
    assert "annealed" in annealed.method != tempered.method


def test_validation_picks_the_recipe_and_test_rows_are_looked_at_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, learned = [], []
    likelihood, trained = machines.log_likelihood, machines.Recipe.trained

    def noting(self, train: Tensor, steps: int, seed: int):
        learned.append((len(train), torch.equal(train, SET.train), seed))
        return trained(self, train, steps, seed)

    monkeypatch.setattr(machines.Recipe, "trained", noting)

    def noted(machine, rows: Tensor, *, partition: LogPartition):
        seen.append("valid" if torch.equal(rows, SET.valid) else "test")
        return likelihood(machine, rows, partition=partition)

    monkeypatch.setattr(machines, "log_likelihood", noted)
    monkeypatch.setattr(machines, "density_set", lambda name: SET)
    (claim,) = machines._density("copies", Settings(quick=True, seeds=2))
    assert seen == ["valid", "valid", "test", "test"]
    assert learned == [(2_000, True, seed) for seed in (0, 0, 0, 1)]
    assert claim.row == "density/copies"
    assert claim.required == max(claim.peers[name] for name in machines.BASELINES)
    assert claim.interval[0] <= claim.value <= claim.interval[1]
    assert sum("(taken)" in name for name in claim.peers) == 1


def test_23_hidden_units_are_set_against_the_published_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "density_set", lambda name: SET)
    monkeypatch.setattr(machines, "DECAYS_OF_23", (0.0,))
    rows = []
    trained = machines.Recipe.trained
    monkeypatch.setattr(
        machines.Recipe,
        "trained",
        lambda self, *given, **named: rows.append(given[0]) or trained(self, *given, **named),
    )
    (claim,) = machines._twenty_three("dna", Settings(quick=True, seeds=1))
    assert all(torch.equal(each, SET.train[:1_400]) for each in rows)
    assert (claim.required, claim.peers["error of log Z"]) == (-96.74, 0.0)
