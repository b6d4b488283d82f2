"""Whether chains have forgotten where they started, and how many independent draws they are worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidStateError

SHORTEST = 4
"""Draws per chain below which halves of chains have no variance."""

_LEAST_LAGS = 20
"""Lags of the autocorrelation that are kept at least, to be looked at."""


@dataclass(frozen=True)
class Mixing:
    """What a function of the states says of the chains that it was recorded on.

    Args:
        split_r_hat: the larger of the rank-normalised split R-hat and its folded form; 1 for chains that agree, trusted below
            1.01, infinite where each chain stands still somewhere else, NaN where nothing moves at all.
        bulk_effective_draws: how many independent draws know the centre of the law equally well; NaN where nothing moves.
        autocorrelation_time: tau, in sweeps: the variance of the mean over n draws, taken `sweeps_between` apart, is tau /
            `sweeps_between` times that of n independent ones. NaN where nothing moves.
        autocorrelations: at lags 0, 1, ... of the recorded draws.
        sweeps_between: sweeps from one recorded draw to the next.
    """

    split_r_hat: float
    bulk_effective_draws: float
    autocorrelation_time: float
    autocorrelations: tuple[float, ...]
    sweeps_between: int = 1


def mixing(values: Tensor, *, sweeps_between: int = 1) -> Mixing:
    """Return split R-hat, effective draws and autocorrelation time of one function along several chains.

    R-hat = sqrt(V / W),  V = (n-1)/n W + B;  tau = 1 + 2 sum_t rho_t,  rho_t = 1 - (W - C_t) / V;  effective draws = chains n / tau

    Each chain is cut in two halves of n draws. W is the mean variance within halves, B the variance of their means, C_t their
    mean autocovariance. The sum ends by Geyer's rule: sums of neighbouring pairs stay positive and never grow. R-hat and bulk
    effective draws are those of normal scores of the ranks, so that heavy tails do no harm; R-hat is also that of the distances
    from the median, so that chains of different spread are told apart. tau is of the values themselves.

    Chains that agree with each other may all be wrong together: what no chain has seen, no number here can know.

    Args:
        values: shape (time, chains), finite, at least 4 in time.
        sweeps_between: sweeps from one row to the next, the unit of tau.

    Raises:
        InvalidStateError: another shape, too few rows, or values that are not finite.
        InvalidSettingError: a number of sweeps below 1.

    References:
        Vehtari, Gelman, Simpson, Carpenter & Buerkner, "Rank-normalization, folding, and localization: an improved R-hat",
        Bayesian Analysis 16 (2021) 667; Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7 (1992) 473.
        ArviZ computes the same, and would bring xarray, pandas and netCDF formats for three formulas; hence these lines.

    Example:
        >>> noise = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
        >>> mixing(noise).split_r_hat < 1.01, mixing(noise + torch.arange(4)).split_r_hat > 1.5
        (True, True)
    """
    chains = _halves(_checked(values))
    sweeps_between = positive_integer("sweeps_between", sweeps_between)
    scores = _normal_scores(chains)
    folded = _normal_scores((chains - chains.median()).abs())
    r_hat, r_hat_folded = _r_hat(scores), _r_hat(folded)
    correlations = _autocorrelations(chains)
    return Mixing(
        split_r_hat=r_hat if math.isnan(r_hat_folded) else max(r_hat, r_hat_folded),
        bulk_effective_draws=chains.numel() / _autocorrelation_time(_autocorrelations(scores), chains.numel()),
        autocorrelation_time=sweeps_between * _autocorrelation_time(correlations, chains.numel()),
        autocorrelations=tuple(correlations[: max(_LEAST_LAGS, 4 * len(_geyer_pairs(correlations)))].tolist()),
        sweeps_between=sweeps_between,
    )


def _checked(values: Tensor) -> Tensor:
    if not isinstance(values, Tensor) or values.ndim != 2 or len(values) < SHORTEST or values.shape[1] < 1:
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InvalidStateError(
            f"values of shape (time, chains) with at least {SHORTEST} times are needed, got {found}"
        )
    if not bool(values.isfinite().all()):
        raise InvalidStateError("values along chains must be finite numbers")
    return values.detach().cpu().to(torch.float64)


def _halves(values: Tensor) -> Tensor:
    """Return both halves of every chain as chains; the middle one of an odd number of draws is left out."""
    half = len(values) // 2
    return torch.cat([values[:half], values[-half:]], 1)


def _normal_scores(chains: Tensor) -> Tensor:
    """Return Phi^-1((rank - 3/8) / (draws + 1/4)), equal values sharing their mean rank."""
    _, inverse, counts = torch.unique(chains, return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0) - (counts - 1) / 2
    return torch.special.ndtri((ranks.to(torch.float64)[inverse] - 0.375) / (chains.numel() + 0.25))


def _r_hat(chains: Tensor) -> float:
    within, total = _variances(chains)
    if within == 0:
        return math.inf if total > 0 else math.nan
    return math.sqrt(total / within)


def _variances(chains: Tensor) -> tuple[float, float]:
    """Return W and V; exactly zero for values that are equal, however they are rounded."""
    moving = chains != chains[0]
    within = float(chains.var(0)[moving.any(0)].sum()) / chains.shape[1]
    between = float(chains.mean(0).var()) if bool((chains != chains[0, 0]).any()) else 0.0
    return within, within * (len(chains) - 1) / len(chains) + between


def _autocorrelations(chains: Tensor) -> Tensor:
    """Return rho_t for every lag, by a Fourier transform; NaN where nothing moves."""
    length = len(chains)
    within, total = _variances(chains)
    if total == 0:
        return torch.full((length,), math.nan, dtype=torch.float64)
    waves = torch.fft.rfft(chains - chains.mean(0), n=2 * length, dim=0)
    covariances = torch.fft.irfft(waves.abs().square(), n=2 * length, dim=0)[:length].mean(1) / length
    correlations = 1 - (within - covariances) / total
    correlations[0] = 1.0
    return correlations


def _geyer_pairs(correlations: Tensor) -> Tensor:
    """Return rho_2k + rho_2k+1 while they are positive, each at most as large as the one before."""
    pairs = correlations[: 2 * (len(correlations) // 2)].view(-1, 2).sum(1)
    ends = (pairs <= 0).nonzero()
    kept = pairs[: int(ends[0])] if len(ends) else pairs
    return kept.cummin(0).values if len(kept) else kept


def _autocorrelation_time(correlations: Tensor, draws: int) -> float:
    """Return 2 sum of pairs - 1; at least 1 / log10(draws), beyond which anticorrelation is taken for noise."""
    if bool(correlations.isnan().any()):
        return math.nan
    return max(2 * float(_geyer_pairs(correlations).sum()) - 1, 1 / math.log10(draws))
