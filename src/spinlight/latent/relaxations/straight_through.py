"""The bit itself, with the gradient of a smooth neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import positive_number
from spinlight.latent.relaxations.base import Relaxation


@dataclass(frozen=True, kw_only=True)
class StraightThrough(Relaxation):
    """A bit z ~ Bernoulli(q), passed on as it is; its gradient is that of a Gumbel-softmax (binary concrete) variable.

    z = [rho > 1 - q],  d zeta / d q := d soft / d q,  soft = sigmoid(beta (logit q + logit rho)),  rho ~ U(0, 1)

    zeta = z, so the bound is that of the model without any smoothing, and the tightest of the relaxations'. The gradient is biased:
    it belongs to a decoder that sees soft. The soft value itself is not offered as a latent: its law given z depends on q, so it is
    not shared with the prior, and KL(q(z) || p(z)) in its bound would be wrong.

    Args:
        beta: sharpness of soft, one over the temperature of the references: large values have less bias and more variance.

    Raises:
        InvalidSettingError: beta that is not above 0.

    References:
        Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, section 2.2; Maddison, Mnih & Teh, "The
        concrete distribution", ICLR 2017, appendix B (two classes).

    Example:
        >>> import torch
        >>> StraightThrough()(torch.tensor(0.3), torch.tensor([0.5, 0.8])).tolist()
        [0.0, 1.0]
    """

    beta: float = 2.0

    def __post_init__(self) -> None:
        """Check the sharpness."""
        positive_number("beta", self.beta)

    def _marginal(self, q: Tensor, rho: Tensor) -> Tensor:
        soft = torch.sigmoid(self.beta * (torch.logit(q) + torch.logit(rho)))
        return (rho > 1 - q).to(soft) + (soft - soft.detach())

    def _conditional(self, bits: Tensor, rho: Tensor) -> Tensor:
        return bits.expand(torch.broadcast_shapes(bits.shape, rho.shape))
