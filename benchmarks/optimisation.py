"""Machines that look for ground states: what a step costs, how often single runs succeed, whether known optima are found.

    python benchmarks/optimisation.py [--rows GLOB] [--quick] [--seeds N] [--json FILE]

A step of a machine multiplies the couplings with the amplitudes of all its runs. "matrix product" rows compare whole draws with
torch's bare product of the same two matrices, from the same number of threads, taking turns: multiply-adds per second over
multiply-adds per second. "success" rows give the share of single runs that pass through the best known cut, beside the published
share; the interval is Wilson's at 95 %, and the row holds where its upper end reaches the published value (Reifenstein et al.
2021, table B1). Steps are those that the published time to solution implies (G1), or 20,000 (80,000 for G22). Data: SPINLIGHT_DATA.

"biqmac", "gset" and "planted" rows run `spinlight.samplers.solve` with its defaults on one problem after another, for 10 s each (60 s
on the G-set), less where the best known energy is reached. A share's row names the problems that missed it, with their energies
above the optimum; its interval is Wilson's. A gap is (best known - found) / best known; its spread is that over the graphs.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

import harness
import instances
import problems
from harness import Case, Claim, Settings
from instances import Instance
from spinlight._files import data_folder
from spinlight.ising import Ising, read_problem
from spinlight.samplers import (
    ChaoticAmplitudeControl,
    ChaoticFeedbackControl,
    CoherentIsingMachine,
    LangevinBifurcation,
    Sampler,
    SeparatedFeedbackControl,
    SimulatedAnnealing,
    SimulatedBifurcation,
    TruncatedWigner,
    solve,
)

RUNS = 128
"""Trajectories of the step rows."""


@dataclass(frozen=True)
class Published:
    """A published single-run success probability.

    Args:
        graph: of the G-set.
        cut: its best known cut.
        feedback: with the authors' constants for graphs of its kind.
        steps: of a run.
        dt: time step.
        share: of single runs that succeed.
    """

    graph: str
    cut: int
    feedback: ChaoticAmplitudeControl | ChaoticFeedbackControl
    steps: int
    dt: float
    share: float

    @property
    def name(self) -> str:
        """The row."""
        return f"success/{self.graph}/{'CAC' if isinstance(self.feedback, ChaoticAmplitudeControl) else 'CFC'}"


def published() -> list[Published]:
    """Return table B1 of Reifenstein et al. (2021), as far as this benchmark goes."""
    random, torus, feedback = ChaoticAmplitudeControl(), ChaoticAmplitudeControl(pump=-4.0), ChaoticFeedbackControl()
    return [
        Published("G1", 11624, random, 6670, 0.1, 0.287),
        Published("G1", 11624, feedback, 4000, 0.2, 0.264),
        Published("G6", 2178, random, 20_000, 0.1, 0.15),
        Published("G6", 2178, feedback, 20_000, 0.2, 0.085),
        Published("G11", 564, torus, 20_000, 0.1, 0.066),
        Published("G11", 564, feedback, 20_000, 0.2, 0.041),
        Published("G22", 13359, random, 80_000, 0.1, 0.0359),
        Published("G22", 13359, feedback, 80_000, 0.2, 0.0168),
        Published("G43", 6660, random, 20_000, 0.1, 0.2325),
        Published("G43", 6660, feedback, 20_000, 0.2, 0.146),
    ]


def cases() -> list[Case]:
    """Return every case, the short ones first."""
    return [
        *(Case(f"step/{sites}", partial(_steps, sites)) for sites in (500, 1000)),
        *(Case(f"sk-100/{name}", partial(_all_found, name, make)) for name, make in _solvers().items()),
        *(Case(row.name, partial(_success, row)) for row in published()),
        Case("biqmac", _biqmac),
        Case("planted", _planted),
        Case("gset/G1-G21", partial(_gset, 1, 21, 0.05)),
        Case("gset/G22-G54", partial(_gset, 22, 54, 0.15)),
    ]


def _steps(sites: int, settings: Settings) -> list[Claim]:
    """Return one row per machine: its draws against the bare product, without looks at the energy but where it says so."""
    problem, steps = problems.dense_gaussian(sites, 1), 50 if settings.quick else 500
    free = {"steps": steps, "look_every": 0, "progress": False}
    required = {
        "CIM-CAC": (CoherentIsingMachine(feedback=ChaoticAmplitudeControl(), dt=0.05, **free), 0.8),
        "CIM-CFC": (CoherentIsingMachine(dt=0.05, **free), 0.8),
        "CIM-SFC": (CoherentIsingMachine(feedback=SeparatedFeedbackControl(), dt=0.05, **free), 0.8),
        "CIM-CFC-looking": (CoherentIsingMachine(dt=0.05, **free | {"look_every": 10}), None),
        "CIM-CFC-wigner": (CoherentIsingMachine(dt=0.05, noise=TruncatedWigner(), **free), None),
        "bifurcation-ballistic": (SimulatedBifurcation(discrete=False, **free), 0.9 if sites == 1000 else None),
        "bifurcation-discrete": (SimulatedBifurcation(**free), 0.9 if sites == 1000 else None),
        "bifurcation-langevin": (LangevinBifurcation(steps=steps, progress=False), None),
    }
    work: dict[str, Callable[[int], float]] = {"matrix product": _products(problem, steps)}
    for name, (sampler, _) in required.items():
        work[name] = partial(_drawn, sampler, problem, float(RUNS * sites * sites * steps))
    start = time.perf_counter()
    torch.set_num_threads(harness.cores())
    rates = harness.alternate(work, settings.seeds)
    seconds = time.perf_counter() - start
    return [_ratio(f"step/{name}-{sites}", rates, name, bound, seconds) for name, (_, bound) in required.items()]


def _products(problem: Ising, steps: int) -> Callable[[int], float]:
    couplings = problem.couplings.to(torch.float32)
    rows, result = torch.randn(RUNS, problem.sites), torch.empty(RUNS, problem.sites)

    def run(seed: int) -> float:
        for _ in range(steps):
            torch.mm(rows, couplings, out=result)
        return float(RUNS * problem.sites**2 * steps)

    return run


def _drawn(sampler: Sampler, problem: Ising, work: float, seed: int) -> float:
    sampler.draw(problem, RUNS, seed=seed)
    return work


def _ratio(row: str, rates: dict[str, list[float]], name: str, bound: float | None, seconds: float) -> Claim:
    ratio = harness.paired_ratio(rates[name], rates["matrix product"])
    peers = {f"{who} G/s": float(np.median(rates[who])) / 1e9 for who in (name, "matrix product")}
    return Claim(
        f"{row}/matrix product", ratio.median, "x", (ratio.lowest, ratio.highest), bound, peers, seconds, "least"
    )


def _solvers() -> dict[str, Callable[[float], Sampler]]:
    """Return what is set on the 100-spin glasses; each takes the size of a typical local field."""
    return {
        "CIM-CFC": lambda scale: CoherentIsingMachine(steps=4000, dt=0.2, progress=False),
        "CIM-CAC": lambda scale: CoherentIsingMachine(
            steps=4000, dt=0.1, feedback=ChaoticAmplitudeControl(), progress=False
        ),
        "bifurcation-discrete": lambda scale: SimulatedBifurcation(steps=4000, dt=1.0, progress=False),
        "annealing": lambda scale: SimulatedAnnealing(sweeps=2000, beta=10 / scale, progress=False),
    }


def _all_found(name: str, make: Callable[[float], Sampler], settings: Settings) -> list[Claim]:
    """Return how many of the ten glasses of 100 spins got their known ground energy, and the seconds that all took."""
    stored = np.load(data_folder() / "ising" / "sk_mc_cim" / "SK1_N100.npz", allow_pickle=False)
    upper = np.zeros((len(stored["J_upper"]), 100, 100))
    upper[:, *np.triu_indices(100, 1)] = -stored["J_upper"]  # listed energies are the least of + sum J s s
    glasses = [Ising(np.zeros(100), each + each.T) for each in upper]
    sampler = make(math.sqrt(99))
    sampler.draw(glasses[0], 16, seed=0)
    start = time.perf_counter()
    lowest = [float(sampler.draw(glass, 256, seed=1).energies.min()) for glass in glasses]
    seconds = time.perf_counter() - start
    found = float(np.sum(np.array(lowest) <= stored["ground_energy"] + 1e-9))
    return [
        Claim(f"sk-100/{name}/found", found, "of 10", (found, found), 10.0, {}, seconds),
        Claim(f"sk-100/{name}/seconds", seconds, "s", (seconds, seconds), 10.0, {}, seconds, "most"),
    ]


def _success(row: Published, settings: Settings) -> list[Claim]:
    runs = 64 if settings.quick else 1024
    problem = read_problem(data_folder() / "ising" / "gset" / f"{row.graph}.txt.gz")
    machine = CoherentIsingMachine(steps=row.steps, dt=row.dt, feedback=row.feedback, look_every=1, progress=False)
    start = time.perf_counter()
    energies = machine.draw(problem, runs, seed=1).energies
    seconds = time.perf_counter() - start
    wins = int((energies <= -row.cut).sum())
    low, high = wilson(wins, runs)
    peers = {"published": row.share, "steps": float(row.steps), "runs": float(runs), "best cut": -float(energies.min())}
    share = wins / runs
    return [Claim(row.name, share, "of runs", (low, high), row.share, peers, seconds, "least", high - share)]


@dataclass(frozen=True)
class Result:
    """How close `solve` came to the best known energy.

    Args:
        name: of the problem.
        excess: energy found minus the best known.
        relative: that over the size of the best known, in percent.
        seconds: that it took.
    """

    name: str
    excess: float
    relative: float
    seconds: float

    @property
    def found(self) -> bool:
        """Whether the best known energy was reached, but for rounding."""
        return self.relative < 1e-7


def solved(chosen: Iterable[Instance], time_limit_s: float) -> list[Result]:
    """Return how close the default strategy comes to each of the problems, all cores at its disposal."""
    torch.set_num_threads(harness.cores())
    results = []
    for instance in chosen:
        solution = solve(instance.read(), time_limit_s=time_limit_s, target=instance.best, seed=1)
        excess = solution.energy - instance.best
        results.append(Result(instance.name, excess, 100 * excess / abs(instance.best), solution.seconds))
    return results


def share_found(row: str, results: Sequence[Result], required: float | None) -> Claim:
    """Return the share of problems whose best known energy was reached, and by how much the others missed it."""
    found = sum(result.found for result in results)
    missed = {result.name: result.excess for result in results if not result.found}
    share, interval = found / len(results), wilson(found, len(results))
    peers = {"problems": float(len(results)), "slowest s": max(result.seconds for result in results), **missed}
    return Claim(row, share, "of problems", interval, required, peers, sum(result.seconds for result in results))


def gaps(row: str, results: Sequence[Result], required: float) -> list[Claim]:
    """Return the largest and the median gap to the best known energy, in percent."""
    relative = [result.relative for result in results]
    spread, seconds = (min(relative), max(relative)), sum(result.seconds for result in results)
    peers = {result.name: result.relative for result in results}
    largest = Claim(f"{row}/largest gap", max(relative), "%", spread, required, peers, seconds, "most")
    median = statistics.median(relative)
    return [largest, Claim(f"{row}/median gap", median, "%", spread, None, {}, seconds, "most")]


def _biqmac(settings: Settings) -> list[Claim]:
    claims, results = [], list[Result]()
    for family in instances.FAMILIES:
        part = solved(itertools.islice(instances.biqmac(family), 3 if settings.quick else None), 10.0)
        claims.append(share_found(f"biqmac/{family}/found", part, None))
        results += part
    return [*claims, share_found("biqmac/found", results, 0.97)]


def _planted(settings: Settings) -> list[Claim]:
    chosen = itertools.islice(instances.planted(), 3 if settings.quick else None)
    return [share_found("planted/found", solved(chosen, 10.0), None)]


def _gset(first: int, last: int, required: float, settings: Settings) -> list[Claim]:
    graphs = instances.gset(first, first + 1 if settings.quick else last)
    results = solved(graphs, 1.0 if settings.quick else 60.0)
    return gaps(f"gset/G{first}-G{last}", results, required)


def wilson(wins: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share (J. Am. Stat. Assoc. 22 (1927) 209), at 95 % by default."""
    share, width = wins / runs, z * z / runs
    centre = (share + width / 2) / (1 + width)
    half = z * math.sqrt(share * (1 - share) / runs + width / (4 * runs)) / (1 + width)
    return centre - half, centre + half


if __name__ == "__main__":
    sys.exit(harness.main(cases(), "Machines that look for ground states: cost of a step, and success."))
