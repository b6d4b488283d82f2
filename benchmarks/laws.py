"""Every sampler against laws that can be enumerated; cases of `benchmarks/sampling.py`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

import problems
from harness import Case, Claim, Settings, wilson
from spinlight._errors import InvalidSettingError
from spinlight.ising import Draws, Ising, all_states, bits_from_spins, exact_probabilities, log_partition
from spinlight.samplers import (
    Calibrated,
    CoherentIsingMachine,
    Exact,
    Gibbs,
    LangevinBifurcation,
    Metropolis,
    ParallelTempering,
    PopulationAnnealing,
    Reweighted,
    Sampler,
    SimulatedAnnealing,
    SimulatedBifurcation,
    TopK,
    Unique,
    mixing,
)

SITES = 12
DRAWS = 100_000


def cases() -> list[Case]:
    """Return every case, the short ones first."""
    return [
        Case("top-k", _top_k),
        Case("population/log Z", _population),
        Case("population/error", _population_error),
        *(Case(f"law/{name}", partial(_law, name)) for name in targets()),
    ]


def targets() -> dict[str, Callable[[], Ising]]:
    """Return the problems, each of twelve sites, at beta = 1."""
    return {
        "random": lambda: problems.dense_machine(SITES, 1.0, 0),
        "ferromagnet": lambda: problems.ferromagnet(SITES),
        "planted": lambda: problems.planted(SITES, 1),
        "trained-RBM": problems.trained_machine,
    }


def samplers() -> Mapping[str, Sampler]:
    """Return every sampler as it comes, and the heuristic ones calibrated and reweighted."""
    optical, chaotic = problems.optical_machine(), CoherentIsingMachine(steps=500, look_every=0, progress=False)
    langevin, bifurcation = LangevinBifurcation(progress=False), SimulatedBifurcation(steps=200, progress=False)
    return {
        "Exact": Exact(),
        "Gibbs": Gibbs(sweeps=200, progress=False),
        "Metropolis": Metropolis(sweeps=200, progress=False),
        "annealing": SimulatedAnnealing(sweeps=200, progress=False),
        "tempering": ParallelTempering(ladders=64, sweeps_between=2, progress=False),
        "population": PopulationAnnealing(progress=False),
        "CIM": optical,
        "CIM, calibrated": Calibrated(sampler=optical),
        "CIM-CFC": chaotic,
        "CIM-CFC, reweighted": Reweighted(sampler=chaotic),
        "Langevin": langevin,
        "Langevin, calibrated": Calibrated(sampler=langevin),
        "bifurcation": bifurcation,
        "bifurcation, reweighted": Reweighted(sampler=bifurcation),
    }


def _law(target: str, settings: Settings) -> list[Claim]:
    """Return the distance from the law and the speed of every sampler, on as many draws of each."""
    problem, count = targets()[target](), 2_000 if settings.quick else DRAWS
    law = exact_probabilities(problem, 1.0)
    independent = total_variation(Exact().draw(problem, count, seed=2), law)
    rows = []
    for name, sampler in samplers().items():
        try:
            warm = sampler.calibrate(problem, seed=3) if isinstance(sampler, Calibrated) else sampler
        except InvalidSettingError:  # a machine whose draws cannot be given this temperature: all of the law is missed
            rows.append(Claim(f"law/{target}/{name}", 1.0, "", (1.0, 1.0), None, {"refused": 1.0}, 0.0, "most"))
            continue
        warm.draw(problem, 16, seed=4)
        start = time.perf_counter()
        draws = warm.draw(problem, count, seed=1)
        seconds = time.perf_counter() - start
        distance = total_variation(draws, law)
        known = {"independent draws": independent, "effective draws/s": effective(draws, sampler) / seconds}
        rows.append(Claim(f"law/{target}/{name}", distance, "", (distance, distance), None, known, seconds, "most"))
    return rows


def effective(draws: Draws, sampler: Sampler) -> float:
    """Return how many independent draws of equal weight know the energy or the mean spin, the worse of them, equally well.

    Right or wrong: the distance from the law is another number.
    """
    if isinstance(sampler, ParallelTempering):
        rows = len(draws) // sampler.ladders * sampler.ladders
        watched = (draws.energies, draws.spins.double().mean(-1))
        times = [mixing(values[:rows].reshape(-1, sampler.ladders)).autocorrelation_time for values in watched]
        return rows / max(times)
    if isinstance(sampler, PopulationAnnealing):
        return float(draws.info.details["effective_families"])
    # Copies of a state do not count where each distinct state has its weight once.
    weights = (draws.unique() if isinstance(sampler, Reweighted) else draws).weights
    return float(1 / weights.square().sum())


def total_variation(draws: Draws, law: Tensor) -> float:
    """Return half the summed distance of the draws' weighted shares from the probabilities of all states."""
    numbers, order = _numbers(draws.bits), _numbers(bits_from_spins(all_states(draws.sites)))
    shares = torch.zeros_like(law).index_add(0, numbers, draws.weights.to(law))
    return float((shares[order] - law).abs().sum()) / 2


