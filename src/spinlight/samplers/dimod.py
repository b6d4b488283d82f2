"""D-Wave's interface, both ways: any dimod sampler as ours, and any of ours as a dimod sampler."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import positive_integer, require_extra
from spinlight._errors import InvalidSettingError, InvalidStateError, SolverError
from spinlight._plain import plain
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising, Law, dimod_from_ising
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

_OURS = frozenset({"num_reads", "seed", "initial_states"})
"""Arguments of a dimod sampler that `draw` fills in."""


@dataclass(frozen=True, kw_only=True)
class DimodSampler(Sampler):
    """Draws through any `dimod.Sampler`: D-Wave's machines, Ocean's samplers, OpenJij's.

    The problem is handed over with its signs turned round, linear = - h and quadratic = - J, and the energies of the draws are
    those of the problem, recomputed. `num_reads`, `seed` and `initial_states` are passed on to samplers that take them; one
    without `num_reads` is called until there are enough states. A row that stands for several reads becomes as many draws, and
    what is returned beyond the count is cut: the first ones are kept, in the sampler's order.

    `info.details` says how many `calls` were made, whether the sampler was `seeded`, and its `answers`: the `info` of each call.

    Args:
        sampler: the dimod sampler.
        arguments: what else its `sample` is to be called with.
        states_per_call: the most states to ask of one call, where there is a limit; None for all at once. OpenJij gives every
            read of a call the same result once it has a seed, as it has here: 1 makes it draw different ones.
        most_calls: per problem, above which too few states are an error.

    Law:
        Heuristic: nobody here knows. A sampler without a seed, such as a machine, does not repeat its draws.

    Raises:
        InvalidSettingError: no dimod sampler, arguments that it does not take or that `draw` fills in, more calls needed than
            allowed; initial states for a sampler that takes none.
        InvalidStateError: an answer that is no sample set over the problem's variables.
        SolverError: no states, or too few; those that came are in the error.
        MissingExtraError: dimod is not installed.

    Cost:
        Problems of a batch are taken one after the other, each as a model that dimod builds in O(edges).

    Example:
        >>> import dimod
        >>> problem = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> DimodSampler(sampler=dimod.ExactSolver()).draw(problem, 4).energies.sort().values.tolist()
        [-1.5, -0.5, 0.5, 1.5]
    """

    law: ClassVar[Law] = "heuristic"

    sampler: Any = field(repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    states_per_call: int | None = None
    most_calls: int = 1000

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.sampler, require_extra("dimod", "dimod").Sampler):
            raise InvalidSettingError(f"sampler must be a dimod.Sampler object, got {type(self.sampler).__name__}")
        check_limits(self.states_per_call, self.most_calls)
        object.__setattr__(self, "arguments", dict(self.arguments))
        taken = self._taken()
        for name in self.arguments:
            if name in _OURS:
                raise InvalidSettingError(f"{name} is filled in by draw(problem, count, seed=..., initial=...)")
            if name not in taken:
                raise InvalidSettingError(
                    f"{type(self.sampler).__name__} takes no argument {name!r}, but {', '.join(sorted(taken))}"
                )

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; of the foreign sampler its class only, which holds no secrets."""
        return {
            "sampler": type(self.sampler).__name__,
            "arguments": plain(self.arguments),
            "states_per_call": self.states_per_call,
            "most_calls": self.most_calls,
        }

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` states of each problem; see `Sampler.draw`."""
        started = time.perf_counter()
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        problems = single_problems(problem)
        starts = None if initial is None else self._starts(problem, count, resolved, initial)
        require_enough_calls(count, self.states_per_call, self.most_calls)
        answers: list[Any] = []
        asks = (
            self._ask(each, count, resolved, None if starts is None else starts[row], answers)
            for row, each in enumerate(problems)
        )
        spins = first_states(gather(asks, count, self.most_calls), problem, count)
        seconds = time.perf_counter() - started
        draws = draws_of(self, problem, spins, beta=None, seed=resolved, sweeps=None, seconds=seconds)
        details = {"calls": len(answers), "seeded": "seed" in self._taken(), "answers": answers}
        return replace(draws, info=replace(draws.info, details=details))

    def _taken(self) -> set[str]:
        """Return the names of the arguments that the sampler takes: some list them as parameters, some in `sample` only."""
        return {*(self.sampler.parameters or ()), *keywords_of(self.sampler.sample)}

    def _starts(self, problem: Ising, count: int, seed: int, initial: Tensor) -> Tensor:
        """Return the initial states, shape (problems, count, sites)."""
        states = initial_spins(problem, count, seed, initial)
        if "initial_states" not in self._taken():
            raise InvalidSettingError(f"{type(self.sampler).__name__} takes no initial states; leave out `initial`")
        return states.reshape(-1, count, problem.sites).cpu()

    def _ask(self, problem: Ising, count: int, seed: int, starts: Tensor | None, answers: list[Any]) -> Ask:
        """Return the function that calls the sampler once more and notes its answer."""
        model, taken = dimod_from_ising(problem), self._taken()

        def ask(have: int) -> Tensor:
            wanted = min(count - have, self.states_per_call or count)
            # D-Wave's samplers take seeds of 31 bits.
            offered: dict[str, Any] = {"num_reads": wanted, "seed": derive_seed(seed, len(answers)) % 2**31}
            if starts is not None:
                offered["initial_states"] = (starts[have : have + wanted].numpy(), list(range(problem.sites)))
            offered = {name: value for name, value in offered.items() if name in taken}
            answer = self.sampler.sample(model, **self.arguments, **offered)
            states = _states(answer, problem.sites)
            answers.append(plain(answer.info))
            if not len(states):
                raise SolverError(f"{type(self.sampler).__name__} returned no states")
            return states

        return ask


def as_dimod(sampler: Sampler) -> Any:
    """Return a sampler of this library as a `dimod.Sampler`, for software that expects one.

    It has `sample`, `sample_ising` and `sample_qubo`, which take `num_reads` (default: as many as initial states, or 1), `seed`
    (as `Sampler.draw`), and `initial_states` with `initial_states_generator`, as dimod's `Initialized` explains them. Variables
    keep their names, a model over bits gets bits. Its energies are dimod's, and `info` tells where the samples came from.

    Args:
        sampler: any.

    Raises:
        InvalidSettingError: no sampler.
        MissingExtraError: dimod is not installed.

    Example:
        >>> from spinlight.samplers import SimulatedAnnealing
        >>> annealer = as_dimod(SimulatedAnnealing(sweeps=100, beta=5.0))
        >>> found = annealer.sample_qubo({("tea", "tea"): -1.0, ("tea", "milk"): 2.0}, num_reads=4, seed=1)
        >>> found.first.energy, list(found.variables)
        (np.float64(-1.0), ['tea', 'milk'])
    """
    require_sampler(sampler)
    require_extra("dimod", "dimod")
    from spinlight.samplers._dimod import SpinlightSampler

    return SpinlightSampler(sampler)


def _states(answer: Any, sites: int) -> Tensor:
    """Return the rows of a sample set over 0, 1, ... as spins, each as often as it occurred; int8, shape (states, sites)."""
    if not hasattr(answer, "record") or set(answer.variables) != set(range(sites)):
        raise InvalidStateError(f"the dimod sampler must return a SampleSet over the {sites} variables of the model")
    columns = [answer.variables.index(site) for site in range(sites)]
    rows = answer.change_vartype("SPIN", inplace=False).record
    return torch.from_numpy(np.repeat(rows.sample[:, columns], rows.num_occurrences, axis=0).astype(np.int8))
