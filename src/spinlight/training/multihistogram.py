"""log Z from the energies that a tempering ladder sees on all its rungs: the multi-histogram method."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from spinlight._checks import integer
from spinlight._errors import InvalidSettingError, SpinlightWarning
from spinlight._progress import progress_bar
from spinlight._random import Seed, resolve_seed
from spinlight.ising import LogPartition
from spinlight.samplers import ParallelTempering
from spinlight.samplers.tempering import LadderRun
from spinlight.training.annealing import AllUnits
from spinlight.training.partition import Model, problem_of

Reals = NDArray[np.float64]

_FEWEST_LADDERS = 8
_BLOCK = 1 << 15


@dataclass(frozen=True, kw_only=True)
class TemperedPartition:
    """log Z from parallel tempering, by the multi-histogram method over all rungs.

    p_b(s) ~ exp(-b G(s) + sum_i g_i s_i),  Z_b = sum_n exp(-b G_n) / sum_r N_r exp(-b_r G_n) / Z_{b_r}

    with G = beta E + sum_i g_i s_i of every state n seen on any rung, N_r of them on rung r. At b = 0 the spins are independent and Z
    is known; at b = 1 it is the wanted one. Neither a lower nor an upper bound: chains in equilibrium give a value whose bias is
    small against its error, chains that are stuck a wrong one, and nothing in it tells. Where `AnnealedImportance` stays too low, because
    no chain that is cooled once finds the right valley, this is the better estimate.

    The standard error is the jackknife's over ladders, which are independent of each other.

    Args:
        sampler: the ladders, at least 8, its first rung at 0, without cluster moves. A `reference` near typical states helps it as the
            base helps annealing.
        records: looks at each ladder, `sampler.sweeps_between` sweeps apart, at least 16.

    References:
        Ferrenberg & Swendsen, Phys. Rev. Lett. 63 (1989) 1195; Shirts & Chodera, J. Chem. Phys. 129 (2008) 124105 (without
        histograms: equations 11 and C1).

    Example:
        >>> from spinlight.ising import Ising
        >>> problem = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])  # log(4 cosh 1) = 1.8201
        >>> known = TemperedPartition(sampler=ParallelTempering(rungs=4, ladders=8)).estimate(problem, seed=0)
        >>> abs(known.value - 1.8201) < 4 * known.standard_error < 0.2
        True
    """

    sampler: ParallelTempering = field(default_factory=lambda: ParallelTempering(ladders=16))
    records: int = 100

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.sampler, ParallelTempering):
            raise InvalidSettingError(f"sampler must be a ParallelTempering, got {self.sampler!r}")
        if self.sampler.ladders < _FEWEST_LADDERS or self.sampler.cluster_every:
            raise InvalidSettingError(
                f"the error is told by independent ladders: at least {_FEWEST_LADDERS}, and cluster_every=0; got "
                f"{self.sampler.ladders} ladders and cluster_every={self.sampler.cluster_every}"
            )
        if self.sampler.first != 0:
            raise InvalidSettingError(
                f"log Z is known at b = 0 only: the sampler needs first=0, got {self.sampler.first}"
            )
        integer("records", self.records, least=16, most=2**24)

    def estimate(self, model: Model, *, seed: Seed = None) -> LogPartition:
        """Return the estimate; its bounds are infinite.

        Raises:
            InvalidSettingError: a batch of problems, an impossible seed, or a reference of another size.
            InvalidProblemError: fields or couplings beyond float32, or nothing with an Ising problem.

        Warns:
            SpinlightWarning: fewer trips from the first rung to the last than there are ladders; the standard error is NaN.

        Cost:
            That of the sampler for burn_in + sweeps_between * records sweeps.
        """
        problem, resolved, sampler = problem_of(model), resolve_seed(seed), self.sampler
        with progress_bar("Parallel tempering", sampler.progress) as report:
            run = LadderRun(sampler, problem, resolved)
            run.settle(sampler.burn_in, report)
            seen = run.energies(self.records, report)
        reference = torch.zeros(problem.sites) if sampler.reference is None else torch.tensor(sampler.reference)
        path = AllUnits(problem.scaled(float(sampler.beta)), reference.double())
        method = f"multi-histogram, {sampler.ladders} ladders of {sampler.rungs} rungs, {seen.trips} trips"
        all_ladders = log_ratios(seen.rungs, seen.gaps)
        value = path.base_log_partition + float(all_ladders[-1])
        error = math.hypot(_jackknife(seen.rungs, seen.gaps, all_ladders), path.rounding_error)
        if seen.trips < sampler.ladders:
            warnings.warn(
                f"chains came from the first rung to the last {seen.trips} times on {sampler.ladders} ladders, so nothing tells the "
                "error; take more rungs, records or burn_in, or a reference near typical states",
                SpinlightWarning,
                stacklevel=2,
            )
            error = math.nan
        return LogPartition(value, error, -math.inf, math.inf, method)


def log_ratios(rungs: Reals, gaps: Reals, start: Reals | None = None) -> Reals:
    """Return log Z_b / Z_{b_1} of every rung, the minimum over f = -log Z of a convex function, by Newton's method.

    A(f) = <log sum_r exp(f_r - b_r G)> - <f>, means over states seen and over rungs; at its minimum all rungs are seen equally often.

    Args:
        rungs: increasing, (rungs,).
        gaps: G of the states seen on each rung, as many on all, (..., rungs).
        start: where to begin; by default the integral of <G> over b, by the trapezoidal rule.
    """
    means = gaps.reshape(-1, len(rungs)).mean(0)
    # From the mean of G on, so that no exponent is large.
    states, middle = gaps.reshape(-1), means.mean()
    if start is None:
        start = -np.concatenate([[0.0], np.cumsum(np.diff(rungs) * (means[1:] + means[:-1]) / 2)])
    f = -(start + rungs * middle)
    value, slope, curvature = _mean_log_sum(f, rungs, states - middle)
    for _ in range(100):
        step = np.concatenate([[0.0], np.linalg.lstsq(curvature[1:, 1:], -slope[1:])[0]])
        length = 1.0
        while (found := _mean_log_sum(f + length * step, rungs, states - middle))[0] > value and length > 1e-6:
            length /= 2
        f = f + length * step
        value, slope, curvature = found
        if np.abs(step).max() < 1e-6:
            break
    return -(f - f[0]) - (rungs - rungs[0]) * middle


def _mean_log_sum(f: Reals, rungs: Reals, states: Reals) -> tuple[float, Reals, Reals]:
    """Return A(f), its gradient and its second derivatives."""
    value, seen, pairs = 0.0, np.zeros(len(f)), np.zeros((len(f), len(f)))
    for part in np.split(states, range(_BLOCK, len(states), _BLOCK)):
        logs = f - part[:, None] * rungs
        peaks = logs.max(1, keepdims=True)
        shares = np.exp(logs - peaks)
        sums = shares.sum(1, keepdims=True)
        shares /= sums
        value += float((np.log(sums) + peaks).sum())
        seen += shares.sum(0)
        pairs += shares.T @ shares
    count, even = len(states), 1 / len(f)
    return value / count - float(f.mean()), seen / count - even, (np.diag(seen) - pairs) / count


def _jackknife(rungs: Reals, gaps: Reals, all_ladders: Reals) -> float:
    """Return the standard error of log Z at the last rung from what it is without each ladder in turn."""
    left = np.array([log_ratios(rungs, np.delete(gaps, k, 0), all_ladders)[-1] for k in range(len(gaps))])
    return math.sqrt((len(gaps) - 1) / len(gaps) * float(((left - left.mean()) ** 2).sum()))
