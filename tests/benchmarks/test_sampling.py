"""The benchmark of sampling: its rows on tiny work, and its distances on draws whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import problems
import sampling
from harness import Settings
from helpers.enumeration import boltzmann
from spinlight.ising import Ising
from spinlight.samplers import EnergyMoments, Exact

TINY = Settings(quick=True, seeds=1)


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in sampling.cases()]
    assert len(set(names)) == len(names)


def test_total_variation_is_half_the_summed_distance() -> None:
    problem = Ising([0.3, -0.2, 0.1], torch.zeros(3, 3))
    draws = Exact().draw(problem, 200_000, seed=1)
    law = sampling.exact_probabilities(problem, 1.0)
    assert sampling.total_variation(draws, law) < 0.01
    # Of the same draws from another law: the distance of the two laws, by enumeration.
    other = Ising([0.3, 0.6, 0.1], torch.zeros(3, 3))
    expected = np.abs(boltzmann(problem) - boltzmann(other)).sum() / 2
    found = sampling.total_variation(draws, sampling.exact_probabilities(other, 1.0))
    assert found == pytest.approx(expected, abs=0.01)


def test_exact_draws_hold_every_row_and_warm_ones_do_not() -> None:
    problem = problems.dense_machine(12, 1.0, 0)
    right = sampling.measured(problem, Exact().draw(problem, 50_000, seed=1))
    warm = sampling.measured(problem, Exact(beta=0.9).draw(problem, 50_000, seed=1))
    assert sampling.claims("row", [right], 0.02, 1.0)[0].holds
    energy, *_ = sampling.claims("row", [right, warm], 0.02, 1.0)
    assert energy.value == pytest.approx(0.1, abs=5 * energy.peers["standard error"])
    assert not energy.holds


def test_a_machine_has_the_variances_of_its_name() -> None:
    biases, weights, _ = sampling_bits(problems.dense_machine(60, 2.0, 1))
    # 1770 values: the relative standard error of a variance is 3.4 %; five of them. 60 biases: 18 %.
    assert float(weights.var()) == pytest.approx(4 / 60, rel=0.17)
    assert float(biases.var()) == pytest.approx(4.0, rel=0.9)


def sampling_bits(problem: Ising) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    from spinlight.ising import bits_from_ising

    biases, weights, offset = bits_from_ising(problem)
    return biases, weights[torch.triu_indices(problem.sites, problem.sites, 1).unbind()], offset


def test_a_calibrated_machine_has_four_rows_of_which_one_is_required() -> None:
    rows = sampling._calibrated("CIM", sampling.optical_machine(), EnergyMoments(), 0.02, TINY)
    assert [row.row.split("/")[-1] for row in rows] == [
        "energy",
        "pseudo-likelihood",
        "conditional means",
        "total variation",
    ]
    assert [row.required for row in rows] == [0.02, None, None, None]
