"""Public atlases are downloaded whole or not at all, checked against what is known of them, and held to their first bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spinlight import DownloadError, FileFormatError, MissingExtraError
from spinlight.cells import checks, data
from spinlight.cells.data import BATCHES, LABELS, load_dataset
from spinlight.cells.public import ATLASES, Atlas
from spinlight.cli import main

if TYPE_CHECKING:
    from anndata import AnnData

pytest.importorskip("anndata")
sparse = pytest.importorskip("scipy.sparse")

URLS = ("https://first.invalid/cells", "https://second.invalid/cells")
SMALL = Atlas(
    name="small",
    kind="h5ad",
    urls=URLS,
    batch_key="batch",
    labels_key="kind",
    counts=("layers/counts",),
    cells=90,
    genes=24,
    citation="Nobody (2026)",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where files may be placed by hand; it is empty."""
    monkeypatch.setenv("SPINLIGHT_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "singlecell").mkdir(parents=True)
    return tmp_path / "data" / "singlecell"


@pytest.fixture
def cache(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the cache where atlases lie; it does not exist yet."""
    monkeypatch.setattr(pytest.importorskip("pooch"), "os_cache", lambda project: tmp_path / "cache")
    return tmp_path / "cache" / "singlecell"


@pytest.fixture
def web(cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Return what the web holds, bytes by address; nothing yet, and any other address is out of reach."""
    pages: dict[str, bytes] = {}

    def download(self: object, url: str, output_file: str, store: object) -> None:
        if url not in pages:
            raise OSError("no network")
        Path(output_file).write_bytes(pages[url])

    monkeypatch.setattr(pytest.importorskip("pooch").HTTPDownloader, "__call__", download)
    return pages


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Atlas]:
    """Return a function that makes an atlas known, `SMALL` with changes."""

    def known(**changes: Any) -> Atlas:
        atlas = replace(SMALL, **changes)
        monkeypatch.setitem(ATLASES, "small", atlas)
        return atlas

    known()
    return known


def published(cells: AnnData) -> AnnData:
    """Return cells as an atlas has them: counts in a layer, other values in X."""
    cells = cells.copy()
    cells.layers["counts"] = sparse.csr_matrix(cells.X)
    cells.X = np.log1p(cells.X)
    return cells


def bytes_of(cells: AnnData, path: Path) -> bytes:
    cells.write_h5ad(path)
    return path.read_bytes()


@pytest.fixture
def whole(cells: AnnData, tmp_path: Path) -> bytes:
    """Return the bytes of the published file."""
    return bytes_of(published(cells), tmp_path / "published.h5ad")


def test_counts_come_from_the_place_where_they_are_published(web, publish, whole: bytes, cells: AnnData) -> None:
    web[URLS[0]] = whole
    loaded = load_dataset("small")
    np.testing.assert_array_equal(loaded.X.toarray(), cells.X)
    assert list(loaded.obs["batch"]) == list(cells.obs["batch"])
    assert list(loaded.obs["kind"]) == list(cells.obs["kind"])
    assert list(loaded.var_names) == list(cells.var_names)
    assert loaded.uns["source"] == {"dataset": "small", "citation": "Nobody (2026)", "rounded_values": 0}


def test_it_is_downloaded_once(web, publish, whole: bytes) -> None:
    web[URLS[0]] = whole
    load_dataset("small")
    web.clear()
    assert load_dataset("small").shape == (90, 24)


def test_raw_counts_are_read_from_raw_and_from_x_where_there_is_no_raw(
    web, publish, cells: AnnData, tmp_path: Path
) -> None:
    publish(counts=("raw/X", "X"), genes=None)
    alone = bytes_of(cells, tmp_path / "alone.h5ad")
    beside = cells[:, :20].copy()
    beside.X = np.log1p(beside.X)
    beside.raw = cells
    for number, content in enumerate((alone, bytes_of(beside, tmp_path / "beside.h5ad"))):
        publish(counts=("raw/X", "X"), genes=None, urls=(f"https://x.invalid/{number}",))
        web[f"https://x.invalid/{number}"] = content
        np.testing.assert_array_equal(load_dataset("small").X.toarray(), cells.X)
        for path in (tmp_path / "cache" / "singlecell").iterdir():
            path.unlink()


def test_a_dense_matrix_is_read_by_stretches(web, publish, cells: AnnData, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("spinlight.cells.public._STRETCH", 7)
    dense = published(cells)
    dense.layers["counts"] = dense.layers["counts"].toarray()
    web[URLS[0]] = bytes_of(dense, tmp_path / "dense.h5ad")
    np.testing.assert_array_equal(load_dataset("small").X.toarray(), cells.X)


def as_of_2020(path: Path) -> bytes:
    """Rewrite a file in the format of anndata 0.7, which that of scIB is in: categories aside, arrays without a type."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "r+") as file:
        file.attrs.clear()
        del file["layers"].attrs["encoding-type"], file["layers"].attrs["encoding-version"]
        file["layers/counts"].attrs.clear()
        obs = file["obs"]
        obs.attrs["encoding-version"] = "0.1.0"
        for key in ("kind", "batch"):
            codes, categories = obs[key]["codes"][()], obs[key]["categories"][()]
            del obs[key]
            obs[f"__categories/{key}"] = categories
            obs[f"__categories/{key}"].attrs["ordered"] = False
            obs[key] = codes
            obs[key].attrs["categories"] = obs[f"__categories/{key}"].ref
    return path.read_bytes()


def test_files_in_the_format_of_2020_are_read(web, publish, cells: AnnData, tmp_path: Path) -> None:
    old = published(cells)
    old.layers["counts"] = old.layers["counts"].toarray()
    old.obs = old.obs.astype("category")
    old.write_h5ad(tmp_path / "old.h5ad")
    web[URLS[0]] = as_of_2020(tmp_path / "old.h5ad")
    loaded = load_dataset("small")
    np.testing.assert_array_equal(loaded.X.toarray(), cells.X)
    assert list(loaded.obs["kind"]) == list(cells.obs["kind"])
    assert list(loaded.obs_names) == list(cells.obs_names)


def test_a_file_placed_by_hand_needs_neither_pooch_nor_a_network(
    folder: Path, publish, whole: bytes, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    (folder / "small.h5ad").write_bytes(whole)
    assert load_dataset("small").shape == (90, 24)


def changed(cells: AnnData, what: str) -> AnnData:
    """Return the published cells with one thing wrong."""
    cells = published(cells)
    match what:
        case "cells":
            return cells[:80].copy()
        case "genes":
            return cells[:, :20].copy()
        case "batch":
            del cells.obs["batch"]
        case "kind":
            del cells.obs["kind"]
        case "layer":
            del cells.layers["counts"]
        case "normalised":
            cells.layers["counts"] = sparse.csr_matrix(cells.X)
        case "negative":
            cells.layers["counts"] = -cells.layers["counts"]
    return cells


WRONG = {
    "cells": "holds 80 cells and 24 genes; small has 90 cells and 24 genes",
    "genes": "holds 90 cells and 20 genes",
    "batch": "obs lacks 'batch'; columns: kind",
    "kind": "obs lacks 'kind'; columns: batch",
    "layer": "holds no layers/counts, where the raw counts should be",
    "normalised": "no counts",
    "negative": "negative values",
}


@pytest.mark.parametrize("what", WRONG)
def test_another_file_of_that_name_is_named_and_kept(
    folder: Path, publish, cells: AnnData, tmp_path: Path, what: str
) -> None:
    content = bytes_of(changed(cells, what), tmp_path / "wrong.h5ad")
    (folder / "small.h5ad").write_bytes(content)
    with pytest.raises(FileFormatError, match=rf"(?s){WRONG[what]}.*restore, rename or remove it"):
        load_dataset("small")
    assert (folder / "small.h5ad").read_bytes() == content
    assert [path.name for path in folder.iterdir()] == ["small.h5ad"]


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_download_is_set_aside_and_the_next_call_fetches_anew(
    web, cache: Path, publish, whole: bytes, cells: AnnData, tmp_path: Path, what: str
) -> None:
    content = bytes_of(changed(cells, what), tmp_path / "wrong.h5ad")
    web[URLS[0]] = content
    with pytest.raises(FileFormatError, match=rf"(?s){WRONG[what]}.*it is now .*small.h5ad.refused; call again"):
        load_dataset("small")
    assert [path.name for path in cache.iterdir()] == ["small.h5ad.refused"]
    assert (cache / "small.h5ad.refused").read_bytes() == content
    web[URLS[0]] = whole
    assert load_dataset("small").shape == (90, 24)


@pytest.mark.parametrize("content", [b"<html>are you human?</html>", b"cut"])
def test_what_is_no_h5ad_is_refused(web, cache: Path, publish, whole: bytes, content: bytes) -> None:
    web[URLS[0]] = whole[:3000] if content == b"cut" else content
    with pytest.raises(FileFormatError, match=r"cannot be read as \.h5ad"):
        load_dataset("small")
    assert not (cache / "small.h5ad").exists()


def test_published_fractions_are_rounded_and_counted(web, publish, cells: AnnData, tmp_path: Path) -> None:
    publish(fractions="two cells come corrected")
    corrected = published(cells)
    counts = cells.X.copy()
    counts[:2] += np.where(counts[:2] > 0, 0.25, 0)
    corrected.layers["counts"] = sparse.csr_matrix(counts)
    web[URLS[0]] = bytes_of(corrected, tmp_path / "corrected.h5ad")
    loaded = load_dataset("small")
    np.testing.assert_array_equal(loaded.X.toarray(), cells.X)
    assert loaded.uns["source"]["rounded_values"] == np.count_nonzero(cells.X[:2])


def test_the_first_bytes_are_remembered_beside_the_file(web, cache: Path, publish, whole: bytes) -> None:
    web[URLS[0]] = whole
    load_dataset("small")
    assert (cache / "small.h5ad.sha256").read_text() == f"{hashlib.sha256(whole).hexdigest()}  small.h5ad\n"


def other_bytes(cells: AnnData, path: Path) -> bytes:
    """Return the bytes of another file that passes every check of its content."""
    cells = published(cells)
    cells.layers["counts"][0, 0] = 77
    return bytes_of(cells, path)


def test_bytes_that_change_after_the_first_use_are_noticed(
    web, cache: Path, publish, whole: bytes, cells: AnnData, tmp_path: Path
) -> None:
    web[URLS[0]] = whole
    load_dataset("small")
    (cache / "small.h5ad").write_bytes(other_bytes(cells, tmp_path / "other.h5ad"))
    with pytest.raises(FileFormatError, match=r"sha256 is .*small.h5ad.sha256 says of its first use \(remove that"):
        load_dataset("small")
    assert load_dataset("small").shape == (90, 24)  # fetched anew: the first bytes again
    web[URLS[0]] = other_bytes(cells, tmp_path / "other.h5ad")
    (cache / "small.h5ad").unlink()
    with pytest.raises(FileFormatError, match="of its first use"):
        load_dataset("small")


def test_a_file_placed_by_hand_is_held_to_its_first_bytes_too(
    folder: Path, publish, whole: bytes, cells: AnnData, tmp_path: Path
) -> None:
    (folder / "small.h5ad").write_bytes(whole)
    load_dataset("small")
    (folder / "small.h5ad").write_bytes(other_bytes(cells, tmp_path / "other.h5ad"))
    with pytest.raises(FileFormatError, match="of its first use"):
        load_dataset("small")
    (folder / "small.h5ad.sha256").unlink()
    assert load_dataset("small").X[0, 0] == 77


def test_a_folder_that_cannot_be_written_goes_without_the_note(
    folder: Path, publish, whole: bytes, monkeypatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (folder / "small.h5ad").write_bytes(whole)
    monkeypatch.setattr("spinlight.datasets.large.atomic_file", refuse)
    assert load_dataset("small").shape == (90, 24)


def test_a_published_checksum_is_asked_of_every_mirror_and_leaves_no_note(
    web, cache: Path, publish, whole: bytes, cells: AnnData, tmp_path: Path
) -> None:
    publish(md5=hashlib.md5(whole).hexdigest())
    web |= {URLS[0]: other_bytes(cells, tmp_path / "other.h5ad"), URLS[1]: whole}
    assert load_dataset("small").shape == (90, 24)
    assert [path.name for path in cache.iterdir()] == ["small.h5ad"]
    (cache / "small.h5ad").write_bytes(whole + b"!")
    with pytest.raises(FileFormatError, match=r"md5 is .*, the published file's"):
        load_dataset("small")


@pytest.mark.parametrize("pinned", [False, True])
def test_an_empty_answer_asks_for_a_browser_and_leaves_nothing(
    web, cache: Path, folder: Path, publish, whole: bytes, pinned: bool
) -> None:
    publish(md5=hashlib.md5(whole).hexdigest() if pinned else None)
    web |= dict.fromkeys(URLS, b"")
    with pytest.raises(DownloadError) as caught:
        load_dataset("small")
    assert str(caught.value).count("open the address in a browser") == len(URLS)
    assert f"put it at {folder / 'small.h5ad'}" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_an_empty_file_placed_by_hand_is_named(folder: Path, publish) -> None:
    (folder / "small.h5ad").touch()
    with pytest.raises(FileFormatError, match=r"small.h5ad .*it is empty.*download it in a browser"):
        load_dataset("small")


def test_without_a_network_the_error_names_addresses_and_the_place(web, folder: Path, publish) -> None:
    with pytest.raises(DownloadError) as caught:
        load_dataset("small")
    assert all(url in str(caught.value) for url in URLS)
    assert f"put it at {folder / 'small.h5ad'}" in str(caught.value)


def test_without_pooch_the_error_names_the_install_command(folder: Path, publish, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spinlight\[data\]'"):
        load_dataset("small")


def test_an_interrupted_download_leaves_nothing(web, cache: Path, publish, monkeypatch) -> None:
    def interrupted(self: object, url: str, output_file: str, store: object) -> None:
        Path(output_file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pytest.importorskip("pooch").HTTPDownloader, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("small")
    assert list(cache.iterdir()) == []


@pytest.fixture
def scvi_loader(monkeypatch: pytest.MonkeyPatch) -> list[AnnData | Exception]:
    """Return what scvi-tools' loader gives next, to be changed by the test."""
    answers: list[AnnData | Exception] = []

    def pbmc_dataset(save_path: str) -> AnnData:
        (Path(save_path) / "half an archive").touch()
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    module = types.ModuleType("scvi.data")
    module.pbmc_dataset = pbmc_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scvi.data", module)
    return answers


def as_from_scvi(cells: AnnData) -> AnnData:
    cells = cells.copy()
    cells.obs["str_labels"] = cells.obs.pop("kind")
    cells.obs["batch"] = (cells.obs["batch"] == "second").astype(int)
    cells.var["gene_symbols"] = [f"symbol {index}" for index in range(cells.n_vars)]
    cells.obsm["design"] = np.zeros((cells.n_obs, 2))
    return cells


def test_what_scvi_tools_puts_together_is_kept_and_loaded_the_same_way(
    cache: Path, publish, scvi_loader, cells: AnnData
) -> None:
    publish(kind="scvi-tools", urls=(), counts=("X",), labels_key="str_labels")
    scvi_loader.append(as_from_scvi(cells))
    np.testing.assert_array_equal(load_dataset("small").X.toarray(), cells.X)
    scvi_loader[0] = OSError("no network")
    assert set(load_dataset("small").obs) == {"batch", "str_labels"}
    assert sorted(path.name for path in cache.iterdir()) == ["small.h5ad", "small.h5ad.sha256"]


def test_a_loader_of_scvi_tools_that_fails_leaves_nothing(cache: Path, folder: Path, publish, scvi_loader) -> None:
    publish(kind="scvi-tools", urls=(), counts=("X",), labels_key="str_labels")
    scvi_loader.append(KeyError("design"))
    with pytest.raises(DownloadError, match=rf"pbmc_dataset\(\).*design(?s:.*)put it at {folder / 'small.h5ad'}"):
        load_dataset("small")
    assert list(cache.iterdir()) == []


def test_the_command_line_knows_the_columns_of_every_atlas() -> None:
    assert {name: (BATCHES[name], LABELS[name]) for name in ATLASES} == {
        "scib_immune": ("batch", "final_annotation"),
        "scib_pancreas": ("tech", "celltype"),
        "scib_lung": ("batch", "cell_type"),
        "hlca_core": ("donor_id", "cell_type"),
        "fetal_lung": ("donor_id", "cell_type"),
        "pbmc_12k": ("batch", "str_labels"),
    }
    assert LABELS["pbmc68k_reduced"] == "bulk_labels"


def test_the_command_line_takes_the_columns_of_an_atlas_as_its_defaults(
    folder: Path, publish, whole: bytes, tmp_path: Path, monkeypatch
) -> None:
    chosen: list[dict[str, Any]] = []

    def stop(cells: AnnData, layer: str | None, **keys: Any) -> None:
        chosen.append(keys)
        raise FileFormatError("enough")

    monkeypatch.setitem(data.BATCHES, "small", "batch")
    monkeypatch.setitem(data.LABELS, "small", "kind")
    monkeypatch.setattr(checks, "require_cells", stop)
    (folder / "small.h5ad").write_bytes(whole)
    arguments = ["cells", "fit", "--dataset", "small", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert main([*arguments, "--batch-key", "lane", "--labels-key", "fine"]) == 2
    assert chosen == [
        {"batch_key": "batch", "labels_key": "kind"},
        {"batch_key": "lane", "labels_key": "fine"},
    ]


def test_an_atlas_that_is_missing_is_answered_by_one_line(
    web, publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cells", "fit", "--dataset", "small", "--out", str(tmp_path / "out")]) == 2
    assert "could not be downloaded" in capsys.readouterr().err.splitlines()[-1]  # pooch says before what it tries
    assert not (tmp_path / "out").exists()


def test_the_help_names_every_atlas_and_imports_no_scanpy() -> None:
    code = (
        "import sys; from spinlight.cli import main; status = main(['cells', 'fit', '--help']); "
        "sys.exit(status or any(name in sys.modules for name in ('scanpy', 'scvi', 'anndata', 'pooch', 'h5py')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "400"},
    )
    assert [name for name in ATLASES if name not in run.stdout] == []


def test_every_record_says_where_the_atlas_comes_from() -> None:
    for name, atlas in ATLASES.items():
        assert atlas.name == name
        assert "doi:10." in atlas.citation
        assert (atlas.kind == "h5ad") == bool(atlas.urls)
        assert all(url.startswith("https://") for url in atlas.urls)
        assert atlas.md5 is None or len(bytes.fromhex(atlas.md5)) == 16
