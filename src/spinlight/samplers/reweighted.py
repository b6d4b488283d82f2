"""Draws of any sampler, weighted by what the Boltzmann law says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number
from spinlight._random import Seed
from spinlight.ising import Draws, Ising, Law, LogPartition
from spinlight.samplers.base import Sampler, require_sampler, wrapped


@dataclass(frozen=True, kw_only=True)
class Reweighted(Sampler):
    """Gives every distinct state the weight exp(-beta E), however often another sampler drew it.

    <f> = sum_s f(s) exp(-beta E(s)) / sum_s exp(-beta E(s)) over the distinct states s that were drawn: a copy counts 1/m of a state
    drawn m times. Right up to the states that were never drawn, and so good where few states carry the law: small problems,
    or cold ones.

    Args:
        sampler: any; an optimiser is welcome.
        beta: inverse temperature, at least 0.

    Law:
        Heuristic: the support is cut to what was drawn. Every mean is that of the Boltzmann law on this support, so means of
        energies are too low, and `draws.log_partition` is a lower bound on log Z, always.

    Raises:
        InvalidSettingError: no sampler, or a beta outside its domain.

    References:
        De-duplication and importance weights for machines that optimise: Zhu et al., "Kaiwu-PyTorch-Plugin" (2026), whose
        draws are kept unweighted.

    Example:
        >>> from spinlight.samplers import CoherentIsingMachine
        >>> problem = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> draws = Reweighted(sampler=CoherentIsingMachine(look_every=0)).draw(problem, 100, seed=0)
        >>> draws.log_partition.value <= 1.902  # log Z = 1.9019...
        True
    """

    law: ClassVar[Law] = "heuristic"
    corrected: ClassVar[bool] = True
    divisible: ClassVar[bool] = False

    sampler: Sampler
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)
        nonnegative_number("beta", self.beta)

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` weighted draws per problem; see `Sampler.draw`."""
        draws = self.sampler.draw(problem, count, seed=seed, initial=initial)
        copies = _copies(draws.spins) if draws.batch is None else torch.stack([_copies(each) for each in draws.spins])
        log_weights = -self.beta * draws.energies - copies.to(draws.energies).log()
        known = None
        if draws.batch is None:
            value = float(torch.logsumexp(log_weights, 0))
            known = LogPartition(value, math.nan, value, math.inf, f"sum over the {len(draws)} states that were drawn")
        weighted = replace(draws, log_weights=log_weights, counts=None, log_partition=known)
        return wrapped(self, replace(weighted, info=replace(weighted.info, beta=float(self.beta))))


def _copies(spins: Tensor) -> Tensor:
    """Return how many rows are equal to each row."""
    _, inverse, counts = torch.unique(spins, dim=0, return_inverse=True, return_counts=True)
    return counts[inverse]
