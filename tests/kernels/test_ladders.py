"""Ladders of chains: what they do is what plain NumPy does with the same random words."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.enumeration import random_ising
from spinlight.ising import Ising
from spinlight.ising.packing import kernel_couplings
from spinlight.kernels.ladders import Ladders
from spinlight.kernels.reference import sweep_chains, threefry

SEED = 2**40 + 9


def whole(sites: int, *, seed: int, sparse: bool) -> Ising:
    """Return a problem of small whole numbers, on which float32 is exact."""
    problem = random_ising(sites, seed=seed, density=0.4, scale=2.0)
    problem = Ising(problem.fields.round(), problem.couplings.round())
    return problem.to_sparse() if sparse else problem


def words(chains: np.ndarray, site: int, sweep: int) -> np.ndarray:
    """Return the first random word of each chain at a counter."""
    key, counter = np.zeros((len(chains), 4), np.uint32), np.zeros((len(chains), 4), np.uint32)
    key[:, 0], key[:, 1], key[:, 2] = SEED & 0xFFFFFFFF, SEED >> 32, chains
    counter[:, 0], counter[:, 1] = site, sweep
    return threefry(key, counter)[:, 0].astype(np.float64)


def expected(
    problem: Ising, spins: np.ndarray, base: np.ndarray, parts: np.ndarray, sweeps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coldest rung of one ladder after every sweep, and the mean chance of each swap."""
    couplings, fields = problem.to_dense().couplings.numpy(), problem.fields.numpy()
    order = kernel_couplings(problem).edges.order.astype(int) if problem.is_sparse else None
    rungs = len(parts)
    chain = np.arange(rungs)  # which chain stands on a rung
    states, cold, chances = spins.copy(), [], [[] for _ in range(rungs - 1)]
    for k in range(sweeps):
        for rung in range(rungs):
            # The reference gives every row of a call its own stream: the row's number is the chain's.
            rows = np.repeat(states[chain[rung]][None], rungs, 0)
            settings = {"heat_bath": False, "seed": SEED, "order": order, "first_sweep": k}
            b = parts[rung]
            swept = sweep_chains(b * couplings, b * fields + (1 - b) * base, rows, np.ones(1), **settings)
            states[chain[rung]] = swept[chain[rung]]
        s = states.astype(float)
        gaps = s @ (base - fields) - 0.5 * ((s @ couplings) * s).sum(1)
        u = (words(np.arange(rungs), 0xFFFFFFFF, k) + 0.5) / 2**32
        for r in range(k % 2, rungs - 1, 2):
            here, there = chain[r], chain[r + 1]
            chance = min(1.0, np.exp((parts[r + 1] - parts[r]) * (gaps[there] - gaps[here])))
            chances[r].append(chance)
            if u[here] < chance:
                chain[r], chain[r + 1] = there, here
        cold.append(states[chain[-1]].copy())
    return np.array(cold), np.array([np.mean(each) for each in chances])


@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("rungs", [2, 5, 16, 24])
def test_ladders_do_what_the_reference_does(rungs: int, sparse: bool, based: bool) -> None:
    problem = whole(13, seed=rungs, sparse=sparse)
    spins = np.where(np.random.default_rng(1).random((1, rungs, 13)) < 0.5, -1, 1).astype(np.int8)
    betas = np.linspace(0.05, 0.6, rungs)
    base = np.linspace(-1, 1, 13).astype(np.float32) if based else np.zeros(13, np.float32)
    swapped = ladders(problem, spins, base).run(betas, 12, every=1)
    cold, chances = expected(problem, spins[0], base, betas, 12)
    np.testing.assert_array_equal(swapped.records[0], cold)
    np.testing.assert_allclose(swapped.chances, chances, atol=1e-6)


def ladders(
    problem: Ising, spins: np.ndarray, base: np.ndarray | None = None, *, paired: bool = False, threads: int = 1
) -> Ladders:
    fields = problem.fields.numpy().astype(np.float32)
    return Ladders(kernel_couplings(problem), fields, spins, base, paired=paired, seed=SEED, threads=threads)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_run_may_be_cut_in_two(sparse: bool) -> None:
    problem = whole(13, seed=3, sparse=sparse)
    spins, betas = np.ones((6, 5, 13), np.int8), np.linspace(0.1, 0.5, 5)
    whole_run = ladders(problem, spins).run(betas, 30, every=1)
    cut = ladders(problem, spins, threads=2)
    parts = [cut.run(betas, sweeps, every=1) for sweeps in (11, 19)]
    np.testing.assert_array_equal(whole_run.records, np.concatenate([part.records for part in parts], 1))
    np.testing.assert_array_equal(whole_run.trips, sum(part.trips for part in parts))


def test_fields_of_each_ladder_are_its_own() -> None:
    problem = Ising(np.zeros(3), np.zeros((3, 3)))
    fields = np.array([[9.0, 9, 9], [-9, -9, -9], [9, -9, 9]], np.float32)
    spins = np.ones((3, 4, 3), np.int8)
    made = Ladders(kernel_couplings(problem), fields, spins, None, paired=False, seed=1, threads=1)
    records = made.run(np.linspace(0, 1, 4), 20, every=20).records[:, 0]
    np.testing.assert_array_equal(records, np.sign(fields))


def test_a_chain_from_the_hot_end_is_counted_when_it_arrives() -> None:
    flat = Ising(np.zeros(2), np.zeros((2, 2)))
    # Without energies every swap is made: chains move by one rung a sweep, and one leaves the hot end every other sweep.
    swapped = ladders(flat, np.ones((1, 4, 2), np.int8)).run(np.linspace(0, 1, 4), 40)
    np.testing.assert_array_equal(swapped.chances, np.ones(3))
    assert 17 <= swapped.trips[0] <= 20


def test_cluster_moves_exchange_what_differs_and_keep_the_sum_of_energies() -> None:
    from spinlight.kernels import exchange

    problem = whole(40, seed=8, sparse=True)
    edges = kernel_couplings(problem).edges
    rng = np.random.default_rng(2)
    moved = 0
    for word in rng.integers(0, 2**32, 50):
        pair = np.where(rng.random((2, 40)) < 0.5, -1.0, 1.0)
        made = ladders(problem, pair[:, None].astype(np.int8), paired=True)
        unit = made._units[0]
        exchange.exchange_cluster(edges, unit, 0, 1, np.uint32(word), np.empty(40, np.int64))
        after = unit.spins[0].reshape(40, 16)[:, :2].T
        assert set(np.unique(after)) <= {-1.0, 1.0}
        np.testing.assert_array_equal(after.prod(0), pair.prod(0))
        np.testing.assert_array_equal(after.sum(0), pair.sum(0))
        before_energy, after_energy = (float(problem.energy(states).sum()) for states in (pair, after))
        assert after_energy == before_energy
        moved += int((after != pair).any())
    assert moved == 50
