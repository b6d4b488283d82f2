"""The posterior of a cell's latent bits, as scvi-tools wants distributions: with moments, draws and gradients."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn import functional

from spinlight.latent.relaxations.base import Relaxation

_FARTHEST = 1e-7
"""Distance that a stored probability keeps from 0 and 1 when it is turned into logits again: a step of float32 near 1."""


class SmoothedBits(Distribution):
    """q(zeta) of independent bits z_i ~ Bernoulli(sigmoid(l_i)), smoothed: zeta_i ~ r(zeta | z_i).

    Moments are those of the bits z, which the cells' latent space is made of; draws are of zeta, which the decoder sees. There is no
    `log_prob`: where the relaxation has a spike, zeta has no density.

    Args:
        logits: l, shape (..., cells, bits).
        relaxation: r.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, relaxation: Relaxation) -> None:
        self.logits = logits
        self.relaxation = relaxation
        super().__init__(logits.shape, validate_args=False)

    @classmethod
    def of_probabilities(cls, probabilities: Tensor, relaxation: Relaxation) -> SmoothedBits:
        """Return the posterior with these means, shape (..., cells, bits), as minified data store them."""
        return cls(torch.logit(probabilities, eps=_FARTHEST), relaxation)

    @property
    def mean(self) -> Tensor:
        """The bits' probabilities q = sigmoid(l)."""
        return torch.sigmoid(self.logits)

    @property
    def variance(self) -> Tensor:
        """The bits' variances q (1 - q)."""
        return self.mean * torch.sigmoid(-self.logits)

    @property
    def loc(self) -> Tensor:
        """The mean, by the name that scvi-tools' getters know."""
        return self.mean

    @property
    def scale(self) -> Tensor:
        """The standard deviation, by the name that scvi-tools' getters know."""
        return self.stddev

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return zeta, shape (*sample_shape, ..., cells, bits), with gradients for the logits."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.relaxation.sample(self.mean.expand(shape))


class _LogitNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a mini-batch of one cell, which has no spread, by the running statistics."""

    def forward(self, logits: Tensor) -> Tensor:
        if self.training and len(logits) == 1:
            moments = self.running_mean, self.running_var
            return functional.batch_norm(logits, *moments, self.weight, self.bias, eps=self.eps)
        return super().forward(logits)


class BitEncoder(nn.Module):
    """A network and a linear layer on top of it: counts to the logits of the latent bits.

    Logits pass a batch normalisation, with a learned scale and shift: a Boltzmann prior learns at once which bits the encoder
    does not use yet and would pin them, and a bit that is normalised is used.

    Args:
        network: counts and covariates to hidden units, shape (cells, hidden).
        hidden_units: its width.
        bits: latent bits.
        relaxation: of the bits.
        normalized: whether logits are normalised.
    """

    def __init__(
        self, network: nn.Module, hidden_units: int, bits: int, relaxation: Relaxation, *, normalized: bool
    ) -> None:
        super().__init__()
        self.encoder = network
        self.to_logits = nn.Sequential(nn.Linear(hidden_units, bits))
        if normalized:
            self.to_logits.append(_LogitNorm(bits))
        self.relaxation = relaxation
        self.z_transformation = nn.Identity()  # what scvi-tools applies to draws

    def forward(self, x: Tensor, *categories: Tensor) -> tuple[SmoothedBits, Tensor]:
        """Return the posterior and one draw of it.

        Args:
            x: what the network takes, shape (cells, genes and continuous covariates).
            categories: of the cells, shape (cells, 1) each.
        """
        logits = self.to_logits(self.encoder(x, *categories))
        posterior = SmoothedBits(logits.to(torch.promote_types(logits.dtype, torch.float32)), self.relaxation)
        return posterior, posterior.rsample()
