"""Markov chains on a GPU (Triton): the chains of `kernels.cpu`, word for word, on tensors that stay on the device.

Dense problems: a program owns a tile of chains and takes it through many sweeps, block of sites by block of sites. For a
block it first computes the local fields h + J s of all its chains as one matrix product on the tensor cores; then it visits
the sites of the block in order, each change being added to the fields of the block at once. The order of visits and every
decision are those of a plain sequential scan. No fields are carried along, so that no rounding adds up.

The product multiplies spins with J in half precision: each row is scaled by a power of two and, unless it is exact so
(integers up to 2048 are), split into two parts that together hold 22 bits and a sign; sums are float32.

Sparse problems: sites that share no coupling are visited at once, one program per site and tile of chains, each gathering its
neighbours' spins; one launch per such set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from spinlight.kernels.gpu_noise import exponential_noise, logistic_noise, threefry
from spinlight.kernels.run import HEAT_BATH, SMALLEST_BETA, Edges, Progress

_LAUNCH_WORK = 2**40
"""Multiply-adds per wait for the device, a few hundredths of a second: Ctrl-C and progress come between."""

_LAZY = tl.constexpr(0.133531392624522623)
"""-log(7 / 8): see `kernels.cpu.LAZY`."""


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
    return Graph(*moved, _bounds(order, starts, neighbours))


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
    tiles: Tiles = Tiles(),  # noqa: B008
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
        Dense, by count of operations for 2000 sites and 4096 chains on an H200: a sweep reads J once per program, 1 GB from
        the second-level cache for each half-precision part (0.2 ms at 5 TB/s), multiplies 16 G times for each (0.1 ms at
        300 TFLOP/s) and visits 2000 sites in turn (0.4 ms at 350 cycles each): 8 M visits in 0.7 to 1 ms. Expect 8 to 12 G
        visits a second. Not run on hardware.
    """
    scales = (0.5 / np.maximum(betas, SMALLEST_BETA)).astype(np.float32)
    walk = _dense_walk if isinstance(couplings, Tensor) else _sparse_walk
    with torch.cuda.device_of(spins):
        return walk(couplings, fields, spins, scales, Walk(rule == HEAT_BATH, seed, first_sweep, progress, tiles))  # type: ignore[arg-type]


class Walk(NamedTuple):
    """What dense and sparse sweeps share: the rule, the random streams, whom to tell, and the sizes of programs."""

    heat_bath: bool
    seed: int
    first_sweep: int
    progress: Progress | None
    tiles: Tiles

    def pieces(self, sweeps: int, work: int, device: torch.device, launch: Callable[[int, int], None]) -> None:
        """Call `launch(first, last)` for pieces of all the sweeps, each of `work` multiply-adds, and wait in between."""
        length = max(1, _LAUNCH_WORK // work)
        for first in range(0, sweeps, length):
            last = min(first + length, sweeps)
            launch(first, last)
            if device.type == "cuda":
                torch.cuda.current_stream(device).synchronize()
            if self.progress:
                self.progress(last, sweeps)


def _dense_walk(couplings: Tensor, fields: Tensor, spins: Tensor, scales: NDArray[np.float32], walk: Walk) -> Tensor:
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
        )

    walk.pieces(len(scales), rows * columns**2, spins.device, launch)
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


def _sparse_walk(graph: Graph, fields: Tensor, spins: Tensor, scales: NDArray[np.float32], walk: Walk) -> Tensor:
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
                )

    walk.pieces(len(scales), lanes * (50 * sites + len(graph.weights)), spins.device, launch)
    return state.T[:chains].contiguous()


@triton.jit
def thermal_noise(words, scale, HEATED: tl.constexpr):  # noqa: N803
    """Return what `spin_change` compares fields with; `scale` is 1 / (2 beta)."""
    return (logistic_noise(words) if HEATED else exponential_noise(words)) * scale


@triton.jit
def spin_change(f, s, noise, scale, HEATED: tl.constexpr):  # noqa: N803
    """Return s' - s, which is 0 or -2 s, for local fields f."""
    if HEATED:
        change = tl.where(noise < f, 1.0, -1.0) - s
    else:
        cost = f * s
        lazy = tl.minimum(cost, 0.0) + scale * _LAZY
        change = tl.where(tl.maximum(cost, lazy) < noise, -2.0 * s, 0.0)
    return change


