"""From tensors to tensors on a GPU: chains as `kernels.run` makes them, with the same random words.

A dense product multiplies spins with J in half precision, on tensor cores: each row of J is scaled by a power of two and,
unless that is exact (as for integers up to 2048), split into two parts that together hold 22 bits and a sign; sums are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight.kernels.gpu import dense_sweeps, sparse_visits
from spinlight.kernels.run import HEAT_BATH, SMALLEST_BETA, Edges, Progress

_LAUNCH_WORK = 2**40
"""Multiply-adds per wait for the device, a few hundredths of a second: Ctrl-C and progress come between."""

_VISIT_WORK = 500
"""Multiply-adds of a dense product that take as long as a neighbour, or the rest of a visit, in a sparse sweep, roughly."""


class Tiles(NamedTuple):
    """What a program works on: powers of two, the first three at least 16.

    Args:
        chains: of a dense program; 4096 chains make 128 programs of 32, and an H200 has 132 multiprocessors.
        block: sites that a dense program visits between two matrix products.
        depth: sites that one step of the matrix product adds up, a multiple of `block`; problems are padded to a multiple of it.
        warps: of a dense program.
        lanes: chains of a sparse program.
    """

    chains: int = 32
    block: int = 32
    depth: int = 64
    warps: int = 2
    lanes: int = 256


USUAL = Tiles()


class Graph(NamedTuple):
    """Sparse couplings in compressed rows on a device, with the order of visits.

    Args:
        order: sites in the order of visits, (sites,) int64.
        starts: (sites + 1,) int64.
        neighbours: (2 * edges,) int64.
        weights: (2 * edges,) float32.
        bounds: where in the order the runs of uncoupled sites begin, and its end.
    """

    order: Tensor
    starts: Tensor
    neighbours: Tensor
    weights: Tensor
    bounds: list[int]


def graph_of(edges: Edges, device: torch.device) -> Graph:
    """Return compressed rows on a device, the order cut into the longest runs whose sites share no coupling."""
    order, starts, neighbours = (part.astype(np.int64) for part in edges[:3])
    moved = [torch.from_numpy(part).to(device) for part in (order, starts, neighbours, edges.weights)]
    return Graph(moved[0], moved[1], moved[2], moved[3], _bounds(order, starts, neighbours))


def _bounds(order: NDArray[np.int64], starts: NDArray[np.int64], neighbours: NDArray[np.int64]) -> list[int]:
    """Cut before each visit of a site whose neighbour was visited since the last cut."""
    sites = len(order)
    place = np.empty(sites, np.int64)
    place[order] = np.arange(sites)
    here, there = np.repeat(place, np.diff(starts)), place[neighbours]
    latest = np.full(sites, -1)
    earlier = there < here
    np.maximum.at(latest, here[earlier], there[earlier])
    bounds = [0]
    while (later := np.flatnonzero(latest[bounds[-1] :] >= bounds[-1])).size:
        bounds.append(bounds[-1] + int(later[0]))
    return [*bounds, sites]


def sweep_chains(
    couplings: Tensor | Graph,
    fields: Tensor,
    spins: Tensor,
    betas: NDArray[np.float64],
    *,
    rule: int,
    seed: int,
    first_sweep: int,
    progress: Progress | None = None,
    tiles: Tiles = USUAL,
) -> Tensor:
    """Return the chains after one sweep per entry of `betas`, as `kernels.run.sweep_chains` does.

    Args:
        couplings: J, a dense float32 matrix (sites, sites) or a graph, on the device of the spins.
        fields: h, (sites,) or (chains, sites) float32, likewise.
        spins: -1/+1, (chains, sites) int8; left as it is.
        betas: inverse temperature of each sweep, (sweeps,).
        rule: METROPOLIS or HEAT_BATH.
        seed: names the random streams, in [0, 2^64).
        first_sweep: number of the first sweep.
        progress: called with (sweeps done, sweeps in all) between launches.
        tiles: sizes of the programs; the law does not depend on them, nor do the draws but for last digits.

    Cost:
        Counted, not run on hardware: for 2000 sites and 4096 chains an H200 holds one dense program per multiprocessor. Of the
        compiled loops, a visit takes some 200 instructions and 100 cycles of waiting (2000 of them: 0.35 ms), and 64 sites of a
        product some 260 and 100 for two halves (2000 of those: 0.4 ms; reading J for it from the second-level cache, 2 GB at 5
        TB/s, takes as long). So a sweep of 8.2 M visits should take 0.8 to 1.2 ms: 7 to 10 G visits a second, more with one half.
        The tensor cores' limit, 33 G additions at 400 T a second for two halves, lies at a tenth of that time.
    """
    scales = (0.5 / np.maximum(betas, SMALLEST_BETA)).astype(np.float32)
    walk = _Walk(rule == HEAT_BATH, seed, first_sweep, progress, tiles)
    with torch.cuda.device_of(spins):
        if isinstance(couplings, Tensor):
            return _dense_walk(couplings, fields, spins, scales, walk)
        return _sparse_walk(couplings, fields, spins, scales, walk)


class _Walk(NamedTuple):
    """What dense and sparse sweeps share: the rule, the random streams, whom to tell, and the sizes of programs."""

    heat_bath: bool
    seed: int
    first_sweep: int
    progress: Progress | None
    tiles: Tiles


def in_pieces(
    launch: Callable[[int, int], None], steps: int, work: int, device: torch.device, progress: Progress | None
) -> None:
    """Call `launch(first, last)` for all the steps, each of `work` multiply-adds, piece by piece, and wait for each piece."""
    length = max(1, _LAUNCH_WORK // work)
    for first in range(0, steps, length):
        last = min(first + length, steps)
        launch(first, last)
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()
        if progress:
            progress(last, steps)


def _dense_walk(couplings: Tensor, fields: Tensor, spins: Tensor, scales: NDArray[np.float32], walk: _Walk) -> Tensor:
    (chains, sites), tiles = spins.shape, walk.tiles
    rows, columns = _rounded_up(chains, tiles.chains), _rounded_up(sites, tiles.depth)
    state = _padded(spins, rows, columns, 1)
    own = fields.ndim == 2
    external = _padded(fields, rows, columns, 0) if own else _padded(fields[None], 1, columns, 0)
    matrix = half_parts(_padded(couplings, columns, columns, 0), tiles.block)
    temperatures = torch.from_numpy(scales).to(spins.device)

    def launch(first: int, last: int) -> None:
        dense_sweeps[(rows // tiles.chains,)](
            state,
            external,
            *matrix,
            temperatures[first:last],
            walk.seed,
            walk.first_sweep + first,
            last - first,
            columns,
            columns if own else 0,
            HEATED=walk.heat_bath,
            PARTS=len(matrix.parts),
            CHAINS=tiles.chains,
            BLOCK=tiles.block,
            DEPTH=tiles.depth,
            num_warps=tiles.warps,
            enable_fp_fusion=True,
        )

    in_pieces(launch, len(scales), rows * columns**2, spins.device, walk.progress)
    return state[:chains, :sites].contiguous()


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _padded(rows: Tensor, height: int, width: int, value: int) -> Tensor:
    room = rows.new_full((height, width), value)
    room[: rows.shape[0], : rows.shape[1]] = rows
    return room


class HalfParts(NamedTuple):
    """A matrix as products on tensor cores take it: J_ij = units_i sum_p parts_pij.

    Args:
        parts: (1 or 2, sites, sites) float16.
        units: powers of two, (sites,) float32.
        blocks: J within the blocks of sites that are visited between two products, (sites, block) float32.
    """

    parts: Tensor
    units: Tensor
    blocks: Tensor


def half_parts(matrix: Tensor, block: int) -> HalfParts:
    """Return a float32 matrix in half precision: one part where that is exact, else two, to 2^-23 of the largest of a row."""
    _, exponent = torch.frexp(matrix.abs().amax(1))
    units = torch.ldexp(torch.ones_like(matrix[0], dtype=torch.float64), exponent - 14)
    scaled = matrix / units[:, None]
    high = scaled.to(torch.float16)
    low = (scaled - high).to(torch.float16)
    blocks = matrix.unflatten(0, (-1, block)).unflatten(2, (-1, block)).diagonal(dim1=0, dim2=2)
    return HalfParts(
        torch.stack([high, low]) if low.any() else high[None],
        units.to(torch.float32),
        blocks.permute(2, 0, 1).reshape(-1, block).contiguous(),
    )


def _sparse_walk(graph: Graph, fields: Tensor, spins: Tensor, scales: NDArray[np.float32], walk: _Walk) -> Tensor:
    (chains, sites), tile = spins.shape, walk.tiles.lanes
    lanes = _rounded_up(chains, tile)
    state = _padded(spins.T, sites, lanes, 1)
    own = fields.ndim == 2
    external = _padded(fields.T, sites, lanes, 0) if own else fields.contiguous()

    def launch(first: int, last: int) -> None:
        for k in range(first, last):
            for begin, end in zip(graph.bounds, graph.bounds[1:]):
                sparse_visits[(end - begin, lanes // tile)](
                    state,
                    external,
                    graph.order,
                    graph.starts,
                    graph.neighbours,
                    graph.weights,
                    float(scales[k]),
                    walk.seed,
                    walk.first_sweep + k,
                    begin,
                    lanes,
                    lanes if own else 1,
                    1 if own else 0,
                    HEATED=walk.heat_bath,
                    LANES=tile,
                    enable_fp_fusion=True,
                )

    work = _VISIT_WORK * lanes * (sites + len(graph.weights))
    in_pieces(launch, len(scales), work, spins.device, walk.progress)
    return state.T[:chains].contiguous()
