"""An atlas of any number of cells, made from real ones: counts drawn anew, cell by cell, and written a stretch at a time."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import sparse_dataset, write_elem
from numpy.typing import NDArray
from scipy import sparse

from spinlight.cells import load_dataset

SOURCE, GENES, BATCHES = "pbmc_facs_zheng", 2000, 4
_STRETCH = 20_000


def write_atlas(path: Path, count: int, seed: int = 0) -> None:
    """Write `count` cells of the 2,000 genes with most counts as an .h5ad file, in memory of one stretch of them.

    Each is a real cell, drawn at random, with every count c drawn anew from Poisson(c): what a second look at the same cell
    could have found.
    """
    cells = load_dataset(SOURCE)
    genes = np.sort(np.argsort(-np.asarray(cells.X.sum(0)).ravel())[:GENES])
    real = sparse.csr_matrix(cells.X)[:, genes]
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for first in range(0, count, _STRETCH):
            part = _second_look(real, min(_STRETCH, count - first), random)
            if first:
                sparse_dataset(file["X"]).append(part)
            else:
                write_elem(file, "X", part)
        batches = pd.Categorical.from_codes(
            random.integers(BATCHES, size=count), [f"batch {n}" for n in range(BATCHES)]
        )
        write_elem(file, "obs", pd.DataFrame({"batch": batches}, index=pd.RangeIndex(count).astype(str)))
        write_elem(file, "var", pd.DataFrame(index=cells.var_names[genes]))
        for name in ("uns", "obsm", "varm", "obsp", "varp", "layers"):
            write_elem(file, name, {})
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def _second_look(real: sparse.csr_matrix, count: int, random: np.random.Generator) -> sparse.csr_matrix:
    chosen: NDArray[np.intp] = random.integers(real.shape[0], size=count)
    found = real[chosen]
    found.data = random.poisson(found.data).astype(np.float32)
    found.eliminate_zeros()
    return found
