"""New cells among those of a fit: encoded as they are, or mapped where their batches are new, with the labels of their neighbours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

from spinlight._errors import FileFormatError, InvalidDataError, InvalidSettingError, UnknownNameError

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import QBMVAE, EmbeddedCells

pytest.importorskip("scvi")
anndata = pytest.importorskip("anndata")


@pytest.fixture(scope="module")
def fit(make_cells: Callable[..., AnnData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a fit that knows three kinds and two batches."""
    from spinlight.cells import FitSettings, fit_cells

    out = tmp_path_factory.mktemp("runs") / "fit"
    fit_cells(make_cells(150), out, FitSettings(batch_key="batch", labels_key="kind", epochs=60, latent=8))
    return out


@pytest.fixture
def new(make_cells: Callable[..., AnnData]) -> AnnData:
    """Return other cells of the same kinds and batches, without their kinds."""
    cells = make_cells(60, seed=1)
    cells.obs["truth"] = cells.obs.pop("kind")
    return cells


def embed(cells: AnnData, fit: Path, out: Path, *, overwrite: bool = False, **settings: Any) -> EmbeddedCells:
    from spinlight.cells import EmbedSettings, embed_cells

    return embed_cells(cells, fit, out, EmbedSettings(**settings), overwrite=overwrite)


def model_of(fit: Path, cells: AnnData | None = None) -> QBMVAE:
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    with quiet_training():
        there = anndata.read_h5ad(fit / "cells.h5ad") if cells is None else cells
        return QBMVAE.load(fit / "model", adata=there, accelerator="cpu")


def as_model_wants(cells: AnnData) -> AnnData:
    found = cells.copy()
    found.obs["kind"] = "kind 0"
    return found


