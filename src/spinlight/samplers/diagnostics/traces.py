"""Chains with a time axis: functions of the states, recorded as the chains walk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import MOST, integer, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._progress import progress_bar
from spinlight._random import Seed
from spinlight.ising import Draws, Ising
from spinlight.ising.problem import require_single
from spinlight.samplers.base import MarkovChain, draws_of
from spinlight.samplers.diagnostics.mixing import SHORTEST, Mixing, mixing


def mean_spin(spins: Tensor) -> Tensor:
    """Return sum_i s_i / sites: the sign of a valley, which the energy of a problem without fields cannot tell."""
    return spins.mean(-1)


@dataclass(frozen=True, eq=False)
class Trace:
    """Functions of the states along chains, and the states that the chains ended at.

    Args:
        values: by name, "energy" always among them; float64, each of shape (time, chains).
        draws: the last state of every chain, independent of each other: what the sampler itself would have returned after so many
            sweeps.
        sweeps_between: sweeps from one row of the values to the next.
    """

    values: Mapping[str, Tensor]
    draws: Draws
    sweeps_between: int

    def mixing(self) -> dict[str, Mixing]:
        """Return split R-hat, effective draws and autocorrelation time by the name of the function."""
        return {name: mixing(values, sweeps_between=self.sweeps_between) for name, values in self.values.items()}


def record(
    sampler: MarkovChain,
    problem: Ising,
    *,
    chains: int = 16,
    draws_per_chain: int = 1000,
    sweeps_between: int = 1,
    functions: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    seed: Seed = None,
) -> Trace:
    """Walk chains and write down the energy, and other functions of the states, every few sweeps.

    The first `sampler.sweeps` sweeps are left out: what is judged is whether they were enough. Chains recorded by
    `Gibbs(sweeps=0)` show the way from the random start.

    Args:
        sampler: a Markov chain.
        problem: a single problem.
        chains: independent ones; with one alone, other valleys go unnoticed.
        draws_per_chain: rows of the trace, at least 4.
        sweeps_between: sweeps from one row to the next.
        functions: by name, each maps spins as float32, shape (chains, sites), to finite values of shape (chains,). None: the mean
            spin.
        seed: integer in [0, 2^63), generator, or None for fresh entropy.

    Raises:
        InvalidSettingError: a sampler that does not walk, a batch, a number outside its domain, or a function named "energy".
        InvalidStateError: a function that returns something else.

    Cost:
        Memory for draws_per_chain * chains numbers per function: the states themselves are not kept.

    Example:
        >>> from spinlight.samplers import Gibbs
        >>> pair = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> trace = record(Gibbs(), pair, chains=8, draws_per_chain=500, seed=0)
        >>> trace.mixing()["energy"].split_r_hat < 1.01
        True
    """
    if not isinstance(sampler, MarkovChain):
        raise InvalidSettingError(
            f"record walks a Markov chain such as Gibbs(), got {sampler!r}; diagnose(problem, draws) takes draws of any sampler"
        )
    require_single(problem)
    length = integer("draws_per_chain", draws_per_chain, least=SHORTEST, most=MOST)
    stride = positive_integer("sweeps_between", sweeps_between)
    functions = {"mean spin": mean_spin} if functions is None else dict(functions)
    if "energy" in functions:
        raise InvalidSettingError("the energy is always recorded; give this function another name")
    started = time.perf_counter()
    state = sampler.step(problem, sampler.init(problem, chains, seed=seed), sampler.sweeps)
    values = {name: torch.empty(length, chains, dtype=torch.float64) for name in ("energy", *functions)}
    with progress_bar("recording", getattr(sampler, "progress", True)) as report:
        for row in range(length):
            state = sampler.step(problem, state, stride)
            values["energy"][row] = problem.energy(state.spins)
            for name, function in functions.items():
                values[name][row] = _checked(function(state.spins.to(torch.float32)), name, chains)
            if report is not None:
                report(row + 1, length)
    seconds = time.perf_counter() - started
    draws = draws_of(
        sampler, problem, state.spins, beta=sampler.beta, seed=state.seed, sweeps=state.sweeps, seconds=seconds
    )
    return Trace(values, draws, stride)


def _checked(values: object, name: str, chains: int) -> Tensor:
    if not isinstance(values, Tensor) or values.shape != (chains,) or not bool(values.isfinite().all()):
        raise InvalidStateError(f"function {name!r} must return finite numbers of shape ({chains},), got {values!r}")
    return values
