"""How the rounds of `solve` follow each other: what is drawn, for how long, and from where."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from spinlight._checks import MOST, nonnegative_number, positive_integer, thread_count
from spinlight._errors import InvalidSettingError
from spinlight._random import derive_seed
from spinlight.ising import Draws, Ising
from spinlight.ising.packing import largest_local_field
from spinlight.samplers.annealing import SimulatedAnnealing
from spinlight.samplers.base import Sampler, require_sampler
from spinlight.samplers.schedules import LinearSchedule, QuenchedSchedule

Clock = Callable[[], float]
"""Returns the seconds that are left."""

REPEATS = 4
"""Rounds of one length, before it doubles: the longest round takes between an eighth and a quarter of the time so far."""

_FIRST_SWEEPS = 64
_FEWEST_SWEEPS = 32
"""Twice the quench at the end of an anneal; shorter rounds find nothing."""

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
    """Simulated annealing from random states, again and again: four rounds of each length, then twice the length.

    Every round rises linearly in beta from `hot` to one of `cold`, in turn, and ends with a quench. Both are counted in the
    problem's own unit, 1 / (mean cost of a flip in a state where every flip costs something), which a quench from random states
    measures.

    Args:
        chains: per round; sixteen per core leave none idle.
        hot: where rounds begin.
        cold: where they end: the first for problems whose flips all cost about the same, the others where some cost far less.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.

    Raises:
        InvalidSettingError: a setting outside its domain.
    """

    chains: int = 32
    hot: float = 1.0
    cold: tuple[float, ...] = (24.0, 64.0)
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("chains", self.chains)
        thread_count(self.threads)
        if not isinstance(self.cold, tuple | list) or not self.cold:
            raise InvalidSettingError(f"cold must be a tuple of at least one number, got {self.cold!r}")
        nonnegative_number("hot", self.hot)
        for cold in self.cold:
            if nonnegative_number("cold", cold) < self.hot:
                raise InvalidSettingError(f"an anneal goes from hot to cold: cold={cold} lies below hot={self.hot}")

    def rounds(self, problem: Ising, seed: int, left: Clock) -> Iterator[Draws]:
        """Yield a quench and then one anneal after another; see `Strategy.rounds`."""
        quenched = self._quenched(problem, seed)
        yield quenched
        unit = 1 / mean_cost(problem, quenched)
        ends = itertools.cycle(self.cold)
        frozen = min(1000 * unit, _sharpest(problem))

        def anneal(sweeps: int, seed: int) -> Draws:
            schedule = QuenchedSchedule(first=min(self.hot * unit, frozen), last=min(next(ends) * unit, frozen))
            sampler = SimulatedAnnealing(
                sweeps=sweeps, beta=frozen, schedule=schedule, threads=self.threads, progress=False
            )
            return sampler.draw(problem, self.chains, seed=seed)

        yield from _lengthening(anneal, _FIRST_SWEEPS, _FEWEST_SWEEPS, seed, left)

    def _quenched(self, problem: Ising, seed: int) -> Draws:
        """Return local minima, or nearly so, from random states."""
        beta = _sharpest(problem)
        sampler = SimulatedAnnealing(
            sweeps=16, beta=beta, schedule=LinearSchedule(first=beta), threads=self.threads, progress=False
        )
        return sampler.draw(problem, self.chains, seed=derive_seed(seed, 0))


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
        if length is None:
            for number in itertools.count(1):
                yield self.sampler.draw(problem, self.count, seed=derive_seed(seed, number))
        else:
            first = max(1, getattr(self.sampler, length) // 16)

            def draw(steps: int, seed: int) -> Draws:
                longer: Sampler = replace(self.sampler, **{length: steps})  # type: ignore[type-var]  # every sampler is a dataclass
                return longer.draw(problem, self.count, seed=seed)

            yield from _lengthening(draw, first, 1, seed, left)


def _lengthening(draw: Callable[[int, int], Draws], first: int, fewest: int, seed: int, left: Clock) -> Iterator[Draws]:
    """Yield draws of growing length, and when time runs out, shorter ones that still fit in.

    Args:
        draw: takes a length and a seed.
        first: length of the first rounds.
        fewest: shorter rounds are not worth while.
        seed, left: as `Strategy.rounds`.
    """
    seconds_per_step = 0.0
    for number in itertools.count(1):
        length = min(first * 2 ** ((number - 1) // REPEATS), MOST)
        if seconds_per_step:
            length = min(length, int(_SAFE_SHARE * left() / seconds_per_step))
        if length < fewest:
            return
        started = time.perf_counter()
        draws = draw(length, derive_seed(seed, number))
        seconds_per_step = (time.perf_counter() - started) / length
        yield draws


def mean_cost(problem: Ising, draws: Draws) -> float:
    """Return what a flip costs on average, of those flips that cost something; 1 where none does."""
    costs = 2 * draws.spins * problem.local_fields(draws.spins)
    return float(costs[costs > 0].mean()) if bool((costs > 0).any()) else 1.0


def _sharpest(problem: Ising) -> float:
    """Return the largest beta that float32 arithmetic can tell from infinity."""
    largest = float(largest_local_field(problem))
    return min(_SHARPEST / largest, _LARGEST_BETA) if largest > 0 else 1.0
