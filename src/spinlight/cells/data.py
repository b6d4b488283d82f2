"""Cells from files and named datasets, and their annotations into files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from spinlight._checks import require_extra
from spinlight._errors import FileFormatError, InvalidDataError, UnknownNameError
from spinlight._files import data_folder
from spinlight.cells.public import ATLASES, load_atlas

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

DATASETS = ("pbmc68k_reduced",)
"""Datasets that ship inside a dependency; every file of SPINLIGHT_DATA/singlecell and every public atlas is a dataset too."""

BATCHES = {name: atlas.batch_key for name, atlas in ATLASES.items()}
"""Columns of experimental batches in the datasets whose columns are known."""

LABELS = {"pbmc68k_reduced": "bulk_labels"} | {name: atlas.labels_key for name, atlas in ATLASES.items()}
"""Columns of known labels in the datasets whose columns are known."""

_STORED_ROUNDING = 1e-3
"""pbmc68k_reduced keeps log-normalised values to three decimals; recovered counts must reproduce them that well."""


def load_dataset(name: str) -> AnnData:
    """Return a named dataset with raw counts in `X`.

    A public atlas is looked for in the folder singlecell/ of SPINLIGHT_DATA, then in pooch's cache, and is downloaded where it is
    in neither. Values of it that are published as fractions are rounded; `uns["source"]` says how many.

    Args:
        name: "pbmc68k_reduced" (700 cells, 765 genes, ships with scanpy), a public atlas ("scib_immune", "scib_pancreas",
            "scib_lung", "hlca_core", "fetal_lung", "pbmc_12k"), or the name of a file NAME.h5ad in the folder singlecell/ of
            SPINLIGHT_DATA.

    Raises:
        UnknownNameError: there is no such dataset.
        FileFormatError: its file is no .h5ad, or not that of the atlas.
        DownloadError: an atlas could not be downloaded.
        MissingExtraError: scanpy is not installed, or, to download an atlas, pooch.
    """
    if name == "pbmc68k_reduced":
        return _pbmc68k_reduced()
    if name in ATLASES:
        return load_atlas(ATLASES[name])
    files = {file.stem: file for file in sorted(data_folder().glob("singlecell/*.h5ad"))}
    if name not in files:
        known = ", ".join([*DATASETS, *files])
        raise UnknownNameError(
            f"there is no dataset {name!r}; known: {known} (files of {data_folder() / 'singlecell'}, which SPINLIGHT_DATA changes), "
            f"and, downloaded at need: {', '.join(ATLASES)}. For your own file use load_cells(path), or --data FILE.h5ad"
        )
    return load_cells(files[name])


def load_cells(path: str | os.PathLike[str], *, backed: bool = False) -> AnnData:
    """Return the cells of an .h5ad file or a .zarr folder.

    Args:
        path: the file or folder.
        backed: leave the matrix `X` where it is, to be read by mini-batches: cells that do not fit into memory.

    Raises:
        InvalidDataError: there is no such file, or, of a folder, a dense matrix that is to stay there.
        FileFormatError: the file is no .h5ad and no .zarr.
        MissingExtraError: anndata is not installed.
    """
    anndata = require_extra("anndata", "cells")
    kind = "zarr" if Path(path).is_dir() else "h5ad"
    if not Path(path).exists():
        raise InvalidDataError(f"there is no file {os.fspath(path)}; give the path of an .h5ad file or a .zarr folder")
    try:
        if kind == "zarr":
            return _backed_zarr(Path(path)) if backed else anndata.read_zarr(path)
        return anndata.read_h5ad(path, backed="r" if backed else None)
    except InvalidDataError:
        raise
    except Exception as error:
        # anndata and h5py raise whatever the damaged part of a file leads them to: OSError, KeyError, TypeError, their own.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"{os.fspath(path)} cannot be read as .{kind}: {reason}") from error


def _backed_zarr(path: Path) -> AnnData:
    """Return the cells of a .zarr folder whose `X` stays there."""
    anndata, io = require_extra("anndata", "cells"), require_extra("anndata.io", "cells")
    group = require_extra("zarr", "cells").open_group(path, mode="r")
    if group["X"].attrs.get("encoding-type") != "csr_matrix":
        raise InvalidDataError(f"{path} holds a matrix that cannot be read cell by cell; store it as csr_matrix")
    return anndata.AnnData(
        X=io.sparse_dataset(group["X"]), obs=io.read_elem(group["obs"]), var=io.read_elem(group["var"])
    )


def _pbmc68k_reduced() -> AnnData:
    """Return scanpy's 700 PBMCs with the counts behind their log-normalised `.raw`."""
    scanpy = require_extra("scanpy", "cells")
    anndata = require_extra("anndata", "cells")
    stored = scanpy.datasets.pbmc68k_reduced()
    counts = recover_counts(stored.raw.X.toarray())
    return anndata.AnnData(
        X=sparse.csr_matrix(counts),
        obs=stored.obs[["bulk_labels", "phase", "percent_mito"]].copy(),
        var=stored.raw.var[[]].copy(),
    )


def recover_counts(normalised: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the integers c behind values log(1 + c s), with one size factor s for each row.

    The smallest non-zero value of a row is taken for one count, c = 1; s is then refined by least squares over the row, since
    stored values are rounded.

    Args:
        normalised: shape (cells, genes).

    Returns:
        Counts, shape (cells, genes), float32.

    Raises:
        InvalidDataError: no integers reproduce the values to three decimals.
    """
    linear = np.expm1(np.asarray(normalised, dtype=np.float64))
    size = np.where(linear > 0, linear, np.inf).min(axis=1, keepdims=True)
    size = np.where(np.isfinite(size), size, 1.0)
    counts = np.round(linear / size)
    size = (linear * counts).sum(1, keepdims=True) / np.maximum(np.square(counts).sum(1, keepdims=True), 1)
    counts = np.round(linear / np.where(size > 0, size, 1.0))
    worst = float(np.abs(np.log1p(counts * size) - normalised).max())
    if not worst <= _STORED_ROUNDING:
        raise InvalidDataError(f"no integer counts lie behind these log-normalised values: they miss by {worst:.2g}")
    return counts.astype(np.float32)


def write_annotations(cells: AnnData, path: Path) -> None:
    """Write all annotations as an .h5ad file, then the first cell with all its matrices: a trial of what writing the cells would meet.

    Raises:
        InvalidDataError: a value that the format has no place for.
    """
    anndata = require_extra("anndata", "cells")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            anndata.AnnData(obs=cells.obs.copy(), var=cells.var.copy(), uns=dict(cells.uns)).write_h5ad(path)
            cells[:1].copy().write_h5ad(path)
    except OSError:
        raise
    except Exception as error:
        # anndata and h5py raise whatever the value leads them to: TypeError, ValueError, KeyError, their own.
        reason = ". ".join([str(error), *getattr(error, "__notes__", [])])
        raise InvalidDataError(
            f"obs, var or uns holds what cannot be written as .h5ad; convert or drop it. {reason}"
        ) from error
