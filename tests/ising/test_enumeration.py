"""Exact answers against the defining formula, against closed forms, and where they must refuse."""

from __future__ import annotations

import math
import signal
import threading
import time

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, boltzmann, enumerate_energies, random_ising
from helpers.enumeration import log_partition as log_partition_by_formula
from spinlight._errors import InvalidProblemError, InvalidSettingError, ProblemTooLargeError
from spinlight.ising import Ising
from spinlight.ising import enumeration as exact


def ring(sites: int, coupling: float, *, sparse: bool = False) -> Ising:
    couplings = torch.zeros(sites, sites, dtype=torch.float64)
    here = torch.arange(sites)
    couplings[here, (here + 1) % sites] = coupling
    couplings[(here + 1) % sites, here] = coupling
    problem = Ising(torch.zeros(sites), couplings, 0.5)
    return problem.to_sparse() if sparse else problem


def ring_log_partition(sites: int, coupling: float, beta: float) -> float:
    """Return log((2 cosh)^n + (2 sinh)^n) - beta offset: the transfer matrix of a ring without fields."""
    return math.log((2 * math.cosh(beta * coupling)) ** sites + (2 * math.sinh(beta * coupling)) ** sites) - beta * 0.5


def gray_code_energies(problem: Ising) -> np.ndarray:
    """Return all energies by flipping one spin at a time: the plain way, an independent reference for blocks of states."""
    fields, couplings = problem.fields.numpy(), problem.couplings.numpy()
    spins = -np.ones(problem.sites)
    energies = np.empty(2**problem.sites)
    energies[0] = energy = float(problem.energy(torch.from_numpy(spins)))
    for step in range(1, 2**problem.sites):
        site = (step & -step).bit_length() - 1
        energy += 2 * spins[site] * (fields[site] + couplings[site] @ spins)
        spins[site] *= -1
        energies[step ^ (step >> 1)] = energy
    return energies


@pytest.mark.parametrize("sites", [1, 2, 3, 8])
def test_log_partition_equals_the_sum_over_all_states(sites: int) -> None:
    problem = random_ising(sites, seed=sites)
    assert exact.log_partition(problem, 0.7).item() == pytest.approx(log_partition_by_formula(problem, 0.7), abs=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sites", [15, 16, 17, 18])
def test_log_partition_of_a_ring_equals_its_transfer_matrix(sites: int, sparse: bool) -> None:
    value = exact.log_partition(ring(sites, 0.8, sparse=sparse), 1.3).item()
    assert value == pytest.approx(ring_log_partition(sites, 0.8, 1.3), abs=1e-10)
    assert value != pytest.approx(ring_log_partition(sites, 0.8, 1.301), abs=1e-10)


def test_log_partition_of_independent_spins_is_right_where_weights_would_overflow() -> None:
    fields = torch.linspace(-300.0, 300.0, 16, dtype=torch.float64)
    value = exact.log_partition(Ising(fields, torch.zeros(16, 16)), 5.0).item()
    assert value == pytest.approx(torch.logaddexp(5 * fields, -5 * fields).sum().item(), rel=1e-13)


def test_log_partition_at_beta_zero_counts_the_states() -> None:
    assert exact.log_partition(random_ising(9, seed=3), 0.0).item() == pytest.approx(9 * math.log(2), abs=1e-12)


def test_a_batch_gives_the_answers_of_its_rows() -> None:
    batch = random_ising(5, seed=4, batch=3)
    means, pairs = exact.exact_moments(batch, 0.9)
    for row in range(3):
        assert exact.log_partition(batch)[row].item() == pytest.approx(log_partition_by_formula(batch[row]), abs=1e-12)
        assert torch.equal(means[row], exact.exact_moments(batch[row], 0.9)[0])
        assert torch.equal(pairs[row], exact.exact_moments(batch[row], 0.9)[1])


@pytest.mark.parametrize("sites", [1, 2, 7, 18])
def test_moments_equal_the_weighted_sums_over_all_states(sites: int) -> None:
    problem = random_ising(sites, seed=5, scale=0.5)
    spins, weights = all_spins(sites).double(), torch.from_numpy(boltzmann(problem, 1.2))
    means, pairs = exact.exact_moments(problem, 1.2)
    torch.testing.assert_close(means, weights @ spins, atol=1e-12, rtol=0)
    torch.testing.assert_close(pairs, spins.T @ (weights[:, None] * spins), atol=1e-12, rtol=0)


def test_spins_are_uncorrelated_at_beta_zero() -> None:
    means, pairs = exact.exact_moments(random_ising(17, seed=5), 0.0)
    torch.testing.assert_close(means, torch.zeros(17, dtype=torch.float64), atol=1e-13, rtol=0)
    torch.testing.assert_close(pairs, torch.eye(17, dtype=torch.float64), atol=1e-13, rtol=0)


def test_moments_do_not_depend_on_the_number_of_threads() -> None:
    problem, threads = random_ising(17, seed=6, scale=0.3), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = exact.exact_moments(problem)
        torch.set_num_threads(3)
        three = exact.exact_moments(problem)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one[0], three[0])
    assert torch.equal(one[1], three[1])


def test_an_interrupt_ends_an_enumeration_within_a_second() -> None:
    interrupt = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    interrupt.start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        exact.exact_moments(ring(28, 1.0))
    assert time.perf_counter() - started < 1.1
    interrupt.join()
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_the_lowest_states_are_those_of_the_formula() -> None:
    problem = random_ising(10, seed=7)
    energies = enumerate_energies(problem)
    energy, spins = exact.ground_states(problem)
    assert energy.item() == pytest.approx(energies.min(), abs=1e-12)
    assert spins.tolist() == all_spins(10)[energies.argmin()][None].tolist()