def _numbers(bits: Tensor) -> Tensor:
    return (bits.to(torch.int64) * 2 ** torch.arange(bits.shape[-1])).sum(-1)


def _top_k(settings: Settings) -> list[Claim]:
    """Return the error of means over 2,000 runs of a machine, each state once, the best hundred, with and without weights.

    A mean over a support that has all but m of the law's mass is off by at most 2 m for functions within -1 and 1: "with
    weights" is the largest error of any spin's mean in units of that.
    """
    problem = problems.dense_machine(SITES, 4.0, 1)
    best = TopK(sampler=Unique(sampler=problems.optical_machine()), kept=100)
    start = time.perf_counter()
    plain, weighted = (sampler.draw(problem, 2000, seed=1) for sampler in (best, Reweighted(sampler=best)))
    law = exact_probabilities(problem, 1.0)
    states = all_states(SITES)
    kept = torch.isin(_numbers(bits_from_spins(states)), _numbers(weighted.bits))
    missing = float(law[~kept].sum())
    exact = law @ states.to(law)
    errors = [float((draws.expectation(lambda s: s) - exact).abs().max()) for draws in (weighted, plain)]
    ratio, seconds = errors[0] / (2 * missing), time.perf_counter() - start
    known = {
        "missing mass": missing,
        "error": errors[0],
        "error without weights": errors[1],
        "states": float(len(plain)),
    }
    return [Claim("top-k/with weights", ratio, "of 2 m", (ratio, ratio), 1.0, known, seconds, "most")]


@cache
def _machines() -> list[tuple[Ising, float]]:
    """Return ten random machines and the four targets, with their exact log Z."""
    chosen = [problems.dense_machine(SITES, float(scale), i) for i, scale in enumerate(np.linspace(0.5, 2, 10))]
    chosen += [target() for target in targets().values()]
    return [(problem, float(log_partition(problem, 1.0))) for problem in chosen]


def _population(settings: Settings) -> list[Claim]:
    """Return how often log Z is off by more than three of its standard errors, over all problems and seeds.

    The error is told from 32 populations, so that three of it are exceeded as often as by Student's t of 31 degrees: .53 %.
    """
    rows = []
    for members, seeds in ((64, 2),) if settings.quick else ((64, 20), (1024, 4)):
        sampler, start = PopulationAnnealing(members=members, progress=False), time.perf_counter()
        scores = []
        for seed in range(seeds):
            for number, (problem, exact) in enumerate(_machines()):
                found = sampler.draw(problem, 1, seed=1000 * number + seed).log_partition
                scores.append((found.value - exact) / found.standard_error)
        share = float(np.mean(np.abs(scores) > 3))
        slack = 2 * math.sqrt(_BEYOND_THREE / len(scores))
        known = {
            "runs": float(len(scores)),
            "largest": max(map(abs, scores)),
            "mean": float(np.mean(scores)),
            "spread": float(np.std(scores)),
        }
        low, high = wilson(round(share * len(scores)), len(scores))
        seconds = time.perf_counter() - start
        row = f"population/log Z/{32 * members}"
        rows.append(Claim(row, share, "beyond 3", (low, high), _BEYOND_THREE, known, seconds, "most", slack))
    return rows


_BEYOND_THREE = 0.0053
"""Chance of Student's t of 31 degrees of freedom beyond -3 and 3."""


def _population_error(settings: Settings) -> list[Claim]:
    """Return the power of the population with which the true error of log Z shrinks: one half."""
    sizes, start = (16, 64) if settings.quick else (16, 256), time.perf_counter()
    errors = {}
    for members in sizes:
        sampler = PopulationAnnealing(members=members, progress=False)
        off = [
            sampler.draw(problem, 1, seed=1000 * number + seed).log_partition.value - exact
            for seed in range(2 if settings.quick else 20)
            for number, (problem, exact) in enumerate(_machines())
        ]
        errors[members] = (float(np.sqrt(np.mean(np.square(off)))), len(off))
    (coarse, runs), (fine, _) = errors.values()
    span = math.log(sizes[1] / sizes[0])
    power, error = math.log(coarse / fine) / span, math.sqrt(1 / runs) / span
    known = {f"error of {32 * members}": value for members, (value, _) in errors.items()}
    interval = (power - 2 * error, power + 2 * error)
    return [
        Claim(
            "population/error/power", power, "", interval, 0.5, known, time.perf_counter() - start, "least", 2 * error
        )
    ]
