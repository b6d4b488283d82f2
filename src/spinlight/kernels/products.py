"""J times sixteen state vectors at once, dense and sparse: the work of machines that update all sites together.

Vectors are site-major within a group of sixteen chains: entry `16 * site + lane`. Dense couplings come as panels of eight
columns, each read once from end to end, so that eight sums stay in registers and every multiply-add takes one coupling.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from spinlight.kernels.lanes import fma, load, splat, store

f32 = np.float32

COLUMNS = 8
"""Sites of a panel."""


def panels_of(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a matrix, (rows, columns), as panels of columns, (panels, rows, 8), zeros beyond the last column."""
    rows, columns = matrix.shape
    padded = np.zeros((rows, padded_sites(columns)), np.float32)
    padded[:, :columns] = matrix
    return np.ascontiguousarray(padded.reshape(rows, -1, COLUMNS).transpose(1, 0, 2))


def padded_sites(sites: int) -> int:
    """Return the sites that a result of `product` has room for: a multiple of eight."""
    return -(-sites // COLUMNS) * COLUMNS


def product(result, couplings, vectors):
    """Write J times the vectors; `result` needs room for `padded_sites`, of which those beyond the last are zero.

    Args:
        result: (16 * padded_sites,) float32.
        couplings: panels, or `Edges`.
        vectors: (16 * sites,) float32 at least.
    """
    raise NotImplementedError("this is what compiled functions call; its two forms are below")


@overload(product)
def _product(result, couplings, vectors):
    return (
        (lambda result, couplings, vectors: dense_product(result, couplings, vectors))
        if isinstance(couplings, types.Array)
        else (lambda result, couplings, vectors: sparse_product(result, couplings, vectors))
    )


@njit(nogil=True, fastmath={"contract"})
def dense_product(result, panels, vectors):
    """Write J times the vectors, J transposed as panels: (columns of panels, sites) times (sites,) in every lane."""
    zero = splat(f32(0.0))
    for p in range(panels.shape[0]):
        panel, at = panels[p], 16 * COLUMNS * p
        z0, z1, z2, z3, z4, z5, z6, z7 = zero, zero, zero, zero, zero, zero, zero, zero
        for i in range(panel.shape[0]):
            v = load(vectors, 16 * i)
            z0 = fma(splat(panel[i, 0]), v, z0)
            z1 = fma(splat(panel[i, 1]), v, z1)
            z2 = fma(splat(panel[i, 2]), v, z2)
            z3 = fma(splat(panel[i, 3]), v, z3)
            z4 = fma(splat(panel[i, 4]), v, z4)
            z5 = fma(splat(panel[i, 5]), v, z5)
            z6 = fma(splat(panel[i, 6]), v, z6)
            z7 = fma(splat(panel[i, 7]), v, z7)
        store(result, at, z0)
        store(result, at + 16, z1)
        store(result, at + 32, z2)
        store(result, at + 48, z3)
        store(result, at + 64, z4)
        store(result, at + 80, z5)
        store(result, at + 96, z6)
        store(result, at + 112, z7)


@njit(nogil=True, fastmath={"contract"})
def sparse_product(result, edges, vectors):
    """Write J times the vectors, J in compressed rows."""
    _, starts, neighbours, weights = edges
    for i in range(starts.shape[0] - 1):
        z = splat(f32(0.0))
        for e in range(starts[i], starts[i + 1]):
            z = fma(splat(weights[e]), load(vectors, 16 * neighbours[e]), z)
        store(result, 16 * i, z)
