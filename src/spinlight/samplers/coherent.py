"""The coherent Ising machine: optical pulses that measure each other and are fed back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import nonnegative_integer, nonnegative_number, positive_integer, positive_number, thread_count
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight._progress import progress_bar
from spinlight._random import Seed, derive_seed, normal, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.packing import kernel_couplings
from spinlight.ising.problem import require_problem, require_single
from spinlight.kernels import devices
from spinlight.samplers.base import Sampler, draws_of, fields_of_runs, initial_spins
from spinlight.samplers.feedback import ChaoticFeedbackControl, Feedback

_ROUND_TRIPS_PER_LIFETIME = 10.0
"""A pulse lives for about ten round trips: the equations' unit of time."""


@dataclass(frozen=True, kw_only=True)
class TruncatedWigner:
    """The quantum noise of pulses and measurements, by the truncated Wigner function.

    dx = ... dt + g sqrt(1/2 + x^2) dW,  de = ... dt + g dW' / sqrt(2),  reading: x + g sqrt((1 - R) / (4 R)) N(0, 1) / sqrt(dt)

    Args:
        photon: g, the amplitude that stands for one photon, above 0; success is flat for g^2 up to about 1e-4.
        reflectivity: R of the beam splitter that measures, in (0, 1).

    References:
        Reifenstein et al., Adv. Quantum Technol. 4 (2021) 2100077, section on quantum noise.
    """

    photon: float = 0.01
    reflectivity: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_number("photon", self.photon)
        _require_share("reflectivity", self.reflectivity)


@dataclass(frozen=True, kw_only=True)
class GaussianMoments:
    """Every pulse a Gaussian state: its mean x and its variance v, squeezed by the pump and narrowed by being measured.

    dx = ... dt + g sqrt(j) (v - 1/2) dW,  dv/dt = 2 (p - 1 - 3 x^2) v - 2 j (v - 1/2)^2 + 1 + 2 x^2,
    reading: x + g dW / (dt sqrt(4 j)),  with one dW for both

    Args:
        photon: g, the amplitude that stands for one photon, above 0.
        measured: j, the share of the loss that is measured, in (0, 1).

    References:
        Kako et al., "Coherent Ising machines with error correction feedback", Adv. Quantum Technol. 3 (2020) 2000045. Ours
        counts time in lifetimes of a pulse under all losses together.
    """

    photon: float = 0.01
    measured: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_number("photon", self.photon)
        _require_share("measured", self.measured)


QuantumNoise = TruncatedWigner | GaussianMoments


