"""Speed of the samplers, as ratios against the compiled peers, and the energies that both reach.

    python benchmarks/samplers.py [--rows GLOB] [--quick] [--seeds N] [--json FILE]

The unit of work is the spin visit: one attempted update of one spin of one replica. All contenders anneal the same problem
by the same schedule (sweeps, betas, geometric) for the same number of reads, on models built before the clock starts, and
take turns; a ratio is the median over rounds of spinlight's visits per second over the peer's, its spread the range over
rounds. "threads" calls the peer from as many threads as spinlight uses, in its fastest form; "default" is its plain call.
Heat baths differ in sweeps between contenders (each long enough to time), never in chains, problem or beta.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

import harness
import peers
import problems
from harness import Case, Claim, Settings
from spinlight.ising import Ising
from spinlight.samplers import GeometricSchedule, Gibbs, SimulatedAnnealing

SWEEPS = 1000
OURS = "spinlight"


def cases() -> list[Case]:
    """Return every case, dense before sparse before heat baths before start-up."""
    dense = {50: (512, 4.0), 100: (256, 4.0), 500: (32, 8.0), 1000: (32, 8.0)}
    kinds = {"signs": problems.dense_signs, "gaussian": problems.dense_gaussian}
    listed = [
        Case(f"anneal/dense-{kind}-{sites}", partial(_anneal_dense, make, sites, reads, required))
        for kind, make in kinds.items()
        for sites, (reads, required) in dense.items()
    ]
    return [
        *listed,
        Case("anneal/torus-50x50", _anneal_torus),
        Case("anneal/3-regular-2000", _anneal_regular),
        Case("anneal/gset-G1", _anneal_gset),
        Case("heat-bath/dense-256", _heat_bath_dense),
        Case("heat-bath/torus-40x40", _heat_bath_torus),
        Case("start/first-call", _first_call),
        Case("start/import", _import),
    ]


def _anneal_dense(
    make: Callable[[int, int], Ising], sites: int, reads: int, required: float, settings: Settings
) -> list[Claim]:
    problem = make(sites, 1)
    # From ten times to a tenth of the spin-glass temperature, which is sqrt(n) for +/-1 couplings and 1 for N(0, 1/n).
    scale = float(problem.couplings.square().sum(1).mean() ** 0.5)
    schedule = peers.Schedule(0.1 / scale, 10.0 / scale, SWEEPS)
    return _anneal(f"anneal/{_kind(make)}-{sites}", problem, schedule, reads, required, settings, dense=True)


def _kind(make: Callable[[int, int], Ising]) -> str:
    return make.__name__.replace("_", "-")


def _anneal_torus(settings: Settings) -> list[Claim]:
    schedule = peers.Schedule(0.1, 5.0, SWEEPS)
    return _anneal("anneal/torus-50x50", problems.torus_signs(50, 1), schedule, 32, 8.0, settings, dense=False)


def _anneal_regular(settings: Settings) -> list[Claim]:
    schedule = peers.Schedule(0.1, 5.0, SWEEPS)
    return _anneal(
        "anneal/3-regular-2000", problems.regular_signs(2000, 3, 1), schedule, 32, 8.0, settings, dense=False
    )


def _anneal_gset(settings: Settings) -> list[Claim]:
    problem, name = problems.gset_like(1)
    schedule = peers.Schedule(0.04, 4.0, SWEEPS)
    return _anneal(f"anneal/{name}", problem, schedule, 64, 4.0, settings, dense=False)


def _anneal(
    name: str,
    problem: Ising,
    schedule: peers.Schedule,
    reads: int,
    required: float,
    settings: Settings,
    *,
    dense: bool,
) -> list[Claim]:
    """Return a speed row for each way to call a peer, and an energy row for each peer."""
    threads = harness.cores()
    if settings.quick:
        reads, schedule = max(threads, reads // 8), replace(schedule, sweeps=schedule.sweeps // 10)
    anneals = {
        OURS: _our_anneal(problem, schedule, threads),
        "dwave-samplers threads": peers.threaded(peers.dwave_anneal(problem, schedule), threads),
        "dwave-samplers default": peers.dwave_anneal(problem, schedule),
        "OpenJij threads": peers.threaded(peers.openjij_anneal(problem, schedule, dense=dense), threads),
        "OpenJij default": peers.openjij_anneal(problem, schedule, dense=False),
        "OpenJij core threads": peers.threaded(peers.openjij_core(problem, schedule, dense=dense), threads),
    }
    spins: dict[str, list[np.ndarray]] = {who: [] for who in anneals}
    visits = reads * problem.sites * schedule.sweeps
    contenders = {who: partial(_kept, anneal, spins[who], reads, visits) for who, anneal in anneals.items()}
    start = time.perf_counter()
    rates = harness.alternate(contenders, settings.seeds)
    seconds = time.perf_counter() - start
    energies = {who: peers.energies(problem, np.concatenate(states)) for who, states in spins.items()}
    speed = [
        _speed(f"{name}/{who}", rates, who, required, seconds)
        for who in anneals
        if who.endswith(("default", " threads"))
    ]
    return [
        *speed,
        *(_excess(f"{name}/energy/{peer}", energies, peer, seconds) for peer in ("dwave-samplers", "OpenJij")),
    ]


def _kept(anneal: peers.Anneal, kept: list[np.ndarray], reads: int, visits: int, seed: int) -> float:
    kept.append(anneal(reads, seed))
    return visits


def _our_anneal(problem: Ising, schedule: peers.Schedule, threads: int) -> peers.Anneal:
    path = GeometricSchedule(first=schedule.first)
    sampler = SimulatedAnnealing(sweeps=schedule.sweeps, beta=schedule.last, schedule=path, threads=threads)

    def run(reads: int, seed: int) -> np.ndarray:
        return sampler.draw(problem, reads, seed=seed).spins.numpy()

    return run


def _speed(row: str, rates: Mapping[str, Sequence[float]], peer: str, required: float | None, seconds: float) -> Claim:
    ratio = harness.paired_ratio(rates[OURS], rates[peer])
    return Claim(
        row=row,
        value=ratio.median,
        unit="x",
        interval=(ratio.lowest, ratio.highest),
        required=required,
        peers={f"{who} M/s": float(np.median(rates[who])) / 1e6 for who in (OURS, peer)},
        seconds=seconds,
    )


def _excess(row: str, energies: Mapping[str, np.ndarray], peer: str, seconds: float) -> Claim:
    """Return how far our mean energy lies above the peer's, in percent of it; all the peer's forms together."""
    ours = energies[OURS]
    theirs = np.concatenate([values for who, values in energies.items() if who.startswith(peer)])
    size = abs(float(theirs.mean())) / 100
    excess = float(ours.mean() - theirs.mean()) / size
    error = _standard_error(ours, theirs) / size
    return Claim(
        row=row,
        value=excess,
        unit="% above",
        interval=(excess - 2 * error, excess + 2 * error),
        required=0.1,
        peers={OURS: float(ours.mean()), peer: float(theirs.mean())},
        seconds=seconds,
        sense="most",
        slack=2 * error,
    )


def _heat_bath_dense(settings: Settings) -> list[Claim]:
    problem = problems.dense_gaussian(256, 1)
    sweeps = {OURS: 400, "BlockSampler": 20}
    return _heat_bath("heat-bath/dense-256", problem, range(256), 1.0, sweeps, {"BlockSampler": 150.0}, settings)


def _heat_bath_torus(settings: Settings) -> list[Claim]:
    problem = problems.torus_signs(40, 1)
    colours = [(site // 40 + site % 40) % 2 for site in range(1600)]
    sweeps = {OURS: 2000, "THRML": 1000, "BlockSampler": 200}
    required = {"THRML": 5.0, "BlockSampler": 25.0}
    return _heat_bath("heat-bath/torus-40x40", problem, colours, 0.5, sweeps, required, settings)


def _heat_bath(
    name: str,
    problem: Ising,
    colours: Sequence[int],
    beta: float,
    sweeps: Mapping[str, int],
    required: Mapping[str, float],
    settings: Settings,
    chains: int = 64,
) -> list[Claim]:
    """Return a speed row and an agreement row per peer; 64 chains for everybody."""
    sweeps = {who: max(10, count // 10) if settings.quick else count for who, count in sweeps.items()}
    runs: dict[str, Callable[[int], np.ndarray]] = {}
    sampler = Gibbs(sweeps=sweeps[OURS], beta=beta, threads=harness.cores())
    runs[OURS] = lambda seed: sampler.draw(problem, chains, seed=seed).spins.numpy()
    if "THRML" in sweeps:
        runs["THRML"] = partial(peers.thrml_chains(problem, colours, chains, beta, sweeps["THRML"]), chains)
    block = peers.block_sampler(problem, colours, chains, [beta] * sweeps["BlockSampler"], seed=1)
    runs["BlockSampler"] = lambda seed: block.sample().numpy()
    last: dict[str, np.ndarray] = {}
    contenders = {
        who: partial(_walk, run, last, who, chains * problem.sites * sweeps[who]) for who, run in runs.items()
    }
    start = time.perf_counter()
    rates = harness.alternate(contenders, settings.seeds)
    seconds = time.perf_counter() - start
    energies = {who: peers.energies(problem, spins) for who, spins in last.items()}
    return [
        *(_speed(f"{name}/{who}", rates, who, bound, seconds) for who, bound in required.items()),
        *(_agreement(f"{name}/energy/{who}", energies, who, seconds) for who in required),
    ]


def _walk(run: Callable[[int], np.ndarray], last: dict[str, np.ndarray], who: str, visits: int, seed: int) -> float:
    last[who] = run(seed)
    return visits


def _agreement(row: str, energies: Mapping[str, np.ndarray], peer: str, seconds: float) -> Claim:
    """Return how many standard errors lie between the mean energies of the last states of the chains."""
    ours, theirs = energies[OURS], energies[peer]
    distance = abs(float(ours.mean() - theirs.mean())) / _standard_error(ours, theirs)
    return Claim(
        row=row,
        value=distance,
        unit="standard errors",
        interval=(distance, distance),
        required=4.5,
        peers={OURS: float(ours.mean()), peer: float(theirs.mean())},
        seconds=seconds,
        sense="most",
    )


def _standard_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return that of the difference of two means."""
    return float(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs)) ** 0.5


