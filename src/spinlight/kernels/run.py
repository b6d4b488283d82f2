"""From plain arrays to plain arrays: packs chains into groups of sixteen and runs the groups on threads.

Threads are made for each call and end with it: there is no pool to be lost in a fork, and any number of user threads may
call at once. The calling thread only waits, so that Ctrl-C ends a run within a tenth of a second or so.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight.kernels import cpu
from spinlight.kernels.lanes import LANES

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called now and then from the calling thread with (sweeps done, sweeps in all), summed over groups of chains."""

METROPOLIS, HEAT_BATH = cpu.METROPOLIS, cpu.HEAT_BATH
Edges = cpu.Edges

_INLINE_VISIT_COST = 2_000_000
"""Runs cheaper than this many vector operations stay in the calling thread: they take a millisecond, starting threads .4 ms."""

_POLL_SECONDS = 0.05

SMALLEST_BETA = 1e-36
"""Stands for zero: 1 / beta is still a float32, and times the largest local field (1e30) it is nothing."""


@dataclass(frozen=True, eq=False)
class DenseCouplings:
    """J as a symmetric float32 matrix, (sites, sites)."""

    matrix: Floats

    @property
    def sites(self) -> int:
        """The number of spins."""
        return self.matrix.shape[0]

    @property
    def visit_cost(self) -> int:
        """Vector operations that a visit of sixteen chains takes, roughly."""
        return 40 + self.sites

    def arrays(self) -> Floats:
        """Return what the kernels take."""
        return self.matrix


@dataclass(frozen=True, eq=False)
class SparseCouplings:
    """J in compressed rows; sites of one colour stand together in the order of visits."""

    edges: Edges

    @property
    def sites(self) -> int:
        """The number of spins."""
        return int(self.edges.order.shape[0])

    @property
    def visit_cost(self) -> int:
        """Vector operations that a visit of sixteen chains takes, roughly."""
        return 50 + self.edges.weights.shape[0] // self.sites

    def arrays(self) -> Edges:
        """Return what the kernels take."""
        return self.edges


Couplings = DenseCouplings | SparseCouplings


def sweep_chains(
    couplings: Couplings,
    fields: Floats,
    spins: NDArray[np.int8],
    betas: NDArray[np.float64],
    *,
    rule: int,
    seed: int,
    first_sweep: int,
    threads: int,
    progress: Progress | None = None,
) -> NDArray[np.int8]:
    """Return the chains after one sweep per entry of `betas`.

    Args:
        couplings: shared by every chain.
        fields: h, (sites,) or (chains, sites) float32.
        spins: -1/+1, (chains, sites); left as it is.
        betas: inverse temperature of each sweep, (sweeps,).
        rule: METROPOLIS or HEAT_BATH.
        seed: names the random streams, in [0, 2^64).
        first_sweep: number of the first sweep; streams of different sweeps are independent.
        threads: how many to use; the result does not depend on it.
        progress: called about twenty times a second.
    """
    groups = _Groups(fields, spins, seed)
    kernel: Any = cpu.dense_chains if isinstance(couplings, DenseCouplings) else cpu.sparse_chains
    betas = np.maximum(betas, SMALLEST_BETA)

    def run(group: int, control: NDArray[np.int64], worker: int) -> None:
        kernel(rule, couplings.arrays(), groups[group], betas, first_sweep, control, worker)

    cost = couplings.sites * couplings.visit_cost * len(betas) * groups.count
    run_groups(run, groups.count, len(betas), threads if cost > _INLINE_VISIT_COST else 0, progress)
    return groups.unpacked()


