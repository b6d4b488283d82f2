"""How well pseudotime, and the cells' energies, follow a known order."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spinlight._checks import require_extra

RESAMPLES = 500
"""Of the cells, for intervals."""

_COMPONENTS = 15
"""Of the diffusion map, scanpy's default."""

Tau = dict[str, float]


def order_agreement(values: NDArray[np.floating], order: NDArray[np.float64], *, seed: int = 0) -> Tau | None:
    """Return Kendall's tau-b of values and a known order, with a 95 % percentile interval over resampled cells.

    The interval is about the choice of cells only; other trainings are other seeds of the benchmark.

    Args:
        values: one per cell, shape (cells,).
        order: shape (cells,); cells at NaN are left out.
        seed: of the resampling.

    Returns:
        `value`, `lower`, `upper`; None where fewer than three cells are ordered, or all are equal.
    """
    placed = np.isfinite(order)
    ranks, places = _ranks(values[placed]), _ranks(order[placed])
    tau = _tau(ranks, places)
    if len(ranks) < 3 or not math.isfinite(tau):
        return None
    random = np.random.default_rng(seed)
    draws = random.integers(len(ranks), size=(RESAMPLES, len(ranks)))
    resampled = [value for rows in draws if math.isfinite(value := _tau(ranks[rows], places[rows]))]
    lower, upper = np.percentile(resampled, [2.5, 97.5])
    return {"value": tau, "lower": float(lower), "upper": float(upper)}


def diffusion_pseudotime(
    graph: Any, latent: NDArray[np.float32], order: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return DPT pseudotime (Haghverdi et al., Nature Methods 13 (2016) 845) on the neighbours of a latent, shape (cells,).

    It starts from the cell nearest to the mean of those that come first in the known order. Cells that the graph does not connect
    to it come last, infinitely late.

    Args:
        graph: an AnnData with the neighbours of the latent.
        latent: float32, shape (cells, size).
        order: shape (cells,); NaN for cells that have no place.

    Returns:
        None where the graph has too few cells for a diffusion map.
    """
    scanpy = require_extra("scanpy", "cells")
    components = min(_COMPONENTS, graph.n_obs - 2)
    if components < 3:
        return None
    first = np.flatnonzero(order == np.nanmin(order))
    centre = latent[first].mean(0)
    graph.uns["iroot"] = int(first[np.argmin(np.square(latent[first] - centre).sum(1))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy about its own use of others
        scanpy.tl.diffmap(graph, n_comps=components)
        scanpy.tl.dpt(graph, n_dcs=min(10, components))
    return graph.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ranks with ties; infinity, which is a time that was not reached, is the last of them."""
    return np.asarray(stats.rankdata(values, method="average"), dtype=np.float64)


def _tau(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if len(one) < 2:
        return math.nan
    return float(stats.kendalltau(one, other).statistic)
