"""Sums over all states of one dense problem, block by block on a few threads; the answers are combined in block order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight.ising.problem import Ising
from spinlight.kernels.blocks import Floats, Result, over_blocks

_LOW = 16
"""Sites that vary within a block: 2^16 energies are 512 KiB, which a core's second-level cache holds."""

_ROUNDING = 1e-11
"""Energies this close, relative to the sum of all |weights|, are one level."""

_MOST_LEVELS = 1 << 16


class Walk:
    """One dense problem as arrays, and the sums over its states."""

    def __init__(self, problem: Ising) -> None:
        from spinlight.kernels.enumeration import block_energies

        self.fields: Floats = problem.fields.cpu().numpy()
        self.couplings: Floats = problem.couplings.to_dense().cpu().numpy()
        self.offset = float(problem.offset)
        """Added to answers, never to the energies that are compared: a large one would swallow their digits."""
        self.sites = problem.sites
        self.low = min(problem.sites, _LOW)
        self.blocks = 1 << (self.sites - self.low)
        self.fill = block_energies

    def over_blocks(self, function: Callable[[int, Floats], Result]) -> Iterator[Result]:
        """Yield `function(block, energies)` of every block, in order, the energies without the offset; it may overwrite them."""

        def fill(block: int, energies: Floats) -> None:
            self.fill(block, self.low, self.fields, self.couplings, 0.0, energies)

        return over_blocks(self.blocks, 1 << self.low, fill, function, torch.get_num_threads())

    def log_partition(self, beta: float) -> Tensor:
        """Return log Z by a log-sum-exp per block and one over the blocks."""

        def work(_: int, energies: Floats) -> float:
            lowest = energies.min()
            return float(np.log(_weights(energies, beta, lowest).sum()) - beta * lowest)

        return torch.logsumexp(torch.tensor(list(self.over_blocks(work)), dtype=torch.float64), 0) - beta * self.offset

    def moments(self, beta: float) -> Tensor:
        """Return <t_i t_j> of the spins and a constant last one: pair moments bordered by means, (sites + 1, sites + 1)."""

        def work(block: int, energies: Floats) -> tuple[float, Floats]:
            lowest = energies.min()
            high = _signs(block, self.sites - self.low)
            return lowest, _products(_weights(energies, beta, lowest), self.low, high)

        lowest, products = math.inf, np.zeros((self.sites + 1, self.sites + 1))
        for reference, block in self.over_blocks(work):
            below = min(lowest, reference)
            kept = math.exp(beta * (below - lowest)) if lowest < math.inf else 0.0
            products = products * kept + block * math.exp(beta * (below - reference))
            lowest = below
        return torch.from_numpy(products / products[-1, -1])

    def ground_states(self, limit: int) -> NDArray[np.int64]:
        """Return the numbers of the lowest states, at most `limit`, in order."""
        tolerance = self.tolerance()

        def work(block: int, energies: Floats) -> tuple[float, NDArray[np.int64]]:
            lowest = energies.min()
            return lowest, (block << self.low) + np.flatnonzero(energies <= lowest + tolerance)[:limit]

        lowest, numbers = zip(*self.over_blocks(work), strict=True)
        threshold = min(lowest) + tolerance
        return np.concatenate([found for energy, found in zip(lowest, numbers, strict=True) if energy <= threshold])[
            :limit
        ]

    def histogram(self, bins: int) -> tuple[Tensor, Tensor, float]:
        """Return the occupied levels, their counts and 0.0 where the weights have a common unit; else bins and their width."""
        extremes = list(self.over_blocks(lambda _, energies: (energies.min(), energies.max())))
        lowest, highest = min(low for low, _ in extremes), max(high for _, high in extremes)
        step = 2.0 * _common_unit(np.concatenate([self.fields, self.couplings[np.triu_indices(self.sites, 1)]]))
        exact = step > 0.0 and highest - lowest < _MOST_LEVELS * step
        width = step if exact else max((highest - lowest) / bins, self.tolerance(), np.finfo(np.float64).tiny)
        size = round((highest - lowest) / width) + 1 if exact else bins
        centre = lowest if exact else lowest + 0.5 * width
        origin = centre - 0.5 * width

        def work(_: int, energies: Floats) -> NDArray[np.int64]:
            return np.bincount(np.minimum((energies - origin) / width, size - 1).astype(np.int64), minlength=size)

        counts = torch.from_numpy(sum(self.over_blocks(work), np.zeros(size, dtype=np.int64)))
        occupied = counts.nonzero().squeeze(1)
        levels = self.offset + (centre + width * occupied.to(torch.float64))
        return levels, counts[occupied], 0.0 if exact else width

    def energies(self) -> Floats:
        """Return the energy of every state without the offset, in number order, shape (2^sites,)."""
        return np.concatenate(list(self.over_blocks(lambda _, energies: energies.copy())))

    def tolerance(self) -> float:
        """Return the difference below which two energies are equal up to rounding."""
        return _ROUNDING * float(np.abs(self.fields).sum() + 0.5 * np.abs(self.couplings).sum())


def _weights(energies: Floats, beta: float, lowest: float) -> Floats:
    """Return exp(-beta (E - lowest)) in place of the energies: a fresh array per block would cost more than the sum."""
    np.subtract(lowest, energies, out=energies)
    np.multiply(beta, energies, out=energies)
    return np.exp(energies, out=energies)


def _products(weights: Floats, low: int, high: Floats) -> Floats:
    """Return sum_x w(x) t t^T, t the low spins of x, the constant high spins and a last 1.

    The low sites are cut in two halves, so that x = (a, b) makes w a matrix: every sum is then a product of small matrices.
    """
    half = low // 2
    left, right = _sign_table(half), _sign_table(low - half)
    table = weights.reshape(len(right), len(left))
    within_left = left.T @ (table.sum(0)[:, None] * left)
    within_right = right.T @ (table.sum(1)[:, None] * right)
    across = left.T @ (table.T @ right)
    # Both tables end in the constant 1, so the last rows and columns of the three blocks are sums of single spins.
    spins = np.concatenate([within_left[:-1, -1], within_right[:-1, -1]])
    pairs = np.block([[within_left[:-1, :-1], across[:-1, :-1]], [across[:-1, :-1].T, within_right[:-1, :-1]]])
    constant = np.append(high, 1.0)
    return np.block(
        [
            [pairs, np.outer(spins, constant)],
            [np.outer(constant, spins), weights.sum() * np.outer(constant, constant)],
        ]
    )


@cache
def _sign_table(sites: int) -> Floats:
    """Return all states of a few spins with a constant 1 behind them, shape (2^sites, sites + 1)."""
    return np.array([np.append(_signs(number, sites), 1.0) for number in range(1 << sites)])


def _signs(number: int, sites: int) -> Floats:
    return np.array([1.0 if (number >> site) & 1 else -1.0 for site in range(sites)])


def _common_unit(weights: Floats) -> float:
    """Return the largest unit that every weight is a whole multiple of, or 0.0 where rounding hides one."""
    unit = Fraction(0)
    scale = float(np.abs(weights).max())
    for weight in {abs(float(weight)) for weight in weights} - {0.0}:
        ratio = Fraction(weight).limit_denominator(10_000)
        if abs(float(ratio) - weight) > 1e-14 * scale:
            return 0.0
        unit = Fraction(
            math.gcd(unit.numerator * ratio.denominator, ratio.numerator * unit.denominator),
            unit.denominator * ratio.denominator,
        )
    return float(unit) if unit else 1.0
