"""From plain arrays to plain arrays, for machines that update all sites together: packs runs into groups of sixteen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight.kernels import oscillators
from spinlight.kernels.lanes import LANES
from spinlight.kernels.products import padded_sites, panels_of
from spinlight.kernels.run import Couplings, DenseCouplings, Progress, run_groups

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where runs ended, or the best of what they passed through.

    Args:
        spins: -1/+1, (runs, sites) int8.
        amplitudes: at the end, (runs, sites) float32.
        records: amplitudes on the way, (records, runs, sites) float32; without rows where none were asked for.
    """

    spins: NDArray[np.int8]
    amplitudes: Floats
    records: Floats


def run_optical(
    couplings: Couplings,
    fields: Floats,
    amplitudes: Floats,
    drive: oscillators.Drive,
    optics: oscillators.Optics,
    *,
    seed: int,
    every: int,
    gap: int,
    threads: int,
    progress: Progress | None = None,
) -> Outcome:
    """Run optical machines from their first amplitudes through a schedule.

    Args:
        couplings: shared by every run.
        fields: h, (sites,) or (runs, sites).
        amplitudes: (runs, sites).
        drive: the schedule.
        optics: the constants.
        seed: names the random streams, in [0, 2^64).
        every: steps between two looks at the energy, of which the lowest is kept; 0 for the last state.
        gap: steps between two records of the amplitudes; 0 for none.
        threads: how many to use; the result does not depend on it.
        progress: called about twenty times a second with (steps done, steps in all).
    """
    packed = _Packed(fields, amplitudes, seed)
    steps = len(drive.pump)
    records = np.zeros((packed.groups, steps // gap if gap else 0, LANES * packed.sites), np.float32)
    arrays = matrix_of(couplings)

    def run(group: int, control: NDArray[np.int64], worker: int) -> None:
        oscillators.optical_runs(
            arrays, packed[group], drive, optics, every, records[group], max(gap, 1), control, worker
        )

    run_groups(run, packed.groups, steps, threads, progress)
    return packed.outcome(records)


def run_bifurcation(
    couplings: Couplings,
    fields: Floats,
    positions: Floats,
    momenta: Floats,
    pressure: Floats,
    *,
    rule: int,
    dt: float,
    scale: float,
    every: int,
    threads: int,
    progress: Progress | None = None,
) -> Outcome:
    """Run bifurcation machines from their first positions and momenta through a pressure that rises to one.

    Args:
        positions: (runs, sites).
        momenta: (runs, sites).
        couplings, fields, every, threads, progress: as `run_optical`.
        pressure, rule, dt, scale: as `oscillators.bifurcation_runs`.
    """
    packed, arrays = _Packed(fields, positions, 0), matrix_of(couplings)
    speeds = packed.with_room(momenta)
    step, force = np.float32(dt), np.float32(scale)

    def run(group: int, control: NDArray[np.int64], worker: int) -> None:
        oscillators.bifurcation_runs(
            arrays, packed[group], speeds[group], rule, pressure, step, force, every, control, worker
        )

    run_groups(run, packed.groups, len(pressure), threads, progress)
    return packed.outcome()


def run_thresholds(
    couplings: Couplings,
    fields: Floats,
    spins: Floats,
    *,
    steps: int,
    step: float,
    spread: float,
    seed: int,
    every: int,
    threads: int,
    progress: Progress | None = None,
) -> Outcome:
    """Run noisy thresholds, all sites at once, from their first spins.

    Args:
        couplings, fields, seed, every, threads, progress: as `run_optical`.
        spins: -1/+1, (runs, sites).
        steps, step, spread: as `oscillators.threshold_runs`.
    """
    packed, arrays = _Packed(fields, spins, seed), matrix_of(couplings)
    force, noise = np.float32(step), np.float32(spread)

    def run(group: int, control: NDArray[np.int64], worker: int) -> None:
        oscillators.threshold_runs(arrays, packed[group], steps, force, noise, every, control, worker)

    run_groups(run, packed.groups, steps, threads, progress)
    return packed.outcome()


def matrix_of(couplings: Couplings) -> Any:
    """Return the couplings as `kernels.products.product` takes them."""
    return panels_of(couplings.matrix) if isinstance(couplings, DenseCouplings) else couplings.arrays()


class _Packed:
    """Runs packed sixteen to a group, site-major: entry 16 * site + lane."""

    def __init__(self, fields: Floats, amplitudes: Floats, seed: int) -> None:
        self.runs, self.sites = amplitudes.shape
        self.groups = -(-self.runs // LANES)
        shared = fields.ndim == 1
        self._external = np.repeat(fields, LANES)[None] if shared else self._site_major(fields)
        self._amplitudes = self.with_room(amplitudes)
        self._seed = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
        self._numbers = np.arange(self.groups * LANES, dtype=np.uint32).reshape(self.groups, LANES)
        self._best = np.full((self.groups, LANES), np.inf, np.float32)
        self._spins = np.ones((self.groups, LANES * self.sites), np.float32)

    def __getitem__(self, group: int) -> oscillators.Runs:
        """Return what a kernel takes of one group."""
        return oscillators.Runs(
            self._external[group % len(self._external)],
            self._amplitudes[group],
            self._seed,
            self._numbers[group],
            self._best[group],
            self._spins[group],
        )

    def with_room(self, rows: Floats) -> Floats:
        """Return one row per run as the kernels take it, with room for the padding of products."""
        room = np.zeros((self.groups, LANES * padded_sites(self.sites)), np.float32)
        room[:, : LANES * self.sites] = self._site_major(rows)
        return room

    def outcome(self, records: Floats | None = None) -> Outcome:
        """Return what the kernels left, and what they recorded."""
        amplitudes = self._run_major(self._amplitudes[:, : LANES * self.sites])
        steps = [] if records is None else [self._run_major(part) for part in records.transpose(1, 0, 2)]
        return Outcome(
            self._run_major(self._spins).astype(np.int8),
            amplitudes,
            np.stack(steps) if steps else np.zeros((0, *amplitudes.shape), np.float32),
        )

    def _site_major(self, rows: Floats) -> Floats:
        padded = np.zeros((self.groups * LANES, self.sites), np.float32)
        padded[: self.runs] = rows
        lanes = padded.reshape(self.groups, LANES, self.sites).transpose(0, 2, 1)
        return np.ascontiguousarray(lanes).reshape(self.groups, -1)

    def _run_major(self, packed: Floats) -> Floats:
        lanes = packed.reshape(self.groups, self.sites, LANES).transpose(0, 2, 1)
        return np.ascontiguousarray(lanes.reshape(-1, self.sites)[: self.runs])
