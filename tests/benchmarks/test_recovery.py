"""The yardsticks of the learning benchmark against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from recovery import coupling_error, cramer_rao, descended, divergence, learned, recovered, spin_glass
from spinlight.datasets import bars_and_stripes
from spinlight.ising import Ising
from spinlight.models import BoltzmannMachine


def test_the_bound_of_free_spins_is_that_of_means_of_products() -> None:
    """s_i s_j of free spins has variance one, and nothing else tells of J_ij."""
    free = Ising(torch.zeros(4), torch.zeros(4, 4))
    assert cramer_rao(free, 10_000) == pytest.approx(0.01)


def test_the_bound_of_a_pair_is_that_of_its_correlation() -> None:
    """<s_1 s_2> = tanh J without fields: variance of the estimate of J is 1 / (samples (1 - tanh^2 J))."""
    pair = Ising([0.0, 0.0], [[0.0, 0.8], [0.8, 0.0]])
    assert cramer_rao(pair, 100) == pytest.approx(math.cosh(0.8) / 10)


def test_a_machine_without_weights_is_as_far_from_the_data_as_the_uniform_law() -> None:
    images = bars_and_stripes(3, 3)
    machine = BoltzmannMachine(12, 3, initial_scale=0.0)
    assert divergence(machine, images) == pytest.approx(9 * math.log(2) - math.log(14), rel=1e-6)


def test_a_machine_that_holds_the_data_is_at_no_distance() -> None:
    """Two visible units that are alike or not, and a hidden one of no account: the data are the two states that are alike."""
    machine, weights = BoltzmannMachine(3, 1), torch.zeros(3, 3)
    weights[0, 1] = weights[1, 0] = 80.0
    machine.set_weights(torch.tensor([-40.0, -40.0, 0.0]), weights)
    assert divergence(machine, torch.tensor([[0, 0], [1, 1]])) == pytest.approx(0.0, abs=1e-6)


def test_a_glass_is_recovered_within_three_times_the_bound() -> None:
    glass = spin_glass(5, seed=1)
    error, bound = recovered(glass, 400, seed=1), cramer_rao(glass, 50_000)
    # Ten couplings: their root mean square is within a factor two of its expectation, and learning adds its own noise.
    assert 0.3 * bound < error < 3 * bound


def test_a_glass_of_the_wrong_sign_is_far_beyond_the_bound() -> None:
    glass = spin_glass(5, seed=1)
    wrong = Ising(glass.fields, -glass.couplings)
    machine = learned(wrong, 400, seed=1)
    assert coupling_error(machine, glass) > 10 * cramer_rao(glass, 50_000)
    assert coupling_error(machine, wrong) < 3 * cramer_rao(glass, 50_000)


def test_the_rate_of_descent_falls_to_zero() -> None:
    machine = BoltzmannMachine(3, initial_scale=0.0)
    steps: list[torch.Tensor] = []

    def loss(step: int) -> torch.Tensor:
        steps.append(machine.biases.detach().clone())
        return machine.biases.sum()

    descended(machine, loss, steps=50, rate=0.1)
    first, last = float((steps[1] - steps[0]).abs().max()), float((machine.biases.detach() - steps[-1]).abs().max())
    assert first == pytest.approx(0.1, rel=1e-3)
    assert last < 0.1 / 40
