"""The lowest energy that can be found in a given time, by any sampler."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from spinlight._checks import finite_number, positive_number
from spinlight._errors import InvalidProblemError, InvalidSettingError, SpinlightWarning
from spinlight._progress import watched
from spinlight._random import Seed, resolve_seed
from spinlight.ising import Draws, Ising
from spinlight.ising.packing import largest_local_field
from spinlight.ising.problem import require_single
from spinlight.samplers._blocks import faster
from spinlight.samplers.base import Sampler
from spinlight.samplers.strategies import Repeated, Restarts, Strategy, compile_kernels

_ROUNDING = 1e-9
"""Excess over a target, relative to it and to the weights, that is taken for rounding of sums of real weights."""

_SMALLEST_WEIGHT = 1e-25
"""Anneals end at betas of up to 16,000 over the largest local field, and samplers take none above 1e30."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The best state that was found.

    Args:
        draws: this one state, with the sampler, settings and seed of the round that found it, if need be on blocks of sites.
        seed: the integer that names all rounds.
        seconds: from the first round to the end.
        found_s: seconds until this state was found.
        rounds: that were completed.
        reached: whether the target was reached; False without one.
    """

    draws: Draws
    seed: int
    seconds: float
    found_s: float
    rounds: int
    reached: bool

    @property
    def spins(self) -> Tensor:
        """The state, -1/+1, int8, shape (sites,)."""
        return self.draws.spins[0]

    @property
    def bits(self) -> Tensor:
        """The state as bits, 0/1, int8, shape (sites,)."""
        return self.draws.bits[0]

    @property
    def energy(self) -> float:
        """Its energy."""
        return float(self.draws.energies[0])


class InterruptedSolveError(KeyboardInterrupt):
    """Ctrl-C during `solve`.

    Args:
        solution: the best state until then.
    """

    saved: Sequence[Path] = ()
    """What whoever called `solve` has written since."""

    def __init__(self, solution: Solution) -> None:
        """Keep the solution."""
        super().__init__("solve was interrupted; its solution so far is in this error's `solution`")
        self.solution = solution


Progress = Callable[[Solution | None, float], None]
"""Called about twenty times a second with the best so far (None before the first round ends) and the seconds left."""


def solve(
    problem: Ising,
    sampler: Sampler | Strategy | None = None,
    *,
    time_limit_s: float,
    target: float | None = None,
    seed: Seed = None,
    progress: Progress | None = None,
) -> Solution:
    """Return the state of lowest energy that many rounds of drawing find in a given time.

    Each round has a seed of its own, derived from `seed`; the sequence of rounds does not depend on the clock, which only cuts
    it: it shortens the last rounds and gives up the one that is running when the time is over. Ctrl-C raises an
    `InterruptedSolveError` with the best state so far, before the first round is over an ordinary `KeyboardInterrupt`.

    Args:
        problem: a single problem; one with more than a quarter of all couplings is solved as a dense one.
        sampler: a sampler, repeated by `Repeated`; or a strategy; None for `Restarts`, which anneals.
        time_limit_s: seconds, above 0. The kernels of `Restarts` are compiled before the clock starts, those of a named sampler by
            its first round.
        target: stop when an energy is this low.
        seed: integer in [0, 2^63), generator, or None for fresh entropy; it is recorded.
        progress: see `Progress`.

    Law:
        Heuristic: nothing proves that the energy is the lowest.

    Raises:
        InvalidProblemError: no Ising problem, or one whose weights are too small for float32 arithmetic.
        InvalidSettingError: a batch, a setting outside its domain, or a time in which not one round could be completed.

    Warns:
        SpinlightWarning: a later round failed, as a foreign machine may; the best state until then is returned.

    Cost:
        As that of the sampler. Samplers that run kernels of this library keep the time limit to within a sweep of the problem; a
        call of foreign software (`SolveSampler`, `DimodSampler`) or of a cluster is waited for. `Restarts` works on the CPU, where a
        problem on another device is copied first; named samplers on the problem's device where they can.

    Example:
        >>> problem = Ising([0.0, 0.0, 0.0], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> solution = solve(problem, time_limit_s=5.0, target=-2.0, seed=0)
        >>> solution.energy, solution.reached
        (-2.0, True)
    """
    require_single(problem)
    limit = positive_number("time_limit_s", time_limit_s)
    wanted = None if target is None else finite_number("target", target)
    strategy = _strategy(sampler)
    largest = float(largest_local_field(problem))
    if 0 < largest < _SMALLEST_WEIGHT:
        raise InvalidProblemError(
            f"local fields of at most {largest:.3g} are too small for the samplers' float32 arithmetic; multiply fields, couplings and "
            "target by a constant"
        )
    search = _Search(resolve_seed(seed), limit, wanted, progress, largest)
    form = faster(problem)
    if isinstance(strategy, Restarts):
        form = form.to("cpu")
        compile_kernels()
    try:
        search.run(lambda: strategy.rounds(form, search.seed, search.left))
    except KeyboardInterrupt as interrupt:
        if search.best is None:
            raise
        raise InterruptedSolveError(_on_device(search.best, problem)) from interrupt
    except Exception as error:
        if search.best is None:
            raise
        warnings.warn(
            f"the search ended early, after {search.best.rounds} rounds, by an error: {type(error).__name__}: {error}",
            SpinlightWarning,
            stacklevel=2,
        )
    if search.best is None:
        raise InvalidSettingError(
            f"no round could be completed within {limit:g} s; give more time, or let the sampler do less at once"
        )
    return _on_device(search.best, problem)


class _TimeIsOverError(Exception):
    """Ends the round that is running."""


class _Search:
    """The state of a search: its clock and the best so far."""

    def __init__(
        self, seed: int, limit: float, target: float | None, progress: Progress | None, largest: float
    ) -> None:
        self.seed, self._largest = seed, largest
        self.best: Solution | None = None
        self._limit, self._target, self._progress = limit, target, progress
        self._started = time.perf_counter()

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._limit - (time.perf_counter() - self._started)

    def run(self, rounds: Callable[[], Iterator[Draws]]) -> None:
        """Go through the rounds until the target is reached or the time is over."""
        self._started = time.perf_counter()
        with watched(self._check), suppress(_TimeIsOverError):
            for number, draws in enumerate(rounds(), 1):
                self._add(draws, number)
                self._check()
                if self.best is not None and self.best.reached:
                    break
        if self.best is not None:
            self.best = replace(self.best, seconds=self._limit - self.left())

    def _add(self, draws: Draws, rounds: int) -> None:
        seconds = self._limit - self.left()
        lowest = draws.top(1)
        # The best of many rounds is no sample of any law, whatever drew it.
        lowest = replace(lowest, info=replace(lowest.info, law="heuristic"))
        energy = float(lowest.energies[0])
        if self.best is not None and self.best.energy <= energy:
            self.best = replace(self.best, rounds=rounds, seconds=seconds)
        else:
            self.best = Solution(lowest, self.seed, seconds, seconds, rounds, self._is_reached(energy))

    def _is_reached(self, energy: float) -> bool:
        return self._target is not None and energy <= self._target + _ROUNDING * max(
            1e-3 * self._largest, abs(self._target)
        )

    def _check(self) -> None:
        if self._progress is not None:
            self._progress(self.best, max(0.0, self.left()))
        if self.left() <= 0:
            raise _TimeIsOverError


def _strategy(sampler: Sampler | Strategy | None) -> Strategy:
    if sampler is None:
        return Restarts()
    return sampler if isinstance(sampler, Strategy) else Repeated(sampler)


def _on_device(solution: Solution, problem: Ising) -> Solution:
    return replace(solution, draws=solution.draws.to(problem.device))
