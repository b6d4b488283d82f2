"""Chains recorded as they walk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, enumerate_energies, random_ising
from helpers.statistics import threshold, z_p_value
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import Ising
from spinlight.samplers import Exact, Gibbs, Metropolis, diagnose, record

PROBLEM = random_ising(6, seed=1, scale=0.4)


@pytest.mark.parametrize("kind", [Gibbs, Metropolis])
def test_recorded_energies_have_the_exact_mean_within_the_error_that_tau_gives(kind: type[Gibbs]) -> None:
    trace = record(kind(sweeps=50), PROBLEM, chains=32, draws_per_chain=500, seed=1)
    law, levels = boltzmann(PROBLEM), enumerate_energies(PROBLEM)
    mean = law @ levels
    tau = trace.mixing()["energy"].autocorrelation_time
    error = np.sqrt(law @ (levels - mean) ** 2 * tau / trace.values["energy"].numel())
    assert z_p_value(trace.values["energy"].mean(), mean, error) > threshold()
    hot = boltzmann(PROBLEM, beta=0.9) @ levels
    assert z_p_value(trace.values["energy"].mean(), hot, error) < threshold()


def test_a_trace_follows_the_chains() -> None:
    trace = record(Gibbs(sweeps=3), PROBLEM, chains=4, draws_per_chain=5, sweeps_between=2, seed=7)
    chain = Gibbs()
    state = chain.step(PROBLEM, chain.init(PROBLEM, 4, seed=7), 3)
    for row in range(5):
        state = chain.step(PROBLEM, state, 2)
        assert torch.equal(trace.values["energy"][row], PROBLEM.energy(state.spins))
        assert torch.equal(trace.values["mean spin"][row], state.spins.float().mean(-1).double())
    assert torch.equal(trace.draws.spins, state.spins)
    assert (trace.draws.info.sweeps, trace.draws.info.seed, trace.sweeps_between) == (13, 7, 2)


def test_other_functions_can_be_recorded() -> None:
    trace = record(Gibbs(), PROBLEM, chains=3, draws_per_chain=4, functions={"first": lambda s: s[:, 0]}, seed=1)
    assert set(trace.values) == {"energy", "first"}
    assert set(trace.values["first"].unique().tolist()) <= {-1.0, 1.0}


def ferromagnet(sites: int = 12, coupling: float = 1.0) -> Ising:
    return Ising(torch.zeros(sites), coupling * (torch.ones(sites, sites) - torch.eye(sites)))


def test_chains_in_two_valleys_are_seen_by_the_mean_spin_and_not_by_the_energy() -> None:
    trace = record(Gibbs(beta=0.25), ferromagnet(), chains=16, draws_per_chain=200, seed=1)
    found = trace.mixing()
    assert found["mean spin"].split_r_hat > 1.5
    assert found["energy"].split_r_hat < 1.05


def test_hot_chains_cross_between_the_valleys() -> None:
    trace = record(Gibbs(beta=0.02), ferromagnet(), chains=16, draws_per_chain=1000, seed=1)
    assert trace.mixing()["mean spin"].split_r_hat < 1.01


def test_a_trace_is_diagnosed_with_its_last_states() -> None:
    trace = record(Gibbs(), PROBLEM, chains=64, draws_per_chain=50, seed=1)
    found = diagnose(PROBLEM, trace)
    assert found.draws == 64
    assert set(found.mixing) == {"energy", "mean spin"}
    assert "split R-hat, mean spin" in str(found)


def test_frozen_chains_are_told_in_words_and_one_alone_is_refused() -> None:
    cold = diagnose(ferromagnet(), record(Gibbs(beta=50.0), ferromagnet(), chains=3, draws_per_chain=10, seed=1))
    assert any("never changed" in note for note in cold.notes)
    with pytest.raises(InvalidStateError, match="at least two draws"):
        diagnose(PROBLEM, record(Gibbs(), PROBLEM, chains=1, draws_per_chain=10, seed=1))


@pytest.mark.parametrize(
    ("wrong", "error", "word"),
    [
        ({"sampler": Exact()}, InvalidSettingError, "Markov chain"),
        ({"sampler": Gibbs}, InvalidSettingError, "Markov chain"),
        ({"problem": random_ising(3, seed=1, batch=2)}, InvalidSettingError, "batch"),
        ({"chains": 0}, InvalidSettingError, "chains"),
        ({"draws_per_chain": 3}, InvalidSettingError, "draws_per_chain"),
        ({"sweeps_between": 0}, InvalidSettingError, "sweeps_between"),
        ({"functions": {"energy": lambda s: s[:, 0]}}, InvalidSettingError, "energy"),
        ({"functions": {"all": lambda s: s}}, InvalidStateError, "'all'"),
        ({"functions": {"log": lambda s: s[:, 0].log()}}, InvalidStateError, "'log'"),
        ({"functions": {"none": lambda s: None}}, InvalidStateError, "'none'"),
    ],
)
def test_what_cannot_be_recorded_is_refused(wrong: dict, error: type[Exception], word: str) -> None:
    settings = {"sampler": Gibbs(sweeps=2), "problem": PROBLEM, "chains": 2, "draws_per_chain": 4} | wrong
    with pytest.raises(error, match=word):
        record(settings.pop("sampler"), settings.pop("problem"), **settings)
