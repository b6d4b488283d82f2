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


def sorted_counts(cells: AnnData, layer: str | None) -> sparse.csr_matrix:
    """Return the counts as float32 in compressed rows, columns in order: the same numbers are the same arrays."""
    counts = sparse.csr_matrix(counts_of(cells, layer), dtype=np.float32)
    counts.sort_indices()
    return counts


def texts(values: Any) -> NDArray[np.str_]:
    """Return each value as text."""
    return np.asarray([str(value) for value in values], dtype=np.str_)


def cells_digest(cells: AnnData, layer: str | None) -> str:
    """Return a digest of cells in memory: their counts, and the names of cells and genes."""
    counts = sorted_counts(cells, layer)
    return digest(counts.data, counts.indices, counts.indptr, texts(cells.obs_names), texts(cells.var_names))
