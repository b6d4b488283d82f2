"""The mean of one number per row, and the error of the choice of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RowMean:
    """The mean over data rows of a number that is known for each.

    Args:
        per_row: nats, float64, shape (rows,). Two models on the same rows are compared by their differences, whose spread is smaller.
    """

    per_row: Tensor

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
