"""Statistical tests with one failure rate for the whole suite.

A test passes while its p-value stays above `threshold()`, its negative control while it stays below:

    assert law_p_value(draws.spins, boltzmann(problem)) > threshold()
    assert law_p_value(draws.spins, boltzmann(problem, beta=1.1)) < threshold()

Every function expects independent draws.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from torch import Tensor

from helpers.enumeration import state_numbers

SUITE_FAILURE_RATE = 1e-3
"""The probability that correct code fails anywhere in the suite, when all seeds are drawn anew."""

SUITE_TESTS = 1000
"""An upper bound on the number of statistical tests among which the failure rate is shared (Bonferroni)."""

_SMALLEST_EXPECTED_COUNT = 10.0
"""Cells of a chi-square test hold at least this many expected draws: its tail is far from chi-square below."""


def threshold(tests: int = 1) -> float:
    """Return the p-value below which one test fails; `tests` is the number of p-values that it looks at."""
    return SUITE_FAILURE_RATE / (SUITE_TESTS * tests)


def law_p_value(spins: Tensor, probabilities: np.ndarray) -> float:
    """Return the p-value of independent states, shape (count, sites), under exact probabilities, shape (2^sites,)."""
    counts = np.bincount(state_numbers(spins).numpy(), minlength=len(probabilities))
    return counts_p_value(counts, probabilities)


def counts_p_value(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """Return Pearson's chi-square p-value of counts, shape (states,), with rare states pooled.

    Pearson's statistic, not the likelihood ratio: with many small cells its mean stays right.
    """
    if np.any(counts[probabilities == 0]):
        return 0.0
    expected = counts.sum() * probabilities
    cells = _cells(expected)
    observed = np.bincount(cells, weights=counts)
    expected = np.bincount(cells, weights=expected)
    if len(expected) < 2:
        raise ValueError("too few draws for a chi-square test: all states fall into one cell")
    return float(stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1))


def mean_p_value(samples: object, mean: object) -> float:
    """Return the p-value of the means of independent samples, by t-tests shared by Bonferroni.

    Args:
        samples: shape (count,) or (count, features).
        mean: the exact means, scalar or shape (features,).
    """
    values = np.asarray(samples, dtype=np.float64)
    values = values.reshape(len(values), -1)
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    return z_p_value(values.mean(0), mean, error, degrees_of_freedom=len(values) - 1)


def z_p_value(estimate: object, exact: object, standard_error: object, degrees_of_freedom: float = np.inf) -> float:
    """Return the two-sided p-value of estimates with known standard errors, shared by Bonferroni.

    An error of zero demands equality to rounding.
    """
    difference = np.abs(np.atleast_1d(np.asarray(estimate, dtype=np.float64) - np.asarray(exact, dtype=np.float64)))
    error = np.broadcast_to(np.asarray(standard_error, dtype=np.float64), difference.shape)
    scores = np.divide(difference, error, out=np.where(difference > 1e-12, np.inf, 0.0), where=error > 0)
    p_values = 2 * stats.t.sf(scores, degrees_of_freedom)
    return float(min(1.0, len(p_values.ravel()) * p_values.min()))


def _cells(expected: np.ndarray) -> np.ndarray:
    """Return a cell for each state: the rarest states share cells of at least the smallest expected count."""
    cells = np.empty(len(expected), dtype=np.int64)
    cell, mass = 0, 0.0
    for state in np.argsort(-expected, kind="stable"):
        cells[state] = cell
        mass += expected[state]
        if mass >= _SMALLEST_EXPECTED_COUNT:
            cell, mass = cell + 1, 0.0
    if mass < _SMALLEST_EXPECTED_COUNT and cell > 0:
        cells[cells == cell] = cell - 1
    return cells
