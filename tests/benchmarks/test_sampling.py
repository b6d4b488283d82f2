"""The benchmark of sampling: its rows on tiny work, and its distances on draws whose law is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import laws
import problems
import sampling
import tempering
from harness import Settings
from helpers.enumeration import boltzmann
from spinlight.ising import Ising, all_states, bits_from_spins, exact_probabilities
from spinlight.samplers import EnergyMoments, Exact, ParallelTempering, Reweighted

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
    rows = sampling._calibrated("CIM", problems.optical_machine(), EnergyMoments(), 0.02, TINY)
    assert [row.row.split("/")[-1] for row in rows] == [
        "energy",
        "pseudo-likelihood",
        "conditional means",
        "total variation",
    ]
    assert [row.required for row in rows] == [0.02, None, None, None]


@pytest.mark.parametrize("target", sorted(laws.targets()))
def test_every_sampler_has_a_row_on_every_target(target: str) -> None:
    rows = {claim.row.split("/")[-1]: claim for claim in laws._law(target, TINY)}
    assert set(rows) == set(laws.samplers())
    yardstick = rows["Exact"].peers["independent draws"]
    for name in ("Exact", "Gibbs", "Metropolis", "annealing"):
        assert rows[name].value < 2 * yardstick
        assert rows[name].peers["effective draws/s"] > 0
    assert rows["bifurcation"].value > 2 * yardstick


def test_weights_count_in_the_total_variation() -> None:
    problem = problems.dense_machine(12, 1.0, 0)
    law = exact_probabilities(problem, 1.0)
    warm = Reweighted(sampler=Exact(beta=0.5)).draw(problem, 20_000, seed=1)
    assert laws.total_variation(warm, law) < 0.3 * laws.total_variation(replace(warm, log_weights=None), law)


def test_the_trained_machine_has_learnt_bars_and_stripes() -> None:
    problem = problems.trained_machine()
    visible = exact_probabilities(problem, 1.0)[:, None] * torch.ones(1, 1)
    states = bits_from_spins(all_states(12))[:, :9].reshape(-1, 3, 3)
    rows, columns = ((states == states[:, :1]).all((1, 2)), (states == states[:, :, :1]).all((1, 2)))
    # Fourteen patterns of 512 are bars or stripes.
    assert float(visible[rows | columns].sum()) > 5 * 14 / 512


def test_the_error_of_log_z_is_that_of_the_population() -> None:
    (claim,) = laws._population(TINY)
    assert claim.holds
    (power,) = laws._population_error(TINY)
    assert power.interval[0] < 0.5 < power.interval[1]


def test_weights_make_the_lowest_states_means_right() -> None:
    (claim,) = laws._top_k(TINY)
    assert claim.holds
    assert claim.peers["error without weights"] > 2 * claim.peers["error"]


def test_tempering_is_compared_with_chains_that_are_stuck() -> None:
    wells = Ising(torch.full((8,), 0.02), 2 * (torch.ones(8, 8) - torch.eye(8)))
    sampler = ParallelTempering(ladders=4, rungs=4, progress=False)
    watched = {"mean": lambda spins: spins.mean(-1)}
    ratio, energy = tempering.compared("row", wells, watched, sampler, tempering.Sizes(4000, 10, 1000), 5.0)
    assert ratio.value > 1
    assert energy.holds
    assert ratio.peers["R-hat of Gibbs"] > 1.1 > ratio.peers["R-hat"]


def test_a_machine_is_trained_on_images() -> None:
    images = torch.zeros(64, 784)
    images[:, :392] = 1.0
    machine = tempering.trained(images, 3)
    assert machine.free_energy(images[:1]).item() < machine.free_energy(1 - images[:1]).item()
