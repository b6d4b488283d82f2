"""Independent draws from the enumerated distribution."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number, positive_integer
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising, Law, LogPartition, exact_probabilities, log_partition
from spinlight.ising.enumeration import spins_of_numbers
from spinlight.samplers.base import Sampler, draws_of, initial_spins


@dataclass(frozen=True, kw_only=True)
class Exact(Sampler):
    """Draws states by their probabilities, all 2^sites of them: the ruler that other samplers are held against.

    Args:
        beta: inverse temperature, at least 0.

    Law:
        Exact; rows are independent. `draws.log_partition` is exact too (on a single problem).

    Raises:
        ProblemTooLargeError: more than 24 sites.

    Cost:
        2^sites steps and 8 bytes of memory per state, whatever the count.

    Example:
        >>> problem = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> Exact().draw(problem, 3, seed=0).log_partition.value  # log(2 e + 2 / e)
        1.820...
    """

    law: ClassVar[Law] = "exact"

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        nonnegative_number("beta", self.beta)

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` independent draws per problem; see `Sampler.draw`. `initial` is checked and has no effect."""
        started = time.perf_counter()
        resolved = resolve_seed(seed)
        count = positive_integer("count", count)
        if initial is not None:
            initial_spins(problem, count, resolved, initial)
        cumulative = exact_probabilities(problem, self.beta).cumsum(-1)
        generator = torch.Generator().manual_seed(derive_seed(resolved, 1))
        shape = (*cumulative.shape[:-1], count)
        targets = torch.rand(shape, generator=generator, dtype=torch.float64).to(cumulative.device)
        numbers = torch.searchsorted(cumulative, targets * cumulative[..., -1:], right=True)
        spins = spins_of_numbers(numbers.clamp(max=cumulative.shape[-1] - 1), problem.sites).to(problem.device)
        seconds = time.perf_counter() - started
        draws = draws_of(self, problem, spins, beta=self.beta, seed=resolved, sweeps=None, seconds=seconds)
        return draws if problem.batch is not None else _with_log_partition(draws, problem, self.beta)


def _with_log_partition(draws: Draws, problem: Ising, beta: float) -> Draws:
    from dataclasses import replace

    value = float(log_partition(problem, beta))
    return replace(draws, log_partition=LogPartition(value, 0.0, value, value, "enumeration"))
