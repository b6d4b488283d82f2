"""Whether `spinlight.samplers.solve` finds published optima in time; cases of `benchmarks/optimisation.py`."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

import harness
import instances
from harness import Case, Claim, Settings, wilson
from instances import Instance
from spinlight.samplers import solve


def cases() -> list[Case]:
    """Return every case, the short ones first."""
    return [
        Case("biqmac", _biqmac),
        Case("planted", _planted),
        Case("gset/G1-G21", partial(_gset, 1, 21, 0.05)),
        Case("gset/G22-G54", partial(_gset, 22, 54, 0.15)),
    ]


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
