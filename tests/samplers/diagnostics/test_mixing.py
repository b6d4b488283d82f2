"""Chains with a known autocorrelation, chains that agree, and chains that do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from helpers.statistics import threshold, z_p_value
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.samplers import Mixing, mixing

TIME, CHAINS = 20_000, 8


def autoregressive(persistence: float, *, seed: int, time: int = TIME, chains: int = CHAINS) -> torch.Tensor:
    """Return stationary chains x_t = a x_t-1 + sqrt(1 - a^2) noise: rho_t = a^t, tau = (1 + a) / (1 - a)."""
    noise = np.random.default_rng(seed).standard_normal((time, chains))
    noise[1:] *= math.sqrt(1 - persistence**2)
    return torch.from_numpy(lfilter([1.0], [1.0, -persistence], noise, axis=0))


def error_of_tau(tau: float) -> float:
    """Return the standard error of an estimated tau: sqrt((4 W + 2) / draws) tau, Sokal 1989, for a window W of 10 tau."""
    return tau * math.sqrt((40 * tau + 2) / (TIME * CHAINS))


@pytest.mark.parametrize("persistence", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_is_that_of_the_process(persistence: float) -> None:
    tau = (1 + persistence) / (1 - persistence)
    found = mixing(autoregressive(persistence, seed=1)).autocorrelation_time
    assert z_p_value(found, tau, error_of_tau(tau)) > threshold()
    assert z_p_value(found, 1.5 * tau, error_of_tau(tau)) < threshold()


def test_effective_draws_are_draws_over_tau() -> None:
    found = mixing(autoregressive(0.5, seed=2)).bulk_effective_draws
    # The normal scores of Gaussian chains are the chains, up to scale: tau = 3.
    assert z_p_value(TIME * CHAINS / found, 3, error_of_tau(3)) > threshold()
    assert z_p_value(TIME * CHAINS / found, 1, error_of_tau(3)) < threshold()


def test_autocorrelations_are_powers() -> None:
    found = mixing(autoregressive(0.8, seed=3)).autocorrelations
    # Bartlett: var(rho_t) <= (1 + a^2) / (1 - a^2) / draws = 4.6 / draws.
    error = math.sqrt(4.6 / (TIME * CHAINS))
    assert z_p_value(found[1:10], 0.8 ** np.arange(1, 10), error) > threshold()
    assert z_p_value(found[1:10], 0.75 ** np.arange(1, 10), error) < threshold()


def test_tau_is_counted_in_sweeps() -> None:
    chains = autoregressive(0.5, seed=4)
    one, three = mixing(chains), mixing(chains, sweeps_between=3)
    assert three.autocorrelation_time == pytest.approx(3 * one.autocorrelation_time)
    assert three.bulk_effective_draws == one.bulk_effective_draws


def test_chains_that_swing_are_worth_more_than_their_number() -> None:
    assert mixing(autoregressive(-0.5, seed=5)).autocorrelation_time == pytest.approx(1 / 3, rel=0.1)


def test_stationary_chains_have_an_r_hat_near_one() -> None:
    # V/W - 1 = 1/n (chi-square / (m - 1)) tau - 1/n with 16 half chains: below 6 tau / n with probability 1 - 1e-10.
    assert 1 - 1 / TIME <= mixing(autoregressive(0.5, seed=6)).split_r_hat < 1 + 6 * 3 / TIME


STUCK = {
    "valleys": lambda chains: chains + 2 * (torch.arange(CHAINS) % 2),
    "a drift": lambda chains: chains + torch.linspace(0, 2, TIME)[:, None],
    "spreads": lambda chains: chains * (1 + 2 * (torch.arange(CHAINS) % 2)),
    "one stray": lambda chains: chains + torch.tensor([3.0] + [0.0] * (CHAINS - 1)),
}


@pytest.mark.parametrize("change", STUCK.values(), ids=STUCK)
def test_chains_that_do_not_agree_are_noticed(change) -> None:
    found = mixing(change(autoregressive(0.5, seed=7)))
    assert found.split_r_hat > 1.05


def test_r_hat_of_two_shifted_chains_is_that_of_the_formula() -> None:
    chains = autoregressive(0.0, seed=8)[:, :2] + torch.tensor([0.0, 100.0])
    # Ranks split in halves: scores of each side have mean +-sqrt(2/pi) and variance 1 - 2/pi; B is the variance of four means.
    expected = math.sqrt(1 + (4 / 3) * (2 / math.pi) / (1 - 2 / math.pi))
    assert mixing(chains).split_r_hat == pytest.approx(expected, rel=0.01)


def test_stuck_chains_are_worth_hardly_a_draw_each() -> None:
    assert mixing(STUCK["valleys"](0.1 * autoregressive(0.0, seed=9))).bulk_effective_draws < 3 * CHAINS


def test_ranks_make_r_hat_blind_to_a_change_of_scale() -> None:
    chains = autoregressive(0.5, seed=10, time=500)
    assert mixing(chains.exp().exp()).bulk_effective_draws == pytest.approx(mixing(chains).bulk_effective_draws)


def test_what_never_moves_is_not_a_number() -> None:
    still = mixing(torch.full((10, 3), 0.1))
    assert all(math.isnan(x) for x in (still.split_r_hat, still.bulk_effective_draws, still.autocorrelation_time))


def test_chains_that_stand_still_in_different_places_are_infinitely_apart() -> None:
    assert mixing(torch.tensor([0.1, 0.2, 0.3]).expand(10, 3)).split_r_hat == math.inf


def test_two_values_suffice() -> None:
    coins = (torch.from_numpy(np.random.default_rng(11).random((4000, 4))) < 0.1).double()
    assert mixing(coins).split_r_hat < 1.01
    coins[:, 0] = 1 - coins[:, 0]
    assert mixing(coins).split_r_hat > 1.05


def test_one_chain_is_compared_with_itself() -> None:
    assert isinstance(mixing(autoregressive(0.5, seed=12)[:, :1]), Mixing)
    assert mixing(STUCK["a drift"](autoregressive(0.5, seed=12))[:, :1]).split_r_hat > 1.05


@pytest.mark.parametrize(
    "values",
    [torch.zeros(3, 2), torch.zeros(8), torch.zeros(8, 0), torch.full((8, 2), math.nan), [[1.0] * 8] * 8, None],
)
def test_what_are_no_chains_is_refused(values: object) -> None:
    with pytest.raises(InvalidStateError, match="values"):
        mixing(values)  # type: ignore[arg-type]


def test_an_interval_outside_its_domain_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="sweeps_between"):
        mixing(torch.rand(8, 2), sweeps_between=0)
