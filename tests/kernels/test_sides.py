"""The annealed side of a bipartite machine: against plain NumPy, and against sums over all states of that side."""

from __future__ import annotations

import math

import numpy as np
import pytest

from helpers.enumeration import all_bits
from helpers.statistics import threshold, z_p_value
from spinlight.kernels import reference
from spinlight.kernels.sides import Bipartite, annealed_side

SIZES = pytest.mark.parametrize("sizes", [(1, 1), (3, 9), (8, 4), (17, 5), (6, 33)])


def quarters(sizes: tuple[int, int], seed: int) -> tuple[Bipartite, np.ndarray, np.ndarray]:
    """Return a machine and a base whose numbers are quarters: sums of them are exact in float32."""
    rng = np.random.default_rng(seed)
    weight, kept, summed, base_kept, base_summed = (
        (rng.integers(-4, 5, shape) / 4).astype(np.float32)
        for shape in (sizes, sizes[:1], sizes[1:], sizes[:1], sizes[1:])
    )
    return Bipartite(weight, kept, summed), base_kept, base_summed


@SIZES
@pytest.mark.parametrize("descending", [False, True])
def test_bits_and_weights_are_those_of_the_reference(sizes: tuple[int, int], descending: bool) -> None:
    machine = quarters(sizes, 5)
    start = np.random.default_rng(1).integers(0, 2, (20, sizes[0])).astype(np.int8)
    path = np.linspace(0, 1, 65)[:: -1 if descending else 1]
    bits, log_weights = annealed_side(*machine, start, path, seed=2**40 + 7, threads=1)
    expected = reference.annealed_side(*machine, start, path, seed=2**40 + 7)
    np.testing.assert_array_equal(bits, expected[0])
    np.testing.assert_allclose(log_weights, expected[1], atol=1e-5)


def test_the_result_does_not_depend_on_threads_and_the_start_stays() -> None:
    machine = quarters((40, 30), 3)
    start = np.random.default_rng(1).integers(0, 2, (100, 40)).astype(np.int8)
    kept = start.copy()
    one, two = (annealed_side(*machine, start, np.linspace(0, 1, 101), seed=4, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(start, kept)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def side_log_weights(machine: Bipartite, base_kept: np.ndarray, base_summed: np.ndarray, b: float) -> np.ndarray:
    """Return the log weight of every state of the kept side, not normalised, by its defining formula."""
    x = all_bits(len(machine.kept)).numpy().astype(np.float64)
    fields = (1 - b) * base_kept + b * machine.kept
    inputs = (1 - b) * base_summed + b * (machine.summed + x @ machine.weight)
    return x @ fields + np.logaddexp(0, inputs).sum(1)


def mean_weight(steps: int, reverse: bool, chains: int = 6000) -> tuple[float, float]:
    """Return the mean weight over its exact value, and the standard error."""
    machine = quarters((7, 5), 11)
    ends = [side_log_weights(*machine, b) for b in (0.0, 1.0)]
    ends = ends[::-1] if reverse else ends
    rng = np.random.default_rng(3)
    start = all_bits(7).numpy()[rng.choice(128, chains, p=np.exp(ends[0] - np.logaddexp.reduce(ends[0])))]
    path = np.linspace(0, 1, steps + 1)[:: -1 if reverse else 1]
    _, log_weights = annealed_side(*machine, start, path, seed=6, threads=2)
    weights = np.exp(log_weights - np.logaddexp.reduce(ends[1]) + np.logaddexp.reduce(ends[0]))
    return weights.mean(), weights.std() / math.sqrt(chains)


@pytest.mark.parametrize("steps", [2, 20, 400])
@pytest.mark.parametrize("reverse", [False, True])
def test_weights_average_to_the_ratio_of_partition_functions(steps: int, reverse: bool) -> None:
    mean, error = mean_weight(steps, reverse)
    assert z_p_value(mean, 1.0, error) > threshold()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_ratio_of_partition_functions_a_tenth_off_is_noticed(reverse: bool) -> None:
    mean, error = mean_weight(400, reverse)
    assert z_p_value(mean, 1.1, error) < threshold()


def test_inputs_of_any_size_give_finite_weights() -> None:
    weight = np.full((4, 3), 1e4, np.float32)
    machine = Bipartite(weight, np.zeros(4, np.float32), np.full(3, -2e4, np.float32))
    start = all_bits(4).numpy()
    path = np.array([0.0, 1.0])
    _, log_weights = annealed_side(
        machine, np.zeros(4, np.float32), np.zeros(3, np.float32), start, path, seed=1, threads=1
    )
    expected = reference.annealed_side(machine, np.zeros(4), np.zeros(3), start, path, seed=1)[1]
    np.testing.assert_allclose(log_weights, expected, rtol=1e-6, atol=1e-5)
