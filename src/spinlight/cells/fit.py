"""The main job: fit a QBM-VAE to cells, measure it, and leave results that other tools read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scanpy
import scvi
from anndata import AnnData
from numpy.typing import NDArray

from spinlight._errors import InvalidDataError, InvalidSettingError
from spinlight._files import alone_in
from spinlight._plain import plain
from spinlight._results import Results
from spinlight._signals import interrupts_wait
from spinlight._threads import torch_threads
from spinlight.cells.checks import counts_of, require_anndata, require_cells
from spinlight.cells.data import write_annotations
from spinlight.cells.defaults import epochs_for
from spinlight.cells.digests import cells_digest
from spinlight.cells.elbo import DRAWS, estimate_elbo
from spinlight.cells.evaluation import alike_note, neighbour_graph, principal_components, separation
from spinlight.cells.figures import cells_picture, training_picture
from spinlight.cells.model import QBMVAE
from spinlight.cells.report import html_report
from spinlight.cells.settings import CLUSTERS, ENERGY, LATENT, EmbedSettings, FitSettings
from spinlight.cells.versions import installed
from spinlight.training.interrupts import InterruptedFitError
from spinlight.training.progress import TrainingProgress, stage
from spinlight.training.quiet import quiet_training

if TYPE_CHECKING:
    from rich.progress import Progress

CELLS, PICTURE, REPORT, METRICS, MODEL = "cells.h5ad", "cells.png", "report.html", "metrics.json", "model"
"""What a fit writes: four files and a folder."""

INTERRUPTED = "model-interrupted"
"""The folder where an interrupted fit leaves its model."""

_BATCH, _VALIDATE_EVERY = 128, 5


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a fit produced.

    Args:
        model: the trained model.
        metrics: everything measured, as plain JSON values, None where there is no finite one; the content of metrics.json.
        files: what was written.
    """

    model: QBMVAE
    metrics: Mapping[str, Any]
    files: list[Path] = field(default_factory=list)


