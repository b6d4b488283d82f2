"""What every prior over latent bits is: an energy, log Z, and the divergence of independent bits from it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from spinlight._checks import bits_of
from spinlight._errors import InvalidStateError
from spinlight._random import Seed
from spinlight.ising import LogPartition, SupportsDraw


class Prior(nn.Module, ABC):
    """p(z) = exp(-E(z)) / Z over the bits of a latent space, with an energy that is linear in each bit.

    KL(q || p) = - H(q) + E(q) + log Z

    for a posterior of independent bits q: E_q[E(z)] is E at the probabilities, exactly.
    """

    @property
    @abstractmethod
    def units(self) -> int:
        """The number of latent bits."""

    @property
    @abstractmethod
    def log_partition(self) -> LogPartition:
        """Log Z at the present parameters, with its error."""

    @abstractmethod
    def energy(self, probabilities: Tensor) -> Tensor:
        """Return E_q[E(z)] = E(q) for each row of bits or probabilities, shape (rows,)."""

    @abstractmethod
    def sample(self, count: int, *, sampler: SupportsDraw | None = None, seed: Seed = None) -> Tensor:
        """Return bits of the prior, shape (count, units).

        Args:
            count: rows, at least 1.
            sampler: draws at beta = 1; the prior's own way by default.
            seed: integer, generator, or None for fresh entropy.
        """

    @abstractmethod
    def advance(self) -> None:
        """Make ready for a training step; once before each."""

    @abstractmethod
    def estimate(self) -> LogPartition:
        """Return log Z, estimated anew."""

    @abstractmethod
    def _log_partition(self, like: Tensor) -> Tensor:
        """Return log Z as a number, in the dtype and on the device of `like`, that carries its gradient."""

    def kl_divergence(self, logits: Tensor) -> Tensor:
        """Return KL(q || p) in nats for each row.

        Args:
            logits: log(q / (1 - q)), shape (rows, units); logits, so that entropies near 0 and 1 keep their digits.

        Returns:
            shape (rows,); gradients flow to the logits and to the prior.

        Raises:
            InvalidStateError: logits of the wrong shape, infinite or NaN.
        """
        if not bool(logits.isfinite().all()):
            raise InvalidStateError("logits hold NaN or infinity; is the learning rate too high?")
        return self.energy(torch.sigmoid(logits)).to(logits.dtype) - entropy(logits) + self._log_partition(logits)

    def log_probability(self, bits: Tensor) -> Tensor:
        """Return log p(z) = - E(z) - log Z in nats for each row; all rows share the error of `log_partition`.

        Args:
            bits: 0/1, shape (rows, units).

        Returns:
            shape (rows,); gradients flow to the prior.

        Raises:
            InvalidStateError: rows that are not `units` bits.
        """
        energies = self.energy(bits_of(bits, self.units))
        return -energies - self._log_partition(energies)


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy in nats of each row of independent bits: sum_i softplus(-|l_i|) + |l_i| sigmoid(-|l_i|)."""
    # The even form: softplus(l) - l sigmoid(l) would cancel to nothing for a bit that is nearly certain.
    size = logits.abs()
    return (nn.functional.softplus(-size) + size * torch.sigmoid(-size)).sum(-1)
