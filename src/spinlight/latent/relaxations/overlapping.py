"""Two exponentials that mirror each other, one for each value of the bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import positive_number
from spinlight._errors import InvalidSettingError
from spinlight.latent.relaxations.base import Relaxation

_LARGEST_BETA = 50.0
"""e^(-beta/2) squared, times the smallest q, stays inside float32."""


@dataclass(frozen=True, kw_only=True)
class OverlappingExponentials(Relaxation):
    """A bit z ~ Bernoulli(q), smoothed by exponentials on [0, 1] that fall away from the bit's own end.

    r(zeta | 0) = e^(-beta zeta) / C,  r(zeta | 1) = e^(-beta (1 - zeta)) / C,  C = (1 - e^-beta) / beta

    The distribution function of the mixture is a quadratic in u = e^(beta (zeta - 1/2)), with c = e^(-beta/2) and
    A = 1 - q - rho + c^2 (rho - q):

    q c u^2 + A u - (1 - q) c = 0,  u = (R - A) / (2 q c) = 2 (1 - q) c / (R + A),  R = sqrt(A^2 + 4 q (1 - q) c^2)

    Every draw has a gradient, that of a bit that is off too. zeta no longer tells z, and the bound pays for that: it is looser by
    the mean of KL(q(z | zeta, x) || p(z | zeta, x)), which falls as the overlap does.

    Args:
        beta: sharpness, above 0 and at most 50; towards 0 both exponentials are uniform and zeta says nothing about z.

    Raises:
        InvalidSettingError: beta outside (0, 50].

    References:
        Vahdat, Macready, Bian, Khoshaman & Andriyash, "DVAE++: discrete variational autoencoders with overlapping
        transformations", ICML 2018. There the decoder's bound is for p(zeta) with z summed out; ours keeps z, whose KL is exact.

    Example:
        >>> import torch
        >>> smooth = OverlappingExponentials(beta=8.0)
        >>> [round(value, 4) for value in smooth(torch.tensor(0.5), torch.tensor([0.25, 0.5, 0.75])).tolist()]
        [0.0865, 0.5, 0.9135]
    """

    beta: float = 8.0

    def __post_init__(self) -> None:
        """Check the sharpness."""
        if positive_number("beta", self.beta) > _LARGEST_BETA:
            raise InvalidSettingError(f"beta must be at most {_LARGEST_BETA:g}, got {self.beta!r}")

    def _marginal(self, q: Tensor, rho: Tensor) -> Tensor:
        edge = math.exp(-self.beta / 2)
        slope = 1 - q - rho + edge**2 * (rho - q)
        root = (slope.square() + 4 * q * (1 - q) * edge**2).sqrt()
        # R + |A| never cancels; which of the two forms of u it belongs to is a matter of A's sign.
        low = slope > 0
        total = root + torch.where(low, slope, -slope)
        log_u = torch.where(low, (2 * edge * (1 - q) / total).log(), (total / (2 * edge * q)).log())
        return (0.5 + log_u / self.beta).clamp(0, 1)

    def _conditional(self, bits: Tensor, rho: Tensor) -> Tensor:
        on = bits > 0
        level = torch.where(on, 1 - rho, rho)
        distance = -torch.log1p(level * math.expm1(-self.beta)) / self.beta
        return torch.where(on, 1 - distance, distance)
