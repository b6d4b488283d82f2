"""Blocks of states of one side of a bipartite machine: against the formula, at any size of the weights."""

from __future__ import annotations

import time

import numpy as np
import pytest

from helpers.enumeration import all_bits
from spinlight.kernels.blocks import over_blocks
from spinlight.kernels.enumeration import block_log_weights, side_table

SIZES = pytest.mark.parametrize("sizes", [(1, 1), (3, 9), (5, 200), (9, 4)])


def arrays(sizes: tuple[int, int], scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return scale * rng.normal(size=sizes[0]), scale * rng.normal(size=sizes[1]), scale * rng.normal(size=sizes)


def log_weights(biases: np.ndarray, others: np.ndarray, weight: np.ndarray, low: int, span: int) -> np.ndarray:
    """Return those of all states, block by block."""
    table, values = side_table(low, weight), np.full((1 << (len(biases) - low), 1 << low), np.nan)
    for block in range(len(values)):
        block_log_weights(block, low, biases, others, weight, table, span, values[block])
    return values.ravel()


def by_the_formula(biases: np.ndarray, others: np.ndarray, weight: np.ndarray) -> np.ndarray:
    x = all_bits(len(biases)).numpy().astype(np.float64)
    return x @ biases + np.logaddexp(0, others + x @ weight).sum(1)


@SIZES
@pytest.mark.parametrize("span", [1, 3, 600])
def test_log_weights_are_those_of_the_formula(sizes: tuple[int, int], span: int) -> None:
    parts = arrays(sizes, 0.8)
    for low in {0, 1, sizes[0] - 1, sizes[0]}:
        np.testing.assert_allclose(log_weights(*parts, low, span), by_the_formula(*parts), rtol=1e-14)


@SIZES
def test_weights_far_beyond_what_exponentials_hold_are_summed_too(sizes: tuple[int, int]) -> None:
    parts = arrays(sizes, 1000.0)
    np.testing.assert_allclose(log_weights(*parts, 0, 600), by_the_formula(*parts), rtol=1e-14)


def test_products_that_leave_the_numbers_would_be_seen() -> None:
    """A span that is too wide for its weights: the kernel's caller must not choose one."""
    parts = arrays((5, 200), 20.0)
    wide = log_weights(*parts, 5, 600)
    assert np.abs(wide - by_the_formula(*parts)).max() > 1.0


def test_answers_come_in_order_whatever_the_threads() -> None:
    def fill(block: int, values: np.ndarray) -> None:
        values[:] = block + np.arange(3) / 4

    def found(threads: int) -> list[tuple[int, float]]:
        return list(over_blocks(1000, 3, fill, lambda block, values: (block, values.sum()), threads))

    assert found(1) == found(4) == [(block, 3 * block + 0.75) for block in range(1000)]


def test_a_failure_in_a_block_is_raised_and_ends_the_others() -> None:
    filled = []

    def fill(block: int, values: np.ndarray) -> None:
        if block == 2_000:
            raise KeyboardInterrupt
        filled.append(block)
        time.sleep(1e-4)

    with pytest.raises(KeyboardInterrupt):  # pieces of 20,000 blocks: the other thread is in the midst of one
        list(over_blocks(256 * 20_000, 1, fill, lambda block, values: block, 2))
    assert len(filled) < 15_000