def test_all_ground_states_of_a_frustrated_ring_are_found_across_blocks() -> None:
    # An odd antiferromagnetic ring leaves one bond unhappy: 2 n ground states.
    energy, spins = exact.ground_states(ring(17, -1.0))
    assert energy.item() == pytest.approx(0.5 - 15)
    assert len(torch.unique(spins, dim=0)) == 2 * 17


def test_ground_states_stop_at_the_limit() -> None:
    assert exact.ground_states(Ising(torch.zeros(18), torch.zeros(18, 18)), limit=5)[1].shape == (5, 18)


def test_the_histogram_of_independent_spins_is_binomial() -> None:
    histogram = exact.energy_histogram(Ising(torch.full((16,), 0.1, dtype=torch.float64), torch.zeros(16, 16)))
    assert histogram.width == 0.0
    assert histogram.degeneracies.tolist() == [math.comb(16, up) for up in range(17)]
    torch.testing.assert_close(histogram.levels, torch.arange(-1.6, 1.7, 0.2, dtype=torch.float64))


def test_the_histogram_of_integer_couplings_has_the_exact_levels() -> None:
    generator = torch.Generator().manual_seed(8)
    upper = torch.triu(torch.randint(-3, 4, (9, 9), generator=generator).double(), 1)
    problem = Ising(torch.randint(-2, 3, (9,), generator=generator), upper + upper.T)
    levels, counts = np.unique(enumerate_energies(problem), return_counts=True)
    histogram = exact.energy_histogram(problem)
    assert histogram.levels.tolist() == levels.tolist()
    assert histogram.degeneracies.tolist() == counts.tolist()


def test_the_histogram_of_real_couplings_is_binned_like_numpys() -> None:
    problem = random_ising(12, seed=9)
    counts, edges = np.histogram(enumerate_energies(problem), bins=20)
    histogram = exact.energy_histogram(problem, bins=20)
    assert histogram.degeneracies.tolist() == counts[counts > 0].tolist()
    centres = (edges[1:] + edges[:-1])[counts > 0] / 2
    torch.testing.assert_close(histogram.levels, torch.from_numpy(centres))


def test_the_histogram_of_a_flat_landscape_is_one_level() -> None:
    histogram = exact.energy_histogram(Ising(torch.zeros(4), torch.zeros(4, 4), 2.5))
    assert histogram.levels.tolist() == [2.5]
    assert histogram.degeneracies.tolist() == [16]


def test_probabilities_follow_the_order_of_the_states() -> None:
    problem = random_ising(6, seed=10)
    torch.testing.assert_close(exact.exact_probabilities(problem, 0.8), torch.from_numpy(boltzmann(problem, 0.8)))
    assert torch.equal(exact.all_states(6), all_spins(6))


def test_energies_of_blocks_equal_those_of_a_gray_code() -> None:
    problem = random_ising(17, seed=11)
    probabilities = exact.exact_probabilities(problem, 0.3)
    reference = torch.softmax(-0.3 * torch.from_numpy(gray_code_energies(problem)), 0)
    torch.testing.assert_close(probabilities, reference, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    "call", [exact.log_partition, exact.exact_moments, exact.ground_states, exact.energy_histogram]
)
def test_problems_above_the_limit_are_refused_with_an_alternative(call) -> None:
    with pytest.raises(ProblemTooLargeError, match=r"limit is 28 sites.*AnnealedImportance"):
        call(ring(29, 1.0, sparse=True))


@pytest.mark.parametrize("call", [lambda: exact.exact_probabilities(ring(25, 1.0)), lambda: exact.all_states(25)])
def test_tables_above_their_limit_are_refused(call) -> None:
    with pytest.raises(ProblemTooLargeError, match="limit is 24 sites"):
        call()


@pytest.mark.parametrize("call", [exact.ground_states, exact.energy_histogram])
def test_a_batch_is_refused_where_one_problem_is_needed(call) -> None:
    with pytest.raises(InvalidSettingError, match="not a batch"):
        call(random_ising(3, seed=1, batch=2))


@pytest.mark.parametrize("beta", [-1.0, math.nan, math.inf])
def test_impossible_temperatures_are_refused(beta: float) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        exact.log_partition(ring(4, 1.0), beta)


HUGE = Ising([1e300, -1e300], torch.zeros(2, 2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact.log_partition(Ising([1.7e308, 1.7e308], torch.zeros(2, 2))),
        lambda: exact.log_partition(HUGE, beta=1e10),
        lambda: exact.exact_probabilities(HUGE, beta=1e10),
        lambda: exact.exact_moments(HUGE, beta=1e10),
        lambda: exact.ground_states(Ising([1.7e308, 1.7e308], torch.zeros(2, 2))),
        lambda: exact.energy_histogram(Ising([1.7e308, 1.7e308], torch.zeros(2, 2))),
    ],
)
def test_energies_beyond_float64_are_refused(call) -> None:
    with pytest.raises(InvalidProblemError, match="too large for float64"):
        call()


def test_a_large_offset_swallows_no_digits() -> None:
    problem = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])
    shifted = Ising(problem.fields, problem.couplings, offset=1e17)
    torch.testing.assert_close(exact.exact_probabilities(shifted), exact.exact_probabilities(problem))
    torch.testing.assert_close(exact.exact_moments(shifted), exact.exact_moments(problem))
    assert (
        exact.energy_histogram(shifted).degeneracies.tolist() == exact.energy_histogram(problem).degeneracies.tolist()
    )
    assert exact.log_partition(shifted).item() == exact.log_partition(problem).item() - 1e17
