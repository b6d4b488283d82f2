"""What a QBM-VAE is made of and how long it is trained where nobody says; imports nothing heavy.

Network and rate are the best of eight by `benchmarks/cells.py --rows 'tuning/*'`, the bits the best of five sizes by `'sizes/*'`, on
`immune_pbmc_4batch` alone; `spinlight cells benchmark` takes the same.
"""

from __future__ import annotations

from typing import Literal

Norm = Literal["encoder", "decoder", "none", "both"]
"""Which hidden layers are normalised, as scvi-tools says it."""

BITS, HIDDEN, LAYERS, DROPOUT = 30, 128, 1, 0.1

BATCH_NORM: Norm = "none"
LAYER_NORM: Norm = "both"
ENCODE_COVARIATES = True
"""What scvi-tools' guide to scArches recommends; its own defaults are the other way round."""

RATE, PRIOR_RATE = 1e-3, 1e-2
"""Learning rates of the networks and of the prior."""

WARMUP = 1 / 3
"""Share of the epochs over which the weight of KL rises to one."""

EPOCHS, MOST_EPOCHS, FEWEST_EPOCHS = 200, 400, 20
"""Passes over the cells of a set of middle size, and the most and fewest over any other."""

FEW_CELLS, MANY_CELLS = 5_000, 20_000
"""Between them a set is of middle size. scVI and QBM-VAE learn 700 cells better in 400 epochs than in 200 (`'epochs-of-few/*'`)."""


def epochs_for(cells: int) -> int:
    """Return the passes over so many cells: over a smaller or larger set as many steps as over the smallest or largest of middle size."""
    share = max(FEW_CELLS / cells, min(1.0, MANY_CELLS / cells))
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(EPOCHS * share)))


def warmup_for(epochs: int, share: float = WARMUP) -> int:
    """Return over how many of the epochs the weight of KL rises to one."""
    return max(1, round(share * epochs))
