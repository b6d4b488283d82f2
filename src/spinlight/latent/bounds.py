"""Lower bounds on log p(x), with what their estimates leave uncertain."""

from __future__ import annotations

import math
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


@dataclass(frozen=True, eq=False)
class ImportanceWeightedBound:
    """An importance-weighted lower bound on the mean log p(x), and its two independent errors.

    Args:
        rows: the bound of each row in nats, float64, shape (rows,). Two models on the same rows are compared by their
            differences, whose spread is smaller.
        samples: k, draws for each row.
        log_partition_error: standard error of log Z. Every row has the same one, so it does not shrink with the rows; NaN where
            none can be given.
    """

    rows: Tensor
    samples: int
    log_partition_error: float

    @property
    def value(self) -> float:
        """The mean over rows, in nats."""
        return float(self.rows.mean())

    @property
    def row_error(self) -> float:
        """Standard error of the mean over rows, sd / sqrt(rows): of the choice of rows and of their draws; NaN for one row."""
        return float(self.rows.std()) / math.sqrt(len(self.rows)) if len(self.rows) > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Both errors together, sqrt(row_error^2 + log_partition_error^2)."""
        return math.hypot(self.row_error, self.log_partition_error)

    @property
    def lower(self) -> float:
        """The pessimistic side, two standard errors below the value: what to quote beside published numbers."""
        return self.value - 2 * self.standard_error

    def __str__(self) -> str:
        """Show the value with both errors."""
        return (
            f"log p(x) >= {self.value:.2f} +/- {self.row_error:.2f} (rows) +/- {self.log_partition_error:.2f} (log Z), "
            f"{self.samples} samples"
        )