def fit_cells(
    cells: AnnData,
    out: str | os.PathLike[str],
    settings: FitSettings,
    *,
    title: str = "QBM-VAE",
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Fitted:
    """Fit a QBM-VAE and write model, cells.h5ad, cells.png, metrics.json and report.html into a folder.

    The results appear together, at the end; until then those of an older fit stay as they were. On Ctrl-C the model, as far as
    it was trained, is saved beside them as `model-interrupted`, if an epoch was finished, and `InterruptedFitError` (a
    `KeyboardInterrupt`) is raised.

    A tenth of the cells is held out of training, for an honest ELBO; the latent is that of all cells. The global seeds of
    Python, NumPy and torch are set, as scvi-tools does. It trains on the CPU, where the prior's sampler runs and where a seed
    gives the same result again; for an accelerator call `QBMVAE.train`.

    Args:
        cells: raw counts in `X`, or in the layer of the settings; not modified.
        out: the folder; made if need be, files of the same names are replaced.
        settings: what to fit.
        title: heading of the report.
        progress: where to show progress, if anywhere; started once the checks have passed, and stopped.
        overwrite: whether results of cells of other names or counts may be replaced; those of the same cells are.

    Raises:
        InvalidDataError, UnknownNameError, InvalidSettingError: before anything is computed or written; data that are no
            counts, annotations that no .h5ad can hold, a key that is no column, a folder that cannot be written to, that holds a fit
            of other cells, or in which another fit is running.
    """
    settings = _checked(cells, settings)
    if not overwrite:
        require_own_place(Path(out), cells, settings.layer)
    model: QBMVAE | None = None
    files = (CELLS, PICTURE, REPORT, METRICS, f"{MODEL}/model.pt", f"{INTERRUPTED}/model.pt")
    with Results(out, files=files, folders=(MODEL, INTERRUPTED)) as results, alone_in(results.folder, "fit"):
        if not overwrite:
            require_own_place(results.folder, cells, settings.layer)  # one that ended in between
        results.try_out(CELLS, partial(write_annotations, cells))
        try:
            with torch_threads(settings.threads), nullcontext() if progress is None else progress:
                cells = cells.copy()
                model = _untrained(cells, settings)
                return _run(model, cells, settings, results, title, progress)
        except KeyboardInterrupt as error:
            raise InterruptedFitError(_rescued(results, model)) from error


def _rescued(results: Results, model: QBMVAE | None) -> list[Path]:
    """Save the model of an interrupted fit if it has finished an epoch, and return what was saved."""
    # Whoever presses Ctrl-C once more means the same fit.
    with suppress(KeyboardInterrupt), interrupts_wait():
        if not results.saved and model is not None and len((model.history or {}).get("elbo_train", ())):
            results.write_by(INTERRUPTED, model.save)
            results.commit(INTERRUPTED)
    return results.saved


def _run(
    model: QBMVAE, cells: AnnData, settings: FitSettings, results: Results, title: str, progress: Progress | None
) -> Fitted:
    """Train, measure, write: `fit_cells` after its checks."""
    seconds: dict[str, float] = {}
    with stage("training", None, seconds):
        _train(model, settings, progress)
    with stage("latent and ELBO", progress, seconds):
        measured = _likelihoods(model)
        cells.obsm[LATENT] = model.get_latent_representation()
        cells.obs[ENERGY] = model.get_cell_energy()
    with stage("clusters and scores", progress, seconds):
        graph, scores = _separations(cells, settings)
    with stage("map of the cells", progress, seconds):
        scanpy.tl.umap(graph, random_state=settings.seed)
    cells.obs[CLUSTERS] = graph.obs["leiden"].to_numpy()
    cells.obsm["X_umap"] = graph.obsm["X_umap"]
    metrics = plain(
        about(cells, settings)
        | {"notes": _notes(cells, settings)}
        | measured
        | {"embeddings": scores, "seconds": dict(seconds)}
    )
    with stage("files", progress, seconds):
        _write(results, model, cells, settings, title, metrics)
        results.commit()
    return Fitted(model=model, metrics=metrics, files=results.saved)


def _checked(cells: AnnData, settings: FitSettings) -> FitSettings:
    """Return the settings, their defaults filled in, or refuse the cells before anything is spent."""
    require_anndata(cells)
    if cells.isbacked:
        raise InvalidDataError("fit_cells writes the cells anew and needs them in memory; give cells.to_memory()")
    require_cells(cells, settings.layer, batch_key=settings.batch_key, labels_key=settings.labels_key)
    return replace(settings, epochs=settings.epochs or epochs_for(cells.n_obs))


def require_own_place(folder: Path, cells: AnnData, layer: str | None) -> None:
    """Refuse a folder with the fit of other cells."""
    try:
        older = json.loads((folder / METRICS).read_text())["data"]
        numbers, known = (older["cells"], older["genes"]), older["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # no fit, or none that can be read
    if numbers == (cells.n_obs, cells.n_vars) and known == cells_digest(cells, layer):
        return
    raise InvalidSettingError(
        f"{folder} holds a fit of other cells ({numbers[0]} x {numbers[1]} genes; now {cells.n_obs} x {cells.n_vars}"
        f"{', with other names or counts' if numbers == (cells.n_obs, cells.n_vars) else ''}); choose another folder, or say "
        "--overwrite (fit_cells: overwrite=True)"
    )


def _untrained(cells: AnnData, settings: FitSettings) -> QBMVAE:
    """Return a model of the cells, made from the seed."""
    with quiet_training(printed=True):
        scvi.settings.seed = settings.seed
        QBMVAE.setup_anndata(cells, settings.layer, batch_key=settings.batch_key, labels_key=settings.labels_key)
        return QBMVAE(cells, n_latent=settings.latent)


def _train(model: QBMVAE, settings: FitSettings, progress: Progress | None) -> None:
    with quiet_training(printed=True):
        model.train(
            settings.epochs,
            batch_size=_BATCH,
            accelerator="cpu",
            check_val_every_n_epoch=_VALIDATE_EVERY,
            enable_progress_bar=False,
            callbacks=[]
            if progress is None
            else [TrainingProgress(progress, metric="elbo_train", words="ELBO", sign=-1.0)],
        )


def _likelihoods(model: QBMVAE) -> dict[str, Any]:
    """Return log Z and the ELBO of training and held-out cells, in nats per cell, with their errors."""
    known = model.get_log_partition()
    parts = {"train": model.train_indices, "held_out": model.validation_indices}
    elbo = {name: estimate_elbo(model, indices) if len(indices) else None for name, indices in parts.items()}
    return {
        "elbo": {name: None if part is None else part.value for name, part in elbo.items()}
        | {
            # Of the less certain of the two, for readers that want one number.
            "standard_error": max(part.standard_error for part in elbo.values() if part is not None),
            "log_partition_error": known.standard_error,
            "sampling_error": {name: None if part is None else part.sampling_error for name, part in elbo.items()},
            "held_out_gain": _last_gain(model.history),
            "draws": DRAWS,
        },
        "log_partition": {"value": known.value, "standard_error": known.standard_error, "method": known.method},
    }


def _last_gain(history: Mapping[str, Any]) -> float | None:
    """Return by how much the held-out ELBO rose, in nats, over the last quarter of a training; None where it was not followed."""
    followed = history.get("elbo_validation")
    losses = [] if followed is None else [float(value) for value in followed.iloc[:, 0].dropna()]
    last = len(losses) // 4
    return min(losses[:-last]) - min(losses[-last:]) if last else None


def _separations(cells: AnnData, settings: FitSettings) -> tuple[AnnData, dict[str, Any]]:
    """Return the neighbour graph of the latent, and the scores of the latent and of PCA."""
    ours = neighbour_graph(cells.obsm[LATENT])
    reference = neighbour_graph(principal_components(counts_of(cells, settings.layer), settings.seed))
    groups = {
        name: None if key is None else _column(cells, key)
        for name, key in (("labels", settings.labels_key), ("batches", settings.batch_key))
    }
    return ours, {name: asdict(separation(graph, **groups)) for name, graph in (("QBM-VAE", ours), ("PCA", reference))}


def about(cells: AnnData, settings: FitSettings | EmbedSettings) -> dict[str, Any]:
    """Return what any metrics start with: the data, the settings and the versions that they were made with."""
    return {
        "data": {"cells": cells.n_obs, "genes": cells.n_vars, "digest": cells_digest(cells, settings.layer)},
        "settings": asdict(settings),
        "versions": {name: installed(name) for name in ("spinlight", "scvi-tools", "scanpy", "torch")},
    }


def _notes(cells: AnnData, settings: FitSettings) -> list[str]:
    keys = [key for key in (settings.batch_key, settings.labels_key) if key is not None]
    return [alike_note(key) for key in keys if len(np.unique(_column(cells, key))) == 1]


def _write(
    results: Results, model: QBMVAE, cells: AnnData, settings: FitSettings, title: str, metrics: Mapping[str, Any]
) -> None:
    groups, name = (CLUSTERS, "Leiden clusters") if settings.labels_key is None else (settings.labels_key,) * 2
    batches = None if settings.batch_key is None else _column(cells, settings.batch_key)
    picture = cells_picture(cells.obsm["X_umap"], _column(cells, groups), name, cells.obs[ENERGY].to_numpy(), batches)
    pictures = {
        "UMAP of the latent, and the energy of each cell under the prior": picture,
        "Training": training_picture(model.history),
    }
    results.write_by(MODEL, model.save)
    results.write_by(CELLS, partial(cells.write_h5ad, compression="gzip"))
    results.write(PICTURE, picture)
    results.write(REPORT, html_report(title, metrics, pictures).encode())
    results.write_json(METRICS, metrics)


def _column(cells: AnnData, key: str) -> NDArray[Any]:
    return np.asarray(cells.obs[key].astype(str))
