"""Blocks of sites that several good states agree on, each taken for one spin: a smaller problem with larger moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight.ising import Ising

_NOISE = 1e-12
"""Relative to the largest coupling: what is left of sums that cancel."""

_DENSE_SHARE = 0.25
"""Of all couplings: with more of them, visits of a dense problem are the faster ones."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """A problem over blocks b of sites that turn together: s_i = reference_i t_b(i).

    J'_bc = sum_{i in b, j in c} reference_i J_ij reference_j,  h'_b = sum_{i in b} reference_i h_i; couplings within a block are
    part of the offset, so that energies agree.

    Args:
        problem: over t.
        reference: a state of the sites, -1/+1, int8, shape (sites,).
        members: the block of each site, int64, shape (sites,).

    References:
        Houdayer & Martin, "Renormalization for discrete optimization", Phys. Rev. Lett. 83 (1999) 1030. Theirs picks the states
        by tournament and descends by a local search; ours takes the best and anneals.
    """

    problem: Ising
    reference: Tensor
    members: Tensor

    def expanded(self, spins: Tensor) -> Tensor:
        """Return states of the blocks as states of the sites."""
        return self.reference * spins[..., self.members]


def halved(problem: Ising, spins: Tensor) -> Blocks | None:
    """Return the problem over the blocks of as many of the first states as leave at most half its sites, or None.

    Args:
        problem: a single problem.
        spins: states, best first, int8, shape (count, sites).
    """
    count = len(spins)
    while count > 1:
        members = _members(problem, spins[:count].numpy())
        if members.max() < problem.sites // 2:
            return _blocks(problem, spins[0], members) if members.any() else None
        count //= 2
    return None


def faster(problem: Ising) -> Ising:
    """Return the problem in that form, dense or sparse, in which it is swept faster."""
    dense = len(problem.edges()[0]) > _DENSE_SHARE * problem.sites * (problem.sites - 1) / 2
    return problem.to_dense() if dense else problem.to_sparse()


def _members(problem: Ising, spins: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return the block of each site: connected sites whose relative orientations are the same in every state."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    patterns = np.packbits(spins != spins[0], axis=0)
    kinds = np.unique(patterns, axis=1, return_inverse=True)[1].reshape(-1)
    rows, columns, _ = (part.numpy() for part in problem.edges())
    alike = kinds[rows] == kinds[columns]
    graph = coo_array((np.ones(alike.sum()), (rows[alike], columns[alike])), shape=(problem.sites, problem.sites))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _blocks(problem: Ising, reference: Tensor, members: NDArray[np.int64]) -> Blocks:
    from scipy.sparse import coo_array, csr_array

    sites, blocks = problem.sites, int(members.max()) + 1
    signs = csr_array((reference.numpy().astype(np.float64), (np.arange(sites), members)), shape=(sites, blocks))
    rows, columns, weights = (part.numpy() for part in problem.edges())
    upper = coo_array((weights, (rows, columns)), shape=(sites, sites)).tocsr()
    half = signs.T @ upper @ signs
    between = half + half.T
    within = between.diagonal()
    # Couplings that cancel leave rounding noise, which would pass for an edge.
    between.data[np.abs(between.data) < _NOISE * np.abs(weights).max(initial=0.0)] = 0.0
    couplings = between.tocsr(copy=True)
    couplings.setdiag(0.0)
    couplings.eliminate_zeros()
    reduced = Ising(signs.T @ problem.fields.numpy(), couplings, problem.offset - within.sum() / 2)
    return Blocks(faster(reduced), reference, torch.from_numpy(members))
