"""Importance weights raised to the power that leaves enough of them effective."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_size(log_weights: Tensor) -> float:
    """Return (sum w)^2 / sum w^2: how many weights, were they alike, would carry as much."""
    return 1 / float(torch.softmax(log_weights, -1).square().sum())


def flattening_power(known: Tensor, change: Tensor, least: float) -> float:
    """Return the largest p in [0, 1] at which known + p * change leaves so many weights effective, or 0 where none does.

    Args:
        known: log weights that stay, shape (count,).
        change: log weights that are flattened, shape (count,).
        least: effective weights.
    """
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = high if effective_size(known + high * change) >= least else 0.5 * (low + high)
        low, high = (middle, high) if effective_size(known + middle * change) >= least else (low, middle)
    return low
