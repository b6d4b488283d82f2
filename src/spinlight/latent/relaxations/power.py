"""Two power functions that mirror each other, one for each value of the bit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import finite_number
from spinlight._errors import InvalidSettingError
from spinlight.latent.relaxations.base import Relaxation

_LARGEST_BETA = 100.0
"""Beyond, all but 5 % of the mass lies where float32 finds nothing but the bit itself."""

_STEPS = 6
"""Newton steps from a start above the root, within a factor of two: with the one for autograd, F is right to ten digits."""


@dataclass(frozen=True, kw_only=True)
class PowerFunction(Relaxation):
    """A bit z ~ Bernoulli(q), smoothed by power functions on [0, 1] that are infinite at the bit's own end.

    r(zeta | 0) = zeta^(1/beta - 1) / beta,  r(zeta | 1) = (1 - zeta)^(1/beta - 1) / beta

    F(zeta) = (1 - q) zeta^(1/beta) + q [1 - (1 - zeta)^(1/beta)] has no inverse in closed form: it is found by Newton's method, and
    its gradient d zeta/d q = - (dF/dq) / (dF/dzeta) by one more step that autograd sees. More of the mass lies at the ends than
    with exponentials whose gradients are as quiet. zeta does not tell z, and the bound is looser by the mean of
    KL(q(z | zeta, x) || p(z | zeta, x)).

    Args:
        beta: sharpness, above 1 (where both laws would be uniform) and at most 100.

    Raises:
        InvalidSettingError: beta outside (1, 100].

    Cost:
        some twenty powers for each bit, five times what the exponentials take.

    References:
        Vahdat, Andriyash & Macready, "DVAE#: discrete variational autoencoders with relaxed Boltzmann priors", NeurIPS 2018.

    Example:
        >>> import torch
        >>> smooth = PowerFunction(beta=10.0)
        >>> [round(value, 4) for value in smooth(torch.tensor(0.5), torch.tensor([0.4, 0.5, 0.6])).tolist()]
        [0.0948, 0.5, 0.9052]
    """

    beta: float = 20.0

    def __post_init__(self) -> None:
        """Check the sharpness."""
        if not 1 < finite_number("beta", self.beta) <= _LARGEST_BETA:
            raise InvalidSettingError(f"beta must be above 1 and at most {_LARGEST_BETA:g}, got {self.beta!r}")

    def _marginal(self, q: Tensor, rho: Tensor) -> Tensor:
        half = 0.5 ** (1 / self.beta)
        low = rho < (1 - q) * half + q * (1 - half)  # F(1/2): both ends are solved for from their own side
        near, level = torch.where(low, 1 - q, q), torch.where(low, rho, 1 - rho)
        distance = self._solve(near, level).pow(self.beta)
        return torch.where(low, distance, 1 - distance)

    def _solve(self, near: Tensor, level: Tensor) -> Tensor:
        """Return a = zeta^(1/beta) where G(a) = near a + (1 - near) [1 - (1 - a^beta)^(1/beta)] is the level, zeta <= 1/2.

        G is convex, so Newton's method falls to the root from any start above it, such as where one of its two terms alone
        would reach the level.
        """
        with torch.no_grad():
            one_term = torch.minimum(level / near, (self.beta * level / (1 - near)).pow(1 / self.beta))
            root = one_term.clamp_max(0.5 ** (1 / self.beta))
            for _ in range(_STEPS):
                root = self._newton(root, near, level)
        return self._newton(root, near, level)

    def _newton(self, root: Tensor, near: Tensor, level: Tensor) -> Tensor:
        """Return one step of Newton's method; through the value of G alone do gradients flow."""
        power = root.pow(self.beta)
        far = -torch.expm1(torch.log1p(-power) / self.beta)  # 1 - (1 - a^beta)^(1/beta)
        slope = near + (1 - near) * (root / (1 - far)).pow(self.beta - 1)
        return (root - (near * root + (1 - near) * far - level) / slope.detach()).clamp_min(0)

    def _conditional(self, bits: Tensor, rho: Tensor) -> Tensor:
        on = bits > 0
        distance = torch.where(on, 1 - rho, rho).pow(self.beta)
        return torch.where(on, 1 - distance, distance)
