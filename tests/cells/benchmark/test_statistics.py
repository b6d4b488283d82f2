"""Means, differences and rankings against SciPy and against answers that are known; each has a partner that must differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from spinlight.cells.benchmark.statistics import (
    Difference,
    holm,
    mean_interval,
    paired_difference,
    paired_over_cells,
    ranking,
)

ONE = dict(enumerate([0.71, 0.69, 0.74, 0.70, 0.72]))
OTHER = dict(enumerate([0.68, 0.67, 0.70, 0.69, 0.68]))


def difference(one: dict[int, float], other: dict[int, float]) -> Difference:
    found = paired_difference(one, other)
    assert found is not None
    return found


def test_the_interval_of_a_mean_is_students() -> None:
    values = list(ONE.values())
    found = mean_interval(values)
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.lower, found.upper) == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean(values))
    normal = stats.norm.interval(0.95, loc=np.mean(values), scale=stats.sem(values))
    assert (found.lower, found.upper) != pytest.approx(normal, rel=1e-3)


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    samples = random.normal(size=(2000, 5))
    held = sum(found.includes_zero is True for found in map(mean_interval, samples.tolist()))
    error = math.sqrt(0.95 * 0.05 / 2000)
    assert abs(held / 2000 - 0.95) < 4 * error
    shifted = sum(found.includes_zero is True for found in map(mean_interval, (samples + 1).tolist()))
    assert abs(shifted / 2000 - 0.95) > 4 * error


def test_one_value_has_no_interval() -> None:
    found = mean_interval([0.5])
    assert (found.mean, found.lower, found.upper, found.includes_zero) == (0.5, None, None, None)


def test_differences_are_paired() -> None:
    found = difference(ONE, OTHER)
    paired = stats.ttest_rel(list(ONE.values()), list(OTHER.values()))
    assert found.t_p == pytest.approx(paired.pvalue)
    assert (found.interval.lower, found.interval.upper) == pytest.approx(tuple(paired.confidence_interval(0.95)))
    assert found.t_p != pytest.approx(stats.ttest_ind(list(ONE.values()), list(OTHER.values())).pvalue)


def test_only_seeds_in_common_count() -> None:
    assert difference(ONE, {0: 0.68, 1: 0.67, 9: 5.0}).interval.count == 2
    assert paired_difference(ONE, {9: 5.0}) is None


def test_wilcoxon_waits_until_it_can_tell_something() -> None:
    assert difference(ONE, OTHER).wilcoxon_p is None
    one = ONE | {5: 0.75}
    other = OTHER | {5: 0.69}
    assert difference(one, other).wilcoxon_p == pytest.approx(
        stats.wilcoxon(list(one.values()), list(other.values())).pvalue
    )


def test_equal_values_have_no_p() -> None:
    found = difference(ONE, ONE)
    assert found.t_p is None
    assert found.interval.includes_zero is True


def test_holm_multiplies_the_smallest_by_their_number_and_never_falls() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_clear_winner_stands_alone() -> None:
    assert ranking({"other": OTHER, "one": ONE}, 1) == [["one"], ["other"]]
    assert ranking({"other": OTHER, "one": ONE}, -1) == [["other"], ["one"]]


def test_a_tie_is_called_a_tie() -> None:
    noisy = {seed: value + shift for (seed, value), shift in zip(ONE.items(), (0.02, -0.03, 0.02, -0.02, 0.0))}
    assert ranking({"one": ONE, "noisy": noisy, "other": OTHER}, 1) == [["one", "noisy"], ["other"]]


def test_one_seed_ranks_nothing() -> None:
    assert ranking({"one": {0: 0.9}, "other": {0: 0.1}}, 1) is None


def test_bounds_are_paired_over_seeds_and_cells() -> None:
    random = np.random.default_rng(0)
    cells = {seed: random.normal(-700, 80, size=200) for seed in range(5)}
    better = {seed: values + 0.5 + random.normal(0, 0.2, size=200) for seed, values in cells.items()}
    found = paired_over_cells(better, cells)
    assert found is not None
    means = [float((better[seed] - cells[seed]).mean()) for seed in range(5)]
    assert found.interval.mean == pytest.approx(np.mean(means))
    assert found.interval.includes_zero is False
    pooled = np.concatenate([better[seed] - cells[seed] for seed in range(5)])
    assert found.cell_error == pytest.approx(pooled.std() / math.sqrt(1000), rel=0.05)
    assert found.cells == 1000
    # Unpaired, the spread of the cells hides the difference: 80 nats against half a one.
    assert stats.ttest_ind(np.concatenate(list(better.values())), np.concatenate(list(cells.values()))).pvalue > 0.05


def test_for_one_seed_the_interval_is_of_its_cells() -> None:
    found = paired_over_cells({0: np.array([1.0, 2.0, 3.0])}, {0: np.zeros(3)})
    assert found is not None
    assert found.cell_error == pytest.approx(1 / math.sqrt(3))
    assert found.interval.upper == pytest.approx(2 + 4.302653 / math.sqrt(3), rel=1e-4)  # t_2(.975)
    assert paired_over_cells({0: np.zeros(3)}, {1: np.zeros(3)}) is None


def test_models_are_ranked_on_the_seeds_that_all_have() -> None:
    first_is_better = {"first": {0: 0.1, 1: 0.1, 2: 0.1, 3: 0.9, 4: 1.0}, "second": {3: 0.8, 4: 0.9}}
    assert ranking(first_is_better, 1) == [["first"], ["second"]]
    assert ranking({"first": {0: 1.0, 1: 1.0}, "second": {2: 1.0, 3: 1.0}}, 1) is None


def test_differences_that_are_equal_but_for_rounding_have_no_p_value() -> None:
    found = paired_difference({0: 0.5, 1: 0.6, 2: 0.7}, {0: 0.6, 1: 0.7, 2: 0.8})
    assert found is not None
    assert found.t_p is None


def test_means_that_are_equal_but_for_the_rounding_of_float32_are_tied() -> None:
    ones = dict.fromkeys(range(3), 1.0)
    assert ranking({"a": ones, "b": dict.fromkeys(range(3), 1 - 1.2e-07)}, 1) == [["a", "b"]]
    assert ranking({"a": ones, "b": dict.fromkeys(range(3), 1 - 0.00012)}, 1) == [["a"], ["b"]]
