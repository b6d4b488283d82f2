"""How the rounds of `solve` follow each other: what is drawn, for how long, and from where."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from spinlight._checks import MOST, nonnegative_number, positive_integer, thread_count
from spinlight._errors import InvalidSettingError
from spinlight._progress import progress_bar
from spinlight._random import derive_seed
from spinlight.ising import Draws, Ising
from spinlight.ising.packing import largest_local_field
from spinlight.samplers._blocks import Blocks, halved
from spinlight.samplers.annealing import SimulatedAnnealing
from spinlight.samplers.base import Sampler, require_sampler
from spinlight.samplers.schedules import LinearSchedule, QuenchedSchedule
from spinlight.samplers.tempering import LadderRun, ParallelTempering

Clock = Callable[[], float]
"""Returns the seconds that are left."""

REPEATS = 4
"""Rounds of one length, before it doubles: the longest round takes between an eighth and a quarter of the time so far."""

_FIRST_SWEEPS = 1024
_QUENCH = 16
"""Sweeps that end an anneal; one of less than twice as many finds nothing."""

_LADDER_HOT, _LADDER_COLD = 1.4, 14.0
"""Where the ladders of the tempering begin and end, in the unit of `Restarts`."""

_LADDER_EVERY = 10
_LADDER_KEPT = 64

_FROZEN = 1000.0
"""beta of the quench, in the unit of `Restarts`."""

_SAFE_SHARE = 0.9
"""Of the time left, what a last, shortened round may be expected to take."""

_SHARPEST = 16_000
"""beta times the largest local field above which float32 local fields no longer decide as the exact ones do."""


_LARGEST_BETA = 1e30
"""The samplers take no larger one."""


class Strategy(ABC):
    """Decides what `solve` draws, round after round."""

    @abstractmethod
    def rounds(self, problem: Ising, seed: int, left: Clock) -> Iterator[Draws]:
        """Yield the draws of each round, for as long as there is time for another.

        Args:
            problem: a single problem.
            seed: names the random streams of all rounds.
            left: the seconds that are left; a round that is not over by then is given up.
        """


@dataclass(frozen=True, kw_only=True)
class Restarts(Strategy):
    """Simulated annealing from random states and tempering in turn, each time refined on ever larger blocks of sites.

    A round rises linearly in beta from `hot` to `cold` and ends with a quench. Both are counted in the problem's own unit,
    1 / (mean cost of a flip in local minima, of those that cost something), which a quench from random states measures. Sites
    whose relative orientation is the same in the best states of a round then become one block, and the next round anneals the
    problem of the blocks, at most half as large, at the same temperatures; and so on, until all states agree. Four such
    descents have the same length, then the length doubles. From the fifth on each is followed by as long a stretch of parallel
    tempering, whose ladders go on from stretch to stretch, and by a refinement of the best states that it met.

    Args:
        chains: per round; sixteen per core leave none idle.
        hot: where rounds begin.
        cold: where they end.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.

    Law:
        Heuristic: an optimiser.

    Raises:
        InvalidSettingError: a setting outside its domain.

    References:
        Kirkpatrick, Gelatt & Vecchi 1983; Houdayer & Martin, "Renormalization for discrete optimization", Phys. Rev. Lett. 83
        (1999) 1030 (blocks); Hukushima & Nemoto 1996 (tempering).

    Example:
        >>> from spinlight.samplers import solve
        >>> ring = Ising([0.0] * 4, [[0, 1, 0, -1], [1, 0, 1, 0], [0, 1, 0, 1], [-1, 0, 1, 0]])  # one bond must be broken
        >>> solve(ring, Restarts(chains=16), time_limit_s=5.0, target=-2.0, seed=0).energy
        -2.0
    """

    chains: int = 32
    hot: float = 1.0
    cold: float = 24.0
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("chains", self.chains)
        thread_count(self.threads)
        if nonnegative_number("hot", self.hot) > nonnegative_number("cold", self.cold):
            raise InvalidSettingError(
                f"an anneal goes from hot to cold, in beta: hot={self.hot} exceeds cold={self.cold}"
            )

    def rounds(self, problem: Ising, seed: int, left: Clock) -> Iterator[Draws]:
        """Yield a quench, then one descent after another; see `Strategy.rounds`."""
        minima = self._quenched(problem, derive_seed(seed, 0))
        unit = 1 / mean_cost(problem, minima.spins)
        yield minima
        ladders = derive_seed(seed, 2**32)
        tempering = _Tempering(problem, unit, ladders, self.threads)
        # The first time includes the graph's colouring, and says little about a sweep.
        started = time.perf_counter()
        self._quenched(problem, derive_seed(seed, 0))
        seconds_per_sweep = (time.perf_counter() - started) / _QUENCH
        for number in itertools.count(1):
            sweeps = _affordable(_FIRST_SWEEPS * 2 ** ((number - 1) // REPEATS), seconds_per_sweep, left)
            if sweeps < 2 * _QUENCH:
                return
            anneal = partial(self._annealed, unit=unit, sweeps=sweeps)
            started = time.perf_counter()
            draws = anneal(problem, seed=derive_seed(seed, number))
            seconds_per_sweep = (time.perf_counter() - started) / sweeps
            yield draws
            yield from _refined(problem, draws, anneal, derive_seed(seed, number))
            if number > REPEATS:
                draws = tempering.draws(sweeps // 2, left)
                yield draws
                yield from _refined(problem, draws, anneal, derive_seed(ladders, number))

    def _annealed(self, problem: Ising, *, unit: float, sweeps: int, seed: int) -> Draws:
        frozen = min(_FROZEN * unit, _sharpest(problem))
        schedule = QuenchedSchedule(
            first=min(self.hot * unit, frozen), last=min(self.cold * unit, frozen), quench=_QUENCH
        )
        sampler = SimulatedAnnealing(
            sweeps=sweeps, beta=frozen, schedule=schedule, threads=self.threads, progress=False
        )
        return sampler.draw(problem, self.chains, seed=seed)

    def _quenched(self, problem: Ising, seed: int) -> Draws:
        """Return local minima, or nearly so, from random states."""
        beta = _sharpest(problem)
        schedule = LinearSchedule(first=beta)
        sampler = SimulatedAnnealing(sweeps=_QUENCH, beta=beta, schedule=schedule, threads=self.threads, progress=False)
        return sampler.draw(problem, self.chains, seed=seed)


class _Tempering:
    """Ladders that go on from stretch to stretch."""

    def __init__(self, problem: Ising, unit: float, seed: int, threads: int | None) -> None:
        beta = min(_LADDER_COLD * unit, _sharpest(problem))
        self._sampler = ParallelTempering(
            beta=beta,
            first=_LADDER_HOT / _LADDER_COLD,
            rungs=64,
            ladders=2,
            sweeps_between=_LADDER_EVERY,
            threads=threads,
            progress=False,
        )
        self._problem, self._seed = problem, seed
        self._run: LadderRun | None = None
        self._seconds_per_sweep = 0.0

    def draws(self, sweeps: int, left: Clock) -> Draws:
        """Return the best states of the last rungs within some more sweeps, fewer where the time left would not do."""
        started = time.perf_counter()
        with progress_bar("tempering", False) as report:
            if self._run is None:
                self._run = LadderRun(self._sampler, self._problem, self._seed)
                self._run.settle(sweeps, report)
                self._seconds_per_sweep = (time.perf_counter() - started) / sweeps
            records = max(1, _affordable(sweeps, self._seconds_per_sweep, left) // _LADDER_EVERY)
            begun = time.perf_counter()
            spins = self._run.draw(records, report)
            self._seconds_per_sweep = (time.perf_counter() - begun) / (records * _LADDER_EVERY)
        found = self._run.draws_of(spins, records * _LADDER_EVERY, time.perf_counter() - started)
        return found.top(_LADDER_KEPT)


def compile_kernels() -> None:
    """Run the kernels of `Restarts` on two spins, so that compiling them costs no time of a search; compiled ones are kept on disk.

    Both forms, because the blocks of a sparse problem may be a dense one.
    """
    pair = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
    for form in (pair, pair.to_sparse()):
        SimulatedAnnealing(sweeps=1, progress=False).draw(form, 1, seed=0)
        ParallelTempering(rungs=2, ladders=1, burn_in=0, progress=False).draw(form, 1, seed=0)


def _refined(problem: Ising, draws: Draws, anneal: Callable[..., Draws], seed: int) -> Iterator[Draws]:
    """Yield the best state of the problem's blocks, of the blocks' blocks, and so on, as a state of the problem itself."""
    levels: list[Blocks] = []
    coarse = problem
    while (blocks := halved(coarse, draws.top(len(draws)).spins)) is not None:
        levels.append(blocks)
        coarse = blocks.problem
        draws = anneal(coarse, seed=derive_seed(seed, len(levels)))
        best = draws.top(1)
        spins = best.spins
        for level in reversed(levels):
            spins = level.expanded(spins)
        yield replace(best, spins=spins, energies=problem.energy(spins))


@dataclass(frozen=True)
class Repeated(Strategy):
    """Any sampler, again and again: four rounds of each length, beginning with a sixteenth of its own, then twice the length.

    The length is the sampler's `sweeps` or `steps`; a sampler that has neither is repeated as it is.

    Args:
        sampler: the one to repeat.
        count: states drawn per round.

    Raises:
        InvalidSettingError: no sampler, or a count outside its domain.
    """

    sampler: Sampler
    count: int = 32

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)
        positive_integer("count", self.count)

    def rounds(self, problem: Ising, seed: int, left: Clock) -> Iterator[Draws]:
        """Yield one draw of the sampler after another; see `Strategy.rounds`."""
        length = next((name for name in ("sweeps", "steps") if hasattr(self.sampler, name)), None)
        first = max(1, getattr(self.sampler, length) // 16) if length else 1
        seconds_per_step = 0.0
        for number in itertools.count(1):
            steps = _affordable(first * 2 ** ((number - 1) // REPEATS), seconds_per_step, left)
            if steps < 1:
                return
            # Every sampler is a dataclass.
            sampler = replace(self.sampler, **{length: steps}) if length else self.sampler  # type: ignore[type-var]
            started = time.perf_counter()
            draws = sampler.draw(problem, self.count, seed=derive_seed(seed, number))
            seconds_per_step = (time.perf_counter() - started) / steps
            yield draws


def _affordable(length: int, seconds_per_step: float, left: Clock) -> int:
    """Return the length of the next round: less than wanted where the time left would not do."""
    wanted = min(length, MOST)
    return min(wanted, int(_SAFE_SHARE * left() / seconds_per_step)) if seconds_per_step else wanted


def mean_cost(problem: Ising, spins: Tensor) -> float:
    """Return what a flip costs on average, of those flips that cost something; 1 where none does."""
    costs = 2 * spins * problem.local_fields(spins)
    return float(costs[costs > 0].mean()) if bool((costs > 0).any()) else 1.0


def _sharpest(problem: Ising) -> float:
    """Return the largest beta that float32 arithmetic can tell from infinity."""
    largest = float(largest_local_field(problem))
    return min(_SHARPEST / largest, _LARGEST_BETA) if largest > 0 else 1.0
