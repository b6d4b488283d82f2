"""Every peer must mean the Boltzmann law by its beta, on the problem that we mean: else a comparison compares nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann
from helpers.statistics import law_p_value, threshold
from spinlight.ising import Ising, ground_states

peers = pytest.importorskip("peers")
pytest.importorskip("openjij", reason="the extra `bench` is not installed")

BETA = 0.7
DRAWS = 4000


def three_spins() -> Ising:
    # A frustrated triangle with fields: no symmetry hides a wrong sign or a factor of two.
    return Ising([0.4, -0.2, 0.1], [[0.0, 0.8, -0.5], [0.8, 0.0, 0.6], [-0.5, 0.6, 0.0]])


def constant(sweeps: int):
    return peers.Schedule(BETA, BETA, sweeps)


def draw_dwave(problem: Ising) -> np.ndarray:
    return peers.dwave_anneal(problem, constant(40))(DRAWS, 3)


def draw_openjij_sparse(problem: Ising) -> np.ndarray:
    return peers.openjij_anneal(problem, constant(40), dense=False)(DRAWS, 3)


def draw_openjij_dense(problem: Ising) -> np.ndarray:
    return peers.openjij_anneal(problem, constant(40), dense=True)(DRAWS, 3)


def draw_openjij_core(problem: Ising) -> np.ndarray:
    return peers.openjij_core(problem, constant(40), dense=True)(DRAWS, 3)


def draw_block_sampler(problem: Ising) -> np.ndarray:
    return peers.block_sampler(problem, [0, 1, 2], DRAWS, [BETA] * 40, seed=3).sample().numpy()


def draw_thrml(problem: Ising) -> np.ndarray:
    return peers.thrml_chains(problem, [0, 1, 2], DRAWS, BETA, 40)(DRAWS, 3)


ALL = [draw_dwave, draw_openjij_sparse, draw_openjij_dense, draw_openjij_core, draw_block_sampler, draw_thrml]


@pytest.mark.parametrize("draw", ALL)
def test_a_peer_samples_our_problem_at_our_beta(draw) -> None:
    problem = three_spins()
    spins = torch.from_numpy(draw(problem))
    assert law_p_value(spins, boltzmann(problem, BETA)) > threshold()
    assert law_p_value(spins, boltzmann(problem, -BETA)) < threshold()
    assert law_p_value(spins, boltzmann(problem, BETA / 2)) < threshold()


def test_threads_share_out_the_reads_and_use_different_seeds() -> None:
    calls = []

    def anneal(reads: int, seed: int) -> np.ndarray:
        calls.append((reads, seed))
        return np.ones((reads, 2), dtype=np.int8)

    assert peers.threaded(anneal, 2)(5, 7).shape == (5, 2)
    assert sorted(reads for reads, _ in calls) == [2, 3]
    assert len({seed for _, seed in calls}) == 2


def test_cim_optimizer_minimises_our_energy() -> None:
    pytest.importorskip("cim_optimizer", reason="the extra `bench` is not installed")
    frustrated = Ising(np.zeros(3), three_spins().couplings)
    lowest = float(ground_states(frustrated)[0])
    assert frustrated.energy(torch.from_numpy(peers.cim_optimizer_core(frustrated, 16, 400)(1))).mean() < 0
    found = torch.from_numpy(peers.cim_optimizer(frustrated, 16, 400, parallel=16)(1)).reshape(1, 3)
    assert float(frustrated.energy(found)[0]) == pytest.approx(lowest)


def test_simulated_bifurcation_minimises_our_energy() -> None:
    pytest.importorskip("simulated_bifurcation", reason="the extra `bench` is not installed")
    problem = three_spins()
    spins = torch.from_numpy(peers.simulated_bifurcation(problem, 64, 500, "ballistic")(1))
    assert problem.energy(spins).min() == pytest.approx(float(ground_states(problem)[0]))
    assert problem.energy(spins).mean() < 0
