"""What the adapters of foreign samplers and solvers share: calls until there are enough states, and plain answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError, SolverError
from spinlight.ising import Ising
from spinlight.ising.problem import require_problem

Ask = Callable[[int], Tensor]
"""Makes one call, given how many states there are already, and returns what it brought: at least one state."""


def gather(asks: Iterable[Ask], count: int, most_calls: int) -> list[list[Tensor]]:
    """Return, for each problem, what its calls brought: at least `count` states, by no more calls than that takes.

    Raises:
        SolverError: too few states after `most_calls` calls, or a call failed after others had brought states; those are in it.
    """
    found: list[list[Tensor]] = []
    try:
        for ask in asks:
            found.append([])
            while (have := sum(map(len, found[-1]))) < count:
                if len(found[-1]) == most_calls:
                    raise SolverError(
                        f"{most_calls} call(s) brought {have} of {count} states; raise most_calls for more"
                    )
                found[-1].append(ask(have))
    except SolverError as error:
        error.states = _so_far(found)
        raise
    except Exception as error:
        if not (states := _so_far(found)):
            raise
        brought = sum(map(len, states))
        raise SolverError(
            f"a call failed after others had brought {brought} states, which are in this error's `states`: {error!r}",
            states,
        ) from error
    return found


def _so_far(found: list[list[Tensor]]) -> list[Tensor]:
    return [torch.cat(parts) for parts in found if parts]


def first_states(found: list[list[Tensor]], problem: Ising, count: int) -> Tensor:
    """Return the first `count` states of each problem, shape (count, sites) or (batch, count, sites)."""
    states = torch.stack([torch.cat(parts)[:count] for parts in found]).to(problem.device)
    return states[0] if problem.batch is None else states


def single_problems(problem: Ising) -> list[Ising]:
    """Return the problems of a batch, or the one."""
    return [problem] if require_problem(problem).batch is None else [problem[row] for row in range(len(problem.fields))]


def check_limits(states_per_call: int | None, most_calls: int) -> None:
    """Refuse limits that are no positive integers."""
    positive_integer("most_calls", most_calls)
    if states_per_call is not None:
        positive_integer("states_per_call", states_per_call)


def require_enough_calls(count: int, states_per_call: int | None, most_calls: int) -> None:
    """Refuse, before the first call, a count that the allowed calls cannot bring."""
    if states_per_call is not None and count > states_per_call * most_calls:
        needed = -(-count // states_per_call)
        raise InvalidSettingError(
            f"{count} states at {states_per_call} a call need {needed} calls, and most_calls is {most_calls}; raise it or ask for less"
        )


def keywords_of(function: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments of a function beyond its first; none if it does not say."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return set()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {parameter.name for parameter in parameters[1:] if parameter.kind in named}
