"""Machines that update all sites together on a GPU: those of `kernels.oscillators`, on tensors that stay on the device.

Vectors are site-major, (sites, runs). A step is one product with the couplings, torch's own, dense or sparse, and one update of
every site, a single pass over memory (Triton); random words are functions of (seed, run, site, step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from spinlight.kernels.gpu_oscillators import optical_updates, threshold_updates
from spinlight.kernels.gpu_run import in_pieces
from spinlight.kernels.oscillators import DISCRETE, SEPARATED, Drive, Optics
from spinlight.kernels.run import Progress

LANES = 256
"""Runs of a program."""


class Outcome(NamedTuple):
    """Where runs ended, or the best of what they passed through.

    Args:
        spins: -1/+1, (runs, sites) int8.
        amplitudes: at the end, (runs, sites) float32.
        records: amplitudes on the way, (records, runs, sites) float32; without rows where none were asked for.
    """

    spins: Tensor
    amplitudes: Tensor
    records: Tensor


def run_optical(
    couplings: Tensor,
    fields: Tensor,
    amplitudes: Tensor,
    drive: Drive,
    optics: Optics,
    *,
    seed: int,
    every: int,
    gap: int,
    progress: Progress | None = None,
) -> Outcome:
    """Run optical machines from their first amplitudes through a schedule, as `kernels.machines.run_optical` does.

    Args:
        couplings: J, float32, dense or torch's sparse coordinates, on the device of the amplitudes.
        fields: h, (sites,) or (runs, sites) float32, likewise.
        amplitudes: (runs, sites) float32; left as they are.
        drive, optics, seed, every, gap: as there.
        progress: called with (steps done, steps in all) now and then.

    Cost:
        By count of operations for 2000 sites and 4096 runs on an H200: the product, in float32, is 16 G multiply-adds (0.5 to
        0.7 ms at its usual rates), the update moves 200 MB (0.05 ms). Not run on hardware.
    """
    (runs, sites), grid = amplitudes.shape, _grid(amplitudes)
    x = amplitudes.T.contiguous()
    readings, errors = x.clone(), torch.full_like(x, 0.0 if optics.control == SEPARATED else 1.0)
    variances = torch.full_like(x, 0.5)
    external, strides = _external(fields)
    schedule = torch.stack([torch.from_numpy(part) for part in drive]).to(x.device)
    steps, records = schedule.shape[1], list[Tensor]()
    numbers = [float(part) for part in optics[2:]]

    def advance(step: int) -> None:
        feedback = couplings @ readings
        optical_updates[grid](
            x,
            errors,
            variances,
            readings,
            feedback,
            external,
            schedule,
            *numbers,
            seed,
            step,
            steps,
            runs,
            *strides,
            CONTROL=optics.control,
            NOISE=optics.noise,
            LANES=LANES,
            enable_fp_fusion=True,
        )
        if gap and (step + 1) % gap == 0:
            records.append(x.T.contiguous())

    with torch.cuda.device_of(x):
        spins = _looked(couplings, fields, advance, x, steps, every, progress)
    rows = torch.stack(records) if records else x.new_zeros(0, runs, sites)
    return Outcome(spins, x.T.contiguous(), rows)


def run_bifurcation(
    couplings: Tensor,
    fields: Tensor,
    positions: Tensor,
    momenta: Tensor,
    pressure: Tensor,
    *,
    rule: int,
    dt: float,
    scale: float,
    every: int,
    progress: Progress | None = None,
) -> Outcome:
    """Run bifurcation machines as `kernels.machines.run_bifurcation` does.

    Args:
        couplings, fields, every, progress: as `run_optical`.
        positions, momenta: (runs, sites) float32; left as they are.
        pressure: a of each step, (steps,) float32.
        rule, dt, scale: as there.
    """
    x, y = positions.T.contiguous(), momenta.T.contiguous()
    external = fields.T if fields.ndim == 2 else fields[:, None]
    stiffness = (pressure - 1).tolist()

    def advance(step: int) -> None:
        source = signs_of(x) if rule == DISCRETE else x
        push = (couplings @ source).add_(external).mul_(scale).add_(x, alpha=stiffness[step])
        y.add_(push, alpha=dt)
        x.add_(y, alpha=dt)
        y.masked_fill_(x.abs() >= 1, 0.0)
        x.clamp_(-1, 1)

    spins = _looked(couplings, fields, advance, x, len(stiffness), every, progress)
    return Outcome(spins, x.T.contiguous(), x.new_zeros(0, *positions.shape))


def run_thresholds(
    couplings: Tensor,
    fields: Tensor,
    spins: Tensor,
    *,
    steps: int,
    step: float,
    spread: float,
    seed: int,
    every: int,
    progress: Progress | None = None,
) -> Outcome:
    """Run noisy thresholds as `kernels.machines.run_thresholds` does.

    Args:
        couplings, fields, seed, every, progress: as `run_optical`.
        spins: -1/+1, (runs, sites) float32; left as they are.
        steps, step, spread: as there.
    """
    (runs, sites), grid = spins.shape, _grid(spins)
    x = signs_of(spins.T.contiguous())
    external, strides = _external(fields)

    def advance(number: int) -> None:
        threshold_updates[grid](
            x,
            couplings @ x,
            external,
            float(step),
            float(spread),
            seed,
            number,
            runs,
            *strides,
            LANES=LANES,
            enable_fp_fusion=True,
        )

    with torch.cuda.device_of(x):
        after = _looked(couplings, fields, advance, x, steps, every, progress)
    return Outcome(after, x.T.contiguous(), x.new_zeros(0, runs, sites))


def _grid(rows: Tensor) -> tuple[int, int]:
    runs, sites = rows.shape
    return sites, -(-runs // LANES)


def _external(fields: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Return fields with their strides along sites and runs."""
    if fields.ndim == 1:
        return fields.contiguous(), (1, 0)
    return fields.T.contiguous(), (len(fields), 1)


def signs_of(x: Tensor) -> Tensor:
    """Return -1 or +1, +1 for zero."""
    return torch.where(x < 0, -1.0, 1.0)


def _looked(
    couplings: Tensor,
    fields: Tensor,
    advance: Callable[[int], None],
    x: Tensor,
    steps: int,
    every: int,
    progress: Progress | None,
) -> Tensor:
    """Let x advance by all steps; return its signs of lowest energy among the looks, or the last ones, (runs, sites) int8."""
    external = fields.T if fields.ndim == 2 else fields[:, None]
    best, lowest = signs_of(x), x.new_full((x.shape[1],), torch.inf)

    def launch(first: int, last: int) -> None:
        for step in range(first, last):
            advance(step)
            if every and ((step + 1) % every == 0 or step + 1 == steps):
                signs = signs_of(x)
                energy = -(signs * (0.5 * (couplings @ signs) + external)).sum(0)
                best.copy_(torch.where(energy < lowest, signs, best))
                torch.minimum(energy, lowest, out=lowest)

    in_pieces(launch, steps, x.numel() * len(x), x.device, progress)
    return (best if every else signs_of(x)).T.to(torch.int8).contiguous()
