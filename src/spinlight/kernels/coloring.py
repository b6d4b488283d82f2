"""Graph colouring by DSATUR, compiled (Numba)."""

from __future__ import annotations

import heapq

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(nogil=True, cache=True)
def dsatur(starts: NDArray[np.int64], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the colours of a graph whose site i has the neighbours `neighbours[starts[i]:starts[i + 1]]`.

    The heap holds - saturation * sites + rank, with ranks in order of falling degree. An entry is left behind when its
    site's saturation grows, and skipped when it comes up.
    """
    sites = len(starts) - 1
    by_degree = np.argsort(starts[:-1] - starts[1:], kind="mergesort")
    rank = np.empty(sites, np.int64)
    rank[by_degree] = np.arange(sites)
    # site i's neighbours show colour c: seen[starts[i] + i + c], c from 0 to the degree of i
    seen = np.zeros(len(neighbours) + sites, np.bool_)
    colors = np.full(sites, -1, np.int64)
    saturation = np.zeros(sites, np.int64)
    heap = [np.int64(place) for place in range(sites)]
    while len(heap) > 0:
        site = by_degree[heapq.heappop(heap) % sites]
        if colors[site] >= 0:
            continue
        color = 0
        while seen[starts[site] + site + color]:
            color += 1
        colors[site] = color
        for other in neighbours[starts[site] : starts[site + 1]]:
            table = starts[other] + other
            if colors[other] < 0 and table + color <= starts[other + 1] + other and not seen[table + color]:
                seen[table + color] = True
                saturation[other] += 1
                heapq.heappush(heap, rank[other] - saturation[other] * sites)
    return colors
