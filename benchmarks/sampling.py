"""How near draws are to the Boltzmann law, where it can be enumerated.

    python benchmarks/sampling.py [--rows GLOB] [--quick] [--seeds N] [--json FILE]

"calibrated" rows: ten random dense Boltzmann machines of twelve units, weights from N(0, a^2 / 12) and biases from N(0, a^2) with a
from 0.5 to 2, sampled at beta = 1 by an optical machine that `Calibrated` found the scale for. All numbers are of fresh draws, not of
those that it was found with. "energy" is the largest |beta - 1| over the problems, with the beta whose enumerated mean energy is
that of the draws, and its slack two standard errors; "pseudo-likelihood" and "conditional means" the same by those estimators; "total
variation" the largest distance from the law, of as many draws by Gibbs beside it, and what independent draws would show. Spreads are
the range over the problems.

"law" rows: the total variation of as many draws of every sampler, as it comes and calibrated or reweighted, on four problems of
twelve sites at beta = 1: a random Boltzmann machine, a ferromagnet with two wells, a planted state among random couplings, and a
restricted Boltzmann machine trained on bars and stripes. Beside it what independent draws would show, and effective draws per
second: how many independent ones know a mean equally well, whether of the right law or not.

"population" rows: log Z of fourteen such problems, how often it is off by more than three of its own standard errors; and the power of the
population with which the root of the mean squared error shrinks. "top-k" row: the paper's pipeline, with weights.

"tempering" rows: effective draws per second of the function that is known worst, against as many chains of plain Gibbs sampling on
all cores; and the energy against an independent run with twice the rungs, two-sided. Data: SPINLIGHT_DATA.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

import harness
import laws
import problems
import tempering
from harness import Case, Claim, Settings
from laws import total_variation
from spinlight.ising import Draws, Ising, exact_probabilities
from spinlight.samplers import (
    BetaEstimator,
    Calibrated,
    ConditionalMeans,
    EnergyMoments,
    Exact,
    Gibbs,
    LangevinBifurcation,
    PseudoLikelihood,
    Sampler,
)

DRAWS = 100_000
"""Fresh draws per problem, and per call of the calibration."""

PROBLEMS = 10
"""Boltzmann machines of the "calibrated" rows."""


@dataclass(frozen=True)
class Measured:
    """What fresh draws of one problem show.

    Args:
        betas: by estimator: energy, pseudo-likelihood, conditional means.
        error: standard error of the first.
        variation: total variation from the enumerated law.
        gibbs: that of as many draws by Gibbs.
        independent: that of as many independent draws.
    """

    betas: tuple[float, float, float]
    error: float
    variation: float
    gibbs: float
    independent: float


def cases() -> list[Case]:
    """Return every case, the short ones first."""
    return [*laws.cases(), *tempering.cases(), *_calibrated_cases()]


def _calibrated_cases() -> list[Case]:
    machines: dict[str, tuple[Sampler, float | None]] = {
        "CIM": (problems.optical_machine(), 0.02),
        "langevin": (LangevinBifurcation(progress=False), None),
    }
    estimators = {"": EnergyMoments(), "-by-pseudo-likelihood": PseudoLikelihood()}
    return [
        Case(
            f"calibrated/{name}{word}",
            partial(_calibrated, f"{name}{word}", sampler, estimator, None if word else bound),
        )
        for name, (sampler, bound) in machines.items()
        for word, estimator in estimators.items()
    ]


def _calibrated(
    name: str, sampler: Sampler, estimator: BetaEstimator, bound: float | None, settings: Settings
) -> list[Claim]:
    """Return the rows of one machine: three effective betas and the total variation, the worst of all problems."""
    count, number = (5_000, 2) if settings.quick else (DRAWS, PROBLEMS)
    start = time.perf_counter()
    found = []
    for i in range(number):
        problem = problems.dense_machine(12, float(np.linspace(0.5, 2.0, number)[i]), i)
        calibrated = Calibrated(sampler=sampler, estimator=estimator, draws=count).calibrate(problem, seed=2 * i)
        found.append(measured(problem, calibrated.draw(problem, count, seed=2 * i + 1)))
    return claims(f"calibrated/{name}", found, bound, time.perf_counter() - start)


def measured(problem: Ising, draws: Draws) -> Measured:
    """Return what draws of an enumerable problem show."""
    estimators: Sequence[BetaEstimator] = (EnergyMoments(), PseudoLikelihood(), ConditionalMeans())
    energy, *others = (estimator.estimate(problem, draws) for estimator in estimators)
    law = exact_probabilities(problem, 1.0)
    gibbs = Gibbs(sweeps=200, progress=False).draw(problem, len(draws), seed=1)
    return Measured(
        betas=(energy.value, others[0].value, others[1].value),
        error=energy.standard_error,
        variation=total_variation(draws, law),
        gibbs=total_variation(gibbs, law),
        independent=total_variation(Exact().draw(problem, len(draws), seed=2), law),
    )


def claims(row: str, found: Sequence[Measured], bound: float | None, seconds: float) -> list[Claim]:
    """Return the rows of what was found on each problem."""
    rows = []
    for i, name in enumerate(("energy", "pseudo-likelihood", "conditional means")):
        betas = [each.betas[i] for each in found]
        worst = max(found, key=lambda each: abs(each.betas[i] - 1))
        rows.append(
            Claim(
                f"{row}/{name}",
                abs(worst.betas[i] - 1),
                "from 1",
                (min(betas), max(betas)),
                bound if i == 0 else None,
                {"mean beta": float(np.mean(betas)), "standard error": worst.error},
                seconds,
                "most",
                2 * worst.error if i == 0 else 0.0,
            )
        )
    variations = [each.variation for each in found]
    worst = max(found, key=lambda each: each.variation - each.independent)
    peers = {"Gibbs": worst.gibbs, "independent draws": worst.independent}
    rows.append(
        Claim(
            f"{row}/total variation",
            worst.variation,
            "",
            (min(variations), max(variations)),
            None,
            peers,
            seconds,
            "most",
        )
    )
    return rows


if __name__ == "__main__":
    sys.exit(harness.main(cases(), __doc__ or ""))
