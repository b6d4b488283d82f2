"""The suite's own statistics accept the right law and refuse a wrong one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from helpers.enumeration import all_spins, boltzmann, energies_by_formula, random_ising, state_numbers
from helpers.statistics import SUITE_FAILURE_RATE, counts_p_value, law_p_value, mean_p_value, threshold, z_p_value

PROBABILITIES = boltzmann(random_ising(6, seed=1, scale=0.5))
COUNTS = np.random.default_rng(2).multinomial(20_000, PROBABILITIES)


def test_the_formula_gives_the_energies_of_two_spins_written_out_by_hand() -> None:
    spins = [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    energies = energies_by_formula([0.5, -2.0], [[0.0, 3.0], [3.0, 0.0]], spins, offset=1.0)
    assert energies.tolist() == [1 + 0.5 - 2 - 3, 1 - 0.5 - 2 + 3, 1 + 0.5 + 2 + 3, 1 - 0.5 + 2 - 3]


def test_state_numbers_invert_the_enumeration() -> None:
    assert state_numbers(all_spins(5)).tolist() == list(range(32))


def test_counts_of_the_right_law_pass() -> None:
    assert counts_p_value(COUNTS, PROBABILITIES) > threshold()


def test_counts_of_another_temperature_fail() -> None:
    wrong = PROBABILITIES**1.1 / (PROBABILITIES**1.1).sum()
    assert counts_p_value(COUNTS, wrong) < threshold()


def test_law_of_states_is_that_of_their_counts() -> None:
    spins = all_spins(6).repeat_interleave(torch.from_numpy(COUNTS), 0)
    assert law_p_value(spins, PROBABILITIES) == counts_p_value(COUNTS, PROBABILITIES)


def test_an_impossible_state_fails() -> None:
    assert counts_p_value(np.array([999, 1, 0]), np.array([0.5, 0.0, 0.5])) == 0.0


def test_p_values_of_rare_states_are_uniform() -> None:
    probabilities = np.random.default_rng(3).dirichlet(np.full(256, 0.3))
    generator = np.random.default_rng(4)
    p_values = [counts_p_value(generator.multinomial(2000, probabilities), probabilities) for _ in range(500)]
    assert stats.kstest(p_values, "uniform").pvalue > threshold()


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="too few draws"):
        counts_p_value(np.array([1, 2]), np.array([0.5, 0.5]))


def test_means_pass_at_the_exact_value_and_fail_beside_it() -> None:
    samples = np.random.default_rng(5).normal(size=(4000, 3))
    assert mean_p_value(samples, 0.0) > threshold()
    assert mean_p_value(samples, [0.0, 0.0, 0.1]) < threshold()


def test_a_zero_error_demands_equality() -> None:
    assert z_p_value([1.0, 2.0], [1.0, 2.0], 0.0) == 1.0
    assert z_p_value(1.0, 1.1, 0.0) == 0.0


def test_one_failure_rate_is_shared_by_all_tests() -> None:
    assert threshold() < SUITE_FAILURE_RATE
    assert threshold(tests=4) == threshold() / 4
