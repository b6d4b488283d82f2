"""The Kaiwu SDK's interface, both ways: any object that solves a Kaiwu matrix as a sampler, and any sampler as such an object."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import integer, positive_integer, spins_of
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, SolverError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising, Law, ising_from_kaiwu, kaiwu_from_ising, spins_from_kaiwu_rows
from spinlight.samplers._foreign import (
    Ask,
    check_limits,
    first_states,
    gather,
    keywords_of,
    require_enough_calls,
    single_problems,
)
from spinlight.samplers.base import Sampler, draws_of, initial_spins, require_sampler


@dataclass(frozen=True, kw_only=True)
class SolveSampler(Sampler):
    """Draws through any object with `solve(matrix)`: the Kaiwu SDK's optimisers, its coherent Ising machine among them.

    The matrix is M of H(t) = - t^T M t over the spins and an auxiliary last one that carries the fields; rows are multiplied
    by their last column on return. Energies are recomputed. A call returns as many rows as the solver likes: the first `count`
    are kept, in its order, and if they are too few it is called again. Its own errors (the SDK's `KaiwuError`) pass through.

    `info.details` says how many `calls` were made, how many states they `returned`, how many `repeated_calls` brought exactly
    the rows of the first (what a solver does that keeps the results of a task, or that is deterministic), and whether the
    solver was `seeded`.

    Args:
        solver: has `solve(matrix)`, which takes a float64 array of shape (sites + 1, sites + 1) and returns rows of -1/+1, shape
            (states, sites + 1); its `solve` is also given a `seed` if it has an argument of this name. Whatever else it holds,
            an account for one, is neither read nor recorded.
        bits: of the machine's weights, sign included, 2 to 24 (8: from -128 to 127): the matrix is scaled to the smallest whole
            numbers, and a problem for which there are none is refused. `Quantized` makes one that has them. None to hand over
            J / 2 and h / 2 as they are.
        states_per_call: what a call returns, where that is known: a count that needs too many calls is then refused before
            the first.
        most_calls: per problem. A machine's call takes minutes and may be charged, so that more than one must be wished for.

    Law:
        Heuristic: an optimiser, or a machine of unknown temperature. A solver without a seed does not repeat its draws.

    Raises:
        InvalidSettingError: no solver, a setting outside its domain, more calls needed than allowed; initial states, which no
            solver takes.
        InvalidProblemError: weights that are no whole numbers of `bits` bits.
        InvalidStateError: an answer that is no rows of -1/+1, one entry per site and one for the auxiliary spin.
        SolverError: no states, too few, or None: the task is not finished. States that came are in the error.

    Example:
        >>> from spinlight.samplers import Exact, Quantized
        >>> machine = SolveSampler(solver=AsSolver(sampler=Exact(beta=20.0), count=10), bits=8)  # a stand-in for a machine
        >>> problem = Ising([0.3, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> Quantized(sampler=machine, bits=8).draw(problem, 4, seed=1).energies.tolist()
        [-1.3, -1.3, -1.3, -1.3]
    """

    law: ClassVar[Law] = "heuristic"
    divisible: ClassVar[bool] = False

    solver: Any = field(repr=False)
    bits: int | None = None
    states_per_call: int | None = None
    most_calls: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.solver, type) or not callable(getattr(self.solver, "solve", None)):
            raise InvalidSettingError(f"solver must be an object with solve(matrix), got {type(self.solver).__name__}")
        if self.bits is not None:
            integer("bits", self.bits, least=2, most=24)
        check_limits(self.states_per_call, self.most_calls)

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; of the solver its class only, which holds no secrets."""
        names = ("bits", "states_per_call", "most_calls")
        return {"solver": type(self.solver).__name__} | {name: getattr(self, name) for name in names}

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` states of each problem; see `Sampler.draw`."""
        started = time.perf_counter()
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        problems = single_problems(problem)
        if initial is not None:
            initial_spins(problem, count, resolved, initial)
            raise InvalidSettingError("a solver takes no initial states; leave out `initial`")
        require_enough_calls(count, self.states_per_call, self.most_calls)
        for each in problems if self.bits is not None else ():
            self._matrix(each)  # all are checked before the first call, and made again one by one: a batch is large
        asks = (self._ask(self._matrix(each), derive_seed(resolved, row)) for row, each in enumerate(problems))
        found = gather(asks, count, self.most_calls)
        spins, seconds = first_states(found, problem, count), time.perf_counter() - started
        draws = draws_of(self, problem, spins, beta=None, seed=resolved, sweeps=None, seconds=seconds)
        return replace(draws, info=replace(draws.info, details=self._details(found)))

    def _matrix(self, problem: Ising) -> NDArray[np.float64]:
        """Return the matrix to hand over; whole numbers stay float64, as the energies of small integers overflow."""
        matrix, _ = kaiwu_from_ising(problem)
        return (matrix if self.bits is None else whole_numbers(matrix, self.bits)).cpu().numpy()

    def _ask(self, matrix: NDArray[np.float64], seed: int) -> Ask:
        """Return the function that calls the solver once more."""
        seeded, name = self._seeded(), type(self.solver).__name__

        def ask(have: int) -> Tensor:
            # A solver may write into what it is given, and the number of states so far tells one call's seed from another's.
            rows = self.solver.solve(matrix.copy(), **({"seed": derive_seed(seed, have)} if seeded else {}))
            if rows is None:
                raise SolverError(
                    f"{name}.solve returned None: its task is not finished. Draw again later, from the same problem and a solver "
                    "with the same task name, or let it wait (CIMOptimizer: wait=True)"
                )
            states = spins_of(rows)
            if not states.numel():
                raise SolverError(f"{name}.solve returned no rows")
            if states.ndim != 2 or states.shape[1] != len(matrix):
                raise InvalidStateError(
                    f"{name}.solve must return rows of {len(matrix)} entries, the auxiliary one last; got shape {tuple(states.shape)}"
                )
            return spins_from_kaiwu_rows(states)

        return ask

    def _seeded(self) -> bool:
        return "seed" in keywords_of(self.solver.solve)

    def _details(self, found: list[list[Tensor]]) -> dict[str, Any]:
        return {
            "calls": sum(map(len, found)),
            "returned": sum(len(part) for parts in found for part in parts),
            "repeated_calls": sum(torch.equal(part, parts[0]) for parts in found for part in parts[1:]),
            "seeded": self._seeded(),
        }


@dataclass(frozen=True, kw_only=True)
class AsSolver:
    """A sampler as an object with `solve(matrix)`, for code that expects one of the Kaiwu SDK's optimisers.

    Args:
        sampler: any.
        count: how many rows a call returns.

    Raises:
        InvalidSettingError: no sampler, or a count that is no positive integer.

    Example:
        >>> from spinlight.samplers import Exact
        >>> AsSolver(sampler=Exact(beta=20.0), count=2).solve([[0.0, 0.5, 0.5], [0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]).tolist()
        [[1, 1, 1], [1, 1, 1]]
    """

    sampler: Sampler
    count: int = 10

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)
        positive_integer("count", self.count)

    def solve(self, matrix: object, *, seed: Seed = None) -> NDArray[np.int8]:
        """Return rows drawn for H(t) = - t^T M t.

        Args:
            matrix: M, symmetric, shape (sites + 1, sites + 1).
            seed: as `Sampler.draw`.

        Returns:
            int8, shape (count, sites + 1), the auxiliary spin last, at +1.

        Raises:
            InvalidProblemError: no symmetric matrix of finite numbers.
        """
        spins = self.sampler.draw(ising_from_kaiwu(matrix), self.count, seed=seed).spins.cpu().numpy()
        return np.concatenate([spins, np.ones_like(spins[:, :1])], 1)


def whole_numbers(matrix: Tensor, bits: int) -> Tensor:
    """Return the matrix times the factor that makes its entries the smallest whole numbers: H keeps its order of states.

    The least common multiple of the denominators of M / max |M|, as fractions that `bits` bits allow, is the largest entry.

    Raises:
        InvalidProblemError: there are none from -2^(bits - 1) to 2^(bits - 1) - 1.
    """
    most, largest, multiple = 2 ** (bits - 1), float(matrix.abs().max()) or 1.0, 1
    for ratio in (matrix / largest).unique().tolist():
        multiple = math.lcm(multiple, Fraction(ratio).limit_denominator(most).denominator)
        if multiple > most:
            break
    scaled = matrix * (multiple / largest)
    whole = scaled.round()
    if float((scaled - whole).abs().max()) > _ROUNDING or not -most <= float(whole.min()) <= float(whole.max()) < most:
        raise InvalidProblemError(
            f"weights are no whole multiples of one unit from {-most} to {most - 1}; round them by Quantized(sampler=..., bits={bits})"
        )
    return whole


_ROUNDING = 1e-6
"""Distance from a whole number that is taken for rounding."""
