"""Machines that update all sites together: their products and their steps, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from helpers.enumeration import random_ising
from spinlight.ising import Ising
from spinlight.ising.packing import kernel_couplings
from spinlight.kernels import machines, oscillators, products, reference
from spinlight.samplers import ChaoticAmplitudeControl, ChaoticFeedbackControl, SeparatedFeedbackControl

FEEDBACKS = [ChaoticAmplitudeControl(), ChaoticFeedbackControl(), SeparatedFeedbackControl()]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sites", [1, 2, 7, 8, 9, 40])
def test_products_are_those_of_numpy(sites: int, sparse: bool) -> None:
    problem = random_ising(sites, seed=sites, density=0.5)
    couplings = machines.matrix_of(kernel_couplings(problem.to_sparse() if sparse else problem))
    vectors = np.random.default_rng(1).standard_normal((sites, 16)).astype(np.float32)
    room = np.zeros((products.padded_sites(sites), 16), np.float32)
    room[:sites] = vectors
    result = np.full(room.size, np.nan, np.float32)
    products_by_kernel(result, couplings, room.ravel(), sparse)
    expected = problem.to_dense().couplings.numpy() @ vectors
    np.testing.assert_allclose(result.reshape(-1, 16)[:sites], expected, atol=1e-5)


def products_by_kernel(result: np.ndarray, couplings: object, vectors: np.ndarray, sparse: bool) -> None:
    (products.sparse_product if sparse else products.dense_product)(result, couplings, vectors)


def test_the_product_of_compiled_functions_is_no_python_function() -> None:
    with pytest.raises(NotImplementedError):
        products.product(None, None, None)


def optics(feedback, noise: int) -> oscillators.Optics:
    numbers = (0.7, feedback.pull, 0.1, 0.2)
    return oscillators.Optics(feedback.control, noise, *map(np.float32, numbers))


def recorded(
    problem: Ising, feedback, noise: int, *, seed: int = 2**40 + 3, runs: int = 5, **settings
) -> machines.Outcome:
    start = 0.1 * np.random.default_rng(0).standard_normal((runs, problem.sites)).astype(np.float32)
    fields = problem.fields.numpy().astype(np.float32)
    options = {"seed": seed, "every": 0, "gap": 1, "threads": 1} | settings
    drive = feedback.drive(40, 0.05)
    return machines.run_optical(kernel_couplings(problem), fields, start, drive, optics(feedback, noise), **options)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("noise", [oscillators.NOISELESS, oscillators.WIGNER, oscillators.GAUSSIAN])
@pytest.mark.parametrize("feedback", FEEDBACKS, ids=lambda feedback: type(feedback).__name__)
def test_amplitudes_are_those_of_the_equations(feedback, noise: int, sparse: bool) -> None:
    problem = random_ising(11, seed=3, density=0.6)
    outcome = recorded(problem.to_sparse() if sparse else problem, feedback, noise)
    start = 0.1 * np.random.default_rng(0).standard_normal((5, 11)).astype(np.float32)
    expected = reference.optical_amplitudes(
        problem.couplings.numpy(),
        problem.fields.numpy(),
        start.astype(np.float64),
        feedback.drive(40, 0.05),
        optics(feedback, noise),
        seed=2**40 + 3,
    )
    np.testing.assert_allclose(outcome.records, expected, atol=2e-4)
    assert np.abs(expected[-1]).max() > 0.1
    np.testing.assert_array_equal(outcome.amplitudes, outcome.records[-1])
    np.testing.assert_array_equal(outcome.spins, np.where(outcome.amplitudes < 0, -1, 1))


@pytest.mark.parametrize("noise", [oscillators.WIGNER, oscillators.GAUSSIAN])
def test_without_noise_the_amplitudes_would_be_others(noise: int) -> None:
    problem = random_ising(11, seed=3)
    noisy, plain = (recorded(problem, FEEDBACKS[1], kind).records for kind in (noise, oscillators.NOISELESS))
    assert np.abs(noisy - plain).max() > 1e-2


def test_runs_do_not_depend_on_threads_or_on_how_many_there_are() -> None:
    problem = random_ising(9, seed=1)
    few = recorded(problem, FEEDBACKS[0], oscillators.WIGNER, runs=20)
    many = recorded(problem, FEEDBACKS[0], oscillators.WIGNER, runs=20, threads=3)
    np.testing.assert_array_equal(few.records, many.records)
    alone = recorded(problem, FEEDBACKS[0], oscillators.WIGNER, runs=3)
    np.testing.assert_array_equal(few.records[:, :3], alone.records)


def test_the_best_state_is_the_lowest_of_the_looks() -> None:
    problem = random_ising(30, seed=4)
    looked = recorded(problem, FEEDBACKS[0], oscillators.WIGNER, runs=16, every=3)
    last = recorded(problem, FEEDBACKS[0], oscillators.WIGNER, runs=16)
    np.testing.assert_array_equal(looked.records, last.records)
    looks = [*range(2, 40, 3), 39]
    signs = torch.from_numpy(np.where(last.records[looks] < 0, -1, 1))
    lowest = problem.energy(signs).min(0).values
    np.testing.assert_allclose(problem.energy(torch.from_numpy(looked.spins)), lowest, rtol=1e-5)
    assert (problem.energy(torch.from_numpy(last.spins)) > lowest + 1e-6).any()


def test_noise_of_the_vacuum_has_the_variance_of_the_equations() -> None:
    """One step from zero without couplings: x ~ N(0, g^2 dt / 2) for Wigner, and no kick at all for a Gaussian vacuum."""
    problem = Ising(torch.zeros(2000), scipy.sparse.coo_array((2000, 2000)))
    settings = oscillators.Optics(0, oscillators.WIGNER, *map(np.float32, (1.0, 0.0, 0.1, 0.2)))
    drive = ChaoticAmplitudeControl().drive(1, 0.05)
    zeros = np.zeros((16, 2000), np.float32)
    options = {"seed": 1, "every": 0, "gap": 0, "threads": 1}
    couplings, fields = kernel_couplings(problem), np.zeros(2000, np.float32)
    x = machines.run_optical(couplings, fields, zeros, drive, settings, **options).amplitudes
    variance = 0.1**2 * 0.05 / 2
    assert abs(x.var() / variance - 1) < 5 * np.sqrt(2 / x.size)
    squeezed = settings._replace(noise=oscillators.GAUSSIAN)
    assert not machines.run_optical(couplings, fields, zeros, drive, squeezed, **options).amplitudes.any()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("discrete", [False, True])
def test_bifurcations_are_those_of_the_equations(discrete: bool, sparse: bool) -> None:
    problem = random_ising(11, seed=3, density=0.6)
    start, momenta = 0.1 * np.random.default_rng(0).standard_normal((2, 5, 11)).astype(np.float32)
    pressure = np.linspace(0, 1, 30, dtype=np.float32)
    settings = {"dt": 0.5, "scale": 0.3}
    outcome = machines.run_bifurcation(
        kernel_couplings(problem.to_sparse() if sparse else problem),
        problem.fields.numpy().astype(np.float32),
        start,
        momenta,
        pressure,
        rule=oscillators.DISCRETE if discrete else oscillators.BALLISTIC,
        every=0,
        threads=1,
        **settings,
    )
    expected = reference.bifurcated_positions(
        problem.couplings.numpy(),
        problem.fields.numpy(),
        start.astype(np.float64),
        momenta.astype(np.float64),
        pressure,
        discrete=discrete,
        **settings,
    )
    np.testing.assert_allclose(outcome.amplitudes, expected, atol=1e-4)
    assert (np.abs(expected) == 1).any()
    np.testing.assert_array_equal(outcome.spins, np.where(expected < 0, -1, 1))


@pytest.mark.parametrize("sparse", [False, True])
def test_noisy_thresholds_are_those_of_the_formula(sparse: bool) -> None:
    problem = random_ising(11, seed=3, density=0.6)
    start = np.where(np.random.default_rng(0).random((20, 11)) < 0.5, -1.0, 1.0)
    settings = {"steps": 7, "step": 0.8, "spread": 1.3, "seed": 2**40 + 3}
    outcome = machines.run_thresholds(
        kernel_couplings(problem.to_sparse() if sparse else problem),
        problem.fields.numpy().astype(np.float32),
        start.astype(np.float32),
        every=0,
        threads=2,
        **settings,
    )
    expected = reference.threshold_spins(problem.couplings.numpy(), problem.fields.numpy(), start, **settings)
    np.testing.assert_array_equal(outcome.spins, expected)
    other = reference.threshold_spins(
        problem.couplings.numpy(), problem.fields.numpy(), start, **settings | {"spread": 1.0}
    )
    assert (other != expected).any()