FIRST_CALL = """
import time, torch, spinlight
from spinlight.ising import Ising
from spinlight.samplers import SimulatedAnnealing
couplings = torch.randn(100, 100, generator=torch.Generator().manual_seed(1)).triu(1)
problem = Ising(torch.zeros(100), couplings + couplings.T)
problem = problem.to_sparse() if {sparse} else problem
start = time.perf_counter()
SimulatedAnnealing(sweeps=10).draw(problem, 8, seed=1)
print(time.perf_counter() - start)
"""

IMPORT = """
import time, torch
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def _first_call(settings: Settings) -> list[Claim]:
    return [
        _fresh(f"start/first-call/{kind}", FIRST_CALL.format(sparse=sparse), 1.0, settings)
        for kind, sparse in (("dense", False), ("sparse", True))
    ]


def _import(settings: Settings) -> list[Claim]:
    return [
        _fresh(f"start/import/{module}", IMPORT.format(module=module), required, settings)
        for module, required in (("spinlight", 0.3), ("spinlight.samplers", None))
    ]


def _fresh(row: str, script: str, required: float | None, settings: Settings) -> Claim:
    """Return the median of what a script prints in fresh processes; one more runs first, to fill the caches on disk."""
    start = time.perf_counter()
    command = [sys.executable, "-c", script]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(settings.seeds + 1)]
    values = [float(output.stdout) for output in outputs[1:]]
    seconds = time.perf_counter() - start
    return Claim(row, float(np.median(values)), "s", (min(values), max(values)), required, {}, seconds, "most")


if __name__ == "__main__":
    sys.exit(harness.main(cases(), "Speed of the samplers against their peers."))
