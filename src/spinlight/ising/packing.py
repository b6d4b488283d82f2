"""An Ising problem as the arrays that the kernels take."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._errors import InvalidProblemError
from spinlight.ising.coloring import color_sites
from spinlight.ising.problem import Ising

if TYPE_CHECKING:
    from spinlight.kernels.gpu_run import Graph
    from spinlight.kernels.run import Couplings, Edges


Packed = TypeVar("Packed")


def _kept(pack: Callable[[Ising], Packed]) -> Callable[[Ising], Packed]:
    """Return `pack` with its result kept for as long as the problem lives and its tensors are not written to.

    Chains ask for the same arrays at every step. Beside the time, making them anew costs memory that is never given back: a matrix
    is allocated and freed between small results that stay, so that the next one does not fit its place (glibc's heap grew by
    0.7 MB per step of a 1,284-spin problem whose energies were recorded).
    """
    known: WeakKeyDictionary[Ising, tuple[tuple[int, int], Packed]] = WeakKeyDictionary()

    @wraps(pack)
    def kept(problem: Ising) -> Packed:
        if problem.fields.is_inference() or problem.couplings.is_inference():
            return pack(problem)  # under torch.inference_mode nothing tells whether a tensor was written to
        versions = problem.fields._version, problem.couplings._version
        found = known.get(problem)
        if found is None or found[0] != versions:
            found = known[problem] = versions, pack(problem)
        return found[1]

    return kept


LARGEST_FIELD = 1e30
"""Local fields beyond this leave no room in float32, whose largest number is 3e38, for sums and for beta."""


def kernel_fields(problem: Ising) -> NDArray[np.float32]:
    """Return the fields as the CPU's kernels take them, (sites,) or (batch, sites); errors as `device_fields`."""
    return device_fields(problem).cpu().numpy()


def device_fields(problem: Ising) -> Tensor:
    """Return the fields as the kernels of their device take them, float32, (sites,) or (batch, sites).

    Raises:
        InvalidProblemError: fields and couplings that could add up to more than float32 holds.
    """
    largest = float(largest_local_field(problem))
    if largest > LARGEST_FIELD:
        raise InvalidProblemError(
            f"local fields of up to {largest:.3g} are too large for the samplers' float32 arithmetic (the limit is 1e30); "
            "divide fields and couplings by a constant and multiply beta by it"
        )
    return problem.fields.to(torch.float32)


@_kept
def largest_local_field(problem: Ising) -> Tensor:
    """Return max_i (|h_i| + sum_j |J_ij|), shape ()."""
    couplings = problem.couplings.abs().sum(1)
    return (problem.fields.abs() + (couplings.to_dense() if couplings.is_sparse else couplings)).max()


@_kept
def kernel_couplings(problem: Ising) -> Couplings:
    """Return the couplings as the CPU's kernels take them."""
    from spinlight.kernels import run

    if problem.is_sparse:
        return run.SparseCouplings(_edges(problem))
    return run.DenseCouplings(problem.couplings.to("cpu", torch.float32).numpy())


def device_couplings(problem: Ising) -> Tensor | Graph:
    """Return the couplings as the sweeps of a GPU take them, on the device of the problem."""
    from spinlight.kernels import gpu_run

    return gpu_run.graph_of(_edges(problem), problem.device) if problem.is_sparse else problem.couplings.float()


def _edges(problem: Ising) -> Edges:
    from spinlight.kernels.run import Edges

    matrix = problem.couplings.cpu()
    rows, neighbours = (part.numpy() for part in matrix.indices())
    starts = np.zeros(problem.sites + 1, np.uint64)
    starts[1:] = np.cumsum(np.bincount(rows, minlength=problem.sites))
    order = _order_of_visits(starts.tobytes(), neighbours.tobytes())
    return Edges(order, starts, neighbours.astype(np.uint64), matrix.values().to(torch.float32).numpy())


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
