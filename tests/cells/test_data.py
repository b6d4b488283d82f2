"""Cells are loaded and checked before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spinlight._errors import FileFormatError, InvalidDataError, InvalidSettingError, UnknownNameError
from spinlight.cells.checks import require_cells, require_counts
from spinlight.cells.data import load_cells, load_dataset, recover_counts

if TYPE_CHECKING:
    from anndata import AnnData


def normalised(counts: np.ndarray, total: float = 1e4) -> np.ndarray:
    """Return log(1 + c s) to three decimals, s making every cell's total the same."""
    return np.round(np.log1p(counts * total / counts.sum(1, keepdims=True)), 3)


def random_counts() -> np.ndarray:
    counts = np.random.default_rng(0).negative_binomial(1, 0.4, size=(20, 100)).astype(float)
    counts[:, 0] = 1  # the smallest count of every cell is one
    return counts


def test_counts_come_back_from_rounded_log_values() -> None:
    counts = random_counts()
    np.testing.assert_array_equal(recover_counts(normalised(counts)), counts)


def test_a_cell_without_counts_comes_back_as_zeros() -> None:
    values = normalised(random_counts())
    values[3] = 0
    assert not recover_counts(values)[3].any()


def test_fractions_are_not_taken_for_counts() -> None:
    with pytest.raises(InvalidDataError, match="no integer counts"):
        recover_counts(normalised(random_counts() * np.random.default_rng(1).uniform(0.5, 1.5, size=100)))


def test_doubled_counts_beside_a_single_one_are_noticed() -> None:
    counts = 2 * random_counts()
    counts[:, 1] = 3  # the smallest value is now two counts, so this one becomes 1.5
    with pytest.raises(InvalidDataError, match="no integer counts"):
        recover_counts(normalised(counts))


def test_the_dataset_of_scanpy_has_the_library_sizes_that_were_published_with_it() -> None:
    scanpy = pytest.importorskip("scanpy")
    cells = load_dataset("pbmc68k_reduced")
    assert cells.shape == (700, 765)
    stored = scanpy.datasets.pbmc68k_reduced()
    size = np.expm1(stored.raw.X.toarray().astype(float)).sum(1) / cells.X.toarray().sum(1)
    # Values were normalised to 10,000 counts over all genes, whose number each cell carries in obs.
    np.testing.assert_allclose(1e4 / size, stored.obs["n_counts"], rtol=2e-3)
    require_cells(cells, labels_key="bulk_labels")


def test_a_dataset_that_does_not_exist_names_those_that_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "singlecell").mkdir()
    (tmp_path / "singlecell" / "mine.h5ad").touch()
    monkeypatch.setenv("SPINLIGHT_DATA", str(tmp_path))
    with pytest.raises(UnknownNameError, match="pbmc68k_reduced, mine"):
        load_dataset("yours")


def test_a_file_of_the_data_folder_is_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: AnnData
) -> None:
    (tmp_path / "singlecell").mkdir()
    cells.write_h5ad(tmp_path / "singlecell" / "mine.h5ad")
    monkeypatch.setenv("SPINLIGHT_DATA", str(tmp_path))
    np.testing.assert_array_equal(load_dataset("mine").X, cells.X)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="no file"):
        load_cells(tmp_path / "absent.h5ad")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5ad").write_text("gene,cell\n")
    with pytest.raises(FileFormatError, match=r"cannot be read as \.h5ad"):
        load_cells(tmp_path / "text.h5ad")


def test_a_truncated_file_is_refused(tmp_path: Path, cells: AnnData) -> None:
    path = tmp_path / "cut.h5ad"
    cells.write_h5ad(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FileFormatError):
        load_cells(path)


@pytest.mark.parametrize("option", ["batch_key", "labels_key"])
def test_an_unknown_column_lists_the_columns_there_are(cells: AnnData, option: str) -> None:
    with pytest.raises(UnknownNameError, match="columns: kind, batch"):
        require_cells(cells, **{option: "celltype"})


