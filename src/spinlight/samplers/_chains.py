"""Chains that sweep: their settings, and the way from a problem and its chains to the kernels and back."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import nonnegative_integer, nonnegative_number, thread_count
from spinlight._errors import InvalidSettingError, InvalidStateError, SpinlightWarning
from spinlight._progress import progress_bar
from spinlight.ising import Ising, Law
from spinlight.ising.packing import LARGEST_FIELD, device_couplings, kernel_couplings, largest_local_field
from spinlight.ising.problem import require_problem
from spinlight.kernels import devices
from spinlight.samplers.base import ChainState, MarkovChain, fields_of_runs

_LARGEST_BETA = 1e30

_RELATIVE_ROUNDING = 2.0**-24
_VISIBLE_ROUNDING = 1e-3
"""Rounding of beta times a local field above which the law is visibly another one."""


def warn_of_rounding(problem: Ising, beta: float) -> None:
    """Warn where weights are so different in size that float32 local fields lose the small ones.

    Whole-numbered local fields below 2^24 lose nothing.
    """
    largest = float(largest_local_field(problem))
    rounding = beta * largest * _RELATIVE_ROUNDING
    if rounding > _VISIBLE_ROUNDING and largest <= LARGEST_FIELD and not _is_exact(problem, largest):
        warnings.warn(
            f"beta times the largest local field is {rounding / _RELATIVE_ROUNDING:.3g}: float32 rounds it by {rounding:.2g}, so "
            "fields and couplings of that size or smaller are not sampled faithfully; use smaller penalties",
            SpinlightWarning,
            stacklevel=6,
        )


def require_beta(problem: Ising, beta: float, largest: float | None = None) -> None:
    """Refuse an inverse temperature beyond float32, and warn where rounding at the last one changes the law."""
    warn_of_rounding(problem, beta)
    if (beta if largest is None else largest) > _LARGEST_BETA:
        raise InvalidSettingError(
            f"beta must be at most {_LARGEST_BETA:g} for the samplers' float32 arithmetic; scale the problem"
        )


def _is_exact(problem: Ising, largest: float) -> bool:
    weights = problem.couplings.values() if problem.is_sparse else problem.couplings
    whole = all(bool((part == part.round()).all()) for part in (weights, problem.fields))
    return whole and largest * _RELATIVE_ROUNDING <= 1


@dataclass(frozen=True, kw_only=True)
class SweepingChain(MarkovChain):
    """A Markov chain at one temperature that visits the sites in turn; the rule of a visit is what a sampler adds."""

    law: ClassVar[Law] = "asymptotic"
    runs_on_gpu: ClassVar[bool] = True

    sweeps: int = 1000
    beta: float = 1.0
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        nonnegative_integer("sweeps", self.sweeps)
        nonnegative_number("beta", self.beta)
        thread_count(self.threads)

    @property
    @abstractmethod
    def heat_bath(self) -> bool:
        """Whether a visit draws from the conditional law, rather than proposing a flip."""

    def step(self, problem: Ising, state: ChainState, sweeps: int) -> ChainState:
        """Return the chains after `sweeps` more sweeps; see `MarkovChain.step`."""
        require_problem(problem)
        spins = sweep(
            problem,
            state.spins,
            np.full(nonnegative_integer("sweeps", sweeps), float(self.beta)),
            heat_bath=self.heat_bath,
            seed=state.seed,
            first_sweep=state.sweeps,
            threads=self.threads,
            progress=self.progress,
            title=type(self).__name__,
        )
        return ChainState(spins, state.seed, state.sweeps + int(sweeps))


def sweep(
    problem: Ising,
    spins: Tensor,
    betas: NDArray[np.float64],
    *,
    heat_bath: bool,
    seed: int,
    first_sweep: int,
    threads: int | None,
    progress: bool,
    title: str,
) -> Tensor:
    """Return the chains after one sweep per entry of `betas`: int8, the shape and device of `spins`."""
    from spinlight.kernels import run

    _require_fit(problem, spins)
    if len(betas):
        require_beta(problem, float(betas[-1]), float(betas.max()))
    chains, fields = spins.reshape(-1, problem.sites).to(problem.device), fields_of_runs(problem, spins)
    settings: dict[str, Any] = {
        "rule": run.HEAT_BATH if heat_bath else run.METROPOLIS,
        "seed": seed,
        "first_sweep": first_sweep,
    }
    with progress_bar(title, progress) as report:
        if devices.serves(problem.device):
            from spinlight.kernels import gpu_run

            swept = gpu_run.sweep_chains(device_couplings(problem), fields, chains, betas, progress=report, **settings)
            return swept.reshape(spins.shape)
        arrays = (kernel_couplings(problem), fields.cpu().numpy(), chains.cpu().numpy(), betas)
        on_cpu = run.sweep_chains(*arrays, threads=thread_count(threads), progress=report, **settings)
    return torch.from_numpy(on_cpu).reshape(spins.shape).to(problem.device)


def _require_fit(problem: Ising, spins: Tensor) -> None:
    leading = () if problem.batch is None else (problem.batch,)
    if spins.ndim != 2 + len(leading) or spins.shape[: len(leading)] != leading or spins.shape[-1] != problem.sites:
        raise InvalidStateError(
            f"chains of this problem need shape {(*leading, 'chains', problem.sites)}, got {tuple(spins.shape)}"
        )
