"""Samplers brought to a wanted temperature: known distortions are undone, and machines without a knob are refused."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, enumerate_energies, random_ising
from helpers.statistics import law_p_value, threshold, z_p_value
from spinlight._errors import InvalidSettingError, InvalidStateError, UncalibratedWarning
from spinlight.ising import Draws, Ising, Law
from spinlight.models import BoltzmannMachine
from spinlight.samplers import (
    Calibrated,
    CoherentIsingMachine,
    ConditionalMeans,
    EffectiveBeta,
    EnergyMoments,
    Exact,
    Gibbs,
    LangevinBifurcation,
    PseudoLikelihood,
    Quantized,
    Sampler,
    SimulatedBifurcation,
    TruncatedWigner,
    UncorrectedFeedback,
)
from spinlight.samplers.calibrated import _Point, _root
from spinlight.training import IndependentDraws, complete

CIM = CoherentIsingMachine(
    steps=500,
    feedback=UncorrectedFeedback(),
    noise=TruncatedWigner(photon=0.6),
    look_every=0,
    scale=0.16,
    progress=False,
)
"""A machine whose noise is strong enough to sample with."""


@dataclass(frozen=True, kw_only=True)
class Distorted(Sampler):
    """Exact draws at beta = gain * (scale of the problem) ** power: what a machine might do, with a known answer."""

    law: ClassVar[Law] = "heuristic"

    gain: float = 1.0
    power: float = 1.0

    def draw(self, problem: Ising, count: int, *, seed=None, initial=None) -> Draws:
        size = float(problem.couplings.abs().max())
        return Exact(beta=self.gain * size ** (self.power - 1)).draw(problem, count, seed=seed)

    def factor(self, problem: Ising, beta: float) -> float:
        """Return c with gain * (c size)^(power - 1) * c = beta."""
        size = float(problem.couplings.abs().max())
        return (beta / (self.gain * size ** (self.power - 1))) ** (1 / self.power)


class Counting(Exact):
    """Exact draws that write down how many were asked for."""

    asked: ClassVar[list[int]] = []

    def draw(self, problem: Ising, count: int, *, seed=None, initial=None) -> Draws:
        self.asked.append(count)
        return super().draw(problem, count, seed=seed)


class Normalising(Exact):
    """Exact draws of the problem divided by its largest weight: every multiple of a problem looks the same."""

    def draw(self, problem: Ising, count: int, *, seed=None, initial=None) -> Draws:
        largest = max(float(problem.couplings.abs().max()), float(problem.fields.abs().max()))
        return super().draw(problem.scaled(1 / largest), count, seed=seed)


def machine_problem(seed: int, scale: float) -> Ising:
    """Return a dense Boltzmann machine of twelve units with weights from N(0, scale^2 / 12) and biases from N(0, scale^2)."""
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.normal(0, scale * 12**-0.5, (12, 12)), 1)
    couplings = (upper + upper.T) / 4
    return Ising(generator.normal(0, scale, 12) / 2 + couplings.sum(1), couplings)


def mean_energy(problem: Ising, beta: float) -> tuple[float, float]:
    """Return the mean of E at a beta and its standard deviation, by enumeration."""
    energies, probabilities = enumerate_energies(problem), boltzmann(problem, beta)
    mean = probabilities @ energies
    return float(mean), float(np.sqrt(probabilities @ (energies - mean) ** 2))


def energy_p_value(problem: Ising, draws: Draws, beta: float) -> float:
    """Return the p-value of the draws' mean energy at a beta."""
    mean, spread = mean_energy(problem, beta)
    return z_p_value(float(draws.energies.mean()), mean, spread / len(draws) ** 0.5)


@pytest.mark.parametrize("estimator", [EnergyMoments(), PseudoLikelihood(), ConditionalMeans()])
@pytest.mark.parametrize(("gain", "power"), [(3.0, 1.0), (0.05, 1.0), (2.0, 0.5), (5.0, 1.6), (200.0, 1.0)])
def test_a_known_distortion_is_undone(estimator, gain: float, power: float) -> None:
    problem = random_ising(7, seed=3, scale=0.5)
    sampler = Distorted(gain=gain, power=power)
    draws = Calibrated(sampler=sampler, estimator=estimator, draws=20_000).draw(problem, 20_000, seed=1)
    found = draws.info.details
    assert len(found["path"]) < 10
    # Two standard errors decide when to stop, and log c is off by those of log beta over the power.
    assert found["factor"] == pytest.approx(sampler.factor(problem, 1.0), rel=5 * 0.02 / power)
    assert found["effective_beta"] == pytest.approx(1.0, abs=5 * 2**0.5 * found["standard_error"])


