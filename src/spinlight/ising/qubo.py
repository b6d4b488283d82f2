"""QUBO, the quadratic form of bits that optimisation software minimises."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral

import torch
from torch import Tensor

from spinlight._checks import MOST
from spinlight._errors import InvalidProblemError
from spinlight.ising.arrays import positions, real_tensor, square_matrix
from spinlight.ising.bits import bits_from_ising, ising_from_bits
from spinlight.ising.problem import Ising, require_single


def ising_from_qubo(qubo: object, offset: object = 0.0) -> Ising:
    """Return the Ising problem of E(x) = x^T Q x + offset = sum_i Q_ii x_i + sum_{i<j} (Q_ij + Q_ji) x_i x_j + offset.

    Args:
        qubo: Q, shape (units, units): a dense array or tensor, a torch sparse tensor, a SciPy sparse matrix, or a dictionary
            {(i, j): Q_ij} whose largest index gives the number of units. Any square matrix will do: an upper triangle
            means the same problem as its two symmetric halves.
        offset: scalar.

    Returns:
        A problem with `energy(2 x - 1)` equal to E(x) for every x; its couplings are sparse unless Q is dense.

    Raises:
        InvalidProblemError: Q is not square, is empty, or holds anything but finite real numbers.

    Example:
        >>> problem = ising_from_qubo({(0, 0): -1.0, (0, 1): 2.0, (1, 1): -1.0})
        >>> problem.energy(torch.tensor([[-1, -1], [1, -1], [1, 1]])).tolist()
        [0.0, -1.0, 0.0]
    """
    matrix = _from_entries(qubo) if isinstance(qubo, Mapping) else square_matrix("QUBO", qubo)
    diagonal, both = _diagonal(matrix), matrix + matrix.T
    pairs = _off_diagonal(both.coalesce()) if both.is_sparse else both - 2 * diagonal.diag()
    return ising_from_bits(-diagonal, -pairs, real_tensor("offset", offset))


def qubo_from_ising(problem: Ising) -> tuple[Tensor, Tensor]:
    """Return the upper-triangular Q and the offset of the same energy: E(s) = x^T Q x + offset at x = (1 + s) / 2.

    Q_ii = 2 sum_j J_ij - 2 h_i,  Q_ij = - 4 J_ij for i < j,  offset' = offset + sum_i h_i - sum_{i<j} J_ij

    Returns:
        Q, shape (units, units), sparse where the problem is, and the offset, shape (); float64.

    Raises:
        InvalidSettingError: a batch of problems.
    """
    require_single(problem)
    biases, weights, offset = bits_from_ising(problem)
    if not problem.is_sparse:
        return torch.triu(-weights, 1) - biases.diag(), offset
    rows, columns, couplings = problem.edges()
    diagonal = torch.arange(problem.sites, device=problem.device)
    indices = torch.cat([torch.stack([rows, columns]), diagonal.expand(2, -1)], 1)
    values = torch.cat([-4 * couplings, -biases])
    return torch.sparse_coo_tensor(indices, values, weights.shape, check_invariants=True).coalesce(), offset


def _from_entries(entries: Mapping[tuple[int, int], float]) -> Tensor:
    """Return the sparse matrix of {(i, j): Q_ij}."""
    if not entries:
        raise InvalidProblemError("the QUBO is empty; an Ising problem needs at least one site")
    if not all(
        isinstance(key, tuple) and len(key) == 2 and all(isinstance(end, Integral) for end in key) for key in entries
    ):
        raise InvalidProblemError(
            "the keys of a QUBO dictionary must be pairs of integers (i, j); for named variables use "
            "ising_from_dimod(dimod.BinaryQuadraticModel.from_qubo(Q)), or number them"
        )
    rows, columns = (positions("QUBO indices", list(ends), MOST) for ends in zip(*entries))
    units = 1 + int(torch.maximum(rows, columns).max())
    values = real_tensor("QUBO", list(entries.values()))
    shape = (units, units)
    return torch.sparse_coo_tensor(torch.stack([rows, columns]), values, shape, check_invariants=True).coalesce()


def _diagonal(matrix: Tensor) -> Tensor:
    if not matrix.is_sparse:
        return matrix.diagonal()
    (rows, columns), values = matrix.indices(), matrix.values()
    linear = torch.zeros(matrix.shape[0], dtype=values.dtype, device=values.device)
    return linear.index_put((rows[rows == columns],), values[rows == columns])


def _off_diagonal(matrix: Tensor) -> Tensor:
    (rows, columns), values = matrix.indices(), matrix.values()
    pairs = rows != columns
    return torch.sparse_coo_tensor(matrix.indices()[:, pairs], values[pairs], matrix.shape, check_invariants=True)
