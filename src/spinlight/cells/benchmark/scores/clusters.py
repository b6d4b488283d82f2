"""How well clusters of a latent space agree with known labels, over fixed resolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra

RESOLUTIONS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
"""Of Leiden; none is picked by its score, which would be choosing by the labels."""

REPORTED = 1.0
"""The resolution that is reported beside the mean over all."""

_SCORES = {
    "ari": "adjusted_rand_score",
    "ami": "adjusted_mutual_info_score",
    "nmi": "normalized_mutual_info_score",
    "homogeneity": "homogeneity_score",
}


def cluster_scores(graph: Any, labels: NDArray[np.str_]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return the scores, and those of each resolution.

    Args:
        graph: an AnnData with the neighbours of the latent.
        labels: shape (cells,).

    Returns:
        `leiden_NAME`, the mean over the resolutions, and `leiden_NAME_at_1`; lists by name, as long as `RESOLUTIONS`, with the numbers
        of clusters among them.
    """
    metrics, scanpy = require_extra("sklearn.metrics", "cells"), require_extra("scanpy", "cells")
    detail: dict[str, list[float]] = {name: [] for name in ("resolution", "clusters", *_SCORES)}
    for resolution in RESOLUTIONS:
        scanpy.tl.leiden(graph, resolution=resolution, flavor="igraph", n_iterations=2, directed=False, random_state=0)
        clusters = graph.obs["leiden"].to_numpy()
        detail["resolution"].append(resolution)
        detail["clusters"].append(float(len(np.unique(clusters))))
        for name, function in _SCORES.items():
            detail[name].append(float(getattr(metrics, function)(labels, clusters)))
    place = RESOLUTIONS.index(REPORTED)
    means = {f"leiden_{name}": float(np.mean(detail[name])) for name in _SCORES}
    return means | {f"leiden_{name}_at_1": detail[name][place] for name in _SCORES}, detail
