"""Population annealing: log Z within its error, the law, families."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, log_partition, random_ising
from helpers.statistics import law_p_value, threshold, z_p_value
from spinlight._errors import InvalidSettingError, SpinlightWarning
from spinlight.ising import Ising
from spinlight.samplers import PopulationAnnealing


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("sites", [1, 6, 12])
def test_log_partition_is_right_within_its_error(sites: int, beta: float) -> None:
    problem = random_ising(sites, seed=sites)
    known = PopulationAnnealing(beta=beta, progress=False).draw(problem, 10, seed=4).log_partition
    exact = log_partition(problem, beta)
    error = known.standard_error
    assert z_p_value(known.value, exact, error, degrees_of_freedom=31) > threshold()
    assert error < 0.1
    assert known.lower == known.value
    wrong = log_partition(problem, 1.1 * beta)
    assert z_p_value(known.value, wrong, error, degrees_of_freedom=31) < z_p_value(known.value, exact, error)


def test_the_error_is_that_of_repeated_runs_and_shrinks_with_the_root_of_the_population() -> None:
    problem, runs = random_ising(10, seed=1), 40
    spreads = {}
    for members in (16, 64):
        sampler = PopulationAnnealing(members=members, progress=False)
        known = [sampler.draw(problem, 1, seed=seed).log_partition for seed in range(runs)]
        values, errors = (np.array([getattr(each, name) for each in known]) for name in ("value", "standard_error"))
        spreads[members] = values.std(ddof=1)
        # A chi-square of 39 degrees of freedom lies within these factors with probability 1 - 1e-6.
        assert 0.55 < spreads[members] / np.sqrt(np.mean(errors**2)) < 1.6
        assert z_p_value(values.mean(), log_partition(problem), spreads[members] / math.sqrt(runs)) > threshold()
    assert 1.2 < spreads[16] / spreads[64] < 3.4


def test_one_population_in_proportion_to_its_z() -> None:
    # Two wells of unequal depth, between which no chain moves: without weights each population keeps its own shares.
    problem = Ising(torch.full((6,), 0.1), 2 * (torch.ones(6, 6) - torch.eye(6)))
    draws = PopulationAnnealing(beta=1.0, members=512, sweeps=2, progress=False).draw(problem, 16_384, seed=3)
    up = float((draws.spins.double().mean(1) > 0).double().mean())
    exact = 1 / (1 + math.exp(-1.2))
    families = draws.info.details["effective_families"]
    error = math.sqrt(exact * (1 - exact) / families)
    assert abs(up - exact) < 5 * error
    assert abs(up - 0.5) > 5 * error


def test_a_batch_is_drawn_problem_by_problem() -> None:
    problem = random_ising(6, seed=9, scale=0.5, batch=3)
    draws = PopulationAnnealing(sweeps=30, progress=False).draw(problem, 20_000, seed=5)
    assert draws.log_partition is None
    for index in range(3):
        single = Ising(problem.fields[index], problem.couplings)
        assert law_p_value(draws.spins[index], boltzmann(single)) > threshold(3)
    assert law_p_value(draws.spins[0], boltzmann(Ising(problem.fields[1], problem.couplings))) < threshold()


def test_families_are_counted() -> None:
    flat = Ising(torch.zeros(4), torch.zeros(4, 4))
    details = PopulationAnnealing(populations=16, members=16, progress=False).draw(flat, 4, seed=1).info.details
    assert details == {"families": 256, "effective_families": 256.0, "steps": 1}
    cold = PopulationAnnealing(beta=10.0, populations=16, members=16, progress=False)
    report = cold.draw(random_ising(12, seed=2), 4, seed=1).info.details
    assert 16 <= report["effective_families"] <= report["families"] < 256
    assert report["steps"] > 10


def test_too_few_effective_populations_give_a_warning_instead_of_an_error_bar() -> None:
    problem = random_ising(20, seed=4, scale=3.0)
    sampler = PopulationAnnealing(beta=5.0, populations=16, members=2, sweeps=0, effective_share=0.05, progress=False)
    with pytest.warns(SpinlightWarning, match="of 16 populations"):
        assert math.isnan(sampler.draw(problem, 5, seed=1).log_partition.standard_error)


def test_a_landscape_that_takes_too_many_steps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spinlight.samplers.population._MOST_STEPS", 20)
    with pytest.raises(InvalidSettingError, match="after 20 steps"):
        PopulationAnnealing(effective_share=0.9999, progress=False).draw(random_ising(10, seed=1), 1, seed=1)


@pytest.mark.parametrize(
    "setting",
    [
        {"beta": 0.0},
        {"populations": 15},
        {"members": 1},
        {"sweeps": -1},
        {"effective_share": 0.0},
        {"effective_share": 1.0},
        {"threads": 0},
    ],
)
def test_settings_outside_their_domain_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(InvalidSettingError):
        PopulationAnnealing(**setting)
