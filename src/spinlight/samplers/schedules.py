"""Annealing schedules: the inverse temperature of every sweep."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import nonnegative_number, positive_integer, positive_number
from spinlight._errors import InvalidSettingError
from spinlight.ising import Ising
from spinlight.ising.packing import largest_local_field


class Schedule(ABC):
    """Gives the inverse temperature of every sweep; the last one is the wanted beta."""

    @abstractmethod
    def betas(self, problem: Ising, sweeps: int, beta: float) -> NDArray[np.float64]:
        """Return `sweeps` inverse temperatures of which the last is `beta`."""


@dataclass(frozen=True, kw_only=True)
class GeometricSchedule(Schedule):
    """Rises by a constant factor per sweep.

    Args:
        first: beta of the first sweep, above 0. None: log(2) / (2 max_i (|h_i| + sum_j |J_ij|)), at which even the most
            tightly held spin flips every other visit; never above the wanted beta.
    """

    first: float | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.first is not None:
            positive_number("first", self.first)

    def betas(self, problem: Ising, sweeps: int, beta: float) -> NDArray[np.float64]:
        """Return the geometric sequence from `first` to `beta`."""
        if beta == 0:
            raise InvalidSettingError("a geometric schedule cannot end at beta=0; use LinearSchedule or a larger beta")
        first = min(beta, hot_beta(problem)) if self.first is None else self.first
        if first > beta:
            raise InvalidSettingError(f"a geometric schedule rises: first={first} lies above the sampler's beta={beta}")
        return np.geomspace(first, beta, sweeps) if sweeps > 1 else np.full(sweeps, beta)


@dataclass(frozen=True, kw_only=True)
class LinearSchedule(Schedule):
    """Rises by a constant amount per sweep.

    Args:
        first: beta of the first sweep, at least 0.
    """

    first: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        nonnegative_number("first", self.first)

    def betas(self, problem: Ising, sweeps: int, beta: float) -> NDArray[np.float64]:
        """Return the arithmetic sequence from `first` to `beta`."""
        if self.first > beta:
            raise InvalidSettingError(
                f"a linear schedule rises: first={self.first} lies above the sampler's beta={beta}"
            )
        return np.linspace(self.first, beta, sweeps) if sweeps > 1 else np.full(sweeps, beta)


@dataclass(frozen=True, kw_only=True)
class QuenchedSchedule(Schedule):
    """Rises by a constant amount per sweep up to `last`, then jumps to the wanted beta: an anneal and a descent to a local minimum.

    Args:
        first: beta of the first sweep, at least 0.
        last: beta at the end of the rise, between `first` and the wanted beta.
        quench: sweeps at the wanted beta, at least 1; a run that is no longer is all quench.
    """

    first: float
    last: float
    quench: int = 16

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("quench", self.quench)
        if nonnegative_number("first", self.first) > nonnegative_number("last", self.last):
            raise InvalidSettingError(f"a quenched schedule rises: first={self.first} lies above last={self.last}")

    def betas(self, problem: Ising, sweeps: int, beta: float) -> NDArray[np.float64]:
        """Return the arithmetic sequence from `first` to `last`, then `quench` times `beta`."""
        if self.last > beta:
            raise InvalidSettingError(
                f"a quenched schedule rises: last={self.last} lies above the sampler's beta={beta}"
            )
        rise = np.linspace(self.first, self.last, max(0, sweeps - self.quench))
        return np.append(rise, np.full(sweeps - len(rise), beta))


@dataclass(frozen=True)
class CustomSchedule(Schedule):
    """Interpolates linearly between given points, spread evenly over the sweeps.

    Args:
        points: inverse temperatures, at least 0; the last must be the sampler's `beta`.
    """

    points: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.points, tuple | list) or not self.points:
            raise InvalidSettingError(
                f"points must be a tuple of at least one inverse temperature, got {self.points!r}"
            )
        for point in self.points:
            nonnegative_number("points", point)

    def betas(self, problem: Ising, sweeps: int, beta: float) -> NDArray[np.float64]:
        """Return the points, interpolated."""
        if self.points[-1] != beta:
            raise InvalidSettingError(
                f"the schedule ends at {self.points[-1]}, the sampler at beta={beta}: make them equal"
            )
        if sweeps == 1:
            return np.full(1, beta)
        return np.interp(np.linspace(0, 1, sweeps), np.linspace(0, 1, len(self.points)), self.points)


def hot_beta(problem: Ising) -> float:
    """Return the beta at which the most tightly held spin still flips every other visit; infinite for a flat problem."""
    largest = float(largest_local_field(problem))
    return math.log(2) / (2 * largest) if largest > 0 else math.inf
