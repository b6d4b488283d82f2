"""Draws without their copies, and the lowest ones only: what is often done to a machine's runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._random import Seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.problem import require_problem, require_single
from spinlight.samplers.base import Sampler, require_sampler, wrapped


@dataclass(frozen=True, kw_only=True)
class Unique(Sampler):
    """Returns each distinct state of another sampler once, lowest energy first.

    How often a state was drawn is forgotten: that is what an optimiser's user wants, and what a mean over the draws must not
    have. `Reweighted` around it makes means right again, up to the states that were never drawn; `Draws.unique` keeps the
    multiplicities.

    Args:
        sampler: any.

    Law:
        Heuristic, whatever the sampler's: every state counts alike.

    Raises:
        InvalidSettingError: no sampler; on drawing, a batch of problems, whose numbers of distinct states differ.

    Example:
        >>> from spinlight.samplers import Gibbs
        >>> pair = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> Unique(sampler=Gibbs()).draw(pair, 1000, seed=0).energies.tolist()
        [-1.0, -1.0, 1.0, 1.0]
    """

    law: ClassVar[Law] = "heuristic"
    divisible: ClassVar[bool] = False

    sampler: Sampler

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return the distinct states among `count` draws; see `Sampler.draw`."""
        require_single(require_problem(problem))
        draws = self.sampler.draw(problem, count, seed=seed, initial=initial)
        return wrapped(self, replace(draws.unique(), counts=None, log_weights=None, log_partition=None))


@dataclass(frozen=True, kw_only=True)
class TopK(Sampler):
    """Returns the draws of lowest energy of another sampler, lowest first.

    Args:
        sampler: any.
        kept: k, how many to keep at the most.

    Law:
        Heuristic, whatever the sampler's: high energies are cut away. `Reweighted` around it makes means right again, up to
        the states that were cut or never drawn.

    Raises:
        InvalidSettingError: no sampler, or a k below 1.

    References:
        Zhu et al., "Kaiwu-PyTorch-Plugin" (2026): 2,000 runs of a machine, de-duplicated, of which the best are kept. That is
        `Reweighted(sampler=TopK(sampler=Unique(sampler=CoherentIsingMachine(look_every=0)), kept=100)).draw(problem, 2000)`.

    Example:
        >>> from spinlight.samplers import Gibbs
        >>> pair = Ising([0.1, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> TopK(sampler=Gibbs(), kept=2).draw(pair, 100, seed=0).spins.tolist()
        [[1, 1], [1, 1]]
    """

    law: ClassVar[Law] = "heuristic"
    divisible: ClassVar[bool] = False

    sampler: Sampler
    kept: int

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)
        positive_integer("kept", self.kept)

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return the lowest k of `count` draws per problem; see `Sampler.draw`."""
        draws = self.sampler.draw(problem, count, seed=seed, initial=initial)
        order = torch.argsort(draws.energies, dim=-1, stable=True)[..., : self.kept]
        spins = draws.spins.gather(-2, order.unsqueeze(-1).expand(*order.shape, draws.sites))
        energies = draws.energies.gather(-1, order)
        kept = replace(draws, spins=spins, energies=energies, log_partition=None, log_weights=None, counts=None)
        if draws.log_weights is not None:
            kept = replace(kept, log_weights=draws.log_weights.gather(-1, order))
        if draws.counts is not None:
            kept = replace(kept, counts=draws.counts.gather(-1, order))
        return wrapped(self, kept)