def test_calibrated_draws_follow_the_law_and_uncalibrated_ones_do_not() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    sampler = Distorted(gain=1.3)
    # The factor's error is a tenth of what these draws resolve.
    calibrated = Calibrated(sampler=sampler, draws=1_000_000).draw(problem, 10_000, seed=1)
    assert law_p_value(calibrated.spins, boltzmann(problem)) > threshold()
    assert law_p_value(sampler.draw(problem, 10_000, seed=1).spins, boltzmann(problem)) < threshold()
    torch.testing.assert_close(calibrated.energies, problem.energy(calibrated.spins))


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_the_wanted_beta_is_reached(beta: float) -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    draws = Calibrated(sampler=Gibbs(sweeps=200), beta=beta, draws=200_000).draw(problem, 10_000, seed=1)
    assert draws.info.beta == beta
    assert energy_p_value(problem, draws, beta) > threshold()
    assert energy_p_value(problem, draws, 1.1 * beta) < threshold()


def test_a_boltzmann_sampler_is_left_as_it_is_after_one_call() -> None:
    draws = Calibrated(sampler=Exact(), draws=100_000).draw(random_ising(7, seed=3, scale=0.5), 100, seed=1)
    assert len(draws.info.details["path"]) == 1
    assert draws.info.details["factor"] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("seed", "scale"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_a_machine_with_a_fixed_gain_has_the_mean_energy_of_beta_one(seed: int, scale: float) -> None:
    problem = machine_problem(seed, scale)
    calibrated = Calibrated(sampler=CIM, draws=20_000).calibrate(problem, seed=1)
    draws = calibrated.draw(problem, 20_000, seed=2)
    # The factor has the error of 40,000 draws, and so have the fresh draws; two errors more where the search may stop.
    mean, spread = mean_energy(problem, 1.0)
    allowed = 5 * 2**0.5 * spread / 20_000**0.5
    assert abs(float(draws.energies.mean()) - mean) < allowed
    assert abs(mean_energy(problem, 1.1)[0] - mean) > allowed
    untouched = CIM.draw(problem.scaled(2 * calibrated.factor), 20_000, seed=2)
    assert abs(float(problem.energy(untouched.spins).mean()) - mean) > allowed


def test_langevin_bifurcation_is_calibrated_too() -> None:
    problem = machine_problem(4, 1.0)
    draws = Calibrated(sampler=LangevinBifurcation(progress=False)).draw(problem, 10_000, seed=1)
    assert abs(draws.info.details["effective_beta"] - 1) < 5 * 2**0.5 * draws.info.details["standard_error"]


@pytest.mark.parametrize(
    "sampler",
    [Normalising(), CoherentIsingMachine(look_every=0, noise=TruncatedWigner(photon=0.6), steps=200, progress=False)],
    ids=["exact", "CIM"],
)
def test_a_sampler_that_does_not_see_the_scale_is_refused(sampler: Sampler) -> None:
    problem = random_ising(8, seed=3, scale=1.0)
    with pytest.raises(InvalidSettingError, match=r"cannot be calibrated.*CoherentIsingMachine\(scale="):
        Calibrated(sampler=sampler).draw(problem, 10, seed=1)


@pytest.mark.parametrize(
    "sampler", [CoherentIsingMachine(), SimulatedBifurcation(), Quantized(sampler=CoherentIsingMachine())]
)
def test_a_sampler_that_says_so_is_refused_before_it_is_called(sampler: Sampler) -> None:
    with pytest.raises(InvalidSettingError, match="normalises every problem"):
        Calibrated(sampler=sampler)
    with pytest.raises(InvalidSettingError, match="normalises every problem"):
        Calibrated(sampler=sampler, factor=2.0)


def test_somebody_elses_sampler_is_calibrated_too() -> None:
    class Cold:
        law = "heuristic"

        def draw(self, problem: Ising, count: int, *, seed=None, initial=None) -> Draws:
            return Exact(beta=2.0).draw(problem, count, seed=seed)

    assert Calibrated(sampler=Cold(), factor=0.5).factor == 0.5  # type: ignore[arg-type]
    found = Calibrated(sampler=Cold()).calibrate(random_ising(6, seed=1, scale=0.5), seed=1)  # type: ignore[arg-type]
    assert found.factor == pytest.approx(0.5, rel=0.1)


def test_draws_that_are_frozen_at_every_factor_are_refused() -> None:
    frozen = CoherentIsingMachine(look_every=5, scale=0.5, progress=False)
    with pytest.raises(InvalidSettingError, match="without a temperature at every factor"):
        Calibrated(sampler=frozen, calls=3, draws=100).draw(random_ising(6, seed=1, scale=2.0), 10, seed=1)


def test_calls_and_draws_stay_within_the_budget() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    Counting.asked.clear()
    Calibrated(sampler=Counting(beta=20.0), calls=2, draws=500).draw(problem, 700, seed=1)
    assert Counting.asked == [500, 500, 700]


def test_draws_that_are_off_warn() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    with pytest.warns(UncalibratedWarning, match="after calibration, not at 1"):
        Calibrated(sampler=Distorted(gain=3.0, power=0.4), calls=1).draw(problem, 10_000, seed=1)


def test_a_factor_is_found_once_and_used_again() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    known = Calibrated(sampler=Counting(beta=2.0)).calibrate(problem, seed=1)
    # d<E>/dbeta = -var(E): a call of n draws tells log beta to 1 / (beta sqrt(n) spread); two errors more where the search may stop.
    error = 1 / (mean_energy(problem, 1.0)[1] * known.draws**0.5)
    assert abs(math.log(known.factor / 0.5)) < (5 + 2) * error < math.log(1.1)
    Counting.asked.clear()
    draws = known.draw(problem, 50, seed=2)
    assert Counting.asked == [50]
    assert draws.info.details["factor"] == known.factor
    assert "path" not in draws.info.details
    assert known.calibrate(problem, seed=3).factor != known.factor


def test_draws_of_its_own_correct_the_factor_without_another_call() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    stale = Calibrated(sampler=Counting(beta=2.0), factor=0.8)
    draws = stale.draw(problem, 10_000, seed=2)
    Counting.asked.clear()
    mended = stale.updated(problem, draws, seed=3)
    assert Counting.asked == []
    # One step from 0.8, half a unit of log beta off: exact where beta is in proportion to c, but for the noise of the call.
    error = 1 / (mean_energy(problem, 1.6)[1] * 1.6 * 100)
    assert abs(math.log(mended.factor / 0.5)) < 5 * error < math.log(1.1)
    assert mended == replace(stale, factor=mended.factor)
    assert mended.updated(problem, draws, seed=3) == mended  # what draws say is of the factor that they were drawn with


def test_a_factor_does_not_follow_noise() -> None:
    nearly_empty = random_ising(6, seed=3, scale=0.01)
    sampler = Calibrated(sampler=Exact(), estimator=PseudoLikelihood(), factor=1.0)
    for seed in range(20):
        sampler = sampler.updated(nearly_empty, sampler.draw(nearly_empty, 200, seed=seed), seed=seed)
    assert 0.5 < sampler.factor < 2.0  # every factor is nearly right: one step per call would take it anywhere
    empty = Ising(torch.zeros(4), torch.zeros(4, 4))
    assert sampler.updated(empty, sampler.draw(empty, 100, seed=1), seed=1) is sampler


def test_without_a_factor_or_without_a_temperature_there_is_nothing_to_correct() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    with pytest.raises(InvalidSettingError, match=r"call calibrate\(problem\) first"):
        Calibrated(sampler=Exact()).updated(problem, Exact().draw(problem, 10, seed=1))
    known = Calibrated(sampler=Exact(), factor=2.0)
    assert known.updated(problem, known.draw(problem, 1, seed=1), seed=1) is known
    with pytest.raises(InvalidSettingError, match="they came from Exact"):
        known.updated(problem, Exact().draw(problem, 10, seed=1))


def test_calibration_warns_where_it_did_not_arrive() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    with pytest.warns(UncalibratedWarning, match="draws of Exact are at beta"):
        Calibrated(sampler=Exact(beta=5.0), calls=1).calibrate(problem, seed=1)


def test_fresh_draws_are_not_those_of_the_calibration() -> None:
    problem = random_ising(10, seed=3, scale=0.5)
    calibrated = Calibrated(sampler=Exact())
    seeds: list[int] = []

    class Recording(Exact):
        def draw(self, problem: Ising, count: int, *, seed=None, initial=None) -> Draws:
            seeds.append(seed)
            return super().draw(problem, count, seed=seed)

    replace(calibrated, sampler=Recording()).draw(problem, 100, seed=1)
    assert len(set(seeds)) == len(seeds) > 1


def test_the_path_is_recorded_as_plain_json() -> None:
    problem = random_ising(6, seed=3, scale=0.5)
    draws = Calibrated(sampler=Exact(beta=1e6)).draw(problem, 1000, seed=1)
    details = json.loads(json.dumps(draws.info.details, allow_nan=False))
    assert details["path"][0] == [1.0, None, None]
    assert details["path"][-1][1] == pytest.approx(1.0, abs=0.1)


def test_the_problems_of_a_batch_share_one_factor() -> None:
    batch = random_ising(6, seed=3, scale=0.5, batch=20)
    draws = Calibrated(sampler=Exact(beta=2.0), draws=80_000).draw(batch, 500, seed=1)
    assert draws.spins.shape == (20, 500, 6)
    assert draws.info.details["factor"] == pytest.approx(0.5, abs=0.01)
    for row in (0, 19):
        assert law_p_value(draws[row].spins, boltzmann(batch[row])) > threshold(2)


def test_training_accepts_calibrated_machines_without_a_warning() -> None:
    torch.manual_seed(0)
    model = BoltzmannMachine(6, num_hidden=2)
    data = torch.tensor([[0, 1, 0, 1], [1, 1, 0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phase = IndependentDraws(Calibrated(sampler=CIM), count=20, seed=1)
        assert phase.negative(model, data).spins.shape == (20, model.num_nodes)
        assert complete(model, data, Calibrated(sampler=CIM), seed=1).spins.shape == (2, 1, model.num_nodes)


def test_the_line_goes_through_points_on_a_line_and_leaves_out_far_ones() -> None:
    def point(factor: float, distance: float, error: float = 0.01) -> _Point:
        beta = math.exp(distance)
        return _Point(factor, EffectiveBeta(beta, error * beta, "given"), 1.0)

    assert _root([point(1.0, math.log(2.0))]) == pytest.approx(0.5)
    # log beta = 2 log c - 0.02, but for a saturated point far away
    line = [point(0.9, 2 * math.log(0.9) - 0.02, 1e-4), point(1.1, 2 * math.log(1.1) - 0.02, 1e-4)]
    assert _root(line) == pytest.approx(math.exp(0.01), abs=2e-4)
    assert _root([*line, point(1000.0, 3.0)]) == pytest.approx(math.exp(0.01), abs=2e-3)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Calibrated(sampler=None), "sampler"),  # type: ignore[arg-type]
        (lambda: Calibrated(sampler=Exact(), beta=0.0), "beta"),
        (lambda: Calibrated(sampler=Exact(), estimator="energy"), "estimator"),  # type: ignore[arg-type]
        (lambda: Calibrated(sampler=Exact(), draws=99), "draws"),
        (lambda: Calibrated(sampler=Exact(), calls=0), "calls"),
        (lambda: Calibrated(sampler=Exact(), factor=-1.0), "factor"),
        (lambda: CoherentIsingMachine(scale=0.0), "scale"),
        (lambda: UncorrectedFeedback(pump=float("nan")), "pump"),
        (lambda: UncorrectedFeedback(amplitude=0.0), "amplitude"),
    ],
)
def test_settings_outside_their_domain_are_refused(make, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        make()


def test_initial_states_are_checked_before_the_first_call() -> None:
    Counting.asked.clear()
    with pytest.raises(InvalidStateError):
        Calibrated(sampler=Counting()).draw(random_ising(3, seed=1), 2, initial=torch.ones(3, 3))
    assert Counting.asked == []
