"""An Ising problem as the arrays that the kernels take."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from spinlight.ising.coloring import color_sites
from spinlight.ising.problem import Ising

if TYPE_CHECKING:
    from spinlight.kernels.run import Couplings


def kernel_couplings(problem: Ising) -> Couplings:
    """Return the couplings as the kernels take them."""
    from spinlight.kernels import run

    if not problem.is_sparse:
        return run.DenseCouplings(problem.couplings.to("cpu", torch.float32).numpy())
    matrix = problem.couplings.cpu()
    rows, neighbours = (part.numpy() for part in matrix.indices())
    starts = np.zeros(problem.sites + 1, np.uint64)
    starts[1:] = np.cumsum(np.bincount(rows, minlength=problem.sites))
    order = _order_of_visits(starts.tobytes(), neighbours.tobytes())
    weights = matrix.values().to(torch.float32).numpy()
    return run.SparseCouplings(order, starts, neighbours.astype(np.uint64), weights)


@lru_cache(maxsize=8)
def _order_of_visits(starts: bytes, neighbours: bytes) -> NDArray[np.uint64]:
    """Return the sites of a graph, colour by colour: kept, since training asks for the same graph at every step."""
    rows = np.frombuffer(starts, np.uint64).astype(np.int64)
    columns = np.frombuffer(neighbours, np.int64)
    sites = len(rows) - 1
    edges = torch.from_numpy(np.stack([np.repeat(np.arange(sites), np.diff(rows)), columns]))
    graph = torch.sparse_coo_tensor(edges, torch.ones(edges.shape[1]), (sites, sites), check_invariants=True)
    colors = color_sites(Ising(torch.zeros(sites), graph))
    return np.argsort(colors, kind="stable").astype(np.uint64)
