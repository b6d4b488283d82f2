"""How well an embedding separates known labels, by settings that never see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra

NEIGHBOURS = 15
RESOLUTION = 1.0
COMPONENTS = 30
MIXED = 90
"""One setting for every embedding and dataset: scanpy's defaults, 30 components for PCA, and iLISI's usual neighbourhood."""


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Scores of one embedding; None where the data have no such column.

    Args:
        clusters: number of Leiden clusters.
        leiden_ari: adjusted Rand index of clusters and labels; 0 by chance, 1 when equal.
        leiden_nmi: normalised mutual information of clusters and labels, in [0, 1].
        label_silhouette: mean silhouette width of the labels, in [-1, 1]; high is well separated.
        batch_silhouette: mean silhouette width of the batches, in [-1, 1]; near 0 or below where batches mix, but also where
            each batch lies in several places.
        batch_ilisi: median effective number of batches among the 90 nearest cells (iLISI), from 0 for one batch to 1 for all
            of them equally.
    """

    clusters: int
    leiden_ari: float | None = None
    leiden_nmi: float | None = None
    label_silhouette: float | None = None
    batch_silhouette: float | None = None
    batch_ilisi: float | None = None


def neighbour_graph(embedding: NDArray[np.float32]) -> Any:
    """Return an AnnData that holds the embedding, its nearest neighbours and its Leiden clusters (obs `leiden`)."""
    anndata, scanpy = require_extra("anndata", "cells"), require_extra("scanpy", "cells")
    graph = anndata.AnnData(np.asarray(embedding, dtype=np.float32))
    scanpy.pp.neighbors(graph, use_rep="X", n_neighbors=min(NEIGHBOURS, graph.n_obs - 1))
    scanpy.tl.leiden(graph, resolution=RESOLUTION, flavor="igraph", n_iterations=2, directed=False, random_state=0)
    return graph


def separation(graph: Any, *, labels: NDArray[Any] | None = None, batches: NDArray[Any] | None = None) -> Separation:
    """Return the scores of a graph made by `neighbour_graph`."""
    metrics = require_extra("sklearn.metrics", "cells")
    clusters = graph.obs["leiden"].to_numpy()
    known = _varied(labels)
    return Separation(
        clusters=len(np.unique(clusters)),
        leiden_ari=None if known is None else float(metrics.adjusted_rand_score(known, clusters)),
        leiden_nmi=None if known is None else float(metrics.normalized_mutual_info_score(known, clusters)),
        label_silhouette=_silhouette(metrics, graph.X, known),
        batch_silhouette=_silhouette(metrics, graph.X, _varied(batches)),
        batch_ilisi=_ilisi(graph.X, _varied(batches)),
    )


def log_normalized(counts: Any) -> Any:
    """Return an AnnData of log(1 + 10^4 x / library), of a copy of the counts."""
    anndata, scanpy = require_extra("anndata", "cells"), require_extra("scanpy", "cells")
    cells = anndata.AnnData(counts.copy())
    scanpy.pp.normalize_total(cells, target_sum=1e4)
    scanpy.pp.log1p(cells)
    return cells


def principal_components(counts: Any, seed: int, *, components: int = COMPONENTS) -> NDArray[np.float32]:
    """Return the first principal components of log(1 + 10^4 x / library), at most 30 by default, shape (cells, components)."""
    scanpy = require_extra("scanpy", "cells")
    cells = log_normalized(counts)
    scanpy.pp.pca(cells, n_comps=min(components, min(cells.shape) - 1), random_state=seed)
    return np.asarray(cells.obsm["X_pca"], dtype=np.float32)


def _varied(groups: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return the groups if there are several: one group alone separates nothing."""
    return groups if groups is not None and len(np.unique(groups)) > 1 else None


def _silhouette(metrics: Any, embedding: NDArray[np.float32], groups: NDArray[Any] | None) -> float | None:
    if groups is None or len(np.unique(groups)) == len(groups):
        return None
    return float(metrics.silhouette_score(embedding, groups, sample_size=min(len(groups), 10_000), random_state=0))


def _ilisi(embedding: NDArray[np.float32], batches: NDArray[Any] | None) -> float | None:
    if batches is None:
        return None
    metrics, nearest = require_extra("scib_metrics", "cells"), require_extra("scib_metrics.nearest_neighbors", "cells")
    neighbours = require_extra("sklearn.neighbors", "cells").NearestNeighbors(n_neighbors=min(MIXED, len(batches)))
    distances, indices = neighbours.fit(embedding).kneighbors(embedding)
    score = float(metrics.ilisi_knn(nearest.NeighborsResults(indices=indices, distances=distances), batches))
    return float(np.clip(score, 0, 1))  # against rounding


def alike_note(key: str) -> str:
    """Return what a report says of a column of obs with one value."""
    return f"column {key!r} has one value: no scores that compare several"
