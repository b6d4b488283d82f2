"""Independent draws from the enumerated distribution."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number, positive_integer
from spinlight._random import Seed, derive_seed, positions_of, resolve_seed, uniform
from spinlight.ising import Draws, Ising, Law, LogPartition, exact_probabilities
from spinlight.ising.enumeration import spins_of_numbers
from spinlight.ising.problem import require_problem
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
        2^sites steps per problem, whatever the count, and some 24 bytes of memory per state: 400 MB at 24 sites. Problems of a
        batch are taken one after the other.

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
        require_problem(problem)
        if initial is not None:
            initial_spins(problem, count, resolved, initial)
        if problem.batch is None:
            numbers, known = self._numbers(problem, uniform(derive_seed(resolved, 1), count))
        else:
            targets = uniform(derive_seed(resolved, 1), problem.batch, count)
            parts = [self._numbers(problem[row], targets[row])[0] for row in range(problem.batch)]
            numbers, known = torch.stack(parts), None
        spins = spins_of_numbers(numbers, problem.sites).to(problem.device)
        seconds = time.perf_counter() - started
        draws = draws_of(self, problem, spins, beta=self.beta, seed=resolved, sweeps=None, seconds=seconds)
        return replace(draws, log_partition=known)

    def _numbers(self, problem: Ising, targets: Tensor) -> tuple[Tensor, LogPartition]:
        """Return the numbers of the states where the cumulated probability passes the targets, and log Z.

        log Z = - beta E(s) - log p(s), for the likeliest s.
        """
        probabilities = exact_probabilities(problem, self.beta).cpu()
        likeliest = probabilities.argmax()
        energy = problem.energy(spins_of_numbers(likeliest, problem.sites).to(problem.device))
        value = -self.beta * float(energy) - float(probabilities[likeliest].log())
        return positions_of(probabilities, targets), LogPartition(value, 0.0, value, value, "enumeration")
