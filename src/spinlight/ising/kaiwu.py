"""Kaiwu matrices, the form that the Kaiwu SDK and its coherent Ising machine take.

H(s) = - s^T M s over the full symmetric matrix: every pair counts twice, once in each triangle. There are no fields: an
auxiliary last spin carries them, and the rows of a solution are multiplied by their last column on return.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spinlight._checks import spins_of
from spinlight._errors import InvalidStateError
from spinlight.ising.arrays import real_tensor, square_matrix
from spinlight.ising.problem import Ising, require_single


def ising_from_kaiwu(matrix: object, offset: object = 0.0) -> Ising:
    """Return the Ising problem of H(s) = - s^T M s + offset with the last spin, the auxiliary one, at +1.

    J_ij = 2 M_ij,  h_i = 2 M_i,last,  offset' = offset - sum_i M_ii

    H is even in s, so that the last spin may be held without losing a state.

    Args:
        matrix: M, symmetric, shape (sites + 1, sites + 1), dense or sparse; the diagonal is a constant.
        offset: scalar.

    Returns:
        A problem over the spins but the last, dense, with `energy(s)` equal to H(s, +1).

    Raises:
        InvalidProblemError: M is not square or not symmetric, leaves no site beside the auxiliary one, or holds anything
            but finite real numbers.

    Example:
        >>> ising_from_kaiwu([[0.0, 0.5, 1.0], [0.5, 0.0, 0.0], [1.0, 0.0, 0.0]]).fields.tolist()
        [2.0, 0.0]
    """
    whole = square_matrix("Kaiwu matrix", matrix).to_dense()
    diagonal = whole.diagonal()
    symmetric = Ising(torch.zeros(len(whole)), 2 * (whole - diagonal.diag())).couplings
    return Ising(symmetric[-1, :-1], symmetric[:-1, :-1], real_tensor("offset", offset) - diagonal.sum())


def kaiwu_from_ising(problem: Ising) -> tuple[Tensor, Tensor]:
    """Return M and the offset of the same energy: E(s) = - t^T M t + offset with t = (s, +1), or its negative.

    M_ij = J_ij / 2,  M_i,last = h_i / 2

    Returns:
        M, dense, shape (sites + 1, sites + 1), and the offset, shape (); float64.

    Raises:
        InvalidSettingError: a batch of problems.
    """
    require_single(problem)
    matrix = torch.zeros(problem.sites + 1, problem.sites + 1, dtype=torch.float64, device=problem.device)
    matrix[:-1, :-1] = problem.to_dense().couplings / 2
    matrix[:-1, -1] = matrix[-1, :-1] = problem.fields / 2
    return matrix, problem.offset.clone()


def spins_from_kaiwu_rows(rows: object) -> Tensor:
    """Return the states of the problem from the rows of a Kaiwu solution: s_i = t_i t_last.

    Args:
        rows: -1/+1, shape (..., sites + 1).

    Returns:
        Spins, int8, shape (..., sites).

    Raises:
        InvalidStateError: values other than -1/+1, or fewer than two columns.
    """
    states = spins_of(rows)
    if states.shape[-1] < 2:
        raise InvalidStateError(f"Kaiwu rows need a site beside the auxiliary one, got shape {tuple(states.shape)}")
    states = states.to(torch.int8)
    return states[..., :-1] * states[..., -1:]
