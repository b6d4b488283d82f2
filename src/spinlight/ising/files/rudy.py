"""rudy files, the form of the G-set and of BiqMac's Max-Cut problems.

The first line is `n m`, each of the m others `i j w`, an edge of weight w (1 where it is missing) between nodes that are
counted from 1. The cut of a partition is the weight of the edges between its two sides.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from spinlight._checks import spins_of
from spinlight._errors import InvalidProblemError
from spinlight._files import atomic_file
from spinlight.ising.edges import ising_from_edges
from spinlight.ising.files.entries import read_entries
from spinlight.ising.problem import Ising, require_problem


def read_rudy(path: str | os.PathLike[str]) -> Ising:
    """Return the Max-Cut problem of a file, with `energy(s) == - cut(s)` exactly.

    J_ij = - w_ij / 2,  h = 0,  offset = - sum_{i<j} w_ij / 2

    Returns:
        A problem with sparse couplings.

    Raises:
        FileFormatError: a line that breaks the format; the message names it.
        OSError: the file cannot be opened.

    References:
        Rinaldi 1998, "Rudy, a graph generator"; Wiegele 2007, "Biq Mac Library".
    """
    graph = read_entries(path, diagonal=False)
    return ising_from_edges(
        graph.size, graph.rows, graph.columns, -graph.weights / 2, offset=-float(graph.weights.sum()) / 2
    )


def write_rudy(problem: Ising, path: str | os.PathLike[str]) -> Tensor:
    """Write the couplings as a Max-Cut problem, w_ij = - 2 J_ij, atomically, and return what the file cannot hold.

    Returns:
        The constant by which `problem.energy` exceeds that of the file when it is read back, - cut; float64, shape () or
        (batch,); zero for a problem that came from `read_rudy`.

    Raises:
        InvalidProblemError: no Ising problem, or fields other than zero, which Max-Cut has no place for.
    """
    if bool(require_problem(problem).fields.any()):
        raise InvalidProblemError("a rudy file holds no fields; hand them to an additional spin, or use write_npz")
    rows, columns, couplings = problem.edges()
    weights = -2 * couplings
    lines = [f"{problem.sites} {len(weights)}\n"]
    for i, j, weight in zip(rows.tolist(), columns.tolist(), weights.tolist()):
        lines.append(f"{i + 1} {j + 1} {_number(weight)}\n")
    with atomic_file(path) as file:
        file.write("".join(lines).encode("ascii"))
    return problem.offset + weights.sum() / 2


def cut_value(problem: Ising, spins: Tensor) -> Tensor:
    """Return the weight of the edges between spins of opposite sign, each edge with w_ij = - 2 J_ij.

    cut(s) = sum_{i<j} w_ij (1 - s_i s_j) / 2. Fields and offset play no part in it; of a problem that `read_rudy` made, it is
    minus the energy.

    Args:
        problem: single or batched.
        spins: -1/+1, shape (..., sites).

    Returns:
        Cuts, float64, shape `spins.shape[:-1]`; exact for integer weights.

    Raises:
        InvalidStateError: spins of the wrong shape or other than -1/+1.
    """
    rows, columns, couplings = require_problem(problem).edges()
    state = spins_of(spins, problem.sites).to(problem.device)
    apart = state[..., rows] != state[..., columns]
    return torch.where(apart, -2 * couplings, 0.0).sum(-1)


def _number(weight: float) -> str:
    return str(int(weight)) if weight.is_integer() else repr(weight)
