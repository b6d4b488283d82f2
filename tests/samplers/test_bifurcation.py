"""Bifurcation machines as samplers: signs, fields, ground states, and the law that thresholds do not have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, enumerate_energies, random_ising
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError
from spinlight.ising import Ising
from spinlight.samplers import LangevinBifurcation, SimulatedBifurcation

every_kind = pytest.mark.parametrize("discrete", [False, True])


@every_kind
@pytest.mark.parametrize("coupling", [1.0, -1.0])
def test_two_spins_align_in_a_ferromagnet_and_oppose_in_an_antiferromagnet(discrete: bool, coupling: float) -> None:
    pair = Ising([0.0, 0.0], [[0.0, coupling], [coupling, 0.0]])
    spins = SimulatedBifurcation(discrete=discrete).draw(pair, 256, seed=1).spins
    # Two spins that start as mirror images of each other change places for ever in the discrete machine.
    assert (spins[:, 0] * spins[:, 1] == coupling).double().mean() > (0.9 if discrete else 0.999)
    assert 0.1 < (spins[:, 0] == 1).double().mean() < 0.9


@every_kind
def test_a_field_points_the_way(discrete: bool) -> None:
    problem = Ising([0.3, -0.3], torch.zeros(2, 2))
    draws = SimulatedBifurcation(discrete=discrete, look_every=0).draw(problem, 32, seed=1)
    assert draws.spins.unique(dim=0).tolist() == [[1, -1]]


@every_kind
def test_ground_states_of_glasses_are_found(discrete: bool) -> None:
    for seed in range(5):
        problem = random_ising(16, seed=seed)
        draws = SimulatedBifurcation(steps=1000, dt=0.5, discrete=discrete).draw(problem, 64, seed=1)
        assert float(draws.energies.min()) == pytest.approx(enumerate_energies(problem).min())


def test_the_best_state_is_at_least_as_low_as_the_last() -> None:
    generator = np.random.default_rng(2)
    upper = np.triu(generator.choice([-1.0, 1.0], (100, 100)), 1)
    problem = Ising(np.zeros(100), upper + upper.T)
    best, last = (SimulatedBifurcation(look_every=look).draw(problem, 64, seed=1).energies for look in (1, 0))
    assert (best <= last).all()
    assert (best < last).any()


def test_thresholds_come_near_the_boltzmann_law_of_some_beta_and_do_not_have_it() -> None:
    """Independent spins flip with probability P(n > (1 + h) / sigma): no beta makes that the ratio exp(-2 beta h) for all h."""
    problem = random_ising(6, seed=3, scale=0.3)
    draws = LangevinBifurcation(steps=200, step=0.5, noise=1.5).draw(problem, 20_000, seed=1)
    betas = np.linspace(0.05, 2, 40)
    counts = torch.bincount((draws.bits.long() * 2 ** torch.arange(6)).sum(-1), minlength=64).double() / 20_000
    distances = [0.5 * np.abs(counts.numpy() - boltzmann(problem, beta)).sum() for beta in betas]
    nearest = betas[int(np.argmin(distances))]
    assert min(distances) < 0.15 < distances[0]
    assert law_p_value(draws.spins, boltzmann(problem, nearest)) < threshold()
    assert draws.info.law == "heuristic"


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SimulatedBifurcation(steps=0), "steps"),
        (lambda: SimulatedBifurcation(dt=-1.0), "dt"),
        (lambda: SimulatedBifurcation(look_every=-1), "look_every"),
        (lambda: SimulatedBifurcation(threads=0), "threads"),
        (lambda: LangevinBifurcation(steps=0), "steps"),
        (lambda: LangevinBifurcation(step=0.0), "step"),
        (lambda: LangevinBifurcation(noise=0.0), "noise"),
        (lambda: LangevinBifurcation(threads=0), "threads"),
    ],
)
def test_settings_outside_their_domain_are_refused(make, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        make()
