"""Ising problems from a list of edges."""

from __future__ import annotations

import torch

from spinlight._checks import positive_integer
from spinlight._errors import InvalidProblemError
from spinlight.ising.arrays import positions, real_tensor
from spinlight.ising.problem import Ising


def ising_from_edges(
    sites: int, rows: object, columns: object, weights: object, *, fields: object | None = None, offset: object = 0.0
) -> Ising:
    """Return the sparse problem E(s) = - sum_i h_i s_i - sum_edges J_e s_row(e) s_column(e) + offset.

    Args:
        sites: number of spins; a site without an edge is a free spin in its field.
        rows: one end of each edge, integers in [0, sites), shape (edges,), in any order.
        columns: the other end, shape (edges,).
        weights: J of each edge, shape (edges,); those of an edge that is listed twice, either way round, add up.
        fields: h, shape (sites,) or (batch, sites); None for zeros.
        offset: scalar, or shape (batch,) beside batched fields.

    Returns:
        A problem with sparse couplings; `.to_dense()` gives the same one as a matrix.

    Raises:
        InvalidSettingError: a number of sites that is not a positive integer.
        InvalidProblemError: ends outside [0, sites) or not integers, lists of different lengths, an edge from a site to
            itself, and as `Ising`.

    Example:
        >>> ising_from_edges(3, rows=[0, 1], columns=[1, 2], weights=[1.0, -1.0]).couplings.to_dense().tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, 0.0]]
    """
    sites = positive_integer("sites", sites)
    ends = [positions("rows", rows, sites), positions("columns", columns, sites)]
    values = real_tensor("weights", weights).cpu()
    if not values.shape == ends[0].shape == ends[1].shape:
        raise InvalidProblemError(
            f"rows, columns and weights must have one entry per edge, got {len(ends[0])}, {len(ends[1])} and shape {tuple(values.shape)}"
        )
    both_ways = torch.stack([torch.cat(ends), torch.cat(ends[::-1])])
    couplings = torch.sparse_coo_tensor(both_ways, torch.cat([values, values]), (sites, sites), check_invariants=True)
    return Ising(torch.zeros(sites) if fields is None else fields, couplings, offset)
