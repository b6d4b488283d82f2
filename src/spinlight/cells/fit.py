"""The main job: fit a QBM-VAE to cells, measure it, and leave results that other tools read."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scanpy
import scvi
from anndata import AnnData
from numpy.typing import NDArray

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError
from spinlight._files import atomic_file
from spinlight._random import resolve_seed
from spinlight.cells.data import require_cells
from spinlight.cells.evaluation import neighbour_graph, principal_components, separation
from spinlight.cells.figures import cells_picture, training_picture
from spinlight.cells.model import QBMVAE
from spinlight.cells.progress import TrainingProgress
from spinlight.cells.quiet import quiet_training
from spinlight.cells.report import html_report

if TYPE_CHECKING:
    from rich.progress import Progress

LATENT, ENERGY = "X_qbmvae", "qbmvae_energy"
"""Where a fit leaves the latent (obsm) and the energy (obs) of each cell."""

_STEPS, _BATCH, _VALIDATE_EVERY = 3000, 128, 5
_GROUP_NAMES = {"leiden_qbmvae": "Leiden clusters"}
_LARGEST_SEED = 2**32 - 1
"""What NumPy's global generator takes, which scvi-tools seeds."""


class InterruptedFitError(KeyboardInterrupt):
    """Ctrl-C during a fit; `saved` lists the files that are complete."""

    def __init__(self, saved: list[Path]) -> None:
        super().__init__("the fit was interrupted")
        self.saved = saved


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit may vary.

    Args:
        batch_key: column of experimental batches.
        labels_key: column of known labels; used for scores and colours only.
        epochs: passes over the data; enough for 3,000 steps, and between 30 and 300, by default.
        latent: latent bits.
        seed: integer in [0, 2^32); the same seed gives the same result on one machine and version, to rounding.
    """

    batch_key: str | None = None
    labels_key: str | None = None
    epochs: int | None = None
    latent: int = 128
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a fit produced.

    Args:
        model: the trained model.
        metrics: everything measured, as plain JSON values; the content of metrics.json.
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
) -> Fitted:
    """Fit a QBM-VAE and write model, cells.h5ad, cells.png, metrics.json and report.html into a folder.

    A tenth of the cells is held out of training, for an honest ELBO; the latent is that of all cells. The global seeds of
    Python, NumPy and torch are set, as scvi-tools does.

    Args:
        cells: raw counts in `X`; not modified.
        out: the folder; made if need be, files of the same names are replaced.
        settings: what to fit.
        title: heading of the report.
        progress: where to show progress, if anywhere.

    Raises:
        InvalidDataError, UnknownNameError, InvalidSettingError: before anything is computed or written.
        InterruptedFitError: on Ctrl-C; the model, as far as it was trained, and all finished files are in the folder.
    """
    settings = _checked(cells, settings)
    job = _Job(Path(out), progress)
    cells = cells.copy()
    try:
        model = job.train(cells, settings)
        return job.finish(model, cells, settings, title)
    except KeyboardInterrupt as error:
        raise InterruptedFitError(job.saved) from error


def _checked(cells: AnnData, settings: FitSettings) -> FitSettings:
    """Return the settings, their defaults filled in, or refuse them before anything is spent."""
    require_cells(cells, batch_key=settings.batch_key, labels_key=settings.labels_key)
    positive_integer("latent", settings.latent)
    if resolve_seed(settings.seed) > _LARGEST_SEED:
        raise InvalidSettingError(f"seed must be below 2**32 here, got {settings.seed}")
    epochs = default_epochs(cells.n_obs) if settings.epochs is None else positive_integer("epochs", settings.epochs)
    return replace(settings, epochs=epochs)


def default_epochs(count: int) -> int:
    """Return the epochs that make 3,000 steps over `count` cells, within 30 and 300."""
    return int(np.clip(round(_STEPS * _BATCH / count), 30, 300))


class _Job:
    """One fit: the folder its results go to, and where its progress is shown."""

    def __init__(self, out: Path, progress: Progress | None) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        self.progress = progress
        self.saved: list[Path] = []
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show and time one stage."""
        task = None if self.progress is None else self.progress.add_task(name, total=1)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)
        if self.progress is not None and task is not None:
            self.progress.update(task, advance=1)

    def train(self, cells: AnnData, settings: FitSettings) -> QBMVAE:
        """Return a trained model, saved; an interrupted one is saved too."""
        callbacks = [] if self.progress is None else [TrainingProgress(self.progress)]
        started = time.perf_counter()
        with quiet_training():
            scvi.settings.seed = settings.seed
            QBMVAE.setup_anndata(cells, batch_key=settings.batch_key, labels_key=settings.labels_key)
            model = QBMVAE(cells, n_latent=settings.latent)
            try:
                model.train(
                    settings.epochs,
                    batch_size=_BATCH,
                    accelerator="cpu",
                    plan_kwargs={"n_epochs_kl_warmup": min(50, max(1, settings.epochs // 3))},
                    check_val_every_n_epoch=_VALIDATE_EVERY,
                    enable_progress_bar=False,
                    callbacks=callbacks,
                )
            finally:
                self.seconds["training"] = round(time.perf_counter() - started, 2)
                self._save_model(model)
        return model

    def finish(self, model: QBMVAE, cells: AnnData, settings: FitSettings, title: str) -> Fitted:
        """Measure the model and write the results."""
        with self.stage("latent and ELBO"):
            cells.obsm[LATENT] = model.get_latent_representation()
            cells.obs[ENERGY] = model.get_cell_energy()
            measured = _likelihoods(model)
        with self.stage("neighbours and clusters"):
            ours = neighbour_graph(cells.obsm[LATENT])
            reference = neighbour_graph(principal_components(cells.X, settings.seed))
            groups = {name: _column(cells, key) for name, key in _keys(settings).items()}
            scores = {"QBM-VAE": separation(ours, **groups), "PCA": separation(reference, **groups)}
            cells.obs["leiden_qbmvae"] = ours.obs["leiden"].to_numpy()
        with self.stage("map of the cells"):
            scanpy.tl.umap(ours, random_state=settings.seed)
            cells.obsm["X_umap"] = ours.obsm["X_umap"]
        metrics = {
            "data": {"cells": cells.n_obs, "genes": cells.n_vars},
            "settings": asdict(settings),
            **measured,
            "embeddings": {name: asdict(score) for name, score in scores.items()},
            "seconds": self.seconds,
            "versions": {name: version(name) for name in ("spinlight", "scvi-tools", "scanpy", "torch")},
        }
        with self.stage("files"):
            self._write_results(model, cells, settings, title, metrics)
        return Fitted(model=model, metrics=metrics, files=self.saved)

    def _write_results(
        self, model: QBMVAE, cells: AnnData, settings: FitSettings, title: str, metrics: Mapping[str, Any]
    ) -> None:
        key = settings.labels_key or "leiden_qbmvae"
        picture = cells_picture(
            cells.obsm["X_umap"], _column(cells, key), _GROUP_NAMES.get(key, key), cells.obs[ENERGY].to_numpy()
        )
        pictures = {
            "UMAP of the latent probabilities, and the energy of each cell under the prior": picture,
            "Training": training_picture(model.history),
        }
        with atomic_file(self.out / "cells.h5ad") as file:
            # anndata writes by name; the name is that of the temporary file.
            cells.write_h5ad(file.name, compression="gzip")
        self.saved.append(self.out / "cells.h5ad")
        self._write("cells.png", picture)
        self._write("report.html", html_report(title, metrics, pictures).encode())
        self._write("metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())

    def _write(self, name: str, content: bytes) -> None:
        with atomic_file(self.out / name) as file:
            file.write(content)
        self.saved.append(self.out / name)

    def _save_model(self, model: QBMVAE) -> None:
        """Save by way of a folder beside, so that an old model stays until the new one is whole."""
        target = self.out / "model"
        target.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.out, prefix=".model.") as folder:
            model.save(folder, overwrite=True)
            for file in Path(folder).iterdir():
                file.replace(target / file.name)
        self.saved.append(target)


def _likelihoods(model: QBMVAE) -> dict[str, Any]:
    """Return log Z and the ELBO of training and held-out cells, in nats per cell."""
    known = model.get_log_partition()
    held_out = model.validation_indices
    return {
        "elbo": {
            "train": float(model.get_elbo(indices=model.train_indices)),
            "held_out": float(model.get_elbo(indices=held_out)) if len(held_out) else None,
            "standard_error": known.standard_error,
        },
        "log_partition": {"value": known.value, "standard_error": known.standard_error, "method": known.method},
    }


def _keys(settings: FitSettings) -> dict[str, str | None]:
    return {"labels": settings.labels_key, "batches": settings.batch_key}


def _column(cells: AnnData, key: str | None) -> NDArray[Any] | None:
    return None if key is None else cells.obs[key].astype(str).to_numpy()
