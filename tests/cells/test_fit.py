"""One call fits, measures and writes; an interrupted one keeps what it saved."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from spinlight._errors import InvalidDataError, InvalidSettingError, UnknownNameError

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import Fitted

pytest.importorskip("scvi")
anndata = pytest.importorskip("anndata")

WHOLE = {"batch_key": "batch", "labels_key": "kind", "epochs": 4, "latent": 8}


def fit(
    cells: AnnData, out: Path, progress: Progress | None = None, *, overwrite: bool = False, **settings: Any
) -> Fitted:
    from spinlight.cells import FitSettings, fit_cells

    return fit_cells(cells, out, FitSettings(**settings), title="Synthetic", progress=progress, overwrite=overwrite)


@pytest.fixture(scope="module")
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def fitted(make_cells: Callable[..., AnnData], tmp_path_factory: pytest.TempPathFactory, shown: io.StringIO) -> Fitted:
    progress = Progress(console=Console(file=shown, width=100, force_terminal=True))
    return fit(make_cells(), tmp_path_factory.mktemp("runs") / "new" / "run", progress, **WHOLE)


def test_every_file_is_written_and_nothing_else(fitted: Fitted) -> None:
    (out,) = {path.parent for path in fitted.files}
    assert sorted(path.name for path in out.iterdir()) == [
        "cells.h5ad",
        "cells.png",
        "metrics.json",
        "model",
        "report.html",
    ]
    assert sorted(path.name for path in fitted.files) == sorted(path.name for path in out.iterdir())


def test_the_file_of_cells_holds_the_latent_and_the_energy_of_the_model(fitted: Fitted) -> None:
    stored = anndata.read_h5ad(fitted.files[0].parent / "cells.h5ad")
    np.testing.assert_array_equal(stored.obsm["X_qbmvae"], fitted.model.get_latent_representation())
    np.testing.assert_array_equal(stored.obs["qbmvae_energy"], fitted.model.get_cell_energy())
    assert stored.obsm["X_umap"].shape == (90, 2)
    assert "qbmvae_leiden" in stored.obs


def test_the_saved_model_gives_the_stored_latent(fitted: Fitted) -> None:
    from spinlight.cells import QBMVAE

    out = fitted.files[0].parent
    stored = anndata.read_h5ad(out / "cells.h5ad")
    model = QBMVAE.load(str(out / "model"), adata=stored, accelerator="cpu")
    np.testing.assert_array_equal(model.get_latent_representation(), stored.obsm["X_qbmvae"])


def test_metrics_are_plain_json_with_the_errors_of_the_elbo(fitted: Fitted) -> None:
    metrics = json.loads((fitted.files[0].parent / "metrics.json").read_text())
    log_partition_error = fitted.model.get_log_partition().standard_error
    assert metrics["log_partition"]["standard_error"] == log_partition_error
    assert metrics["elbo"]["log_partition_error"] == log_partition_error
    largest = max(metrics["elbo"]["sampling_error"].values())
    assert metrics["elbo"]["standard_error"] == pytest.approx(math.hypot(log_partition_error, largest))
    assert metrics["elbo"]["train"] < 0
    assert metrics["elbo"]["held_out"] < 0
    for scores in metrics["embeddings"].values():
        assert None not in scores.values()


def test_the_scores_are_those_of_the_stored_clusters(fitted: Fitted) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    stored = anndata.read_h5ad(fitted.files[0].parent / "cells.h5ad")
    expected = metrics.adjusted_rand_score(stored.obs["kind"], stored.obs["qbmvae_leiden"])
    assert fitted.metrics["embeddings"]["QBM-VAE"]["leiden_ari"] == pytest.approx(expected)


def test_the_picture_is_a_png(fitted: Fitted) -> None:
    assert (fitted.files[0].parent / "cells.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_progress_shows_the_epochs(fitted: Fitted, shown: io.StringIO) -> None:
    assert "training, ELBO" in shown.getvalue()


def test_the_same_seed_gives_the_same_latent_to_rounding(
    make_cells: Callable[..., AnnData], fitted: Fitted, tmp_path: Path
) -> None:
    again, other = (fit(make_cells(), tmp_path / str(seed), seed=seed, **WHOLE) for seed in (0, 1))
    latent = fitted.model.get_latent_representation()
    # Rounding differs between runs where the linear algebra library meets other memory alignments.
    np.testing.assert_allclose(again.model.get_latent_representation(), latent, atol=1e-4)
    assert np.abs(other.model.get_latent_representation() - latent).max() > 1e-2


def test_without_keys_there_are_fewer_metrics(cells: AnnData, tmp_path: Path) -> None:
    scores = fit(cells, tmp_path, epochs=1, latent=4).metrics["embeddings"]
    assert {name for name, value in scores["QBM-VAE"].items() if value is not None} == {"clusters"}
    assert (tmp_path / "report.html").exists()


def test_a_column_with_one_value_is_said_to_give_no_scores(cells: AnnData, tmp_path: Path) -> None:
    cells.obs["batch"] = "only"
    found = fit(cells, tmp_path, epochs=1, latent=4, batch_key="batch", labels_key="kind")
    assert found.metrics["notes"] == ["column 'batch' has one value: no scores that compare several"]
    assert found.metrics["embeddings"]["QBM-VAE"]["batch_ilisi"] is None
    assert "has one value: no scores" in (tmp_path / "report.html").read_text()


def test_an_error_of_log_partition_that_cannot_be_told_is_null(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import QBMVAE

    known = QBMVAE.get_log_partition
    monkeypatch.setattr(QBMVAE, "get_log_partition", lambda self: replace(known(self), standard_error=math.nan))
    fitted = fit(cells, tmp_path, epochs=1, latent=4)
    metrics = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert metrics == fitted.metrics
    assert metrics["log_partition"]["standard_error"] is None
    assert metrics["elbo"]["standard_error"] is None
    assert metrics["elbo"]["sampling_error"]["train"] > 0
    assert "error unknown" in (tmp_path / "report.html").read_text()


def test_the_callers_cells_are_left_alone(cells: AnnData, tmp_path: Path) -> None:
    before = cells.copy()
    fit(cells, tmp_path, epochs=1, latent=4)
    assert list(cells.obs) == list(before.obs)
    assert list(cells.obsm) == []
    np.testing.assert_array_equal(cells.X, before.X)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"labels_key": "type"}, UnknownNameError),
        ({"epochs": 0}, InvalidSettingError),
        ({"latent": -1}, InvalidSettingError),
        ({"seed": -1}, InvalidSettingError),
        ({"seed": 2**32}, InvalidSettingError),
        ({"threads": 0}, InvalidSettingError),
        ({"batch_key": "batch", "labels_key": "batch"}, InvalidSettingError),
        ({"labels_key": "qbmvae_leiden"}, InvalidSettingError),
        ({"batch_key": "qbmvae_energy"}, InvalidSettingError),
        ({"batch_key": "depth"}, InvalidDataError),
        ({"batch_key": "name"}, InvalidDataError),
    ],
)
def test_a_mistake_is_found_before_anything_is_written(
    cells: AnnData, tmp_path: Path, settings: dict[str, Any], error: type[Exception]
) -> None:
    cells.obs["depth"] = np.arange(90) % 4 / 2
    cells.obs["name"] = cells.obs_names
    for column in ("qbmvae_leiden", "qbmvae_energy"):
        cells.obs[column] = cells.obs["kind"]
    with pytest.raises(error):
        fit(cells, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_data_that_are_no_counts_are_found_before_anything_is_written(cells: AnnData, tmp_path: Path) -> None:
    cells.X = np.log1p(cells.X)
    with pytest.raises(InvalidDataError):
        fit(cells, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_gain_of_the_last_quarter_is_that_of_the_best_values() -> None:
    import pandas as pd

    from spinlight.cells.fit import _last_gain

    losses = pd.DataFrame({"elbo_validation": [9.0, 8.0, 7.0, 6.0, 6.5, 5.0, 5.5, 4.75]})
    assert _last_gain({"elbo_validation": losses}) == 0.25
    assert _last_gain({"elbo_validation": losses.iloc[:3]}) is None
    assert _last_gain({}) is None


def test_a_fit_of_other_cells_is_not_replaced_unless_that_is_said(
    make_cells: Callable[..., AnnData], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    fit(make_cells(60), out, epochs=1)
    before = (out / "metrics.json").read_text()
    with pytest.raises(
        InvalidSettingError, match=r"holds a fit of other cells \(60 x 24 genes; now 90 x 24\); .*--overwrite"
    ):
        fit(make_cells(90), out, epochs=1)
    assert (out / "metrics.json").read_text() == before
    fit(make_cells(60), out, epochs=1)
    fit(make_cells(90), out, epochs=1, overwrite=True)
    assert json.loads((out / "metrics.json").read_text())["data"]["cells"] == 90


def test_as_many_other_cells_are_other_cells(make_cells: Callable[..., AnnData], tmp_path: Path) -> None:
    cells = make_cells(60)
    fit(cells, tmp_path, epochs=1)
    counted, named = cells.copy(), cells.copy()
    counted.X[0, 0] += 1
    named.obs_names = [f"other-{name}" for name in named.obs_names]
    for other in (counted, named):
        with pytest.raises(InvalidSettingError, match=r"60 x 24 genes; now 60 x 24, with other names or counts\)"):
            fit(other, tmp_path, epochs=1)
    fit(cells, tmp_path, epochs=2)  # the same cells, otherwise


def test_a_second_fit_in_one_folder_is_refused(cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spinlight.cells import fit as module

    refused: list[str] = []
    measured = module._likelihoods

    def while_running(model: Any) -> Any:
        with pytest.raises(InvalidSettingError, match="another fit is running in"):
            fit(cells, tmp_path, epochs=1)
        refused.append("yes")
        return measured(model)

    monkeypatch.setattr(module, "_likelihoods", while_running)
    fit(cells, tmp_path, epochs=1)
    assert refused == ["yes"]


def test_a_fit_of_other_cells_that_ended_in_between_stays(
    make_cells: Callable[..., AnnData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import fit as module

    checked = module.require_own_place

    def then_another_fit_ends(folder: Path, cells: AnnData, layer: str | None) -> None:
        checked(folder, cells, layer)
        if not folder.exists():
            monkeypatch.setattr(module, "require_own_place", checked)
            fit(make_cells(60), folder, epochs=1)

    monkeypatch.setattr(module, "require_own_place", then_another_fit_ends)
    with pytest.raises(InvalidSettingError, match="60 x 24 genes; now 90 x 24"):
        fit(make_cells(90), tmp_path / "out", epochs=1)


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def interrupt_second_epoch(self: Any, trainer: Any, pl_module: Any) -> None:
    if trainer.current_epoch == 1:
        raise KeyboardInterrupt


def place_old_results(out: Path) -> dict[str, str]:
    """Write what an older fit may have left, and return it."""
    (out / "model").mkdir()
    for name in ("cells.h5ad", "cells.png", "metrics.json", "model/model.pt", "report.html"):
        (out / name).write_text(f"old {name}")
    return contents(out)


def contents(out: Path) -> dict[str, str]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != "model-interrupted")
    return {str(path.relative_to(out)): path.read_text() for path in files}


def test_an_interrupt_in_training_leaves_a_model_that_loads_and_older_results_as_they_were(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import QBMVAE, InterruptedFitError
    from spinlight.training.progress import TrainingProgress

    old = place_old_results(tmp_path)
    monkeypatch.setattr(TrainingProgress, "on_train_epoch_end", interrupt_second_epoch)
    with pytest.raises(InterruptedFitError) as caught:
        fit(cells, tmp_path, Progress(console=Console(file=io.StringIO())), epochs=50, latent=4)
    assert caught.value.saved == [tmp_path / "model-interrupted"]
    assert contents(tmp_path) == old
    assert not list(tmp_path.glob(".*"))
    assert QBMVAE.load(str(tmp_path / "model-interrupted"), adata=cells, accelerator="cpu").is_trained


def test_an_interrupt_in_the_first_epoch_saves_nothing(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import InterruptedFitError
    from spinlight.training.progress import TrainingProgress

    monkeypatch.setattr(TrainingProgress, "on_train_start", interrupt)
    with pytest.raises(InterruptedFitError) as caught:
        fit(cells, tmp_path, Progress(console=Console(file=io.StringIO())), epochs=50, latent=4)
    assert caught.value.saved == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["neighbour_graph", "html_report", "estimate_elbo"])
def test_an_interrupt_after_training_keeps_the_model_and_older_results(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from spinlight.cells import InterruptedFitError
    from spinlight.cells import fit as module

    monkeypatch.setattr(module, place, interrupt)
    old = place_old_results(tmp_path)
    with pytest.raises(InterruptedFitError) as caught:
        fit(cells, tmp_path, epochs=1, latent=4)
    assert caught.value.saved == [tmp_path / "model-interrupted"]
    assert contents(tmp_path) == old


def test_an_interrupt_of_the_commit_finds_everything_saved(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight._results import Results
    from spinlight.cells import InterruptedFitError

    commit = Results.commit
    monkeypatch.setattr(Results, "commit", lambda self: (commit(self), interrupt()))
    with pytest.raises(InterruptedFitError) as caught:
        fit(cells, tmp_path, epochs=1, latent=4)
    assert sorted(caught.value.saved) == sorted(tmp_path.iterdir())


def test_a_fit_that_fails_leaves_older_results_as_they_were(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import fit as module

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "html_report", fail)
    old = place_old_results(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fit(cells, tmp_path, epochs=1, latent=4)
    assert contents(tmp_path) == old
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("part", ["obs", "uns"])
def test_annotations_that_cannot_be_written_are_found_before_training(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    from spinlight.cells import fit as module

    monkeypatch.setattr(module, "_train", pytest.fail)
    cells.obs["good"] = "text"
    getattr(cells, part)["bad"] = [{1, 2} for _ in range(cells.n_obs)] if part == "obs" else object()
    with pytest.raises(InvalidDataError, match=r"obs, var or uns holds what cannot be written as \.h5ad(?s:.*)bad"):
        fit(cells, tmp_path, epochs=1, latent=4)
    assert list(tmp_path.iterdir()) == []


def test_a_fit_of_numpy_numbers_writes_plain_ones(cells: AnnData, tmp_path: Path) -> None:
    fit(cells, tmp_path, epochs=np.int64(1), latent=np.int32(4), seed=np.uint32(7), threads=np.int64(1))
    settings = json.loads((tmp_path / "metrics.json").read_text())["settings"]
    assert {name: settings[name] for name in ("epochs", "latent", "seed", "threads")} == {
        "epochs": 1,
        "latent": 4,
        "seed": 7,
        "threads": 1,
    }


def test_the_threads_of_torch_are_those_of_the_settings_during_a_fit_and_come_back(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import fit as module

    seen = []
    before, estimate = torch.get_num_threads(), module.estimate_elbo
    monkeypatch.setattr(
        module, "estimate_elbo", lambda *args: (seen.append(torch.get_num_threads()), estimate(*args))[1]
    )
    fit(cells, tmp_path, epochs=1, latent=4, threads=before + 1)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
