"""From plain arrays to the annealed side of a bipartite machine, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinlight.kernels import bipartite
from spinlight.kernels.lanes import LANES
from spinlight.kernels.products import panels_of
from spinlight.kernels.run import Floats, Progress, packed_lanes, run_groups


@dataclass(frozen=True, eq=False)
class Bipartite:
    """p(x, y) ~ exp(f.x + g.y + x W y) over bits, the wanted inverse temperature multiplied in.

    Args:
        weight: W, (kept, summed) float32.
        kept: f, (kept,) float32; the side on which chains live.
        summed: g, (summed,) float32; the side that is summed out.
    """

    weight: Floats
    kept: Floats
    summed: Floats


def annealed_side(
    machine: Bipartite,
    base_kept: Floats,
    base_summed: Floats,
    bits: NDArray[np.int8],
    path: NDArray[np.float64],
    *,
    seed: int,
    threads: int,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Walk chains from `path[0]` to `path[-1]` between independent units, at b = 0, and the machine, at b = 1.

    p_b(x) ~ exp(f_b.x) prod_j (1 + exp(g_b + b x W)_j),  f_b = (1 - b) base_kept + b f,  g_b = (1 - b) base_summed + b g

    Args:
        machine: at the end of the path.
        base_kept: (kept,) float32.
        base_summed: (summed,) float32.
        bits: 0/1, (chains, kept); left as they are.
        path: values of b, (steps + 1,) float64.
        seed, threads, progress: as `run.sweep_chains`.

    Returns:
        The chains at the end, and log weights (chains,), whose exponentials average to Z_end / Z_start.
    """
    chains, kept = bits.shape
    groups = -(-chains // LANES)
    sides = bipartite.Sides(
        panels_of(machine.weight),
        panels_of(np.ascontiguousarray(machine.weight.T)),
        np.stack([base_kept, machine.kept]),
        np.stack([base_summed, machine.summed]),
    )
    lanes, log_weights = packed_lanes(bits.astype(np.float32), groups), np.zeros((groups, LANES))
    words = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
    numbers = np.arange(groups * LANES, dtype=np.uint32).reshape(groups, LANES)

    def run(group: int, control: NDArray[np.int64], worker: int) -> None:
        bipartite.side_annealed(sides, lanes[group], words, numbers[group], path, log_weights[group], control, worker)

    run_groups(run, groups, len(path) - 1, threads, progress)
    end = lanes.reshape(groups, kept, LANES).transpose(0, 2, 1).reshape(-1, kept)[:chains]
    return end.astype(np.int8), log_weights.reshape(-1)[:chains]
