"""Digests by which cells are known again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spinlight.cells.checks import counts_of

if TYPE_CHECKING:
    from anndata import AnnData


def digest(*parts: NDArray[Any] | None) -> str:
    """Return 32 hexadecimal digits that change with any value, dtype or shape; None is a part too."""
    found = hashlib.sha256()
    for part in parts:
        if part is None:
            found.update(b"none")
        else:
            found.update(f"{part.dtype.str} {part.shape} ".encode())
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:32]


def canonical_counts(cells: AnnData, layer: str | None) -> sparse.csr_matrix:
    """Return a copy of the counts, float32 in compressed rows, in a form that the same numbers always have.

    Columns are in order, zeros are left out, and indices have 32 bits where these suffice, whatever the cells came from.
    """
    counts = sparse.csr_matrix(counts_of(cells, layer), dtype=np.float32, copy=True)
    # A conversion may share its indices with the cells, whose numbers would be sorted without them.
    counts.indices, counts.indptr = counts.indices.copy(), counts.indptr.copy()
    counts.sum_duplicates()
    counts.eliminate_zeros()
    if max(counts.nnz, *counts.shape) < 2**31:
        counts.indices, counts.indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    return counts


def texts(values: Any) -> NDArray[np.str_]:
    """Return each value as text."""
    return np.asarray([str(value) for value in values], dtype=np.str_)


def cells_digest(cells: AnnData, layer: str | None) -> str:
    """Return a digest of cells in memory: their counts, and the names of cells and genes."""
    counts = canonical_counts(cells, layer)
    return digest(counts.data, counts.indices, counts.indptr, texts(cells.obs_names), texts(cells.var_names))
