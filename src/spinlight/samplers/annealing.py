"""Simulated annealing: Metropolis sweeps while the temperature falls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import nonnegative_number, positive_integer, thread_count
from spinlight._errors import InvalidSettingError
from spinlight._random import Seed, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.samplers._chains import sweep
from spinlight.samplers.base import Sampler, draws_of, initial_spins
from spinlight.samplers.schedules import GeometricSchedule, Schedule


@dataclass(frozen=True, kw_only=True)
class SimulatedAnnealing(Sampler):
    """Runs independent chains from hot to `beta` and returns where each one ends.

    One Metropolis sweep at each beta_1, ..., beta_sweeps of the schedule, of which the last is `beta`: 1 to sample the
    Boltzmann law from better starts than random ones, large to look for ground states.

    Args:
        sweeps: length of the schedule, at least 1.
        beta: inverse temperature at the end, at least 0.
        schedule: the way there; geometric from a temperature at which every spin flips freely by default.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Asymptotic: the Boltzmann law at `beta` for infinitely slow schedules. At a finite rate the chains fall out of
        equilibrium wherever the relaxation time exceeds the time spent there, and stay too hot: compare the energies of two
        lengths before trusting moments. Rows are independent.

    Raises:
        InvalidSettingError: a setting outside its domain.

    Cost:
        As `Gibbs`.

    References:
        Kirkpatrick, Gelatt & Vecchi 1983, "Optimization by simulated annealing".

    Example:
        >>> problem = Ising([0.0, 0.0, 0.0], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> SimulatedAnnealing(sweeps=100, beta=10.0).draw(problem, 4, seed=0).energies.tolist()
        [-2.0, -2.0, -2.0, -2.0]
    """

    law: ClassVar[Law] = "asymptotic"
    runs_on_gpu: ClassVar[bool] = True

    sweeps: int = 1000
    beta: float = 1.0
    schedule: Schedule = field(default_factory=GeometricSchedule)
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("sweeps", self.sweeps)
        nonnegative_number("beta", self.beta)
        thread_count(self.threads)
        if not isinstance(self.schedule, Schedule):
            raise InvalidSettingError(f"schedule must be a Schedule such as GeometricSchedule(), got {self.schedule!r}")

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return the last states of `count` independent runs per problem; see `Sampler.draw`."""
        started = time.perf_counter()
        resolved = resolve_seed(seed)
        spins = sweep(
            problem,
            initial_spins(problem, positive_integer("count", count), resolved, initial),
            _checked(self.schedule.betas(problem, self.sweeps, float(self.beta)), self),
            heat_bath=False,
            seed=resolved,
            first_sweep=0,
            threads=self.threads,
            progress=self.progress,
            title="Simulated annealing",
        )
        seconds = time.perf_counter() - started
        return draws_of(self, problem, spins, beta=self.beta, seed=resolved, sweeps=self.sweeps, seconds=seconds)


def _checked(betas: NDArray[np.float64], sampler: SimulatedAnnealing) -> NDArray[np.float64]:
    """Return the betas of a schedule, which anyone may have written, if they are what a schedule must give."""
    path = np.asarray(betas, dtype=np.float64)
    if path.shape != (sampler.sweeps,) or not np.isfinite(path).all() or (path < 0).any():
        raise InvalidSettingError(
            f"{type(sampler.schedule).__name__}.betas must return {sampler.sweeps} finite numbers of at least 0; got shape "
            f"{path.shape} with values from {path.min(initial=np.inf)} to {path.max(initial=-np.inf)}"
        )
    return path
