"""Histograms of the energies and of the overlaps of draws, beside those of the exact law."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_BINS = 40
"""Values are told apart up to this many, and counted in as many bins of equal width beyond."""

_CUT = 1e-4
"""Probability at either end of the exact law that its histogram leaves out, where no draw lies."""

_MOST_PAIRED = 1000
"""Draws whose overlaps are taken, all pairs of them: half a million pairs."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Probabilities of values, or of bins of them.

    Args:
        centres: the values that occur, or the middles of the bins; increasing, float64, shape (bins,).
        probabilities: of the draws, with their weights; float64, shape (bins,).
        exact: of the Boltzmann law, or None where it is not known; the shape of `probabilities`.
    """

    centres: Tensor
    probabilities: Tensor
    exact: Tensor | None

    @property
    def mean_square(self) -> float:
        """The mean square of the drawn values, as far as the bins resolve it."""
        return float(self.centres.square() @ self.probabilities)

    @property
    def exact_mean_square(self) -> float | None:
        """The mean square under the exact law, as far as the bins resolve it."""
        return None if self.exact is None else float(self.centres.square() @ self.exact)


def energy_histogram(energies: Tensor, weights: Tensor, levels: Tensor | None, law: Tensor | None) -> Histogram:
    """Return the histogram of energies with normalised weights, both of shape (draws,).

    Args:
        energies: of the draws.
        weights: of the draws.
        levels: energies of all states, shape (2^sites,), or None.
        law: probabilities of all states, shape (2^sites,), or None.
    """
    seen = energies if levels is None or law is None else torch.cat([energies, _likely(levels, law)])
    edges, centres = _bins(seen)
    exact = None if levels is None or law is None else _filled(edges, levels, law)
    return Histogram(centres, _filled(edges, energies, weights), exact)


def overlap_histogram(spins: Tensor, weights: Tensor, law: Tensor | None) -> Histogram:
    """Return the histogram of q = s.s' / sites over pairs of draws, of a thousand evenly spaced ones where there are more.

    Args:
        spins: shape (draws, sites).
        weights: normalised, shape (draws,).
        law: probabilities of all states, shape (2^sites,), or None.
    """
    count, sites = spins.shape
    chosen = torch.linspace(0, count - 1, min(count, _MOST_PAIRED), dtype=torch.float64).round().to(torch.int64)
    rows = spins[chosen].to(torch.float32)
    first, second = torch.triu_indices(len(rows), len(rows), 1)
    differing = ((sites - rows @ rows.T) / 2).round().to(torch.int64)[first, second]
    masses = weights[chosen][first] * weights[chosen][second]
    drawn = torch.bincount(differing, masses / masses.sum(), sites + 1)
    exact = None if law is None else _differing_sites(law, sites)
    values = 1 - 2 * torch.arange(sites + 1, dtype=torch.float64) / sites
    return _pooled(values.flip(0), drawn.flip(0), None if exact is None else exact.flip(0))


def _likely(levels: Tensor, law: Tensor) -> Tensor:
    """Return the levels without those at either end that together are too rare to be shown."""
    order = levels.argsort()
    cumulative = law[order].cumsum(0)
    return levels[order[(cumulative > _CUT) & (cumulative - law[order] < 1 - _CUT)]]


def _bins(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return inner edges and centres: of single levels where there are few, else of bins of equal width."""
    low, high = float(values.min()), float(values.max())
    rounding = 1e-9 * max(high - low, 1e-3 * abs(high), 1e-300)
    ordered = values.unique()
    starts = torch.cat([torch.tensor([True]), ordered.diff() > rounding])
    levels = ordered[starts]
    if len(levels) > _MOST_BINS:
        edges = torch.linspace(low, high, _MOST_BINS + 1, dtype=torch.float64)
        return edges[1:-1], (edges[1:] + edges[:-1]) / 2
    return (levels[1:] + levels[:-1]) / 2, levels


def _filled(edges: Tensor, values: Tensor, masses: Tensor) -> Tensor:
    return torch.bincount(torch.bucketize(values, edges), masses, len(edges) + 1)


def _differing_sites(law: Tensor, sites: int) -> Tensor:
    """Return the probability that two exact draws differ at 0, 1, ..., all sites.

    sum_s p(s) p(s xor d) is a convolution over {0,1}^sites, and so a product of Walsh-Hadamard transforms.
    """
    differences = _walsh_hadamard(_walsh_hadamard(law, sites).square(), sites) / len(law)
    numbers = torch.arange(len(law))
    ones = sum(((numbers >> site) & 1 for site in range(sites)), torch.zeros_like(numbers))
    return torch.bincount(ones, differences, sites + 1).clamp(min=0)


def _walsh_hadamard(values: Tensor, sites: int) -> Tensor:
    for site in range(sites):
        even, odd = values.view(-1, 2, 1 << site).unbind(1)
        values = torch.stack([even + odd, even - odd], 1)
    return values.flatten()


def _pooled(values: Tensor, drawn: Tensor, exact: Tensor | None) -> Histogram:
    """Return the histogram with as many neighbours pooled as keep it within the most bins."""
    size = -(-len(values) // _MOST_BINS)
    groups = torch.arange(len(values)) // size
    sums = [torch.bincount(groups, part) if part is not None else None for part in (values, drawn, exact)]
    return Histogram(sums[0] / torch.bincount(groups), sums[1], sums[2])  # type: ignore[operator, arg-type]
