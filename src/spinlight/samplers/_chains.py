"""The way from a problem and a set of chains to the kernels and back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidStateError
from spinlight._progress import progress_bar
from spinlight.ising import Ising, color_sites

if TYPE_CHECKING:
    from spinlight.kernels.run import Couplings


def sweep(
    problem: Ising,
    spins: Tensor,
    betas: NDArray[np.float64],
    *,
    heat_bath: bool,
    seed: int,
    first_sweep: int,
    threads: int | None,
    progress: bool,
    title: str,
) -> Tensor:
    """Return the chains after one sweep per entry of `betas`: int8, the shape and device of `spins`."""
    from spinlight.kernels import run

    _require_fit(problem, spins)
    with progress_bar(title, progress) as report:
        swept = run.sweep_chains(
            couplings_of(problem),
            _fields_of_chains(problem, spins),
            spins.reshape(-1, problem.sites).cpu().numpy(),
            betas,
            rule=run.HEAT_BATH if heat_bath else run.METROPOLIS,
            seed=seed,
            first_sweep=first_sweep,
            threads=thread_count(threads),
            progress=report,
        )
    return torch.from_numpy(swept).reshape(spins.shape).to(problem.device)


def thread_count(threads: int | None) -> int:
    """Return the wanted number of threads: by default torch's, which is 1 in a data loader's worker."""
    return torch.get_num_threads() if threads is None else positive_integer("threads", threads)


def couplings_of(problem: Ising) -> Couplings:
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


def _fields_of_chains(problem: Ising, spins: Tensor) -> NDArray[np.float32]:
    fields = problem.fields.to("cpu", torch.float32)
    if problem.batch is not None:
        fields = fields.repeat_interleave(spins.shape[1], 0)
    return fields.numpy()


def _require_fit(problem: Ising, spins: Tensor) -> None:
    leading = () if problem.batch is None else (problem.batch,)
    if spins.ndim != 2 + len(leading) or spins.shape[: len(leading)] != leading or spins.shape[-1] != problem.sites:
        raise InvalidStateError(
            f"chains of this problem need shape {(*leading, 'chains', problem.sites)}, got {tuple(spins.shape)}"
        )
