"""The public atlases that the papers use: where each is published, what it holds, and how its counts are read.

No number here was measured on a downloaded file: addresses, sizes and checksums are those of public sources, which the comments
name. What a file holds is checked against them when it is read.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from spinlight._checks import require_extra
from spinlight._errors import DownloadError, FileFormatError, SpinlightError
from spinlight._files import data_folder
from spinlight.cells.checks import require_counts
from spinlight.datasets.large import load_large
from spinlight.datasets.sources import PublicFile, cache_path, downloaded_path

if TYPE_CHECKING:
    from anndata import AnnData

_STRETCH = 2_000
"""Rows of a dense matrix that are read at a time."""


@dataclass(frozen=True)
class Atlas:
    """A public dataset of cells.

    Args:
        name: as in `load_dataset(name)`; its file is singlecell/NAME.h5ad below the data folder or the cache.
        kind: "h5ad", a file to be downloaded, or "scvi-tools", a loader that puts it together from several.
        urls: where the file is published; mirrors are tried in turn.
        md5: of the published file, where one is known.
        batch_key: column of `obs` with experimental batches.
        labels_key: column of `obs` with the published cell types.
        counts: where the raw counts lie in the file; the first place that is there.
        cells: how many there must be.
        genes: how many there must be; None where revisions of the file differ.
        fractions: why some published values are no whole numbers; such values are rounded. None: a fraction is an error.
        citation: whom to cite.
        licence: the data's, where it is known.
    """

    name: str
    kind: Literal["h5ad", "scvi-tools"]
    urls: tuple[str, ...]
    batch_key: str
    labels_key: str
    counts: tuple[str, ...]
    cells: int
    genes: int | None
    citation: str
    md5: str | None = None
    fractions: str | None = None
    licence: str | None = None

    @property
    def file(self) -> PublicFile:
        """Return the file that holds it."""
        return PublicFile(f"singlecell/{self.name}.h5ad", self.urls, md5=self.md5)


def _figshare(number: int) -> tuple[str, ...]:
    """Return the addresses of a file at figshare.

    figshare.com answers programs with an empty status 202 since 2026 (github.com/neuromorphs/tonic/pull/337,
    github.com/automl/nanoTabPFN/pull/12); the other two serve the same bytes.
    """
    return (
        f"https://ndownloader.figshare.com/files/{number}",
        f"https://api.figshare.com/v2/file/download/{number}",
        f"https://figshare.com/ndownloader/files/{number}",
    )


def _census(dataset: str) -> tuple[str, ...]:
    """Return the address of a dataset in CELLxGENE Census 2025-11-08, a release kept for at least five years."""
    host = "https://cellxgene-census-public-us-west-2.s3.us-west-2.amazonaws.com"
    return (f"{host}/cell-census/2025-11-08/h5ads/{dataset}.h5ad",)


_LUECKEN = "Luecken et al. (2022), Nature Methods 19:41, doi:10.1038/s41592-021-01336-8"

# MD5 of the three files of scIB: of downloads that their downloader reports as verified (a benchmark report on GitHub, "JHPCE
# cross-host gate (2026-10-03)", with sizes of 2,064,748,344, 315,955,785 and 1,019,664,664 bytes; another repository has 2,064 and
# 316 MB for the first two from figshare's interface).
ATLASES = {
    atlas.name: atlas
    for atlas in (
        Atlas(
            name="scib_immune",
            kind="h5ad",
            urls=_figshare(25717328),
            md5="482a6a3117432d41a46effd8376b8ee0",
            batch_key="batch",
            labels_key="final_annotation",
            counts=("layers/counts",),
            cells=33_506,
            genes=12_303,
            # github.com/theislab/scib-reproducibility/issues/22; the README of DRVI's reproducibility names the study.
            fractions="the cells of Villani et al. come as TPM of Smart-seq2",
            citation=_LUECKEN,
        ),
        Atlas(
            name="scib_pancreas",
            kind="h5ad",
            urls=_figshare(24539828),
            md5="5aa155652b998c90395a0c9bd731b4b3",
            batch_key="tech",
            labels_key="celltype",
            counts=("layers/counts",),
            cells=16_382,
            genes=19_093,
            fractions="some technologies come as corrected or length-normalised values",  # openproblems-bio/openproblems#680
            citation=_LUECKEN,
        ),
        Atlas(
            name="scib_lung",
            kind="h5ad",
            urls=_figshare(24539942),
            md5="aac0832c3e3413ae279343f5de02a2c6",
            batch_key="batch",
            labels_key="cell_type",
            counts=("layers/counts",),
            cells=32_472,
            genes=15_148,
            fractions="the 10x cells come corrected for ambient RNA by SoupX",  # scverse/scvi-tutorials#66, theislab/scib#170
            citation=_LUECKEN,
        ),
        Atlas(
            name="hlca_core",
            kind="h5ad",
            urls=_census("066943a2-fdac-4b29-b348-40cede398e4e"),
            batch_key="donor_id",
            labels_key="cell_type",
            counts=("raw/X", "X"),
            cells=584_944,
            genes=None,
            citation="Sikkema et al. (2023), Nature Medicine 29:1563, doi:10.1038/s41591-023-02327-2",
            licence="CC BY 4.0",
        ),
        Atlas(
            name="fetal_lung",
            kind="h5ad",
            urls=_census("3dc61ca1-ce40-46b6-8337-f27260fd9a03"),
            # Columns that CELLxGENE's schema demands of every file; the QBM-VAE paper used `batch` and `broad_celltype`.
            batch_key="donor_id",
            labels_key="cell_type",
            counts=("raw/X", "X"),
            cells=71_752,
            genes=None,
            citation="He et al. (2022), Cell 185:4841, doi:10.1016/j.cell.2022.11.005",
        ),
        Atlas(
            name="pbmc_12k",
            kind="scvi-tools",
            urls=(),
            batch_key="batch",
            labels_key="str_labels",
            counts=("X",),
            cells=11_990,
            genes=3_346,
            citation="Lopez et al. (2018), Nature Methods 15:1053, doi:10.1038/s41592-018-0229-2",
        ),
    )
}
"""The public atlases, by name."""


def load_atlas(atlas: Atlas) -> AnnData:
    """Return the cells of a public atlas, from the data folder, the cache or the network, with raw counts in `X`.

    `uns["source"]` says where they come from, and how many of their values had to be rounded.

    Args:
        atlas: what is published.

    Raises:
        FileFormatError: the file is there and does not hold the atlas, or has changed since it was first used.
        DownloadError: it is not there, and could not be downloaded.
        MissingExtraError: it is not there and pooch is not installed, or anndata is not.
    """
    require_extra("anndata", "cells")  # before gigabytes are downloaded

    def parse(path: Path) -> AnnData:
        cells = _read(atlas, path)
        require_counts(cells)
        return cells

    if atlas.kind == "scvi-tools":
        return load_large(atlas.file, parse, fetch=_put_together)
    return load_large(atlas.file, parse, fetch=downloaded_path)


def _read(atlas: Atlas, path: Path) -> AnnData:
    """Return the counts of a file with its annotations of cells and genes, of the shape and with the columns it must have."""
    anndata, io = require_extra("anndata", "cells"), require_extra("anndata.io", "cells")
    try:
        with require_extra("h5py", "cells").File(path, "r") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the files of scIB are written in the format of 2020
            place = _place(atlas, file)
            obs = io.read_elem(file["obs"])
            var = io.read_elem(file["raw/var" if place == "raw/X" else "var"])
            _require_shape(atlas, (len(obs), len(var)))
            _require_columns(atlas, obs)
            counts = _matrix(file[place], io)
            rounded = _round(counts) if atlas.fractions else 0
            cells = anndata.AnnData(counts, obs=obs, var=var)
    except (SpinlightError, MemoryError):
        raise
    except Exception as error:
        # anndata and h5py raise whatever the damaged part of a file leads them to: OSError, KeyError, TypeError, their own.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"it cannot be read as .h5ad: {reason}") from error
    cells.uns["source"] = {"dataset": atlas.name, "citation": atlas.citation, "rounded_values": rounded}
    return cells


def _place(atlas: Atlas, file: Any) -> str:
    for place in atlas.counts:
        if place in file:
            return place
    raise FileFormatError(f"it holds no {' and no '.join(atlas.counts)}, where the raw counts should be")


def _require_shape(atlas: Atlas, found: tuple[int, int]) -> None:
    if found[0] != atlas.cells or (atlas.genes is not None and found[1] != atlas.genes):
        genes = "" if atlas.genes is None else f" and {atlas.genes:,} genes"
        raise FileFormatError(
            f"it holds {found[0]:,} cells and {found[1]:,} genes; {atlas.name} has {atlas.cells:,} cells{genes}"
        )


def _require_columns(atlas: Atlas, obs: Any) -> None:
    missing = [key for key in (atlas.batch_key, atlas.labels_key) if key not in obs]
    if missing:
        raise FileFormatError(
            f"obs lacks {' and '.join(map(repr, missing))}; columns: {', '.join(map(str, obs)) or 'none'}"
        )


def _matrix(stored: Any, io: Any) -> Any:
    """Return a stored matrix as sparse rows; a dense one is never held whole."""
    if hasattr(stored, "dtype"):
        rows = range(0, stored.shape[0], _STRETCH)
        return sparse.vstack([sparse.csr_matrix(stored[first : first + _STRETCH]) for first in rows], format="csr")
    return sparse.csr_matrix(io.read_elem(stored))


def _round(counts: Any) -> int:
    """Round a sparse matrix to whole numbers, in place, and return how many values that changed."""
    whole = np.rint(counts.data)
    changed = int(np.count_nonzero(whole != counts.data))
    counts.data = whole
    counts.eliminate_zeros()
    return changed


def _put_together(file: PublicFile) -> Path:
    """Return the path in the cache of what scvi-tools' loader puts together from four downloads, written whole or not at all.

    The loader unpickles annotations from the scvi-tools authors' own repository.
    """
    path = cache_path(file.name)
    load: Callable[..., Any] = require_extra("scvi.data", "cells").pbmc_dataset
    anndata = require_extra("anndata", "cells")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load(save_path=folder)
            draft = Path(folder) / f"{secrets.token_hex(4)}.h5ad"
            obs, var = loaded.obs[["batch", "str_labels"]].copy(), loaded.var[["gene_symbols"]].copy()
            anndata.AnnData(sparse.csr_matrix(loaded.X), obs=obs, var=var).write_h5ad(draft)
            os.replace(draft, path)
    except Exception as error:  # the loader raises whatever the network, an archive or pandas led it to
        raise DownloadError(
            f"{file.name} is not in {data_folder()} (SPINLIGHT_DATA), and scvi.data.pbmc_dataset() could not fetch it: {error}\n"
            f"Without a network, write what that function returns as .h5ad elsewhere and put it at {data_folder() / file.name}"
        ) from error
    return path