def test_missing_labels_are_counted(cells: AnnData) -> None:
    cells.obs.loc[cells.obs_names[:4], "kind"] = None
    with pytest.raises(InvalidDataError, match="no value for 4 of 90 cells"):
        require_cells(cells, labels_key="kind")


@pytest.mark.parametrize(
    ("value", "words"), [(0.5, "no counts"), (-1, "negative values"), (np.nan, "NaN"), (np.inf, "NaN")]
)
@pytest.mark.parametrize("sparse", [False, True])
def test_values_that_are_no_counts_are_refused(cells: AnnData, value: float, words: str, sparse: bool) -> None:
    cells.X[2, 3] = value
    if sparse:
        cells.X = pytest.importorskip("scipy.sparse").csr_matrix(cells.X)
    with pytest.raises(InvalidDataError, match=words):
        require_cells(cells)


@pytest.mark.parametrize("sparse", [False, True])
def test_counts_that_lie_in_a_file_are_checked(cells: AnnData, tmp_path: Path, sparse: bool) -> None:
    anndata = pytest.importorskip("anndata")
    for name, counts in (("good", cells.X), ("bad", cells.X / 2)):
        cells.X = pytest.importorskip("scipy.sparse").csr_matrix(counts) if sparse else counts
        cells.write_h5ad(tmp_path / f"{name}.h5ad")
    require_counts(anndata.read_h5ad(tmp_path / "good.h5ad", backed="r"))
    with pytest.raises(InvalidDataError, match="no counts"):
        require_counts(anndata.read_h5ad(tmp_path / "bad.h5ad", backed="r"))


def test_empty_cells_are_counted(cells: AnnData) -> None:
    cells.X[[1, 5]] = 0
    with pytest.raises(InvalidDataError, match="2 cells have no count"):
        require_cells(cells)


def test_data_without_cells_are_refused(cells: AnnData) -> None:
    with pytest.raises(InvalidDataError, match="0 cells"):
        require_cells(cells[:0])


def test_data_without_counts_are_refused(cells: AnnData) -> None:
    del cells.X
    with pytest.raises(InvalidDataError, match="X is empty"):
        require_cells(cells)


def test_too_few_cells_for_neighbourhoods_are_refused(cells: AnnData) -> None:
    with pytest.raises(InvalidDataError, match="19 cells and 24 genes; at least 20 cells"):
        require_cells(cells[:19])
    require_cells(cells[:20], batch_key="batch", labels_key="kind")


def test_normalised_data_are_told_where_else_counts_may_be(cells: AnnData) -> None:
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X / 2
    with pytest.raises(InvalidDataError, match="other layers, of which one may hold them: counts"):
        require_cells(cells)
    require_cells(cells, "counts")
    with pytest.raises(UnknownNameError, match="no layer 'raw'; layers: counts"):
        require_cells(cells, "raw")
    del cells.layers["counts"]
    cells.raw = cells
    with pytest.raises(InvalidDataError, match=r"The data have \.raw"):
        require_cells(cells)


def test_batches_and_labels_must_be_two_columns(cells: AnnData) -> None:
    with pytest.raises(InvalidSettingError, match="'kind' is both the batch key and the labels key"):
        require_cells(cells, batch_key="kind", labels_key="kind")


def test_what_are_no_batches_is_refused(cells: AnnData) -> None:
    cells.obs["depth"] = np.arange(90) % 4 / 2
    cells.obs["name"] = cells.obs_names
    with pytest.raises(InvalidDataError, match="'depth' holds fractional numbers, of type float64"):
        require_cells(cells, batch_key="depth")
    with pytest.raises(InvalidDataError, match="'name' has another value for each of 90 cells"):
        require_cells(cells, batch_key="name")
    cells.obs["lane"] = np.arange(90) % 4
    require_cells(cells, batch_key="lane", labels_key="depth")
