"""The scIB scores, by scib-metrics: conservation of biology, mixing of batches, and their total."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra
from spinlight.cells.benchmark.scores.known import Known

NEIGHBOURS = 90
"""What scib-metrics asks for."""

EXACT_UP_TO = 20_000
"""Cells up to which neighbours are searched exactly."""

_BIO_WEIGHT = 0.6
"""Luecken et al., Nature Methods 19 (2022) 41."""

_NAMES = {
    "isolated_labels": "isolated_labels",
    "nmi_ari_cluster_labels_kmeans_nmi": "kmeans_nmi",
    "nmi_ari_cluster_labels_kmeans_ari": "kmeans_ari",
    "silhouette_label": "silhouette_label",
    "clisi_knn": "clisi",
    "bras": "bras",
    "ilisi_knn": "ilisi",
    "kbet_per_label": "kbet",
    "graph_connectivity": "graph_connectivity",
    "pcr_comparison": "pcr",
}
_BIO = ("isolated_labels", "nmi_ari_cluster_labels_kmeans", "silhouette_label", "clisi_knn")
_BATCH = ("bras", "ilisi_knn", "kbet_per_label", "graph_connectivity", "pcr_comparison")
_WITHOUT_LABELS = ("ilisi_knn", "pcr_comparison")


def scib_scores(latent: NDArray[np.float32], known: Known) -> dict[str, float]:
    """Return the scores of a latent space that its data allow, none of them scaled by what other latents reach.

    The aggregates `scib_bio` and `scib_batch` are means over all scores of their kind, `scib_total` is .6 of the first and .4 of
    the second. Where one of the scores cannot be computed (a label with too few cells, say) its aggregate is left out: a
    mean over fewer scores is another number. So it is without labels or batches.

    Args:
        latent: float32, shape (cells, size).
        known: labels and batches.
    """
    labels, batches = known.labels is not None, known.batches is not None
    wanted = (_BIO if labels else ()) + (() if not batches else _BATCH if labels else _WITHOUT_LABELS)
    found = _computed(_annotated(latent, known), wanted, _Neighbours()) if wanted else {}
    bio = _aggregate(found, _BIO) if labels else None
    batch = _aggregate(found, _BATCH) if labels and batches else None
    scores = {_NAMES[key]: value for key, value in found.items() if key in _NAMES}
    if bio is not None:
        scores["scib_bio"] = bio
    if batch is not None:
        scores["scib_batch"] = batch
    if bio is not None and batch is not None:
        scores["scib_total"] = _BIO_WEIGHT * bio + (1 - _BIO_WEIGHT) * batch
    return scores


def _annotated(latent: NDArray[np.float32], known: Known) -> Any:
    anndata = require_extra("anndata", "cells")
    one = np.full(len(latent), "all")
    cells = anndata.AnnData(np.zeros((len(latent), 1), dtype=np.float32))
    cells.obs["batch"] = one if known.batches is None else known.batches
    cells.obs["label"] = one if known.labels is None else known.labels
    cells.obs = cells.obs.astype("category")
    cells.obsm["latent"], cells.obsm["reference"] = latent, known.reference
    return cells


class _Neighbours:
    """The nearest neighbours of the latent, searched once for all scores."""

    def __init__(self) -> None:
        self._found: Any = None

    def __call__(self, latent: NDArray[np.float32], count: int) -> Any:
        if self._found is None:
            self._found = _nearest(latent, count)
        return self._found


def _nearest(latent: NDArray[np.float32], count: int) -> Any:
    nearest = require_extra("scib_metrics.nearest_neighbors", "cells")
    if len(latent) > EXACT_UP_TO:
        return nearest.pynndescent(latent, n_neighbors=count, random_state=0, n_jobs=1)
    search = require_extra("sklearn.neighbors", "cells").NearestNeighbors(n_neighbors=min(count, len(latent)))
    distances, indices = search.fit(latent).kneighbors(latent)
    return _fewer(nearest.NeighborsResults)(indices=indices, distances=distances)


def _fewer(kind: type) -> type:
    """Return scib-metrics' neighbours, which refuse to be asked for more than there are, as some that give all they have."""

    class Neighbours(kind):  # type: ignore[misc]
        def subset_neighbors(self, n: int) -> Any:
            return super().subset_neighbors(min(n, self.n_neighbors))

    return Neighbours


def _computed(cells: Any, metrics: tuple[str, ...], neighbours: _Neighbours) -> dict[str, float]:
    """Return what the Benchmarker gives, without what fails or is no number.

    All at once where that works: it collects garbage before every score, which with JAX in memory costs more than most of them.
    """
    try:
        return _benchmarked(cells, metrics, neighbours)
    except _FAILURES:
        if len(metrics) == 1:
            return {}
    found: dict[str, float] = {}
    for metric in metrics:
        found |= _computed(cells, (metric,), neighbours)
    return found


_FAILURES = (ValueError, IndexError, KeyError, ZeroDivisionError, FloatingPointError, TypeError, RuntimeError)
"""What sets of few cells lead the parts of scib-metrics to."""


def _benchmarked(cells: Any, metrics: tuple[str, ...], neighbours: _Neighbours) -> dict[str, float]:
    benchmark = require_extra("scib_metrics.benchmark", "cells")
    bio = benchmark.BioConservation(**{name: name in metrics for name in (*_BIO, "nmi_ari_cluster_labels_leiden")})
    batch = benchmark.BatchCorrection(**{name: name in metrics for name in _BATCH})
    with warnings.catch_warnings(), _silent_log():
        warnings.simplefilter("ignore")  # of pandas, JAX and scanpy, about themselves
        runner = benchmark.Benchmarker(
            cells,
            batch_key="batch",
            label_key="label",
            embedding_obsm_keys=["latent"],
            bio_conservation_metrics=bio if set(metrics) & set(_BIO) else None,
            batch_correction_metrics=batch if set(metrics) & set(_BATCH) else None,
            pre_integrated_embedding_obsm_key="reference",
            progress_bar=False,
        )
        runner.prepare(neighbours)
        runner.benchmark()
        # Its frame of results also holds a row of text, `Metric Type`, and aggregates over what there is.
        values = runner.get_results(min_max_scale=False, clean_names=False).loc["latent"]
    return {key: float(value) for key, value in values.items() if key in _NAMES and math.isfinite(float(value))}


@contextmanager
def _silent_log() -> Iterator[None]:
    """Keep away what scib-metrics prints to stdout of labels that kBET skips."""
    logger = logging.getLogger("scib_metrics")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _aggregate(found: dict[str, float], metrics: tuple[str, ...]) -> float | None:
    """Return the mean over all scores of a kind, None where one is missing."""
    keys = [key for key in _NAMES if key.startswith(metrics)]
    return float(np.mean([found[key] for key in keys])) if all(key in found for key in keys) else None