def test_cells_of_known_batches_are_encoded_as_they_are(fit: Path, new: AnnData, tmp_path: Path) -> None:
    before = new.copy()
    found = embed(new, fit, tmp_path)
    latent = model_of(fit).get_latent_representation(as_model_wants(new))
    np.testing.assert_allclose(found.cells.obsm["X_qbmvae"], latent, atol=1e-5)
    assert found.metrics["batches"] == {"known": {"first": 30, "second": 30}, "new": {}}
    assert found.metrics["epochs"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad", "cells.png", "metrics.json"]
    assert new.obs.equals(before.obs)
    assert not new.obsm
    stored = anndata.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(stored.obsm["X_qbmvae"], found.cells.obsm["X_qbmvae"])
    assert stored.obsm["X_umap"].shape == (60, 2)
    assert (tmp_path / "cells.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_new_cells_get_the_label_that_most_neighbours_have(fit: Path, new: AnnData, tmp_path: Path) -> None:
    found = embed(new, fit, tmp_path)
    there = anndata.read_h5ad(fit / "cells.h5ad")
    distances = ((found.cells.obsm["X_qbmvae"][:, None] - there.obsm["X_qbmvae"][None]) ** 2).sum(-1)
    kinds = there.obs["kind"].astype(str).to_numpy()
    for cell, near in enumerate(np.argsort(distances, axis=1, kind="stable")[:, :15]):
        counts = {kind: int((kinds[near] == kind).sum()) for kind in set(kinds[near])}
        assert found.cells.obs["qbmvae_label_share"].iloc[cell] == pytest.approx(max(counts.values()) / 15, abs=0.07)
    right = found.cells.obs["qbmvae_label"].astype(str) == found.cells.obs["truth"]
    assert right.mean() > 0.9
    assert "accuracy" not in found.metrics["labels"]  # nobody said which column holds the truth
    given = found.metrics["labels"]["given"]
    assert sum(each["cells"] for each in given.values()) == 60


def test_labels_of_their_own_say_how_many_are_right(fit: Path, new: AnnData, tmp_path: Path) -> None:
    new.obs["kind"] = new.obs["truth"].where(np.arange(60) >= 6, "something else")
    labels = embed(new, fit, tmp_path).metrics["labels"]
    assert labels["cells of labels that the fit does not know"] == 6
    assert labels["accuracy"] > 0.9


def test_cells_of_a_new_batch_are_mapped_and_the_others_stay(fit: Path, new: AnnData, tmp_path: Path) -> None:
    new.obs["lab"] = np.where(np.arange(60) < 20, "first", "third")
    found = embed(new, fit, tmp_path, batch_key="lab", epochs=3)
    assert found.metrics["batches"] == {"known": {"first": 20}, "new": {"third": 40}}
    assert found.metrics["epochs"] == 3
    as_they_are = as_model_wants(new[:20])
    as_they_are.obs["batch"] = "first"
    np.testing.assert_allclose(
        found.cells.obsm["X_qbmvae"][:20], model_of(fit).get_latent_representation(as_they_are), atol=1e-5
    )
    mapped_cells = as_model_wants(new[20:])
    mapped_cells.obs["batch"] = "third"
    mapped = model_of(tmp_path, mapped_cells)
    np.testing.assert_allclose(found.cells.obsm["X_qbmvae"][20:], mapped.get_latent_representation(), atol=1e-5)
    # The model that was trained on leaves the cells of the fit where they were.
    there = anndata.read_h5ad(fit / "cells.h5ad")
    np.testing.assert_allclose(mapped.get_latent_representation(there), there.obsm["X_qbmvae"], atol=1e-5)


def test_genes_are_found_by_name(fit: Path, new: AnnData, tmp_path: Path) -> None:
    first = embed(new, fit, tmp_path / "first")
    extra = anndata.AnnData(np.ones((60, 2), dtype=np.float32), obs=new.obs.copy())
    extra.var_names = ["other 0", "other 1"]
    shuffled = anndata.concat([extra, new], axis=1, merge="first")[:, np.random.default_rng(0).permutation(26)].copy()
    shuffled.X = sparse.csc_matrix(shuffled.X)
    second = embed(shuffled, fit, tmp_path / "second")
    np.testing.assert_allclose(second.cells.obsm["X_qbmvae"], first.cells.obsm["X_qbmvae"], atol=1e-5)
    assert second.metrics["notes"] == ["2 genes are left out, which the fit did not have"]
    assert second.cells.n_vars == 26


def test_missing_genes_count_as_zero_up_to_a_fifth(fit: Path, new: AnnData, tmp_path: Path) -> None:
    zeroed = new.copy()
    zeroed.X[:, :4] = 0
    expected = embed(zeroed, fit, tmp_path / "zeroed").cells.obsm["X_qbmvae"]
    found = embed(new[:, 4:].copy(), fit, tmp_path / "fewer")
    np.testing.assert_allclose(found.cells.obsm["X_qbmvae"], expected, atol=1e-5)
    assert found.metrics["notes"] == ["4 of the 24 genes of the fit are missing, and count as zero"]
    with pytest.raises(
        InvalidDataError, match=r"have 19 of the 24 genes of the fit, and four fifths are needed; .* gene 0, gene 1"
    ):
        embed(new[:, 5:].copy(), fit, tmp_path / "too few")


def test_batches_are_known_by_their_names_whatever_their_type(
    make_cells: Callable[..., AnnData], tmp_path: Path
) -> None:
    from spinlight.cells import FitSettings, fit_cells

    cells = make_cells(60)
    cells.obs["batch"] = np.arange(60) % 2
    fit_cells(cells, tmp_path / "fit", FitSettings(batch_key="batch", epochs=2, latent=4))
    cells.obs["batch"] = cells.obs["batch"].astype(str).astype("category")
    found = embed(cells, tmp_path / "fit", tmp_path / "out")
    assert found.metrics["batches"] == {"known": {"0": 30, "1": 30}, "new": {}}
    assert found.metrics["labels"] is None
    fitted = anndata.read_h5ad(tmp_path / "fit" / "cells.h5ad")
    np.testing.assert_allclose(found.cells.obsm["X_qbmvae"], fitted.obsm["X_qbmvae"], atol=1e-5)


def test_counts_may_lie_in_layers_of_other_names(make_cells: Callable[..., AnnData], tmp_path: Path) -> None:
    from spinlight.cells import FitSettings, fit_cells

    cells = make_cells(60)
    cells.layers["raw"], cells.X = cells.X, np.log1p(cells.X)
    fit_cells(cells, tmp_path / "fit", FitSettings(layer="raw", epochs=2, latent=4))
    cells.layers["mine"] = cells.layers.pop("raw")
    found = embed(cells, tmp_path / "fit", tmp_path / "out", layer="mine")
    fitted = anndata.read_h5ad(tmp_path / "fit" / "cells.h5ad")
    np.testing.assert_allclose(found.cells.obsm["X_qbmvae"], fitted.obsm["X_qbmvae"], atol=1e-5)
    with pytest.raises(InvalidSettingError, match="made without a batch key"):
        embed(cells, tmp_path / "fit", tmp_path / "other", layer="mine", batch_key="batch")


def test_what_cannot_be_embedded_is_refused_before_anything_is_written(fit: Path, new: AnnData, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fractions, empty, twice = new.copy(), new.copy(), new.copy()
    fractions.X[0, 0] = 0.5
    empty.X[3] = 0
    twice.var_names = ["gene 0", *twice.var_names[:-1]]
    for cells, error, words in (
        (fractions, InvalidDataError, "no counts"),
        (empty, InvalidDataError, "no count at all"),
        (twice, InvalidDataError, "same name"),
        (new[:0].copy(), InvalidDataError, "0 cells"),
    ):
        with pytest.raises(error, match=words):
            embed(cells, fit, out)
    with pytest.raises(UnknownNameError, match="'lab' is no column of obs"):
        embed(new, fit, out, batch_key="lab")
    with pytest.raises(InvalidSettingError, match="'qbmvae_label' is a column that an embedding itself writes"):
        embed(new, fit, out, batch_key="qbmvae_label")
    with pytest.raises(InvalidSettingError, match="folder of the fit itself"):
        embed(new, fit, fit / ".." / "fit")
    with pytest.raises(InvalidSettingError, match="holds no fit"):
        embed(new, tmp_path, out)
    assert not out.exists()


def test_a_fit_that_is_not_whole_is_named(fit: Path, new: AnnData, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(fit, copy)
    shutil.rmtree(copy / "model")
    with pytest.raises(InvalidSettingError, match="no whole fit: model is missing"):
        embed(new, copy, tmp_path / "out")
    (copy / "metrics.json").write_text('{"settings": {}}')
    with pytest.raises(FileFormatError, match=r"metrics\.json is none of a fit"):
        embed(new, copy, tmp_path / "out")


def test_results_of_other_cells_are_not_replaced_unless_that_is_said(fit: Path, new: AnnData, tmp_path: Path) -> None:
    embed(new, fit, tmp_path)
    other = new[:30].copy()
    with pytest.raises(InvalidSettingError, match=r"\(60 x 24 genes; now 30 x 24\).*--overwrite"):
        embed(other, fit, tmp_path)
    embed(new, fit, tmp_path)
    embed(other, fit, tmp_path, overwrite=True)
    assert json.loads((tmp_path / "metrics.json").read_text())["data"]["cells"] == 30


def test_an_interrupt_leaves_nothing(fit: Path, new: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spinlight.cells import InterruptedFitError, embedding

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "embedded_picture", interrupt)
    with pytest.raises(InterruptedFitError) as caught:
        embed(new, fit, tmp_path)
    assert caught.value.saved == []
    assert list(tmp_path.iterdir()) == []


def test_a_large_fit_is_thinned_out_on_the_map(
    fit: Path, new: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import embedding

    seen: list[Any] = []
    drawn = embedding.embedded_picture
    monkeypatch.setattr(embedding, "_ON_MAP", 40)
    monkeypatch.setattr(embedding, "embedded_picture", lambda *parts: seen.extend(parts) or drawn(*parts))
    embed(new, fit, tmp_path)
    assert len(seen[1][0]) == len(seen[1][1]) == 40
    assert len(seen[2][0]) == 60
