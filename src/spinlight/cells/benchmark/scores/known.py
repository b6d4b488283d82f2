"""What is known of the cells beside their counts, for scores alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Known:
    """Columns of the cells; None where there is none, or one that holds a single value.

    Args:
        reference: 30 principal components of log-normalised counts, before any integration, float32, shape (cells, components).
        labels: text, shape (cells,).
        batches: text, shape (cells,).
        order: place of each cell in a known order, float64, shape (cells,); NaN for cells that have no place.
    """

    reference: NDArray[np.float32]
    labels: NDArray[np.str_] | None = None
    batches: NDArray[np.str_] | None = None
    order: NDArray[np.float64] | None = None
