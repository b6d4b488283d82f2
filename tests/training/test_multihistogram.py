"""The multi-histogram method on exact draws of every rung, and on ladders that work and that do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helpers.enumeration import enumerate_energies, log_partition, random_ising
from helpers.statistics import mean_p_value, threshold
from spinlight._errors import InvalidSettingError, SpinlightWarning
from spinlight.ising import Ising
from spinlight.samplers import Exact, ParallelTempering
from spinlight.training import DrawnPartition, TemperedPartition
from spinlight.training.multihistogram import log_ratios

RUNGS = np.array([0.0, 0.2, 0.5, 1.0])


def exact_gaps(problem: Ising, ladders: int, records: int, seed: int) -> np.ndarray:
    """Return energies of independent exact draws at every rung, (ladders, records, rungs)."""
    rng, energies = np.random.default_rng(seed), enumerate_energies(problem)
    laws = (np.exp(-b * energies - log_partition(problem, b)) for b in RUNGS)
    return np.stack([energies[rng.choice(len(energies), (ladders, records), p=law / law.sum())] for law in laws], -1)


def test_ratios_of_exact_draws_are_those_of_enumeration() -> None:
    problem = random_ising(8, seed=1, scale=0.6)
    ratios = np.array([log_ratios(RUNGS, exact_gaps(problem, 1, 400, seed)) for seed in range(100)])
    exact = np.array([log_partition(problem, b) for b in RUNGS]) - 8 * math.log(2)
    np.testing.assert_array_equal(ratios[:, 0], 0.0)
    assert mean_p_value(ratios[:, 1:], exact[1:]) > threshold()
    assert mean_p_value(ratios[:, 1:], 1.01 * exact[1:]) < threshold()


def test_two_rungs_solve_bennetts_equation() -> None:
    # With as many states on both rungs, sum over all states of 1 / (1 + exp(f - b G)) is the number on one of them.
    gaps = np.random.default_rng(2).normal(size=(1, 50, 2)) - [0.0, 1.0]
    ratio = log_ratios(np.array([0.0, 1.0]), gaps)[-1]
    assert (1 / (1 + np.exp(ratio + gaps))).sum() == pytest.approx(50.0)


def test_a_constant_added_to_all_energies_is_taken_out_again() -> None:
    gaps = exact_gaps(random_ising(6, seed=3), 2, 50, 4)
    np.testing.assert_allclose(log_ratios(RUNGS, gaps + 1e4), log_ratios(RUNGS, gaps) - 1e4 * RUNGS, atol=1e-6)


def test_more_states_than_a_block_all_count(monkeypatch) -> None:
    gaps = exact_gaps(random_ising(6, seed=3), 2, 50, 4)
    whole = log_ratios(RUNGS, gaps)
    monkeypatch.setattr("spinlight.training.multihistogram._BLOCK", 37)
    np.testing.assert_allclose(log_ratios(RUNGS, gaps), whole, atol=1e-9)


def test_a_reference_changes_the_path_and_not_the_value() -> None:
    problem = random_ising(9, seed=5, scale=0.6)
    reference = torch.linspace(-1, 1, 9)
    sampler = ParallelTempering(rungs=8, ladders=16, reference=reference, beta=0.8, progress=False)
    found = TemperedPartition(sampler=sampler).estimate(problem, seed=6)
    assert abs(found.value - log_partition(problem, 0.8)) < 4 * found.standard_error < 0.3


def test_the_standard_error_is_the_spread_over_seeds() -> None:
    problem = random_ising(8, seed=4, scale=0.5)
    estimator = TemperedPartition(
        sampler=ParallelTempering(rungs=6, ladders=12, burn_in=100, progress=False), records=32
    )
    runs = [estimator.estimate(problem, seed=seed) for seed in range(150)]
    spread = np.std([run.value for run in runs], ddof=1)
    assert 0.75 < spread / np.sqrt(np.mean([run.standard_error**2 for run in runs])) < 1.33
    assert mean_p_value([run.value for run in runs], log_partition(problem)) > threshold()


def test_a_ladder_that_no_chain_climbs_has_no_error_and_says_so() -> None:
    # Sixty spins in two deep wells, and two rungs between which no swap happens.
    problem = Ising(torch.zeros(60), 0.5 * (torch.ones(60, 60) - torch.eye(60)))
    sampler = ParallelTempering(rungs=2, ladders=8, burn_in=16, progress=False)
    with pytest.warns(SpinlightWarning, match="more rungs"):
        found = TemperedPartition(sampler=sampler, records=16).estimate(problem, seed=1)
    assert math.isnan(found.standard_error)


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": ParallelTempering()},
        {"sampler": ParallelTempering(ladders=8, first=0.1)},
        {"sampler": ParallelTempering(ladders=8, cluster_every=2)},
        {"sampler": Exact()},
        {"records": 15},
    ],
)
def test_ladders_that_cannot_tell_log_z_or_its_error_are_refused(settings) -> None:
    with pytest.raises(InvalidSettingError):
        TemperedPartition(**settings)


def test_log_z_is_that_of_the_samplers_draws() -> None:
    problem = random_ising(6, seed=7)
    found = DrawnPartition(sampler=Exact(beta=0.5)).estimate(problem)
    assert found.value == pytest.approx(log_partition(problem, 0.5))


def test_a_sampler_without_log_z_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="without log Z"):
        DrawnPartition(sampler=ParallelTempering(progress=False)).estimate(random_ising(3, seed=1))


@pytest.mark.parametrize("settings", [{"sampler": 3}, {"sampler": Exact}, {"count": 0}])
def test_what_draws_nothing_is_refused(settings) -> None:
    with pytest.raises(InvalidSettingError):
        DrawnPartition(**settings)
