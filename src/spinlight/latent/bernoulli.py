"""Independent bits as the prior of binary latents: what a Boltzmann machine has to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import positive_integer
from spinlight._random import Seed, bernoulli, derive_seed, resolve_seed
from spinlight.ising import LogPartition, SupportsDraw, ising_from_bits
from spinlight.latent.base import Prior
from spinlight.models.base import equal_rows, require_unit_beta, unit_values


class BernoulliPrior(Prior):
    """p(z) = prod_i p_i^z_i (1 - p_i)^(1 - z_i) with learned logits: a Boltzmann machine without couplings.

    E(z) = - l.z,  log Z = sum_i log(1 + e^l_i),  p_i = sigmoid(l_i)

    It stands where a `BoltzmannPrior` does, and differs in nothing else: the control of every claim that a Boltzmann prior helps.

    Args:
        units: latent bits, at least 1; their logits start at 0.

    Raises:
        InvalidSettingError: fewer than one unit.

    Law:
        exact: log Z, divergence, gradients and samples.

    Example:
        >>> prior = BernoulliPrior(3)
        >>> print(prior.log_partition)
        2.079 +/- 0.000 (independent bits)
        >>> prior.kl_divergence(torch.zeros(2, 3)).tolist()
        [0.0, 0.0]
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(positive_integer("units", units)))

    @property
    def units(self) -> int:
        """The number of latent bits."""
        return len(self.logits)

    @property
    def log_partition(self) -> LogPartition:
        """Log Z, exactly."""
        value = float(functional.softplus(self.logits.detach().double()).sum())
        return LogPartition(value, 0.0, value, value, "independent bits")

    def energy(self, probabilities: Tensor) -> Tensor:
        """Return E_q[E(z)] = - l.q for each row, shape (rows,)."""
        return -(unit_values(probabilities, self.units, like=self.logits) @ self.logits)

    def sample(self, count: int, *, sampler: SupportsDraw | None = None, seed: Seed = None) -> Tensor:
        """Return bits of the prior, int8, shape (count, units).

        Args:
            count: rows, at least 1.
            sampler: draws at beta = 1 from the prior's Ising problem, which has no couplings; by default bits are drawn directly.
            seed: integer, generator, or None for fresh entropy.

        Law:
            exact and independent without a sampler, else the sampler's.

        Raises:
            InvalidSettingError: an impossible count or seed, no sampler, or one at another beta than 1.
        """
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        logits = self.logits.detach()
        if sampler is None:
            return bernoulli(torch.sigmoid(logits).expand(count, -1), resolved).to(torch.int8)
        require_unit_beta(sampler)
        problem = ising_from_bits(logits.double(), logits.new_zeros(self.units, self.units, dtype=torch.float64))
        return equal_rows(sampler.draw(problem, count, seed=resolved), count, derive_seed(resolved, 1))

    def advance(self) -> None:
        """Do nothing: there are no chains to move."""

    def estimate(self) -> LogPartition:
        """Return log Z, exactly."""
        return self.log_partition

    def extra_repr(self) -> str:
        """Show the size."""
        return f"units={self.units}"

    def _log_partition(self, like: Tensor) -> Tensor:
        return functional.softplus(self.logits).sum().to(like)
