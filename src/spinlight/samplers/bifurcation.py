"""Bifurcation machines: classical oscillators, all updated at once, that settle into low-energy states."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import nonnegative_integer, positive_integer, positive_number, thread_count
from spinlight._progress import progress_bar
from spinlight._random import Seed, derive_seed, resolve_seed, uniform
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.packing import kernel_couplings
from spinlight.kernels import devices
from spinlight.samplers.base import Sampler, draws_of, fields_of_runs, initial_spins

if TYPE_CHECKING:
    from spinlight.kernels.run import Progress

_FIRST = 0.1
"""Positions and momenta start within this distance of zero."""


class _Together(Sampler):
    """What machines that update all sites together share: their draw."""

    law: ClassVar[Law] = "heuristic"
    runs_on_gpu: ClassVar[bool] = True

    steps: int
    threads: int | None
    progress: bool

    @abstractmethod
    def _run(self, problem: Ising, spins: Tensor, seed: int, report: Progress | None) -> Tensor:
        """Return where the runs ended that began at `spins`: int8, shape (runs, sites)."""

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return one state of each of `count` runs per problem; see `Sampler.draw`."""
        started = time.perf_counter()
        resolved = resolve_seed(seed)
        start = initial_spins(problem, positive_integer("count", count), resolved, initial).cpu()
        with progress_bar(type(self).__name__, self.progress) as report:
            spins = self._run(problem, start, resolved, report).reshape(start.shape).to(problem.device)
        seconds = time.perf_counter() - started
        return draws_of(self, problem, spins, beta=None, seed=resolved, sweeps=self.steps, seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class SimulatedBifurcation(_Together):
    """Classical oscillators that bifurcate while the pressure a rises from 0 to 1, with walls at -1 and +1.

    dx_i/dt = y_i,  dy_i/dt = -(1 - a) x_i + c (sum_j J_ij u_j + h_i),  u = x (ballistic) or sign(x) (discrete)

    x beyond a wall is put on it, and y to zero. c = 1 / (2 sqrt(sites) sd(J)), with sd(J)^2 = sum_ij J_ij^2 / (sites (sites - 1)).

    Args:
        steps: of the symplectic Euler method, at least 1.
        dt: time step; the authors use 0.5 to 1.25.
        discrete: forces from the signs (better for ground states, slower to begin) or from the positions (good states soon).
        look_every: steps between two looks at the energy, of which each run returns the lowest; a look costs as much as a step.
            0 for the last state.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Heuristic: an optimiser. Rows are independent.

    Raises:
        InvalidSettingError: a setting outside its domain.

    Cost:
        As `CoherentIsingMachine`.

    References:
        Goto, Endo, Suzuki, Sakai, Kanao, Hamakawa, Hidaka, Yamasaki & Tatsumura, "High-performance combinatorial optimization
        based on classical mechanics", Science Advances 7 (2021) eabe7953.

    Example:
        >>> problem = Ising([0.0, 0.0, 0.0], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> SimulatedBifurcation(steps=200).draw(problem, 4, seed=0).energies.tolist()
        [-2.0, -2.0, -2.0, -2.0]
    """

    sees_scale: ClassVar[bool] = False

    steps: int = 1000
    dt: float = 1.0
    discrete: bool = True
    look_every: int = 10
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("steps", self.steps)
        positive_number("dt", self.dt)
        nonnegative_integer("look_every", self.look_every)
        thread_count(self.threads)

    def _run(self, problem: Ising, spins: Tensor, seed: int, report: Progress | None) -> Tensor:
        from spinlight.kernels import oscillators

        positions = _FIRST * uniform(derive_seed(seed, 1), *spins.shape) * spins
        momenta = _FIRST * (2 * uniform(derive_seed(seed, 2), *spins.shape) - 1)
        starts = [part.reshape(-1, problem.sites).to(torch.float32) for part in (positions, momenta)]
        settings: dict[str, Any] = {
            "rule": oscillators.DISCRETE if self.discrete else oscillators.BALLISTIC,
            "dt": self.dt,
            "scale": _force_scale(problem),
            "every": self.look_every,
            "progress": report,
        }
        fields, pressure = fields_of_runs(problem, spins), np.linspace(0, 1, self.steps, dtype=np.float32)
        if devices.serves(problem.device):
            from spinlight.kernels import gpu_machines

            tensors = (fields, *(part.to(problem.device) for part in starts), torch.from_numpy(pressure))
            return gpu_machines.run_bifurcation(problem.couplings.to(torch.float32), *tensors, **settings).spins
        from spinlight.kernels import machines

        arrays = (fields.cpu().numpy(), *(part.numpy() for part in starts), pressure)
        threads = thread_count(self.threads)
        outcome = machines.run_bifurcation(kernel_couplings(problem), *arrays, threads=threads, **settings)
        return torch.from_numpy(outcome.spins)


@dataclass(frozen=True, kw_only=True)
class LangevinBifurcation(_Together):
    """All spins flip together by a noisy threshold: s <- sign(s + d (J s + h) + sigma n), n standard normal.

    The discretised Langevin form of simulated bifurcation. Its states resemble a Boltzmann sample of some inverse temperature
    that follows from d, sigma and the problem, and must be estimated from the draws.

    Args:
        steps: at least 1.
        step: d, above 0.
        noise: sigma, above 0; small values freeze, large ones forget the problem.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Heuristic: its stationary law is not the Boltzmann law at any temperature, only near one for weak couplings. Rows are
        independent.

    Raises:
        InvalidSettingError: a setting outside its domain.

    Cost:
        As `CoherentIsingMachine`.

    References:
        Kubo & Goto, "Training energy-based models with non-MCMC samplers and efficient temperature estimation",
        arXiv 2512.02323 (2025), as summarised by others: the equations themselves were not at hand.

    Example:
        >>> problem = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> draws = LangevinBifurcation().draw(problem, 1000, seed=0)
        >>> bool(draws.expectation(lambda s: s[..., 0] * s[..., 1]) > 0.5)
        True
    """

    steps: int = 100
    step: float = 1.0
    noise: float = 1.0
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("steps", self.steps)
        positive_number("step", self.step)
        positive_number("noise", self.noise)
        thread_count(self.threads)

    def _run(self, problem: Ising, spins: Tensor, seed: int, report: Progress | None) -> Tensor:
        settings: dict[str, Any] = {
            "steps": self.steps,
            "step": self.step,
            "spread": self.noise,
            "seed": seed,
            "every": 0,
            "progress": report,
        }
        fields, start = fields_of_runs(problem, spins), spins.reshape(-1, problem.sites).to(torch.float32)
        if devices.serves(problem.device):
            from spinlight.kernels import gpu_machines

            tensors = (problem.couplings.to(torch.float32), fields, start.to(problem.device))
            return gpu_machines.run_thresholds(*tensors, **settings).spins
        from spinlight.kernels import machines

        arrays = (kernel_couplings(problem), fields.cpu().numpy(), start.numpy())
        return torch.from_numpy(machines.run_thresholds(*arrays, threads=thread_count(self.threads), **settings).spins)


def _force_scale(problem: Ising) -> float:
    """Return c = sqrt(sites - 1) / (2 sqrt(sum_ij J_ij^2)); of a problem without couplings, by its fields."""
    weights = problem.couplings.values() if problem.is_sparse else problem.couplings
    squares = float(weights.square().sum())
    if squares > 0:
        return 0.5 * math.sqrt((problem.sites - 1) / squares)
    largest = float(problem.fields.abs().max())
    return 0.5 / largest if largest > 0 else 0.5
