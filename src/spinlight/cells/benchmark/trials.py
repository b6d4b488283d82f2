"""One trial: fitted, scored, and written; what fails is written too, and loses nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.models.base import Embedded, FitTask
from spinlight.cells.benchmark.models.split import Split, split_cells
from spinlight.cells.benchmark.scores.known import Known
from spinlight.cells.benchmark.scores.scoring import Scores, score_latent
from spinlight.cells.benchmark.sets import CellSet
from spinlight.cells.benchmark.shown import Shown
from spinlight.cells.benchmark.store import Record, Store
from spinlight.cells.evaluation import principal_components
from spinlight.cells.versions import installed
from spinlight.training.quiet import quiet_training

PACKAGES = ("spinlight", "torch", "scvi-tools", "scanpy", "scib-metrics", "anndata", "scikit-learn", "scarches")

Reference = Callable[[CellSet], NDArray[np.float32]]


class LatentError(RuntimeError):
    """A model gave a latent that is none: of another shape, or with values that are no finite numbers."""


def references() -> Reference:
    """Return a function of a set that gives its 30 principal components, before any integration, and remembers them."""
    return cache(_reference)


def _reference(data: CellSet) -> NDArray[np.float32]:
    return principal_components(data.cells.X, 0)


def run_trial(
    trial: Trial, store: Store, reference: Reference, shown: Shown, check: Callable[[], None] = lambda: None
) -> None:
    """Bring a trial to its end, from wherever its files show it to be, and record a failure instead of raising it.

    Args:
        trial: which.
        store: where its files are.
        reference: of a set.
        shown: what to move on.
        check: called after every epoch; raises an interrupt that was lost.
    """
    record = store.fitted(trial)
    if record is None:
        record = _fitted(trial, store, shown, check)
    shown.fitted()
    if record is not None:
        _scored(trial, store, record, reference, shown)
    shown.finished()


def _fitted(trial: Trial, store: Store, shown: Shown, check: Callable[[], None]) -> Record | None:
    """Fit, and return the record that was written, None where the fit failed."""
    shown.at(trial.name, "training")
    split = split_cells(trial.data.cells.n_obs, trial.seed)
    try:
        embedded = _embedded(trial, split, shown, check)
    except Exception as error:
        store.write_failure(trial, None, "fit", error)
        return None
    about = {"seconds": embedded.seconds, "versions": _versions()}
    store.write_fit(trial, embedded, split.held_out, about)
    return store.fitted(trial)


def _embedded(trial: Trial, split: Split, shown: Shown, check: Callable[[], None]) -> Embedded:
    def after_epoch() -> None:
        check()
        shown.epoch(trial.epochs)

    task = FitTask(
        size=trial.size,
        seed=trial.seed,
        epochs=trial.epochs,
        split=split,
        on_epoch=after_epoch,
    )
    with quiet_training(printed=True):
        embedded = trial.model.fit(trial.data.seen(), task)
    if embedded.latent.shape != (trial.data.cells.n_obs, trial.size) or not np.isfinite(embedded.latent).all():
        raise LatentError(
            f"the latent has shape {embedded.latent.shape}, or values that are not finite; "
            f"expected {(trial.data.cells.n_obs, trial.size)} finite numbers"
        )
    return embedded


def _scored(trial: Trial, store: Store, record: Record, reference: Reference, shown: Shown) -> None:
    shown.scoring(trial.name)
    started = time.perf_counter()
    try:
        scores = _scores(trial, store.arrays(trial), reference)
    except Exception as error:
        store.write_failure(trial, record, "scores", error)
        return
    store.write_scores(trial, record, scores, time.perf_counter() - started)


def _scores(trial: Trial, arrays: dict[str, NDArray[Any]], reference: Reference) -> Scores:
    data = trial.data
    known = Known(reference=reference(data), labels=data.labels, batches=data.batches, order=data.order)
    return score_latent(arrays["latent"], known, energies=arrays.get("energies"), with_map=trial.seed == 0)


def _versions() -> dict[str, str]:
    return {name: found for name in PACKAGES if (found := installed(name))}
