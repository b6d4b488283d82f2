"""Parallel tempering: the law where single chains are stuck, the ladder, the clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, enumerate_energies, random_ising
from helpers.statistics import law_p_value, mean_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import Ising
from spinlight.samplers import Metropolis, ParallelTempering, independent_fields
from spinlight.samplers.tempering import respaced


def wells(sites: int = 8, *, coupling: float = 1.0, field: float = 0.02) -> Ising:
    """Return a ferromagnet whose two wells, unequally deep, are far apart."""
    couplings = coupling * (torch.ones(sites, sites) - torch.eye(sites))
    return Ising(torch.full((sites,), field), couplings)


def magnetisations(draws: object, ladders: int) -> np.ndarray:
    """Return the mean spin of each ladder: ladders are independent, their rows are not."""
    return draws.spins.double().mean(1).reshape(-1, ladders).mean(0).numpy()


def mean_spin(problem: Ising, beta: float) -> float:
    from helpers.enumeration import all_spins

    return float(boltzmann(problem, beta) @ all_spins(problem.sites).double().mean(1).numpy())


@pytest.mark.parametrize("cluster_every", [0, 3])
def test_wells_are_visited_in_proportion_where_a_single_chain_stays(cluster_every: int) -> None:
    problem = wells().to_sparse()
    sampler = ParallelTempering(beta=1.0, ladders=32, sweeps_between=5, cluster_every=cluster_every, progress=False)
    draws = sampler.draw(problem, 32 * 500, seed=1, initial=torch.ones(32 * 500, 8))
    # Paired ladders exchange clusters: pairs are independent.
    pairs = magnetisations(draws, 32).reshape(16, 2).mean(1)
    assert mean_p_value(pairs, mean_spin(problem, 1.0)) > threshold()
    assert mean_p_value(pairs, mean_spin(problem, 0.5)) < threshold()
    stuck = Metropolis(sweeps=5000, progress=False).draw(problem, 32, seed=1, initial=torch.ones(32, 8))
    assert (stuck.spins.double().mean(1) > 0).all()


def test_energies_are_right_on_a_frustrated_problem() -> None:
    problem, beta = random_ising(12, seed=5), 3.0
    draws = ParallelTempering(beta=beta, ladders=64, sweeps_between=20, progress=False).draw(problem, 64 * 100, seed=2)
    per_ladder = draws.energies.reshape(-1, 64).mean(0)
    exact = float(boltzmann(problem, beta) @ enumerate_energies(problem))
    warmer = float(boltzmann(problem, 0.9 * beta) @ enumerate_energies(problem))
    assert mean_p_value(per_ladder, exact) > threshold()
    assert mean_p_value(per_ladder, warmer) < threshold()


def test_swaps_become_equally_likely_and_are_reported() -> None:
    problem = random_ising(100, seed=3, scale=0.1)
    details = (
        ParallelTempering(beta=2.0, rungs=16, burn_in=4000, progress=False).draw(problem, 4000, seed=3).info.details
    )
    rates = np.array(details["swap_rates"])
    assert rates.min() > 0.8 * rates.max()
    assert details["rungs"][0] == 0.0
    assert details["rungs"][-1] == 1.0
    assert details["trips"] > 0


@pytest.mark.parametrize("sparse", [False, True])
def test_the_law_does_not_depend_on_the_reference(sparse: bool) -> None:
    problem = random_ising(7, seed=6, scale=0.5)
    reference = torch.linspace(-2, 2, 7)
    sampler = ParallelTempering(beta=1.3, reference=reference, sweeps_between=20, rungs=4, ladders=16, progress=False)
    draws = sampler.draw(problem.to_sparse() if sparse else problem, 20_000, seed=4)
    assert law_p_value(draws.spins, boltzmann(problem, 1.3)) > threshold()
    assert law_p_value(draws.spins, boltzmann(problem, 1.17)) < threshold()


def test_independent_fields_of_independent_spins_are_their_fields() -> None:
    reference = torch.linspace(-1, 1, 6)
    fields = independent_fields(Ising(reference, torch.zeros(6, 6)), torch.ones(3, 6))
    torch.testing.assert_close(fields, reference.double(), atol=1e-6, rtol=0)


def test_a_reference_for_another_problem_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"one field per site, shape \(8,\)"):
        ParallelTempering(reference=torch.zeros(3)).draw(wells(), 2)


def test_independent_fields_need_states() -> None:
    with pytest.raises(InvalidStateError, match="states"):
        independent_fields(wells(), torch.ones(8))


def test_rungs_go_where_swaps_are_refused() -> None:
    betas = respaced(np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0]))
    np.testing.assert_allclose(betas, [0.0, 0.5, 2.0], atol=1e-4)


def test_rows_take_the_ladders_in_turn() -> None:
    problem = wells(4, coupling=20.0, field=0.0)
    # Frozen without a hot end: each ladder stays where it starts.
    sampler = ParallelTempering(first=0.99, ladders=3, burn_in=0, sweeps_between=1, progress=False)
    start = torch.tensor([[1, 1, 1, 1], [-1, -1, -1, -1], [1, 1, 1, 1]]).repeat(4, 1)[:10]
    draws = sampler.draw(problem, 10, seed=1, initial=start)
    assert torch.equal(draws.spins, start.to(torch.int8))


def test_clusters_need_sparse_couplings() -> None:
    with pytest.raises(InvalidSettingError, match="sparse"):
        ParallelTempering(cluster_every=1).draw(wells(), 2)


@pytest.mark.parametrize(
    "setting",
    [{"rungs": 1}, {"rungs": 5000}, {"first": 1.0}, {"first": -0.1},
     {"reference": [math.inf]}, {"reference": [[0.0]]}, {"beta": 0.0}, {"beta": math.nan}, {"ladders": 0},
     {"burn_in": -1}, {"sweeps_between": 0}, {"cluster_every": -1}, {"threads": 0}],
)  # fmt: skip
def test_settings_outside_their_domain_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(InvalidSettingError):
        ParallelTempering(**setting)


def test_a_beta_beyond_float32_is_refused() -> None:
    whole = Ising([1.0, -1.0], [[0.0, 2.0], [2.0, 0.0]])
    with pytest.raises(InvalidSettingError, match="float32"):
        ParallelTempering(beta=1e31).draw(whole, 2)
