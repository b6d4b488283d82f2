"""All scores of a latent space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra
from spinlight.cells.benchmark.scores import classification, clusters, scib, trajectory
from spinlight.cells.benchmark.scores.known import Known
from spinlight.cells.evaluation import NEIGHBOURS

SETTINGS: dict[str, Any] = {
    "version": 1,
    "neighbours": NEIGHBOURS,
    "resolutions": list(clusters.RESOLUTIONS),
    "folds": classification.FOLDS,
    "classifier_neighbours": classification.NEIGHBOURS,
    "resamples": trajectory.RESAMPLES,
    "scib_neighbours": scib.NEIGHBOURS,
}
"""What decides the scores beside latent and annotations; `version` rises when their code does."""


@dataclass(frozen=True)
class Scores:
    """The scores of one latent space.

    Args:
        values: by the names of `metrics.METRICS`; what the data do not allow is left out.
        detail: scores by resolution, intervals of the correlations with a known order.
        positions: of the cells on a UMAP, float32, shape (cells, 2), if asked for.
    """

    values: dict[str, float]
    detail: dict[str, Any] = field(default_factory=dict)
    positions: NDArray[np.float32] | None = None


def score_latent(
    latent: NDArray[np.float32], known: Known, *, energies: NDArray[np.float32] | None = None, with_map: bool = False
) -> Scores:
    """Return all scores that the annotations allow.

    Args:
        latent: float32, shape (cells, size).
        known: labels, batches and order of the cells.
        energies: of the cells, shape (cells,).
        with_map: also a UMAP.
    """
    scanpy, anndata = require_extra("scanpy", "cells"), require_extra("anndata", "cells")
    graph = anndata.AnnData(latent)
    scanpy.pp.neighbors(graph, use_rep="X", n_neighbors=min(NEIGHBOURS, graph.n_obs - 1))
    values = scib.scib_scores(latent, known)
    detail: dict[str, Any] = {}
    if known.labels is not None:
        found, detail["leiden"] = clusters.cluster_scores(graph, known.labels)
        values |= found | classification.classification_scores(latent, known.labels)
    if known.order is not None:
        for name, tau in _agreements(graph, latent, known.order, energies).items():
            values[name], detail[name] = tau["value"], tau
    if with_map:
        scanpy.tl.umap(graph, random_state=0)
    return Scores(values, detail, np.asarray(graph.obsm["X_umap"], dtype=np.float32) if with_map else None)


def _agreements(
    graph: Any, latent: NDArray[np.float32], order: NDArray[np.float64], energies: NDArray[np.float32] | None
) -> dict[str, trajectory.Tau]:
    followed = {
        "dpt_tau": trajectory.diffusion_pseudotime(graph, latent, order),
        "energy_tau": None if energies is None else np.asarray(energies, dtype=np.float64),
    }
    found = {name: trajectory.order_agreement(values, order) for name, values in followed.items() if values is not None}
    return {name: tau for name, tau in found.items() if tau is not None}
