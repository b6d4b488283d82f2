"""Chains that go on from call to call."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, random_ising
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import Ising
from spinlight.models import BoltzmannMachine
from spinlight.samplers import ChainState, Exact, Gibbs, Metropolis, Persistent
from spinlight.training import IndependentDraws, PersistentContrastiveDivergence

PROBLEM = Ising(torch.tensor([1.0, 0.0, -1.0, 0.0]), torch.ones(4, 4) - torch.eye(4))


def swept_law(problem: Ising, sweeps: int) -> np.ndarray:
    """Return the law after some sweeps of the heat bath, site after site, from uniformly random states; shape (2^n,)."""
    law, equilibrium = np.full(2**problem.sites, 2.0**-problem.sites), boltzmann(problem)
    numbers = np.arange(len(law))
    for _ in range(sweeps):
        for site in range(problem.sites):
            other = numbers ^ (1 << site)
            law = (law + law[other]) * equilibrium / (equilibrium + equilibrium[other])
    return law


def few(sweeps: int = 2) -> Persistent:
    return Persistent(sampler=Gibbs(sweeps=sweeps))


def test_the_first_call_is_that_of_the_chain_itself() -> None:
    assert torch.equal(few().draw(PROBLEM, 9, seed=1).spins, Gibbs(sweeps=2).draw(PROBLEM, 9, seed=1).spins)


def test_later_calls_go_on_from_the_states_of_the_last_one() -> None:
    chains, changed = few(), Ising(-PROBLEM.fields, PROBLEM.couplings)
    first = chains.draw(PROBLEM, 9, seed=1)
    second = chains.draw(changed, 9, seed=2)
    assert torch.equal(second.spins, Gibbs().step(changed, ChainState(first.spins, 2, 2), 2).spins)
    assert torch.equal(second.energies, changed.energy(second.spins))
    assert (first.info.sweeps, second.info.sweeps) == (2, 4)


def test_many_short_calls_reach_the_law_that_one_does_not() -> None:
    problem = random_ising(6, seed=1, scale=1.0)
    chains = few(sweeps=1)
    calls = [chains.draw(problem, 20_000, seed=seed).spins for seed in range(60)]
    assert law_p_value(calls[-1], boltzmann(problem)) > threshold()
    assert law_p_value(calls[0], boltzmann(problem)) < threshold()


def test_a_seed_that_comes_again_gives_other_random_numbers() -> None:
    free = Ising(torch.zeros(50), torch.zeros(50, 50))
    chains = few(sweeps=1)
    first, second = (chains.draw(free, 4, seed=1).spins for _ in range(2))
    # Free spins are drawn anew at each visit, whatever they were: the same numbers would give the same spins.
    assert not torch.equal(first, second)


def test_every_shape_has_chains_of_its_own() -> None:
    chains, batch = few(), random_ising(4, seed=1, batch=9)
    other = [
        chains.draw(PROBLEM, 3, seed=5),
        chains.draw(random_ising(5, seed=1), 9, seed=5),
        chains.draw(batch, 9, seed=5),
    ]
    assert [draws.info.sweeps for draws in other] == [2, 2, 2]
    assert chains.draw(batch, 9, seed=6).info.sweeps == 4


def test_initial_states_start_the_chains_anew() -> None:
    chains, start = few(sweeps=0), torch.ones(3, 4)
    chains.draw(PROBLEM, 3, seed=1)
    assert torch.equal(chains.draw(PROBLEM, 3, seed=1, initial=start).spins, start.to(torch.int8))
    assert torch.equal(chains.draw(PROBLEM, 3, seed=2).spins, start.to(torch.int8))


def test_chains_go_on_bit_for_bit_after_loading() -> None:
    chains, resumed = few(), few()
    for count in (3, 4):
        chains.draw(PROBLEM, count, seed=1)
    resumed.draw(PROBLEM, 7, seed=3)
    resumed.load_state_dict(chains.state_dict())
    for count in (3, 4):
        assert torch.equal(chains.draw(PROBLEM, count, seed=2).spins, resumed.draw(PROBLEM, count, seed=2).spins)
    assert resumed.draw(PROBLEM, 7, seed=3).info.sweeps == 2


def test_a_saved_state_reads_back_without_pickled_code(tmp_path) -> None:
    chains = few()
    chains.draw(PROBLEM, 3, seed=1)
    torch.save(chains.state_dict(), tmp_path / "chains.pt")
    resumed = few()
    resumed.load_state_dict(torch.load(tmp_path / "chains.pt", weights_only=True))
    assert torch.equal(chains.draw(PROBLEM, 3, seed=2).spins, resumed.draw(PROBLEM, 3, seed=2).spins)


@pytest.mark.parametrize(
    "state",
    [
        {"chains": [{"spins": torch.zeros(3, 4), "seed": 1, "sweeps": 2}]},
        {},
        None,
        {"chains": 3},
        {"chains": [{"spins": torch.ones(3, 4)}]},
        {"chains": [{"spins": torch.ones(3, 4), "seed": 1, "steps": 2}]},
    ],
)
def test_a_state_that_is_none_changes_nothing(state: Any) -> None:
    chains = few()
    chains.draw(PROBLEM, 3, seed=1)
    with pytest.raises(InvalidStateError):
        chains.load_state_dict(state)
    assert chains.draw(PROBLEM, 3, seed=2).info.sweeps == 4


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda chains: pickle.loads(pickle.dumps(chains))])
def test_copies_take_the_chains_along_and_then_go_their_own_way(copied) -> None:
    chains = few()
    chains.draw(PROBLEM, 3, seed=1)
    twin = copied(chains)
    assert twin == chains
    assert torch.equal(twin.draw(PROBLEM, 3, seed=2).spins, chains.draw(PROBLEM, 3, seed=2).spins)
    twin.reset()
    assert chains.draw(PROBLEM, 3, seed=3).info.sweeps == 6


def test_forgotten_and_replaced_chains_start_anew() -> None:
    chains = few()
    first = chains.draw(PROBLEM, 3, seed=1)
    assert torch.equal(replace(chains).draw(PROBLEM, 3, seed=1).spins, first.spins)
    chains.reset()
    assert torch.equal(chains.draw(PROBLEM, 3, seed=1).spins, first.spins)


def test_threads_take_turns() -> None:
    chains = few()
    with ThreadPoolExecutor(8) as pool:
        sweeps = list(pool.map(lambda seed: chains.draw(PROBLEM, 3, seed=seed).info.sweeps, range(40)))
    assert sorted(sweeps) == list(range(2, 82, 2))


def test_an_interrupted_call_leaves_the_chains_where_they_were() -> None:
    chains = few()
    first = chains.draw(PROBLEM, 3, seed=1)
    with pytest.raises(InvalidStateError):
        chains.draw(PROBLEM, 3, seed=2, initial=torch.zeros(3, 4))
    assert torch.equal(chains.state_dict()["chains"][0]["spins"], first.spins)
    assert chains.draw(PROBLEM, 3, seed=2).info.sweeps == 4


def slow_machine() -> BoltzmannMachine:
    """Return a machine whose law takes more than a few sweeps."""
    machine = BoltzmannMachine(4)
    with torch.no_grad():
        machine.pair_weights.fill_(4.0)
        machine.biases.copy_(torch.tensor([-5.0, -6.0, -6.0, -7.0]))
    return machine


def test_a_training_phase_made_of_it_has_the_law_of_persistent_contrastive_divergence() -> None:
    """Each names its random streams its own way: both are held against T^sweeps of the uniform law, over all states."""
    machine, data = slow_machine(), torch.zeros(1, 4)
    phase = IndependentDraws(few(sweeps=1), count=20_000, seed=1)
    own = PersistentContrastiveDivergence(Gibbs(), chains=20_000, sweeps=1, seed=1)
    for sweeps in (1, 2):
        spins = phase.negative(machine, data).spins
        bits = own.negative(machine, data)
        law = swept_law(machine.to_ising(), sweeps)
        assert law_p_value(spins, law) > threshold(4)
        assert law_p_value(2 * bits - 1, law) > threshold(4)
        assert law_p_value(spins, swept_law(machine.to_ising(), sweeps + 1)) < threshold()


def test_a_training_phase_refuses_persistent_chains_at_another_temperature() -> None:
    cold = Persistent(sampler=Gibbs(beta=2.0))
    with pytest.raises(InvalidSettingError, match="beta = 2"):
        IndependentDraws(cold, count=3)


@pytest.mark.parametrize("sampler", [Exact(), Gibbs, None, few()])
def test_what_does_not_walk_is_refused(sampler: object) -> None:
    with pytest.raises(InvalidSettingError, match="Markov chain"):
        Persistent(sampler=sampler)  # type: ignore[arg-type]


def test_metropolis_walks_too() -> None:
    chains = Persistent(sampler=Metropolis(sweeps=3))
    assert [chains.draw(PROBLEM, 2, seed=seed).info.sweeps for seed in (1, 2)] == [3, 6]
    assert chains.settings()["sampler"]["class"] == "Metropolis"


def test_draws_are_copies_of_the_chains() -> None:
    chains, problem = Persistent(sampler=Gibbs(sweeps=0)), random_ising(4, seed=1)
    draws = chains.draw(problem, 3, seed=1)
    before = draws.spins.clone()
    draws.spins.mul_(-1)
    chains.state_dict()["chains"][0]["spins"].mul_(-1)
    assert torch.equal(chains.draw(problem, 3, seed=2).spins, before)
