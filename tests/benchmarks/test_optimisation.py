"""The benchmark of machines: its rows on tiny work, and its statistics on numbers that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import harness
import instances
import optima
import optimisation
import problems
from harness import Settings
from spinlight.ising import Ising, ground_states
from spinlight.samplers import CoherentIsingMachine

TINY = Settings(quick=True, seeds=1)


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in optimisation.cases()]
    assert len(set(names)) == len(names)


def test_wilsons_interval_is_scipys() -> None:
    for wins, runs in ((0, 10), (3, 10), (270, 1024), (64, 64)):
        expected = stats.binomtest(wins, runs).proportion_ci(0.95, method="wilson")
        assert harness.wilson(wins, runs) == pytest.approx((expected.low, expected.high), abs=1e-5)


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


def test_a_small_problem_is_solved_and_counted() -> None:
    pair = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
    results = optima.solved(
        [instances.Instance("reached", lambda: pair, -1.0), instances.Instance("beyond", lambda: pair, -2.0)], 0.2
    )
    assert [result.found for result in results] == [True, False]
    assert [result.relative for result in results] == [0.0, 50.0]
    share = optima.share_found("pairs/found", results, 0.97)
    assert (share.value, share.holds, share.peers["beyond"]) == (0.5, False, 1.0)
    assert "reached" not in share.peers


def test_the_largest_gap_is_the_claim() -> None:
    results = [optima.Result(f"G{number}", number, number / 100, 1.0) for number in range(5)]
    largest, median = optima.gaps("gset/G0-G4", results, 0.03)
    assert (largest.value, largest.holds, largest.peers["G3"]) == (0.04, False, 0.03)
    assert (median.value, median.holds) == (0.02, True)


@pytest.mark.usefixtures("data_folder")
def test_published_optima_are_energies_of_the_problems() -> None:
    """Enumerated: a QUBO of 20 units; the sign of a cut is checked by its size, below the sum of weights."""
    small = next(instance for instance in instances.biqmac("gka") if instance.name == "gka1b")
    cut = next(instances.biqmac("rudy"))
    assert small.read().sites == 20
    assert ground_states(small.read())[0].item() == small.best
    assert 0 < -cut.best < 2 * -float(cut.read().offset)


@pytest.mark.usefixtures("data_folder")
def test_planted_energies_are_those_of_small_problems_solved() -> None:
    first = next(instances.planted())
    assert optima.solved([first], 10.0)[0].found


def test_annealing_finds_ground_states_that_fields_dominate_and_machines_do_too() -> None:
    rows = {claim.row: claim for claim in optimisation._fields(TINY)}
    assert len(rows) == 9
    assert all(claim.peers["annealing"] > 0.6 for claim in rows.values())
    assert all(claim.value > -0.5 for claim in rows.values())


def test_ground_energies_of_a_strong_field_problem_are_enumerated() -> None:
    problem = problems.strong_fields(16, 3)
    assert problem.fields.abs().mean() > 1.5
