"""Means with intervals, paired differences, and rankings that call a tie a tie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
"""Of every interval."""

_FEWEST_RANKED = 6
"""Pairs below which Wilcoxon's smallest two-sided p, 2^(1-n), is above .05."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over seeds and its 95 % interval by Student's t, which is None for one seed.

    Args:
        mean: over the seeds.
        lower: end of the interval.
        upper: the other one.
        count: number of seeds.
    """

    mean: float
    lower: float | None
    upper: float | None
    count: int

    @property
    def includes_zero(self) -> bool | None:
        """Whether zero lies inside; None where there is no interval."""
        return None if self.lower is None or self.upper is None else self.lower <= 0 <= self.upper


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of values and mean +/- t_{n-1}(.975) s / sqrt(n).

    Args:
        values: at least one.
    """
    numbers = np.asarray(values, dtype=np.float64)
    mean, count = float(numbers.mean()), len(numbers)
    if count < 2:
        return Interval(mean=mean, lower=None, upper=None, count=count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * numbers.std(ddof=1) / math.sqrt(count))
    return Interval(mean=mean, lower=mean - half, upper=mean + half, count=count)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One minus other, paired over seeds.

    Args:
        interval: of the mean difference.
        t_p: two-sided p of the paired t-test; None for one seed, or differences that are equal but for rounding.
        wilcoxon_p: two-sided p of Wilcoxon's signed-rank test; None for fewer than six seeds, where it cannot reach .05.
    """

    interval: Interval
    t_p: float | None
    wilcoxon_p: float | None


_EQUAL = 1e-6
"""Relative difference of two means, of scores that were computed in float32, that is none."""


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """Return the difference of two models' values by seed, over the seeds that both have; None where there are none."""
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    differences = np.array([one[seed] - other[seed] for seed in seeds])
    rounding = 1e-12 * max(abs(value) for seed in seeds for value in (one[seed], other[seed]))
    varied = len(seeds) > 1 and float(np.ptp(differences)) > rounding
    ranked = len(seeds) >= _FEWEST_RANKED and bool(differences.any())
    return Difference(
        interval=mean_interval(differences.tolist()),
        t_p=float(stats.ttest_1samp(differences, 0.0).pvalue) if varied else None,
        wilcoxon_p=float(stats.wilcoxon(differences).pvalue) if ranked else None,
    )


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for their number by Holm's method (Scand. J. Stat. 6 (1979) 65), in the same order."""
    known = sorted((p, place) for place, p in enumerate(probabilities) if p is not None)
    adjusted: list[float | None] = [None] * len(probabilities)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        adjusted[place] = least
    return adjusted


def ranking(values: Mapping[str, Mapping[int, float]], better: int) -> list[list[str]] | None:
    """Return the models in groups, best first; a group is its best model and all whose difference from it may be zero.

    A tie is no proof of equality: with few seeds much is a tie.

    Args:
        values: by seed, by model.
        better: 1 where more is better, -1 where less is.

    Returns:
        None where the models have fewer than two seeds in common, so that nothing can be told.
    """
    # Means over different seeds say nothing of each other: where a fit failed, all models are ranked without its seed.
    common = set.intersection(*(set(by_seed) for by_seed in values.values())) if values else set()
    values = {name: {seed: by_seed[seed] for seed in sorted(common)} for name, by_seed in values.items()}
    if len(common) < 2:
        return None
    left = sorted(values, key=lambda name: -better * float(np.mean(list(values[name].values()))))
    groups = []
    while left:
        best, *others = left
        group = [best]
        for name in others:
            difference = paired_difference(values[best], values[name])
            if difference is None:
                return None
            largest = max(abs(value) for one in (best, name) for value in values[one].values())
            if difference.interval.includes_zero or abs(difference.interval.mean) <= _EQUAL * largest:
                group.append(name)
        groups.append(group)
        left = [name for name in left if name not in group]
    return groups


@dataclass(frozen=True, kw_only=True)
class CellDifference:
    """The mean difference of two models' held-out bounds, in nats per cell.

    Args:
        interval: over seeds, each with the mean over its held-out cells; for one seed, of its cells.
        cell_error: standard error from the choice of held-out cells alone, the trainings being given.
        cells: pairs of bounds, over all seeds.
    """

    interval: Interval
    cell_error: float
    cells: int


def paired_over_cells(
    one: Mapping[int, NDArray[np.float64]], other: Mapping[int, NDArray[np.float64]]
) -> CellDifference | None:
    """Return the difference of two models' bounds on the same held-out cells; None where they have no seed in common.

    With d_sc the difference of cell c under seed s, of n_s cells and S seeds, the mean is that of the m_s = mean_c d_sc, the interval
    that of Student's t for the m_s, which holds the choice of cells too, and cell_error = sqrt(sum_s var_c(d_sc) / n_s) / S.

    Args:
        one: bounds by seed, shape (held-out cells,) each.
        other: the same of the other model, for the same cells.
    """
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    differences = [one[seed] - other[seed] for seed in seeds]
    variances = [float(part.var(ddof=1)) / len(part) if len(part) > 1 else math.nan for part in differences]
    error = math.sqrt(sum(variances)) / len(seeds)
    interval = mean_interval([float(part.mean()) for part in differences])
    if len(seeds) == 1 and math.isfinite(error):
        half = float(stats.t.ppf((1 + LEVEL) / 2, len(differences[0]) - 1)) * error
        interval = Interval(mean=interval.mean, lower=interval.mean - half, upper=interval.mean + half, count=1)
    return CellDifference(interval=interval, cell_error=error, cells=sum(map(len, differences)))
