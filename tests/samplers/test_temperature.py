"""Estimators of the temperature of draws, on draws whose temperature is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helpers.enumeration import random_ising
from helpers.statistics import threshold, z_p_value
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import DrawInfo, Draws, Ising
from spinlight.samplers import Exact, Gibbs
from spinlight.samplers.temperature import BetaEstimator, ConditionalMeans, EnergyMoments, PseudoLikelihood

ESTIMATORS = [PseudoLikelihood(), ConditionalMeans(), EnergyMoments()]
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)


@every_estimator
@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
def test_the_beta_of_boltzmann_draws_is_found_within_its_error(estimator: BetaEstimator, beta: float) -> None:
    problem = random_ising(8, seed=1, scale=0.5)
    draws = Exact(beta=beta).draw(problem, 20_000, seed=2)
    found = estimator.estimate(problem, draws)
    assert z_p_value(found.value, beta, found.standard_error) > threshold()
    assert z_p_value(found.value, 1.1 * beta, found.standard_error) < threshold()


@every_estimator
def test_the_error_is_the_spread_of_repetitions(estimator: BetaEstimator) -> None:
    problem = random_ising(7, seed=4, scale=0.5)
    found = [estimator.estimate(problem, Exact().draw(problem, 400, seed=seed)) for seed in range(200)]
    spread = np.std([each.value for each in found])
    # The standard deviation of 200 numbers is known to 5 %: a quarter is far outside.
    assert spread == pytest.approx(np.mean([each.standard_error for each in found]), rel=0.25)


@every_estimator
def test_multiplicities_and_weights_count(estimator: BetaEstimator) -> None:
    problem = random_ising(5, seed=1, scale=0.5)
    draws = Exact().draw(problem, 3000, seed=1)
    assert estimator.estimate(problem, draws.unique()).value == pytest.approx(estimator.estimate(problem, draws).value)


def test_large_problems_are_compared_with_annealed_chains() -> None:
    problem = random_ising(40, seed=1, scale=0.1)
    draws = Gibbs(sweeps=300, beta=1.5).draw(problem, 2000, seed=2)
    found = EnergyMoments(chains=2000, sweeps=300).estimate(problem, draws, seed=3)
    # The reference has an error as large as that of the draws.
    assert z_p_value(found.value, 1.5, 2**0.5 * found.standard_error) > threshold()
    assert z_p_value(found.value, 1.9, 2**0.5 * found.standard_error) < threshold()


def by_hand(problem: Ising, spins: torch.Tensor) -> Draws:
    info = DrawInfo("by hand", "heuristic", None, 0, None, 0.0, "cpu", "0")
    return Draws(spins.to(torch.int8), problem.energy(spins), info)


def test_frozen_draws_have_no_temperature() -> None:
    problem = Ising([1.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    up = by_hand(problem, torch.ones(10, 2))
    down = by_hand(problem, torch.tensor([[1.0, -1.0]] * 10))
    assert PseudoLikelihood().estimate(problem, up).value == math.inf
    assert ConditionalMeans().estimate(problem, up).value == math.inf
    assert EnergyMoments().estimate(problem, up).value == math.inf
    assert EnergyMoments().estimate(problem, down).value == 0
    flat = Ising([0.0, 0.0], torch.zeros(2, 2))
    assert math.isnan(PseudoLikelihood().estimate(flat, by_hand(flat, torch.ones(10, 2))).value)


@every_estimator
def test_draws_against_the_fields_have_a_negative_beta_or_none(estimator: BetaEstimator) -> None:
    problem = random_ising(6, seed=2, scale=0.5)
    draws = Exact().draw(problem.scaled(-1.0), 5000, seed=1)
    found = estimator.estimate(problem, draws).value
    assert found == 0 if isinstance(estimator, EnergyMoments) else found == pytest.approx(-1, abs=0.1)


@every_estimator
def test_draws_that_do_not_fit_are_refused(estimator: BetaEstimator) -> None:
    problem = random_ising(4, seed=1)
    draws = Exact().draw(problem, 10, seed=1)
    with pytest.raises(InvalidStateError, match="5 sites"):
        estimator.estimate(random_ising(5, seed=1), draws)
    with pytest.raises(InvalidStateError, match="at least two draws"):
        estimator.estimate(problem, draws[0])
    with pytest.raises(InvalidSettingError, match="batch"):
        estimator.estimate(random_ising(4, seed=1, batch=2), draws)


@pytest.mark.parametrize("settings", [{"chains": 0}, {"sweeps": 0}])
def test_settings_outside_their_domain_are_refused(settings: dict) -> None:
    with pytest.raises(InvalidSettingError):
        EnergyMoments(**settings)


def test_ground_states_are_frozen_whatever_rounding_makes_of_their_mean() -> None:
    problem = random_ising(7, seed=3, scale=0.5)
    draws = Exact(beta=1e3).draw(problem, 20_000, seed=1)
    assert len(draws.unique()) == 1
    assert EnergyMoments().estimate(problem, draws).value == math.inf
