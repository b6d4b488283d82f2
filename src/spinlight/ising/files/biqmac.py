"""BiqMac's `.sparse` files: minimise x^T Q x over bits, Q symmetric.

The first line is `n m`, each of the m others `i j w`, counted from 1. An entry off the diagonal stands for both triangles and
so counts twice in x^T Q x; one on the diagonal counts once.
"""

from __future__ import annotations

import os

import numpy as np
import torch

from spinlight.ising.files.entries import read_entries
from spinlight.ising.problem import Ising
from spinlight.ising.qubo import ising_from_qubo


def read_biqmac(path: str | os.PathLike[str]) -> Ising:
    """Return the Ising problem of a file, with `energy(2 x - 1) == x^T Q x` exactly.

    Returns:
        A problem with sparse couplings.

    Raises:
        FileFormatError: a line that breaks the format; the message names it.
        OSError: the file cannot be opened.

    References:
        Wiegele 2007, "Biq Mac Library: a collection of Max-Cut and quadratic 0-1 programming instances".
    """
    listed = read_entries(path, diagonal=True)
    weights = np.where(listed.rows == listed.columns, listed.weights, 2 * listed.weights)
    indices = torch.from_numpy(np.stack([listed.rows, listed.columns]))
    return ising_from_qubo(
        torch.sparse_coo_tensor(indices, torch.from_numpy(weights), (listed.size, listed.size), check_invariants=True)
    )
