"""Which cells are trained on: the same for every model, by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinlight.cells.benchmark.chosen import BATCH_SIZE, HELD_OUT

_FEWEST_IN_BATCH = 3
"""Batch normalisation cannot take a batch of one, and scvi-tools warns of two."""


@dataclass(frozen=True)
class Split:
    """Disjoint indices that together are all cells.

    Args:
        training: shape (cells trained on,).
        held_out: shape (held-out cells,).
    """

    training: NDArray[np.intp]
    held_out: NDArray[np.intp]


def split_cells(count: int, seed: int) -> Split:
    """Return a random nine tenths of `count` cells and the others.

    A last mini-batch of one or two cells goes to the held-out ones.

    Args:
        count: cells, at least 20.
        seed: integer.
    """
    order = np.random.default_rng(seed).permutation(count)
    training = count - max(1, round(HELD_OUT * count))
    if 0 < training % BATCH_SIZE < _FEWEST_IN_BATCH:
        training -= training % BATCH_SIZE
    return Split(np.sort(order[:training]), np.sort(order[training:]))