def annealed_weights(
    couplings: Couplings,
    fields: Floats,
    base: Floats,
    spins: NDArray[np.int8],
    path: NDArray[np.float64],
    *,
    seed: int,
    threads: int,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Walk chains from `path[0]` to `path[-1]` along p_b(s) ~ exp((1 - b) sum_i base_i s_i - b E(s)).

    Args:
        couplings: J, with the wanted inverse temperature already multiplied in, as in `fields`.
        fields: h, (sites,) or (chains, sites) float32.
        base: fields of the independent distribution at b = 0, (sites,) float32.
        spins: -1/+1, (chains, sites), drawn from p at `path[0]`; left as it is.
        path: values of b, (steps + 1,) float64: increasing for annealing, decreasing for its reverse.
        seed, threads, progress: as `sweep_chains`.

    Returns:
        The chains at the end, and log weights (chains,), whose exponentials average to Z_end / Z_start.
    """
    groups = _Groups(fields, spins, seed)
    kernel: Any = cpu.dense_annealed if isinstance(couplings, DenseCouplings) else cpu.sparse_annealed
    log_weights = np.zeros((groups.count, LANES))

    def run(group: int, control: NDArray[np.int64], worker: int) -> None:
        kernel(couplings.arrays(), groups[group], base, path, log_weights[group], control, worker)

    cost = couplings.sites * couplings.visit_cost * len(path) * groups.count
    run_groups(run, groups.count, len(path) - 1, threads if cost > _INLINE_VISIT_COST else 0, progress)
    return groups.unpacked(), log_weights.reshape(-1)[: len(spins)]


def packed_lanes(rows: Floats, groups: int) -> Floats:
    """Return rows, (chains, sites), as lanes, (groups, 16 * sites): entry 16 * site + lane; lanes without a row hold ones."""
    chains, sites = rows.shape
    padded = np.ones((groups * LANES, sites), np.float32)
    padded[:chains] = rows
    lanes = padded.reshape(groups, LANES, sites).transpose(0, 2, 1)
    return np.ascontiguousarray(lanes).reshape(groups, -1)


def unpacked_lanes(lanes: Floats) -> NDArray[np.int8]:
    """Return lanes, (groups, 16 * sites), as rows again, (16 * groups, sites) int8, those that were filled up too."""
    groups, sites = len(lanes), lanes.shape[1] // LANES
    return lanes.reshape(groups, sites, LANES).transpose(0, 2, 1).reshape(-1, sites).astype(np.int8)


class _Groups:
    """Chains packed sixteen to a group, site-major: entry 16 * site + lane."""

    def __init__(self, fields: Floats, spins: NDArray[np.int8], seed: int) -> None:
        self._chains, self._sites = spins.shape
        self.count = -(-self._chains // LANES)
        self.spins = packed_lanes(spins.astype(np.float32), self.count)
        shared = np.repeat(fields, LANES).reshape(1, -1) if fields.ndim == 1 else None
        self.external = packed_lanes(fields, self.count) if shared is None else shared
        self.seed = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
        self.chains = np.arange(self.count * LANES, dtype=np.uint32).reshape(self.count, LANES)

    def __getitem__(self, group: int) -> cpu.Group:
        """Return what a kernel takes of one group."""
        external = self.external[group % len(self.external)]
        return cpu.Group(external, self.spins[group], self.seed, self.chains[group])

    def unpacked(self) -> NDArray[np.int8]:
        """Return the spins as (chains, sites) int8."""
        return unpacked_lanes(self.spins)[: self._chains]


def run_groups(
    run: Callable[[int, NDArray[np.int64], int], None],
    groups: int,
    sweeps: int,
    threads: int,
    progress: Progress | None,
) -> None:
    """Call `run(group, control, worker)` for every group, on `threads` threads or, with 0, in this one."""
    workers = max(1, min(threads, groups))
    control = np.zeros(1 + workers, np.int64)
    if threads == 0:
        for group in range(groups):
            run(group, control, 0)
        return
    queue, failures = itertools.count(), list[BaseException]()

    def work(worker: int) -> None:
        try:
            while control[0] == 0 and (group := next(queue)) < groups:
                run(group, control, worker)
        except BaseException as error:
            failures.append(error)
            control[0] = 1

    pool = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(workers)]
    try:
        for thread in pool:
            thread.start()
        _wait(pool, lambda: progress(int(control[1:].sum()), groups * sweeps) if progress else None)
    except BaseException:
        control[0] = 1
        for thread in pool:
            if thread.ident is not None:
                thread.join()
        raise
    if failures:
        raise failures[0]


def _wait(pool: list[threading.Thread], report: Callable[[], None]) -> None:
    for thread in pool:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            report()
