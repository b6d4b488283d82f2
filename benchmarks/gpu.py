"""Speed of the GPU kernels against the same samplers on two CPU cores, and against the bare matrix products.

    python benchmarks/gpu.py [--rows GLOB] [--quick] [--seeds N] [--json FILE]

The unit of work is the spin visit of sweeps, and the step of one run of a machine. Both devices sample the same problem with the
same sampler and as many chains, and take turns; they differ in sweeps, each long enough to time. A rate is that of a whole
`draw`, energies included. "product" rows give the share of the time that torch's own matrix product of the same size takes: in
half precision for sweeps, in float32 for machines, whose amplitudes are no whole numbers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

import harness
import problems
from harness import Case, Claim, Settings
from spinlight.ising import Ising
from spinlight.samplers import CoherentIsingMachine, Metropolis, Sampler

CHAINS = 4096
THREADS = 2
BETA = 0.02
"""About where 2000 spins with +/-1 couplings freeze, 1 / sqrt(2000): many visits flip."""


def cases() -> list[Case]:
    """Return every case: dense sweeps, sparse sweeps, and a machine."""
    return [
        Case("sweeps/dense-2000", _dense_sweeps),
        Case("sweeps/torus-100x100", _sparse_sweeps),
        Case("machine/dense-2000", _machine),
    ]


def _dense_sweeps(settings: Settings) -> list[Claim]:
    problem = problems.dense_signs(2000, 1)
    lengths = {"GPU": 20 if settings.quick else 500, "CPU": 2 if settings.quick else 10}
    samplers = {who: Metropolis(sweeps=sweeps, beta=BETA, threads=THREADS) for who, sweeps in lengths.items()}
    return [
        *_compared("sweeps/dense-2000", problem, samplers, lengths, problem.sites, 30.0, settings, torch.float16),
        _same_states("sweeps/dense-2000/states", problem, Metropolis(sweeps=2, beta=BETA, threads=THREADS)),
    ]


def _sparse_sweeps(settings: Settings) -> list[Claim]:
    problem = problems.torus_signs(100, 1)
    lengths = {"GPU": 20 if settings.quick else 1000, "CPU": 2 if settings.quick else 20}
    samplers = {who: Metropolis(sweeps=sweeps, beta=0.5, threads=THREADS) for who, sweeps in lengths.items()}
    return [
        *_compared("sweeps/torus-100x100", problem, samplers, lengths, problem.sites, None, settings, None),
        _same_states("sweeps/torus-100x100/states", problem, Metropolis(sweeps=2, beta=0.5, threads=THREADS)),
    ]


def _machine(settings: Settings) -> list[Claim]:
    problem = problems.dense_signs(2000, 1)
    lengths = {"GPU": 20 if settings.quick else 500, "CPU": 2 if settings.quick else 10}
    samplers = {who: CoherentIsingMachine(steps=steps, look_every=0, threads=THREADS) for who, steps in lengths.items()}
    return _compared("machine/dense-2000", problem, samplers, lengths, 1, None, settings, torch.float32)


def _compared(
    name: str,
    problem: Ising,
    samplers: Mapping[str, Sampler],
    lengths: Mapping[str, int],
    visits: int,
    required: float | None,
    settings: Settings,
    product: torch.dtype | None,
) -> list[Claim]:
    """Return the ratio of the devices' rates, and the share of the bare product in the time of the GPU.

    Args:
        lengths: sweeps or steps of each sampler.
        visits: units of work of one chain in one sweep or step.
        product: numbers of the bare product, None for none.
    """
    places = {"GPU": problem.to("cuda"), "CPU": problem}
    runs: dict[str, Callable[[int], float]] = {
        who: partial(_drawn, samplers[who], places[who], CHAINS * visits * lengths[who]) for who in places
    }
    if product is not None:
        couplings = places["GPU"].couplings.to(product)
        runs["product"] = partial(_multiplied, couplings, lengths["GPU"], visits)
    start = time.perf_counter()
    rates = harness.alternate(runs, settings.seeds)
    seconds = time.perf_counter() - start
    claims = [_claim(name, "x", rates, "CPU", 1.0, required, seconds)]
    if product is not None:
        claims.append(
            _claim(f"{name}/product", "% of the bare product's speed", rates, "product", 100.0, None, seconds)
        )
    return claims


def _claim(
    row: str,
    unit: str,
    rates: Mapping[str, list[float]],
    peer: str,
    scale: float,
    required: float | None,
    seconds: float,
) -> Claim:
    ratio = harness.paired_ratio(rates["GPU"], rates[peer])
    return Claim(
        row=row,
        value=scale * ratio.median,
        unit=unit,
        interval=(scale * ratio.lowest, scale * ratio.highest),
        required=required,
        peers={f"{who} M/s": float(np.median(rates[who])) / 1e6 for who in ("GPU", peer)},
        seconds=seconds,
    )


def _drawn(sampler: Sampler, problem: Ising, work: int, seed: int) -> float:
    sampler.draw(problem, CHAINS, seed=seed).spins.cpu()
    return work


def _multiplied(couplings: torch.Tensor, times: int, visits: int, seed: int) -> float:
    """Multiply couplings with random spins as often as a run does; zeros would run faster."""
    generator = torch.Generator("cuda").manual_seed(seed)
    bits = torch.randint(0, 2, (CHAINS, len(couplings)), device="cuda", generator=generator)
    spins = (2 * bits - 1).to(couplings.dtype)
    for _ in range(times):
        spins @ couplings
    torch.cuda.synchronize()
    return CHAINS * visits * times


def _same_states(row: str, problem: Ising, sampler: Sampler) -> Claim:
    """Return the share of spins on which the devices agree, which only last digits of logarithms can lower."""
    start = time.perf_counter()
    here, there = (sampler.draw(part, CHAINS, seed=1).spins.cpu() for part in (problem, problem.to("cuda")))
    share = 100 * float((here == there).double().mean())
    return Claim(row, share, "% of spins agree", (share, share), 99.9, {}, time.perf_counter() - start)


def main() -> int:
    """Run the benchmark, or say what it needs."""
    if not torch.cuda.is_available():
        print("benchmarks/gpu.py needs a CUDA device", file=sys.stderr)
        return 2
    return harness.main(cases(), "Speed of the GPU kernels.")


if __name__ == "__main__":
    sys.exit(main())