@dataclass(frozen=True, kw_only=True)
class CoherentIsingMachine(Sampler):
    """A network of degenerate optical parametric oscillators with measurement feedback, integrated by the Euler method.

    Each spin is the sign of a pulse's amplitude x_i; the feedback couples the pulses by J, scaled by
    xi = sqrt(2 sites / sum_ij J_ij^2), and error variables e_i keep them from settling in a local minimum.

    Args:
        steps: of the integration, at least 1.
        dt: time step, in lifetimes of a pulse (about ten round trips); the feedbacks' authors use 0.05 to 0.25. Too large a
            step makes the integration unstable, and then nothing is found.
        feedback: the equations: `ChaoticFeedbackControl`, `ChaoticAmplitudeControl` or `SeparatedFeedbackControl`;
            `UncorrectedFeedback` to sample with strong noise.
        noise: `TruncatedWigner` or `GaussianMoments`; None for the equations without noise.
        look_every: steps between two looks at the energy, of which each run returns the lowest; a look costs as much as a step.
            0 for the last state, at no cost. The chaotic machines visit ground states and leave them: look for minima, and
            sample with 0.
        scale: xi, a fixed gain of the feedback as a real machine has it: smaller weights are then harder to tell from noise. None
            for the one above, to which a problem and its multiples are the same.
        pulses: how many the machine has; a larger problem is refused. None for as many as it takes.
        round_trip_s: seconds per round trip, for the time that the optics would have taken (1 km of fibre: 5 microseconds).
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Heuristic: an optimiser, whose states have no temperature that is known beforehand. Rows are independent.

    Raises:
        InvalidSettingError: a setting outside its domain.
        InvalidProblemError: more sites than pulses.

    Cost:
        A step multiplies the couplings with every run's amplitudes: O(sites^2) dense, O(edges) sparse, some 50 G
        multiply-adds a second and core where vectors have sixteen lanes; memory O(runs * sites).

    References:
        Reifenstein, Kako, Khoyratee, Leleu & Yamamoto, Adv. Quantum Technol. 4 (2021) 2100077 (arXiv 2108.07369).

    Example:
        >>> problem = Ising([0.0, 0.0, 0.0], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> CoherentIsingMachine(steps=200).draw(problem, 4, seed=0).energies.tolist()
        [-2.0, -2.0, -2.0, -2.0]
    """

    law: ClassVar[Law] = "heuristic"
    runs_on_gpu: ClassVar[bool] = True

    steps: int = 2000
    dt: float = 0.1
    feedback: Feedback = field(default_factory=ChaoticFeedbackControl)
    noise: QuantumNoise | None = None
    look_every: int = 10
    scale: float | None = None
    pulses: int | None = None
    round_trip_s: float = 5e-6
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("steps", self.steps)
        positive_number("dt", self.dt)
        nonnegative_integer("look_every", self.look_every)
        nonnegative_number("round_trip_s", self.round_trip_s)
        if self.scale is not None:
            positive_number("scale", self.scale)
        thread_count(self.threads)
        if self.pulses is not None:
            positive_integer("pulses", self.pulses)
        if not isinstance(self.feedback, Feedback):
            raise InvalidSettingError(
                f"feedback must be a Feedback such as ChaoticFeedbackControl(), got {self.feedback!r}"
            )
        if not isinstance(self.noise, QuantumNoise | None):
            raise InvalidSettingError(f"noise must be TruncatedWigner(), GaussianMoments() or None, got {self.noise!r}")

    @property
    def sees_scale(self) -> bool:  # type: ignore[override]
        """Only with a fixed gain."""
        return self.scale is not None

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return one state of each of `count` runs per problem; see `Sampler.draw`.

        `info.details` holds the round trips of a run and the seconds that the optics would have taken, run after run.
        """
        started = time.perf_counter()
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        start = self._start(problem, count, resolved, initial)
        spins, _ = self._run(problem, start, resolved, 0)
        draws = draws_of(
            self,
            problem,
            spins.reshape(start.shape).to(problem.device),
            beta=None,
            seed=resolved,
            sweeps=self.steps,
            seconds=time.perf_counter() - started,
        )
        return replace(draws, info=replace(draws.info, details=self._machine_time(start.numel() // problem.sites)))

    def trajectories(self, problem: Ising, count: int, *, every: int, seed: Seed = None) -> Tensor:
        """Return the amplitudes on the way: those of the runs that `draw` makes with the same seed.

        Args:
            problem: a single problem.
            count: runs.
            every: steps between two records.
            seed: as `draw`.

        Returns:
            Amplitudes, float32, shape (steps // every, count, sites).

        Raises:
            InvalidSettingError: a batch of problems, or a number outside its domain.
        """
        require_single(problem)
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        start = self._start(problem, count, resolved, None)
        return self._run(problem, start, resolved, positive_integer("every", every))[1].cpu()

    def _start(self, problem: Ising, count: int, seed: int, initial: Tensor | None) -> Tensor:
        """Return the first amplitudes, of the shape that the spins will have."""
        if self.pulses is not None and require_problem(problem).sites > self.pulses:
            raise InvalidProblemError(f"the problem has {problem.sites} sites and this machine {self.pulses} pulses")
        spins = initial_spins(problem, count, seed, initial).cpu()
        amplitudes = self.feedback.first_amplitude * normal(derive_seed(seed, 1), *spins.shape)
        return amplitudes if initial is None else amplitudes.abs() * spins

    def _run(self, problem: Ising, start: Tensor, seed: int, gap: int) -> tuple[Tensor, Tensor]:
        """Return the spins of the runs and the records of their amplitudes."""
        fields, amplitudes = fields_of_runs(problem, start), start.reshape(-1, problem.sites).to(torch.float32)
        machine = (self.feedback.drive(self.steps, self.dt), self._optics(problem))
        settings: dict[str, Any] = {"seed": seed, "every": self.look_every, "gap": gap}
        with progress_bar(type(self).__name__, self.progress) as report:
            if devices.serves(problem.device):
                from spinlight.kernels import gpu_machines

                tensors = (problem.couplings.to(torch.float32), fields, amplitudes.to(problem.device))
                there = gpu_machines.run_optical(*tensors, *machine, progress=report, **settings)
                return there.spins, there.records
            from spinlight.kernels import machines

            arrays = (kernel_couplings(problem), fields.cpu().numpy(), amplitudes.numpy())
            threads = thread_count(self.threads)
            here = machines.run_optical(*arrays, *machine, threads=threads, progress=report, **settings)
            return torch.from_numpy(here.spins), torch.from_numpy(here.records)

    def _optics(self, problem: Ising) -> Any:
        from spinlight.kernels import oscillators

        kind = {type(None): oscillators.NOISELESS, TruncatedWigner: oscillators.WIGNER}.get(
            type(self.noise), oscillators.GAUSSIAN
        )
        photon = 0.0 if self.noise is None else self.noise.photon
        measured = getattr(self.noise, "reflectivity", getattr(self.noise, "measured", 0.5))
        scale = feedback_scale(problem) if self.scale is None else self.scale
        numbers = (scale, self.feedback.pull, photon, measured)
        return oscillators.Optics(self.feedback.control, kind, *map(np.float32, numbers))

    def _machine_time(self, runs: int) -> Mapping[str, float]:
        time_steps = self.feedback.drive(self.steps, self.dt).step.astype(np.float64)
        round_trips = float(time_steps.sum()) * _ROUND_TRIPS_PER_LIFETIME
        return {"round_trips": round_trips, "machine_seconds": runs * round_trips * self.round_trip_s}


def feedback_scale(problem: Ising) -> float:
    """Return xi = sqrt(2 sites / sum_ij J_ij^2), both triangles counted; of a problem without couplings, that of its fields.

    Local fields of random spins then have a variance of two.
    """
    weights = problem.couplings.values() if problem.is_sparse else problem.couplings
    squares = float(weights.square().sum()) or float(problem.fields.square().mean()) * problem.sites
    return math.sqrt(2 * problem.sites / squares) if squares > 0 else 1.0


def _require_share(name: str, value: float) -> None:
    if not 0 < positive_number(name, value) < 1:
        raise InvalidSettingError(f"{name} must lie in (0, 1), got {value!r}")
