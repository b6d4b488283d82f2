"""Means of one number per row, and the errors that they have."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RowMean:
    """The mean over data rows of a number that is known for each.

    Args:
        per_row: nats, float64, shape (rows,). Two models on the same rows are compared by their differences, whose spread is smaller.
    """

    per_row: Tensor = field(repr=False)

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.per_row)

    @property
    def value(self) -> float:
        """The mean over rows, in nats."""
        return float(self.per_row.mean())

    @property
    def row_error(self) -> float:
        """Standard error of the mean, sd / sqrt(rows): what another choice of as many rows would change; NaN for one row."""
        return float(self.per_row.std()) / math.sqrt(self.rows) if self.rows > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """The error of the mean, in which all of its parts are."""
        return self.row_error


@dataclass(frozen=True, eq=False)
class NormalizedRowMean(RowMean):
    """The mean of a log-probability that needs log Z, and its two independent errors.

    Args:
        per_row: as of `RowMean`.
        log_partition_error: the standard error of log Z. All rows share it, so it does not shrink with their number; NaN where it is
            not known.
        method: where log Z comes from, in words.
    """

    log_partition_error: float
    method: str

    @property
    def standard_error(self) -> float:
        """Both errors together, sqrt(row_error^2 + log_partition_error^2)."""
        return math.hypot(self.row_error, self.log_partition_error)

    @property
    def pessimistic(self) -> float:
        """The value with log Z two standard errors higher: what to set against a published number."""
        return self.value - 2 * self.log_partition_error

    def __str__(self) -> str:
        """Show the value with both errors."""
        return (
            f"{self.value:.3f} +/- {self.row_error:.3f} ({self.rows} rows) +/- {self.log_partition_error:.3f} "
            f"(log Z by {self.method})"
        )
