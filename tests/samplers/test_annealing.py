from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from helpers.enumeration import enumerate_energies, random_ising
from spinlight._errors import InvalidSettingError, SpinlightWarning
from spinlight.ising import Ising
from spinlight.samplers import (
    CustomSchedule,
    GeometricSchedule,
    Gibbs,
    LinearSchedule,
    QuenchedSchedule,
    Sampler,
    Schedule,
    SimulatedAnnealing,
)
from spinlight.samplers.schedules import hot_beta

SCHEDULES = [
    GeometricSchedule(),
    GeometricSchedule(first=0.05),
    LinearSchedule(),
    CustomSchedule((0.1, 2.0, 1.0, 3.0)),
    QuenchedSchedule(first=0.0, last=1.0),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sweeps", [1, 2, 7, 1000])
def test_every_schedule_has_one_beta_per_sweep_and_ends_at_beta(schedule: Schedule, sweeps: int) -> None:
    betas = schedule.betas(random_ising(4, seed=1), sweeps, 3.0)
    assert betas.shape == (sweeps,)
    assert betas[-1] == pytest.approx(3.0)


def test_the_geometric_schedule_has_a_constant_ratio() -> None:
    betas = GeometricSchedule(first=0.1).betas(random_ising(4, seed=1), 5, 1.6)
    np.testing.assert_allclose(betas, [0.1, 0.2, 0.4, 0.8, 1.6])


def test_the_linear_schedule_has_a_constant_step() -> None:
    np.testing.assert_allclose(LinearSchedule(first=1.0).betas(random_ising(4, seed=1), 3, 2.0), [1.0, 1.5, 2.0])


def test_the_custom_schedule_interpolates() -> None:
    np.testing.assert_allclose(CustomSchedule((0.0, 4.0, 2.0)).betas(random_ising(4, seed=1), 5, 2.0), [0, 2, 4, 3, 2])


def test_a_quench_follows_the_rise() -> None:
    schedule = QuenchedSchedule(first=0.0, last=2.0, quench=2)
    np.testing.assert_allclose(schedule.betas(random_ising(4, seed=1), 5, 9.0), [0.0, 1.0, 2.0, 9.0, 9.0])
    np.testing.assert_allclose(schedule.betas(random_ising(4, seed=1), 1, 9.0), [9.0])


@pytest.mark.parametrize("sparse", [False, True])
def test_the_hot_start_flips_the_most_tightly_held_spin_every_other_visit(sparse: bool) -> None:
    problem = Ising([-1.0, 0.0, 0.5], [[0.0, 2.0, 0.0], [2.0, 0.0, -3.0], [0.0, -3.0, 0.0]])
    beta = hot_beta(problem.to_sparse() if sparse else problem)
    assert math.exp(-2 * beta * 5.0) == pytest.approx(0.5)  # site 1: |0| + |2| + |-3|


def test_annealing_a_flat_problem_works() -> None:
    draws = SimulatedAnnealing(sweeps=3, beta=2.0).draw(Ising([0.0, 0.0], torch.zeros(2, 2)), 4, seed=1)
    assert draws.energies.tolist() == [0.0] * 4


@pytest.mark.parametrize("sparse", [False, True])
def test_slow_annealing_finds_the_ground_state(sparse: bool) -> None:
    problem = random_ising(14, seed=2)
    problem = problem.to_sparse() if sparse else problem
    draws = SimulatedAnnealing(sweeps=2000, beta=20.0).draw(problem, 32, seed=3)
    assert float(draws.energies.min()) == pytest.approx(enumerate_energies(problem).min())


def test_slower_annealing_ends_lower() -> None:
    generator = torch.Generator().manual_seed(4)
    upper = torch.triu(torch.randn(200, 200, generator=generator), 1) / math.sqrt(200)
    problem = Ising(torch.zeros(200), upper + upper.T)
    fast, slow = (SimulatedAnnealing(sweeps=n, beta=5.0).draw(problem, 64, seed=5).energies for n in (10, 1000))
    assert float(slow.mean() - fast.mean()) < -5 * float(fast.std() / 8)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SimulatedAnnealing(sweeps=0), "sweeps"),
        (lambda: SimulatedAnnealing(threads=0), "threads"),
        (lambda: SimulatedAnnealing(schedule="linear"), "schedule"),  # type: ignore[arg-type]
        (lambda: SimulatedAnnealing(schedule=GeometricSchedule(first=2.0)).draw(random_ising(2, seed=1), 1), "rises"),
        (lambda: SimulatedAnnealing(schedule=LinearSchedule(first=2.0)).draw(random_ising(2, seed=1), 1), "rises"),
        (lambda: QuenchedSchedule(first=2.0, last=1.0), "rises"),
        (lambda: QuenchedSchedule(first=0.0, last=1.0, quench=0), "quench"),
        (
            lambda: SimulatedAnnealing(schedule=QuenchedSchedule(first=0.0, last=2.0)).draw(random_ising(2, seed=1), 1),
            "rises",
        ),
        (lambda: GeometricSchedule(first=0.0), "first"),
        (lambda: LinearSchedule(first=-1.0), "first"),
        (lambda: CustomSchedule(()), "point"),
        (lambda: CustomSchedule(0.5), "points"),  # type: ignore[arg-type]
        (lambda: CustomSchedule((1.0, float("nan"))), "points"),
        (lambda: SimulatedAnnealing(beta=0.0).draw(random_ising(2, seed=1), 1), "beta"),
        (lambda: SimulatedAnnealing(schedule=CustomSchedule((1.0, 2.0))).draw(random_ising(2, seed=1), 1), "ends at"),
    ],
)
def test_settings_outside_their_domain_are_refused(make: object, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        make()  # type: ignore[operator]


def test_annealing_visits_by_metropolis() -> None:
    """One sweep at almost infinite temperature flips seven spins of eight, where a heat bath would flip half."""
    start = torch.ones(64, 1000)
    problem = Ising(torch.zeros(1000), torch.zeros(1000, 1000))
    draws = SimulatedAnnealing(sweeps=1, beta=1e-9).draw(problem, 64, seed=1, initial=start)
    assert (draws.spins == -1).double().mean().item() == pytest.approx(7 / 8, abs=5 * (7 / 64 / 64_000) ** 0.5)


@pytest.mark.parametrize("bad", [[1.0], [1.0, -1.0], [1.0, float("nan")], [[1.0, 1.0]]])
def test_a_schedule_that_gives_no_temperatures_is_refused(bad: list) -> None:
    class Odd(Schedule):
        def betas(self, problem: Ising, sweeps: int, beta: float) -> np.ndarray:
            return np.array(bad)

    with pytest.raises(InvalidSettingError, match=r"Odd\.betas must return 2 finite numbers"):
        SimulatedAnnealing(sweeps=2, schedule=Odd()).draw(random_ising(2, seed=1), 1)


@pytest.mark.parametrize("sampler", [SimulatedAnnealing(beta=10.0), Gibbs(beta=10.0)], ids=["annealing", "gibbs"])
def test_weights_that_float32_rounds_are_warned_of_unless_they_are_whole(sampler: Sampler) -> None:
    couplings = torch.tensor([[0.0, 1e6], [1e6, 0.0]])
    with pytest.warns(SpinlightWarning, match="float32 rounds it"):
        sampler.draw(Ising([0.1, 0.1], couplings), 2, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.draw(Ising([1.0, 1.0], couplings), 2, seed=1)
