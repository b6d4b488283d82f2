"""New cells in the latent space of a fit: encoded, or mapped onto it where their batches are new, with the labels of their neighbours."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scanpy
import scvi
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from spinlight._checks import require_extra
from spinlight._errors import FileFormatError, InvalidDataError, InvalidSettingError
from spinlight._files import alone_in
from spinlight._plain import plain
from spinlight._results import Results
from spinlight._threads import torch_threads
from spinlight.cells.checks import counts_of, require_anndata, require_columns, require_counts, require_groups
from spinlight.cells.data import load_cells, write_annotations
from spinlight.cells.digests import texts
from spinlight.cells.figures import embedded_picture
from spinlight.cells.fit import CELLS, METRICS, MODEL, PICTURE, about, require_own_place
from spinlight.cells.model import QBMVAE
from spinlight.cells.settings import ENERGY, LABEL, LABEL_SHARE, LATENT, EmbedSettings
from spinlight.training.interrupts import InterruptedFitError
from spinlight.training.progress import TrainingProgress, stage
from spinlight.training.quiet import quiet_training

if TYPE_CHECKING:
    from rich.progress import Progress

NEIGHBOURS = 15
"""Of a new cell among those of the fit, whose most frequent label it gets."""

LEAST_GENES = 0.8
"""Share of the fit's genes that new cells must have; scvi-tools asks for as many."""

_ON_MAP = 20_000
"""Cells of the fit on the map of new ones."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedCells:
    """What `embed_cells` found.

    Args:
        cells: the new cells, with latent space, energies, a map and, where the fit had labels, those of their neighbours.
        metrics: what `metrics.json` holds.
        files: what was written.
    """

    cells: AnnData
    metrics: Mapping[str, Any]
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """A fit in a folder: its settings, and its cells with their latent space."""

    folder: Path
    layer: str | None
    batch_key: str | None
    labels_key: str | None
    cells: AnnData

    @staticmethod
    def read(folder: Path) -> _Fit:
        try:
            settings = json.loads((folder / METRICS).read_text())["settings"]
            keys = {name: settings[name] for name in ("layer", "batch_key", "labels_key")}
        except FileNotFoundError as error:
            raise InvalidSettingError(
                f"{folder} holds no fit (there is no {METRICS}); make one by spinlight cells fit"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{folder / METRICS} is none of a fit: {error!r}") from error
        for name in (CELLS, MODEL):
            if not (folder / name).exists():
                raise InvalidSettingError(f"{folder} holds no whole fit: {name} is missing; fit again")
        cells = load_cells(folder / CELLS)
        if LATENT not in cells.obsm:
            raise FileFormatError(f"{folder / CELLS} has no latent space {LATENT!r}; fit again")
        return _Fit(folder=folder, cells=cells, **keys)

    @property
    def labels(self) -> NDArray[np.str_] | None:
        return None if self.labels_key is None else texts(self.cells.obs[self.labels_key])


def embed_cells(
    cells: AnnData,
    fit: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: EmbedSettings | None = None,
    *,
    title: str = "new cells",
    progress: Progress | None = None,
    overwrite: bool = False,
) -> EmbeddedCells:
    """Give new cells a place among those of a fit, and write cells.h5ad, cells.png and metrics.json into a folder.

    Cells of batches that the fit knows are encoded by its model as it is. For others the model is trained on, but only the weights of the
    new batches (scArches: Lotfollahi et al., Nature Biotechnology 40 (2022) 121), so that the cells of the fit stay where they are; the
    model goes into the folder too. Each new cell gets the label that most of its 15 nearest cells of the fit have, and the share of them
    that have it: a low share says that the cell lies between kinds, a high one not that its kind was in the fit at all.

    Args:
        cells: raw counts in `X`, or in the layer of the settings; not modified. Genes are found by their names, in any order; those that
            the fit did not have are left out, and up to a fifth of the fit's may be missing, which then count as zero.
        fit: folder of a fit, as `fit_cells` writes it.
        out: folder for the results; made if need be.
        settings: what to embed.
        title: of the picture.
        progress: where to show progress, if anywhere.
        overwrite: whether results of cells of other names or counts may be replaced.

    Raises:
        InvalidDataError, UnknownNameError, InvalidSettingError: before anything is computed or written; as `fit_cells`, for too few of the
            fit's genes, and for a batch key where the fit had none.
        FileFormatError: files of the fit that are damaged.
    """
    settings = EmbedSettings() if settings is None else settings
    fit, out = Path(fit), Path(out)
    if out.resolve() == fit.resolve():
        raise InvalidSettingError(f"{out} is the folder of the fit itself; choose another one for the new cells")
    _require_new(cells, settings.layer)
    known = _Fit.read(fit)
    seen, notes = _as_seen(known, cells, settings)
    if not overwrite:
        require_own_place(out, cells, settings.layer)
    files = (CELLS, PICTURE, METRICS, f"{MODEL}/model.pt")
    with Results(out, files=files, folders=(MODEL,)) as results, alone_in(results.folder, "fit or embedding"):
        if not overwrite:
            require_own_place(out, cells, settings.layer)  # one that ended in between
        results.try_out(CELLS, partial(write_annotations, cells))
        try:
            with torch_threads(settings.threads), nullcontext() if progress is None else progress:
                return _run(known, cells.copy(), seen, settings, notes, results, title, progress)
        except KeyboardInterrupt as error:
            raise InterruptedFitError(results.saved) from error


def _require_new(cells: AnnData, layer: str | None) -> None:
    require_anndata(cells)
    if cells.isbacked:
        raise InvalidDataError("embed_cells writes the cells anew and needs them in memory; give cells.to_memory()")
    if not cells.var_names.is_unique:
        raise InvalidDataError("genes of the new cells have the same name; cells.var_names_make_unique() renames them")
    require_counts(cells, layer)


def _as_seen(fit: _Fit, cells: AnnData, settings: EmbedSettings) -> tuple[AnnData, list[str]]:
    """Return new cells as the fit's model takes them, and what was done to them."""
    names, notes = fit.cells.var_names, []
    places = cells.var_names.get_indexer(names)
    missing = int((places < 0).sum())
    if missing > (1 - LEAST_GENES) * len(names):
        raise InvalidDataError(
            f"the new cells have {len(names) - missing} of the {len(names)} genes of the fit, and four fifths are needed; the fit's are "
            f"called {', '.join(map(str, names[:3]))}, ..., those of the new cells {', '.join(map(str, cells.var_names[:3]))}, ..."
        )
    if missing:
        notes.append(f"{missing} of the {len(names)} genes of the fit are missing, and count as zero")
    if left_out := cells.n_vars - (len(names) - missing):
        notes.append(f"{left_out} genes are left out, which the fit did not have")
    counts = sparse.csc_matrix(counts_of(cells, settings.layer), dtype=np.float32)
    wider = sparse.hstack([counts, sparse.csc_matrix((cells.n_obs, 1), dtype=np.float32)], format="csc")
    matrix = wider[:, np.where(places < 0, cells.n_vars, places)].tocsr()
    seen = AnnData(matrix, obs=cells.obs[[]].copy(), var=fit.cells.var[[]].copy())
    require_counts(seen)  # the genes of the fit may be those that a cell has no count of
    if fit.layer is not None:
        seen.layers[fit.layer] = seen.X
    if fit.batch_key is not None:
        seen.obs[fit.batch_key] = _batches(fit, cells, settings.batch_key or fit.batch_key)
    elif settings.batch_key is not None:
        raise InvalidSettingError("the fit was made without a batch key, and its model knows of none; leave it out")
    if fit.labels_key is not None:
        seen.obs[fit.labels_key] = fit.cells.obs[fit.labels_key].iloc[0]  # registered, and used for nothing
    return seen, notes


