"""What a sampler is: `draw` for every one, `init` and `step` besides for Markov chains."""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

import spinlight
from spinlight._checks import integer, positive_integer, spins_of
from spinlight._errors import FileFormatError, InvalidSettingError, InvalidStateError
from spinlight._files import atomic_file, load_arrays
from spinlight._plain import plain
from spinlight._random import Seed, derive_seed, resolve_seed, uniform
from spinlight.ising import DrawInfo, Draws, Ising, Law
from spinlight.ising.packing import device_fields
from spinlight.ising.problem import require_problem
from spinlight.kernels import devices


class Sampler(ABC):
    """Draws states of Ising problems.

    A sampler is a frozen dataclass of its settings: it holds no problem, no state and no random generator, so that it can
    be copied, pickled and shared between threads. `Persistent` alone has a memory, its chains, and a lock around it.
    """

    law: ClassVar[Law]
    """How the draws relate to the Boltzmann distribution."""

    corrected: ClassVar[bool] = False
    """Whether heuristic draws carry what makes means of them usable, as `Reweighted` ones do."""

    divisible: ClassVar[bool] = True
    """Whether the draws of several calls, put together, are those of one: not where rows are chosen or weighed among each other."""

    sees_scale: ClassVar[bool] = True
    """Whether a problem and its multiples are different problems to it: where they are not, there is nothing to calibrate."""

    runs_on_gpu: ClassVar[bool] = False
    """Whether problems on a CUDA device are sampled there, rather than on the CPU and copied back."""

    @abstractmethod
    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` states of each problem.

        Args:
            problem: one problem, or a batch that shares its couplings.
            count: states per problem, at least 1.
            seed: integer in [0, 2^63), generator, or None for fresh entropy; it is recorded in the draws.
            initial: states to start from, -1/+1, shape (count, sites) or (batch, count, sites).

        Returns:
            Draws with spins of shape (count, sites), or (batch, count, sites) for a batch.

        Raises:
            InvalidProblemError: something else than an Ising problem.
            InvalidStateError: initial states of the wrong shape or other than -1/+1.
            InvalidSettingError: a count or seed outside its domain.
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        # The class of a part is a setting too; that of the sampler itself stands beside its settings.
        return {item.name: _named(getattr(value, item.name)) for item in fields(value) if item.init}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return plain(value)


def _named(value: Any) -> Any:
    # A sampler decides what its settings say: one that holds somebody else's object must not show what is in it.
    found = value.settings() if isinstance(value, Sampler) else _plain(value)
    return {"class": type(value).__name__} | found if isinstance(found, dict) else found


_MOST_SWEEPS = 2**63 - 1
"""A walk may go on for longer than any one call, up to the end of its counter."""


@dataclass(frozen=True, eq=False)
class ChainState:
    """The whole state of a set of Markov chains: with the same problem and sampler it goes on as it would have.

    Exactly so where local fields are exact in float32 (integer problems); otherwise but for the rare decision that hangs on a
    last digit.

    Args:
        spins: -1/+1, int8, shape (chains, sites) or (batch, chains, sites).
        seed: names the random streams.
        sweeps: sweeps done so far; the next ones use streams that no earlier ones used.

    Raises:
        InvalidStateError: spins other than -1/+1.
        InvalidSettingError: a seed or number of sweeps outside its domain.
    """

    spins: Tensor
    seed: int
    sweeps: int = 0

    def __post_init__(self) -> None:
        """Check that these can be states of chains."""
        object.__setattr__(self, "spins", spins_of(self.spins).to(torch.int8, copy=True))
        object.__setattr__(self, "seed", resolve_seed(self.seed))
        object.__setattr__(self, "sweeps", integer("sweeps", self.sweeps, least=0, most=_MOST_SWEEPS))

    @property
    def bits(self) -> Tensor:
        """The states as bits (1 + s) / 2, int8."""
        return (self.spins + 1) // 2

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an npz file, atomically and without pickle."""
        about = json.dumps({name: getattr(self, name) for name in ("seed", "sweeps")})
        with atomic_file(path) as file:
            np.savez_compressed(file, spins=self.spins.cpu().numpy(), about=np.array(about))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> ChainState:
        """Read a state written by `save`.

        Raises:
            FileFormatError: the file holds no chain state.
        """
        arrays = load_arrays(path)
        try:
            return ChainState(torch.from_numpy(arrays["spins"]), **json.loads(str(arrays["about"])))
        except (ValueError, KeyError, TypeError) as error:
            name = os.fspath(path)
            raise FileFormatError(f"{name} holds no chain state that ChainState.save wrote: {error}") from error


class MarkovChain(Sampler):
    """A sampler that walks: persistent chains, tempering and diagnostics are built on `init` and `step`.

    Args:
        sweeps: visits of every site per chain in `draw`.
        beta: inverse temperature.
    """

    sweeps: int
    beta: float

    def init(self, problem: Ising, chains: int, *, seed: Seed = None, initial: Tensor | None = None) -> ChainState:
        """Return chains at `initial`, or at uniformly random states; arguments and errors as `draw`."""
        chains = positive_integer("chains", chains)
        resolved = resolve_seed(seed)
        return ChainState(initial_spins(problem, chains, resolved, initial), resolved)

    @abstractmethod
    def step(self, problem: Ising, state: ChainState, sweeps: int) -> ChainState:
        """Return the chains after `sweeps` more sweeps; `state` itself is left as it is.

        Args:
            problem: the one that the chains walk on; it may have changed since, as in training, but not in shape.
            state: from `init` or an earlier `step`.
            sweeps: at least 0.

        Raises:
            InvalidStateError: a state that does not fit the problem.
        """

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return the last states of `count` independent chains per problem; see `Sampler.draw`."""
        started = time.perf_counter()
        state = self.init(problem, positive_integer("count", count), seed=seed, initial=initial)
        spins = self.step(problem, state, self.sweeps).spins
        seconds = time.perf_counter() - started
        return draws_of(self, problem, spins, beta=self.beta, seed=state.seed, sweeps=self.sweeps, seconds=seconds)


def require_sampler(sampler: object) -> None:
    """Refuse what is no sampler."""
    if isinstance(sampler, type) or not callable(getattr(sampler, "draw", None)):
        raise InvalidSettingError(f"sampler must be a sampler such as Gibbs(), got {sampler!r}")


def wrapped(sampler: Sampler, draws: Draws) -> Draws:
    """Return draws of an inner sampler as those of the one around it; seed, sweeps, seconds and details stay."""
    info = replace(draws.info, sampler=type(sampler).__name__, law=sampler.law, settings=sampler.settings())
    return replace(draws, info=info)


def initial_spins(problem: Ising, count: int, seed: int, initial: Tensor | None) -> Tensor:
    """Return int8 starting states of shape (count, sites) or (batch, count, sites): a copy of `initial`, or random ones."""
    require_problem(problem)
    shape = (count, problem.sites) if problem.batch is None else (problem.batch, count, problem.sites)
    if initial is None:
        return (2 * (uniform(derive_seed(seed, 0), *shape) < 0.5).to(torch.int8) - 1).to(problem.device)
    spins = spins_of(initial, problem.sites)
    if spins.shape != shape:
        raise InvalidStateError(f"initial states must have shape {shape}, got {tuple(spins.shape)}")
    return spins.to(problem.device, torch.int8, copy=True)


def draws_of(
    sampler: Sampler,
    problem: Ising,
    spins: Tensor,
    *,
    beta: float | None,
    seed: int,
    sweeps: int | None,
    seconds: float,
) -> Draws:
    """Return `spins` as draws, their energies recomputed in float64 and their origin recorded."""
    info = DrawInfo(
        sampler=type(sampler).__name__,
        law=sampler.law,
        beta=None if beta is None else float(beta),
        seed=seed,
        sweeps=None if sweeps is None else int(sweeps),
        seconds=seconds,
        device=str(problem.device) if sampler.runs_on_gpu and devices.serves(problem.device) else "cpu",
        version=spinlight.__version__,
        settings=sampler.settings(),
    )
    return Draws(spins, problem.energy(spins), info)


def fields_of_runs(problem: Ising, states: Tensor) -> Tensor:
    """Return the fields as the kernels take them, on the problem's device: shared, or one row per run."""
    fields = device_fields(problem)
    return fields if problem.batch is None else fields.repeat_interleave(states.shape[1], 0)
