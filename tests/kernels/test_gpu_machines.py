"""GPU machines against the plain reference: on a CUDA device, or, as test_gpu_interpreted.py runs them, without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import random_ising
from helpers.gpu import DEVICE, ON_DEVICE
from spinlight.ising import Ising
from spinlight.kernels import oscillators, reference
from spinlight.samplers import ChaoticAmplitudeControl, ChaoticFeedbackControl, SeparatedFeedbackControl

pytest.importorskip("triton")

from spinlight.kernels import gpu_machines

pytestmark = ON_DEVICE

FEEDBACKS = [ChaoticAmplitudeControl(), ChaoticFeedbackControl(), SeparatedFeedbackControl()]
NOISES = [oscillators.NOISELESS, oscillators.WIGNER, oscillators.GAUSSIAN]
SEED = 2**40 + 3


@pytest.fixture(params=["dense", "sparse"])
def problem(request: pytest.FixtureRequest) -> Ising:
    made = random_ising(5, seed=3, density=0.6)
    return made.to_sparse() if request.param == "sparse" else made


def on_device(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(DEVICE, torch.float32)


def start_of(runs: int, sites: int) -> torch.Tensor:
    return 0.1 * torch.randn(runs, sites, generator=torch.Generator().manual_seed(0))


def optics(feedback, noise: int) -> oscillators.Optics:
    numbers = (0.7, feedback.pull, 0.1, 0.2)
    return oscillators.Optics(feedback.control, noise, *map(np.float32, numbers))


def recorded(problem: Ising, feedback, noise: int, *, steps: int = 5, **settings) -> gpu_machines.Outcome:
    options = {"seed": SEED, "every": 0, "gap": 1} | settings
    start, drive = start_of(5, problem.sites), feedback.drive(steps, 0.2)
    arrays = [on_device(part) for part in (problem.couplings, problem.fields, start)]
    outcome = gpu_machines.run_optical(*arrays, drive, optics(feedback, noise), **options)
    return gpu_machines.Outcome(*(part.cpu() for part in outcome))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("feedback", FEEDBACKS, ids=lambda feedback: type(feedback).__name__)
def test_amplitudes_are_those_of_the_equations(problem: Ising, feedback, noise: int) -> None:
    outcome = recorded(problem, feedback, noise)
    expected = reference.optical_amplitudes(
        problem.to_dense().couplings.numpy(),
        problem.fields.numpy(),
        start_of(5, 5).double().numpy(),
        feedback.drive(5, 0.2),
        optics(feedback, noise),
        seed=SEED,
    )
    np.testing.assert_allclose(outcome.records, expected, atol=1e-4)
    assert np.abs(expected[-1]).max() > 0.1
    assert torch.equal(outcome.amplitudes, outcome.records[-1])
    np.testing.assert_array_equal(outcome.spins, np.where(outcome.amplitudes < 0, -1, 1))


@pytest.mark.parametrize("noise", NOISES[1:])
def test_without_noise_the_amplitudes_would_be_others(noise: int) -> None:
    problem = random_ising(5, seed=3)
    noisy, plain = (recorded(problem, FEEDBACKS[1], kind, steps=3).records for kind in (noise, oscillators.NOISELESS))
    assert (noisy - plain).abs().max() > 1e-3


def test_every_run_may_have_fields_of_its_own() -> None:
    problem = random_ising(5, seed=3, batch=5)
    outcome = recorded(problem, FEEDBACKS[1], oscillators.NOISELESS, steps=3)
    expected = reference.optical_amplitudes(
        problem.couplings.numpy(),
        problem.fields.numpy(),
        start_of(5, 5).double().numpy(),
        FEEDBACKS[1].drive(3, 0.2),
        optics(FEEDBACKS[1], oscillators.NOISELESS),
        seed=SEED,
    )
    np.testing.assert_allclose(outcome.records, expected, atol=1e-4)


def test_the_best_state_is_the_lowest_of_the_looks() -> None:
    problem = random_ising(12, seed=3)
    looked = recorded(problem, FEEDBACKS[0], oscillators.NOISELESS, steps=20, every=3)
    looks = [*range(2, 20, 3), 19]
    signs = torch.where(looked.records[looks] < 0, -1, 1)
    lowest = problem.energy(signs).min(0).values
    np.testing.assert_allclose(problem.energy(looked.spins), lowest, rtol=1e-5)
    assert (problem.energy(signs[-1]) > lowest + 1e-6).any()


def test_records_come_every_so_many_steps() -> None:
    problem = random_ising(5, seed=1)
    all_of_them = recorded(problem, FEEDBACKS[1], oscillators.NOISELESS, steps=7)
    some = recorded(problem, FEEDBACKS[1], oscillators.NOISELESS, steps=7, gap=3)
    assert torch.equal(some.records, all_of_them.records[[2, 5]])
    assert recorded(problem, FEEDBACKS[1], oscillators.NOISELESS, steps=2, gap=0).records.shape == (0, 5, 5)


@pytest.mark.parametrize("discrete", [False, True])
def test_bifurcations_are_those_of_the_equations(problem: Ising, discrete: bool) -> None:
    start, momenta = start_of(5, 5), start_of(5, 5).flip(0)
    pressure = torch.linspace(0, 1, 30)
    settings = {"dt": 0.5, "scale": 0.3}
    arrays = [on_device(part) for part in (problem.couplings, problem.fields, start, momenta)]
    rule = oscillators.DISCRETE if discrete else oscillators.BALLISTIC
    outcome = gpu_machines.run_bifurcation(*arrays, pressure, rule=rule, every=0, **settings)
    expected = reference.bifurcated_positions(
        problem.to_dense().couplings.numpy(),
        problem.fields.numpy(),
        start.double().numpy(),
        momenta.double().numpy(),
        pressure.numpy(),
        discrete=discrete,
        **settings,
    )
    np.testing.assert_allclose(outcome.amplitudes.cpu(), expected, atol=1e-4)
    assert (np.abs(expected) == 1).any()
    np.testing.assert_array_equal(outcome.spins.cpu(), np.where(expected < 0, -1, 1))
    assert torch.equal(arrays[2].cpu(), start)


def test_noisy_thresholds_are_those_of_the_formula(problem: Ising) -> None:
    start = torch.where(start_of(20, 5) < 0, -1.0, 1.0)
    settings = {"steps": 3, "step": 0.8, "spread": 1.3, "seed": SEED}
    arrays = [on_device(part) for part in (problem.couplings, problem.fields, start)]
    outcome = gpu_machines.run_thresholds(*arrays, every=0, **settings)
    dense = (problem.to_dense().couplings.numpy(), problem.fields.numpy(), start.double().numpy())
    expected = reference.threshold_spins(*dense, **settings)
    np.testing.assert_array_equal(outcome.spins.cpu(), expected)
    assert (reference.threshold_spins(*dense, **settings | {"spread": 1.0}) != expected).any()
