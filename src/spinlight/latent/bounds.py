"""The evidence lower bound of rows, with its gradient."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinlight._checks import nonnegative_number


@dataclass(frozen=True, eq=False)
class Elbo:
    """The evidence lower bound of some rows, from one draw of zeta for each, with its gradient.

    log p(x) >= E_q[log p(x | zeta)] - KL(q(z | x) || p(z))

    Args:
        reconstruction: log p(x | zeta), nats, shape (rows,).
        divergence: KL(q(z | x) || p(z)), log Z included, nats, shape (rows,).
    """

    reconstruction: Tensor
    divergence: Tensor

    @property
    def value(self) -> Tensor:
        """The bound of each row in nats, shape (rows,)."""
        return self.reconstruction - self.divergence

    def loss(self, kl_weight: float = 1.0) -> Tensor:
        """Return the mean over rows of - log p(x | zeta) + kl_weight KL, to be minimised.

        Args:
            kl_weight: at least 0; 1 is the bound, less is for the first steps, lest unused bits be switched off for good.

        Raises:
            InvalidSettingError: a negative weight.
        """
        return (nonnegative_number("kl_weight", kl_weight) * self.divergence - self.reconstruction).mean()
