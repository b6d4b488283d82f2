"""Bits in {0, 1} and spins in {-1, +1}: x = (1 + s) / 2."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import bits_of, spins_of
from spinlight._errors import InvalidProblemError
from spinlight._random import bernoulli
from spinlight.ising.problem import Ising, require_problem


def bits_from_spins(spins: Tensor) -> Tensor:
    """Return (1 + s) / 2 as int8."""
    return (spins_of(spins).to(torch.int8) + 1) // 2


def spins_from_bits(bits: Tensor) -> Tensor:
    """Return 2 x - 1 as int8."""
    return 2 * bits_of(bits).to(torch.int8) - 1


def random_bits(logits: Tensor, seed: int) -> Tensor:
    """Return independent bits, 1 with probability sigmoid(logit), in the logits' dtype and on their device.

    Args:
        logits: log odds, any shape; their gradient ends here.
        seed: names the random stream, in [0, 2^63).
    """
    if logits.device.type != "cpu":
        return bernoulli(torch.sigmoid(logits.detach()), seed)
    from spinlight.kernels.bits import bits_of_logits

    return torch.from_numpy(bits_of_logits(_plain(logits), seed)).to(logits.dtype)


def _plain(values: Tensor) -> NDArray[np.float32]:
    return values.detach().to(torch.float32).contiguous().numpy()


def ising_from_bits(biases: Tensor, weights: Tensor, offset: Tensor | float = 0.0) -> Ising:
    """Return the Ising problem of E(x) = - b.x - sum_{i<j} W_ij x_i x_j + offset over bits.

    J_ij = W_ij / 4,  h_i = b_i / 2 + sum_j W_ij / 4,  offset' = offset - sum_i b_i / 2 - sum_{i<j} W_ij / 4

    Args:
        biases: b, shape (units,) or (batch, units).
        weights: W, symmetric with a zero diagonal, shape (units, units), dense or torch sparse COO.
        offset: scalar, or shape (batch,) beside batched biases.

    Returns:
        A problem with `energy(2 x - 1)` equal to E(x) for every x.

    Raises:
        InvalidProblemError: as `Ising`.
    """
    symmetric = Ising(biases, weights, offset)
    row_sums = symmetric.couplings.sum(1)
    row_sums = row_sums.to_dense() if row_sums.is_sparse else row_sums
    fields = symmetric.fields / 2 + row_sums / 4
    constant = symmetric.offset - symmetric.fields.sum(-1) / 2 - row_sums.sum() / 8
    if not bool(fields.isfinite().all() and constant.isfinite().all()):
        raise InvalidProblemError("biases and weights this large make the fields of spins infinite")
    return Ising._trusted(fields, symmetric.couplings / 4, constant)


def ising_of_pairs(biases: Tensor, pairs: Tensor, weights: Tensor) -> Ising:
    """Return the dense problem of `ising_from_bits` from weights that are listed once for each pair.

    A third of the time: nothing is asymmetric, and the parameters are finite where the fields and the offset are.

    Args:
        biases: b, shape (units,).
        pairs: different units i and j, each pair once, int64, shape (2, pairs).
        weights: W_ij, shape (pairs,).

    Raises:
        InvalidProblemError: NaN or infinite numbers.
    """
    rows, columns = pairs
    bias, quarter = (part.detach().to(torch.float64) / by for part, by in ((biases, 2), (weights, 4)))
    upper = quarter.new_zeros(len(bias), len(bias))
    upper[rows, columns] = quarter
    couplings = upper + upper.T
    row_sums = couplings.sum(1)
    fields, offset = bias + row_sums, -bias.sum() - row_sums.sum() / 2
    if not bool(fields.isfinite().all() and offset.isfinite()):
        return ising_from_bits(biases, 4 * couplings)  # which says what is wrong
    return Ising._trusted(fields, couplings, offset)


def bits_from_ising(problem: Ising) -> tuple[Tensor, Tensor, Tensor]:
    """Return biases b, weights W and offset of the same energy over bits; the inverse of `ising_from_bits`.

    W_ij = 4 J_ij,  b_i = 2 h_i - 2 sum_j J_ij,  offset' = offset + sum_i h_i - sum_{i<j} J_ij

    Returns:
        b, shape (units,) or (batch, units); W, shape (units, units), sparse where the problem is; offset, shape () or
        (batch,); all float64.
    """
    row_sums = require_problem(problem).couplings.sum(1)
    row_sums = row_sums.to_dense() if row_sums.is_sparse else row_sums
    biases = 2 * problem.fields - 2 * row_sums
    return biases, 4 * problem.couplings, problem.offset + problem.fields.sum(-1) - row_sums.sum() / 2
