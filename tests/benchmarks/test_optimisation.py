"""The benchmark of machines: its rows on tiny work, and its statistics on numbers that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import optimisation
from harness import Settings
from spinlight.ising import Ising
from spinlight.samplers import CoherentIsingMachine

TINY = Settings(quick=True, seeds=1)


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in optimisation.cases()]
    assert len(set(names)) == len(names)


def test_wilsons_interval_is_scipys() -> None:
    for wins, runs in ((0, 10), (3, 10), (270, 1024), (64, 64)):
        expected = stats.binomtest(wins, runs).proportion_ci(0.95, method="wilson")
        assert optimisation.wilson(wins, runs) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_a_ratio_is_that_of_multiply_adds() -> None:
    rates = {"ours": [2e9, 4e9, 3e9], "matrix product": [1e9, 1e9, 1e9]}
    claim = optimisation._ratio("step/ours", rates, "ours", 2.5, 1.0)
    assert (claim.value, claim.interval, claim.holds) == (3.0, (2.0, 4.0), True)
    assert claim.peers == {"ours G/s": 3.0, "matrix product G/s": 1.0}


def test_the_work_that_is_counted_is_that_of_the_product() -> None:
    problem = Ising(np.zeros(8), np.zeros((8, 8)))
    assert optimisation._products(problem, 3)(0) == optimisation.RUNS * 8 * 8 * 3
    assert optimisation._drawn(CoherentIsingMachine(steps=1), problem, 5.0, 0) == 5.0


def test_a_success_row_holds_where_its_interval_reaches_the_published_share(data_folder: Path) -> None:
    easy = replace(optimisation.published()[0], graph="G11", cut=400, steps=50)
    (claim,) = optimisation._success(easy, TINY)
    assert claim.value > 0.9
    assert claim.holds
    hard = replace(easy, cut=10_000)
    (claim,) = optimisation._success(hard, TINY)
    assert (claim.value, claim.holds) == (0.0, False)
    assert claim.value + claim.slack == pytest.approx(claim.interval[1])


def test_published_ground_energies_are_reached_and_a_wrong_sign_would_not_be(data_folder: Path) -> None:
    found, seconds = optimisation._all_found("annealing", optimisation._solvers()["annealing"], TINY)
    assert (found.value, found.holds) == (10.0, True)
    assert seconds.holds
