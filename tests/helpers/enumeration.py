"""Exact answers by the defining formula, term by term in NumPy: nothing here calls the code under test.

State number k of `all_bits(n)` and `all_spins(n)` has bit i of k at site i; probabilities and counts use the same numbers.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from spinlight.ising import Ising


def all_bits(sites: int) -> Tensor:
    """Return all 2^n states over {0, 1}, int8, shape (2^n, sites)."""
    numbers = torch.arange(2**sites)[:, None]
    return (numbers >> torch.arange(sites) & 1).to(torch.int8)


def all_spins(sites: int) -> Tensor:
    """Return all 2^n states over {-1, +1}, int8, shape (2^n, sites)."""
    return 2 * all_bits(sites) - 1


def state_numbers(spins: Tensor) -> Tensor:
    """Return the number of each state, the inverse of `all_spins(n)[k]`; int64, the shape without the sites."""
    return ((spins > 0).to(torch.int64) << torch.arange(spins.shape[-1])).sum(-1)


def energies_by_formula(fields: object, couplings: object, spins: object, offset: float = 0.0) -> np.ndarray:
    """Return - sum_i h_i s_i - sum_{i<j} J_ij s_i s_j + offset, each pair taken once; float64, shape (states,)."""
    h, J, s = (np.asarray(value, dtype=np.float64) for value in (fields, couplings, spins))  # noqa: N806
    energies = np.full(len(s), float(offset))
    for i in range(len(h)):
        energies -= h[i] * s[:, i]
    for i, j in combinations(range(len(h)), 2):
        energies -= J[i, j] * s[:, i] * s[:, j]
    return energies


def enumerate_energies(problem: Ising) -> np.ndarray:
    """Return E of every state of one problem; float64, shape (2^n,)."""
    couplings = problem.to_dense().couplings
    return energies_by_formula(problem.fields, couplings, all_spins(problem.sites), float(problem.offset))


def boltzmann(problem: Ising, beta: float = 1.0) -> np.ndarray:
    """Return exp(-beta E) / Z of every state of one problem; float64, shape (2^n,)."""
    log = -beta * enumerate_energies(problem)
    weights = np.exp(log - log.max())
    return weights / weights.sum()


def log_partition(problem: Ising, beta: float = 1.0) -> float:
    """Return log sum_s exp(-beta E(s)), offset included."""
    return float(np.logaddexp.reduce(-beta * enumerate_energies(problem)))


def random_ising(sites: int, *, seed: int, scale: float = 1.0, density: float = 1.0, batch: int | None = None) -> Ising:
    """Return a dense problem with normal fields and couplings of standard deviation `scale`, and a normal offset."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    upper = torch.triu(scale * normal(sites, sites), 1)
    upper *= torch.rand(sites, sites, generator=generator) < density
    shape = (sites,) if batch is None else (batch, sites)
    return Ising(scale * normal(*shape), upper + upper.T, normal(*shape[:-1]))
