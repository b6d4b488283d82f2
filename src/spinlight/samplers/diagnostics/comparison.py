"""How far draws are from the exact law of a small problem."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight.ising import Ising, all_states

MOST_COMPARED_SITES = 20
"""The largest problem whose draws are held against the exact law: a million states."""


@dataclass(frozen=True)
class ExactComparison:
    """Draws held against p(s) proportional to exp(-beta E(s)).

    With p^ the weighted frequencies of the states that were drawn:

    Args:
        beta: inverse temperature of the exact law.
        total_variation: sum_s |p^(s) - p(s)| / 2.
        expected_total_variation: its mean for as many exact draws (for weighted draws: as many as they are worth), the yardstick:
            a few draws of many states are far from any law. Exact draws exceed it by t at most with probability exp(-2 draws t^2).
        kl_divergence: sum_s p^(s) log(p^(s) / p(s)), in nats. Of exact draws it is about (states - 1) / (2 draws), where draws
            are many.
        mean_energy: of the exact law.
        energy_deviation: the draws' mean energy less the exact one, in standard errors of as many exact draws; NaN where all states
            have one energy.
    """

    beta: float
    total_variation: float
    expected_total_variation: float
    kl_divergence: float
    mean_energy: float
    energy_deviation: float


def energies_of_all_states(problem: Ising) -> Tensor:
    """Return E of every state, in the order of `all_states`, on the CPU."""
    return problem.energy(all_states(problem.sites).to(problem.device)).cpu()


def compare(spins: Tensor, weights: Tensor, levels: Tensor, beta: float, effective_draws: float) -> ExactComparison:
    """Return how far draws are from the exact law.

    Args:
        spins: shape (draws, sites).
        weights: normalised, shape (draws,).
        levels: energies of all states, shape (2^sites,).
        beta: inverse temperature of the exact law.
        effective_draws: how many independent draws these are worth.

    References:
        The mean absolute deviation of a binomial: de Moivre 1730, by Diaconis & Zabell, "Closed form summation for classical
        distributions", Statistical Science 6 (1991) 284. The bound on its excess: McDiarmid 1989, one draw moving the total
        variation by at most 1 / draws.
    """
    log_law = torch.log_softmax(-beta * levels, 0)
    law = log_law.exp()
    frequencies = torch.bincount(_numbers(spins), weights, len(levels))
    drawn = frequencies > 0
    mean = float(law @ levels)
    spread = float((law @ (levels - mean).square()).sqrt())
    # Rounded energies of a flat landscape differ by their last digits.
    flat = spread <= 1e-12 * float(levels.abs().max())
    excess = float(frequencies @ levels) - mean
    return ExactComparison(
        beta=beta,
        total_variation=float((frequencies - law).abs().sum()) / 2,
        expected_total_variation=expected_total_variation(law, max(1, round(effective_draws))),
        kl_divergence=float((frequencies * (frequencies.log() - log_law))[drawn].sum()),
        mean_energy=mean,
        energy_deviation=float("nan") if flat else excess / spread * effective_draws**0.5,
    )


def expected_total_variation(law: Tensor, draws: int) -> float:
    """Return the mean total variation between a law and the frequencies of so many draws of it.

    sum_s E|X_s - draws p_s| / (2 draws),  E|X - np| = 2 m C(n, m) p^m (1 - p)^(n - m + 1),  m = floor(np) + 1
    """
    p = law[(law > 0) & (law < 1)]
    m = (draws * p).floor() + 1
    n = torch.tensor(float(draws), dtype=torch.float64)
    log_ways = torch.lgamma(n + 1) - torch.lgamma(m + 1) - torch.lgamma((n - m).clamp(min=0) + 1)
    deviations = 2 * m * (log_ways + m * p.log() + (n - m + 1) * torch.log1p(-p)).exp()
    return float(torch.where(m <= n, deviations, 0.0).sum()) / (2 * draws)


def _numbers(spins: Tensor) -> Tensor:
    return ((spins > 0).to(torch.int64) << torch.arange(spins.shape[1])).sum(1)