def _batches(fit: _Fit, cells: AnnData, key: str) -> list[Any]:
    """Return the batch of each new cell, called as the fit calls it where it knows it."""
    require_columns(cells, batch_key=key, labels_key=None)
    require_groups(cells, "batch key", key)
    known = {str(name): name for name in fit.cells.obs[fit.batch_key].unique()}
    return [known.get(str(name), name) for name in cells.obs[key]]


def _run(
    fit: _Fit,
    cells: AnnData,
    seen: AnnData,
    settings: EmbedSettings,
    notes: Sequence[str],
    results: Results,
    title: str,
    progress: Progress | None,
) -> EmbeddedCells:
    """Map, measure, write: `embed_cells` after its checks."""
    seconds: dict[str, float] = {}
    with stage("model of the fit", progress, seconds), quiet_training(printed=True):
        scvi.settings.seed = settings.seed
        model = QBMVAE.load(fit.folder / MODEL, adata=fit.cells, accelerator="cpu")
    batches = _counted(seen.obs[fit.batch_key], fit.cells.obs[fit.batch_key]) if fit.batch_key else None
    unknown = _unknown(fit, seen)
    mapped = None
    if unknown.any():
        with stage("training", None, seconds):
            mapped = _mapped(model, seen[unknown].copy(), settings, progress)
    with stage("latent space and labels", progress, seconds), quiet_training(printed=True):
        bits = model.module.n_latent
        cells.obsm[LATENT], cells.obs[ENERGY] = _encoded(seen, bits, (model, ~unknown), (mapped, unknown))
        labels = None if fit.labels is None else _labelled(fit, cells)
    with stage("map of the cells", progress, seconds):
        picture = _drawn(fit, cells, settings, title)
    metrics = plain(
        about(cells, settings)
        | {"fit": {"folder": str(fit.folder), "cells": fit.cells.n_obs}, "notes": list(notes)}
        | {"batches": batches, "epochs": 0 if mapped is None else settings.epochs, "labels": labels}
        | {"energy": {"mean": float(np.mean(cells.obs[ENERGY])), "of the fit": float(np.mean(fit.cells.obs[ENERGY]))}}
        | {"seconds": dict(seconds)}
    )
    with stage("files", progress, seconds):
        if mapped is not None:
            results.write_by(MODEL, mapped.save)
        results.write_by(CELLS, partial(cells.write_h5ad, compression="gzip"))
        results.write(PICTURE, picture)
        results.write_json(METRICS, metrics)
        results.commit()
    return EmbeddedCells(cells=cells, metrics=metrics, files=results.saved)


