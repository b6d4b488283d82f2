"""From plain arrays to ladders of chains at different temperatures, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight.kernels import exchange
from spinlight.kernels.lanes import LANES
from spinlight.kernels.run import (
    SMALLEST_BETA,
    Couplings,
    DenseCouplings,
    Floats,
    Progress,
    packed_lanes,
    run_groups,
    unpacked_lanes,
)


@dataclass(frozen=True, eq=False)
class Swapped:
    """What a run of ladders left behind.

    Args:
        records: states of the last rung, (ladders, records, sites) int8.
        chances: mean chance of a swap between each rung and the next, (rungs - 1,); NaN where none was tried.
        tries: sweeps after which each of these swaps was tried, (rungs - 1,).
        trips: arrivals of chains on the last rung that come from the first, (ladders,).
        gaps: E + sum_i base_i s_i of the chain on every rung at each record, (ladders, records, rungs) float32.
    """

    records: NDArray[np.int8]
    chances: NDArray[np.float64]
    tries: NDArray[np.int64]
    trips: NDArray[np.int64]
    gaps: Floats


class Ladders:
    """Chains on ladders of laws p_b(s) ~ exp(-b E(s) + (1 - b) sum_i base_i s_i); `run` goes on from where the last one ended.

    Args:
        couplings: shared by every chain.
        fields: h, (sites,) or (ladders, sites) float32.
        spins: -1/+1, (ladders, rungs, sites); left as they are.
        base: fields of the independent spins at b = 0, (sites,) float32; None for zeros.
        paired: whether ladders 0 and 1, 2 and 3, ... exchange clusters, and so must stay in one unit.
        seed: names the random streams, in [0, 2^64).
        threads: how many to use; the result does not depend on it.
        first_sweep: sweeps that these chains have done before; the next ones use streams that no earlier ones used.
    """

    def __init__(
        self,
        couplings: Couplings,
        fields: Floats,
        spins: NDArray[np.int8],
        base: Floats | None,
        *,
        paired: bool,
        seed: int,
        threads: int,
        first_sweep: int = 0,
    ) -> None:
        self._couplings, self._threads, self._sweeps = couplings, threads, first_sweep
        self._ladders, self._rungs, self._sites = spins.shape
        self._base = np.zeros(self._sites, np.float32) if base is None else base
        whole = LANES // math.gcd(self._rungs, LANES)
        whole *= 2 if paired and whole % 2 else 1
        self._together = min(whole, self._ladders)
        lanes = self._together * self._rungs
        groups = -(-lanes // LANES)
        words = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
        self._units = []
        for first in range(0, self._ladders, self._together):
            part = spins[first : first + self._together]
            own = np.broadcast_to(fields, (self._ladders, self._sites))[first : first + self._together]
            chains = first * self._rungs + np.arange(groups * LANES, dtype=np.uint32)
            self._units.append(
                exchange.Unit(
                    external=packed_lanes(np.repeat(own, self._rungs, 0), groups),
                    spins=packed_lanes(part.reshape(-1, self._sites).astype(np.float32), groups),
                    seed=words,
                    chains=chains.reshape(groups, LANES),
                    lane=np.arange(len(part) * self._rungs).reshape(len(part), self._rungs),
                    beta=np.full((groups, LANES), SMALLEST_BETA, np.float32),
                    keep=np.zeros((groups, LANES), np.float32),
                    descending=np.zeros(groups * LANES, bool),
                )
            )

    def run(
        self,
        parts: NDArray[np.float64],
        sweeps: int,
        *,
        every: int = 0,
        cluster_every: int = 0,
        progress: Progress | None = None,
    ) -> Swapped:
        """Sweep every chain, with a round of swaps after each sweep.

        Args:
            parts: b of the rungs, from the easiest law to the wanted one, in [0, 1], (rungs,).
            sweeps: how many.
            every: sweeps between two records of the last rung; 0 for none.
            cluster_every: sweeps between two cluster moves (sparse couplings only); 0 for none.
            progress: called about twenty times a second.
        """
        parts = np.maximum(parts, SMALLEST_BETA)
        plan = exchange.Plan(parts, self._base, sweeps, self._sweeps, every, cluster_every)
        tallies = [self._tally(unit, sweeps // every if every else 0) for unit in self._units]
        kernel: Any = (
            exchange.dense_exchange if isinstance(self._couplings, DenseCouplings) else exchange.sparse_exchange
        )
        for unit in self._units:
            unit.beta.reshape(-1)[unit.lane] = parts
            unit.keep.reshape(-1)[unit.lane] = 1 - parts

        def run(index: int, control: NDArray[np.int64], worker: int) -> None:
            kernel(self._couplings.arrays(), self._units[index], plan, tallies[index], control, worker)

        run_groups(run, len(self._units), sweeps, self._threads, progress)
        swaps = np.arange(self._sweeps, self._sweeps + sweeps) % 2
        tries = np.array([np.sum(swaps == r % 2) for r in range(self._rungs - 1)])
        self._sweeps += sweeps
        chances = np.sum([tally.chances for tally in tallies], 0) / self._ladders
        return Swapped(
            np.concatenate([tally.records for tally in tallies]),
            np.divide(chances, tries, out=np.full(len(tries), np.nan), where=tries > 0),
            tries,
            np.concatenate([tally.trips for tally in tallies]),
            np.concatenate([tally.gaps for tally in tallies]),
        )

    def states(self) -> NDArray[np.int8]:
        """Return the chains as they are now, by rung: (ladders, rungs, sites)."""
        return np.concatenate([unpacked_lanes(unit.spins)[unit.lane] for unit in self._units])

    def _tally(self, unit: exchange.Unit, records: int) -> exchange.Tally:
        ladders = len(unit.lane)
        return exchange.Tally(
            np.zeros(self._rungs - 1),
            np.zeros(ladders, np.int64),
            np.zeros((ladders, records, self._sites), np.int8),
            np.zeros((ladders, records, self._rungs), np.float32),
        )