@triton.jit
def dense_sweeps(
    spins,
    fields,
    parts,
    units,
    blocks,
    scales,
    seed: tl.uint64,
    first_sweep: tl.uint64,
    sweeps,
    sites,
    field_stride,
    HEATED: tl.constexpr,  # noqa: N803
    PARTS: tl.constexpr,  # noqa: N803
    CHAINS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    DEPTH: tl.constexpr,  # noqa: N803
):
    """Take one tile of chains through some sweeps; every size is padded, so that nothing is masked."""
    chains = tl.program_id(0) * CHAINS + tl.arange(0, CHAINS)
    columns, depths = tl.arange(0, BLOCK), tl.arange(0, DEPTH)
    rows = spins + chains.to(tl.int64)[:, None] * sites
    external = fields + chains.to(tl.int64)[:, None] * field_stride
    names = chains.to(tl.uint32)[:, None]
    for k in range(sweeps):
        scale = tl.load(scales + k)
        counter = first_sweep.to(tl.uint64) + k
        for first in range(0, sites, BLOCK):
            here = first + columns
            f = tl.zeros((CHAINS, BLOCK), tl.float32)
            for j in range(0, sites, DEPTH):
                s = tl.load(rows + (j + depths)[None, :]).to(tl.float16)
                for p in tl.static_range(PARTS):
                    at = (p * sites + here).to(tl.int64)[:, None] * sites + (j + depths)[None, :]
                    f = tl.dot(s, tl.trans(tl.load(parts + at)), f)
            f = f * tl.load(units + here)[None, :] + tl.load(external + here[None, :])
            visits = (first // 4 + tl.arange(0, BLOCK // 4)).to(tl.uint32)[None, :]
            w0, w1, w2, w3 = threefry(seed.to(tl.uint64), names, visits, counter, -1)
            noise = thermal_noise(tl.interleave(tl.interleave(w0, w2), tl.interleave(w1, w3)), scale, HEATED)
            s = tl.load(rows + here[None, :]).to(tl.float32)
            change = _visited(f, s, noise, scale, blocks + first * BLOCK, HEATED, BLOCK)
            tl.store(rows + here[None, :], (s + change).to(tl.int8))
            tl.debug_barrier()  # the next product reads these spins


@triton.jit
def _visited(f, s, noise, scale, block, HEATED: tl.constexpr, BLOCK: tl.constexpr):  # noqa: N803
    """Return the changes of a block's spins, (chains, BLOCK), its sites being visited one after the other.

    Each step decides for the whole block and keeps the column whose turn it is: cheaper than taking that column out first.
    """
    columns = tl.arange(0, BLOCK)[None, :]
    change = tl.zeros_like(f)
    for i in range(BLOCK):
        turn = columns == i
        flip = tl.sum(tl.where(turn, spin_change(f, s, noise, scale, HEATED), 0.0), 1)[:, None]
        change = tl.where(turn, flip, change)
        f += flip * tl.load(block + i * BLOCK + columns)
    return change


@triton.jit
def sparse_visits(
    spins,
    fields,
    order,
    starts,
    neighbours,
    weights,
    scale,
    seed: tl.uint64,
    sweep: tl.uint64,
    begin,
    chain_count,
    site_stride,
    chain_stride,
    HEATED: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
):
    """Visit one site of a run in one tile of chains; spins are site-major, (sites, chain_count)."""
    visit = begin + tl.program_id(0)
    chains = tl.program_id(1) * LANES + tl.arange(0, LANES)
    site = tl.load(order + visit)
    f = tl.load(fields + site * site_stride + chains * chain_stride)
    for e in range(tl.load(starts + site), tl.load(starts + site + 1)):
        f += tl.load(weights + e) * tl.load(spins + tl.load(neighbours + e) * chain_count + chains).to(tl.float32)
    block = (chains * 0 + visit // 4).to(tl.uint32)
    w0, w1, w2, w3 = threefry(seed.to(tl.uint64), chains.to(tl.uint32), block, sweep.to(tl.uint64), -1)
    turn = visit % 4
    words = tl.where(turn < 2, tl.where(turn == 0, w0, w1), tl.where(turn == 2, w2, w3))
    own = spins + site * chain_count + chains
    s = tl.load(own).to(tl.float32)
    tl.store(own, (s + spin_change(f, s, thermal_noise(words, scale, HEATED), scale, HEATED)).to(tl.int8))