def _counted(new: Any, old: Any) -> dict[str, dict[str, int]]:
    """Return how many new cells there are of batches that the fit knows, and of others."""
    there = set(texts(old).tolist())
    found = Counter(texts(new).tolist())
    parts = {"known": sorted(found.keys() & there), "new": sorted(found.keys() - there)}
    return {part: {name: found[name] for name in names} for part, names in parts.items()}


def _unknown(fit: _Fit, seen: AnnData) -> NDArray[np.bool_]:
    """Return which new cells are of a batch that the fit did not have."""
    if fit.batch_key is None:
        return np.zeros(seen.n_obs, dtype=bool)
    return ~np.isin(texts(seen.obs[fit.batch_key]), texts(fit.cells.obs[fit.batch_key].unique()))


def _encoded(
    seen: AnnData, bits: int, *parts: tuple[QBMVAE | None, NDArray[np.bool_]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latent space and energies of all new cells, each part of them as its model has it."""
    latent = np.empty((seen.n_obs, bits), dtype=np.float32)
    energies = np.empty(seen.n_obs, dtype=np.float32)
    for model, which in parts:
        if model is not None and which.any():
            chosen = seen[which].copy()
            latent[which], energies[which] = model.get_latent_representation(chosen), model.get_cell_energy(chosen)
    return latent, energies


def _mapped(model: QBMVAE, seen: AnnData, settings: EmbedSettings, progress: Progress | None) -> QBMVAE:
    with quiet_training(printed=True):
        found = QBMVAE.load_query_data(seen, model, accelerator="cpu")
        shown = [] if progress is None else [TrainingProgress(progress, metric="elbo_train", words="ELBO", sign=-1.0)]
        # Decay would move what is trained, and with it nothing else to hold against it.
        plan = {"weight_decay": 0.0}
        found.train(settings.epochs, accelerator="cpu", plan_kwargs=plan, enable_progress_bar=False, callbacks=shown)
    return found


def _labelled(fit: _Fit, cells: AnnData) -> dict[str, Any]:
    """Give new cells the labels of their neighbours; return their numbers and, where their own are known, the share that is right."""
    labels = fit.labels
    assert labels is not None
    neighbours = require_extra("sklearn.neighbors", "cells").KNeighborsClassifier(min(NEIGHBOURS, len(labels)))
    shares = neighbours.fit(fit.cells.obsm[LATENT], labels).predict_proba(cells.obsm[LATENT])
    found = neighbours.classes_[shares.argmax(1)]
    cells.obs[LABEL], cells.obs[LABEL_SHARE] = found, shares.max(1).astype(np.float32)
    cells.obs[LABEL] = cells.obs[LABEL].astype("category")
    counts = Counter(found.tolist())
    parts = {
        name: {"cells": counts[name], "share": float(shares.max(1)[found == name].mean())} for name in sorted(counts)
    }
    return {"given": parts} | _agreement(cells, fit.labels_key, found, set(labels.tolist()))


def _agreement(cells: AnnData, key: str | None, found: NDArray[Any], known: set[str]) -> dict[str, Any]:
    if key not in cells.obs:
        return {}
    own = texts(cells.obs[key])
    comparable = np.array([label in known for label in own])
    right = float((found[comparable] == own[comparable]).mean()) if comparable.any() else None
    return {"accuracy": right, "cells of labels that the fit does not know": int((~comparable).sum())}


def _drawn(fit: _Fit, cells: AnnData, settings: EmbedSettings, title: str) -> bytes:
    """Place new cells and those of the fit on one map, keep the places of the new ones, and return a picture."""
    shown = np.arange(fit.cells.n_obs)
    if len(shown) > _ON_MAP:
        shown = np.sort(np.random.default_rng(settings.seed).choice(shown, _ON_MAP, replace=False))
    together = AnnData(np.concatenate([np.asarray(fit.cells.obsm[LATENT])[shown], cells.obsm[LATENT]]))
    scanpy.pp.neighbors(together, use_rep="X", n_neighbors=min(NEIGHBOURS, together.n_obs - 1))
    scanpy.tl.umap(together, random_state=settings.seed)
    places = np.asarray(together.obsm["X_umap"], dtype=np.float32)
    cells.obsm["X_umap"] = places[len(shown) :]
    groups = texts(cells.obs[LABEL]) if LABEL in cells.obs else np.full(cells.n_obs, "new cells")
    there = fit.labels[shown] if fit.labels is not None else np.full(len(shown), "cells of the fit")
    return embedded_picture(
        title, (places[: len(shown)], there), (places[len(shown) :], groups), cells.obs[ENERGY].to_numpy()
    )
