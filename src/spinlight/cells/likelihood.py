"""The importance-weighted bound on the likelihood of cells."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from scvi import REGISTRY_KEYS
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._random import Seed, resolve_seed
from spinlight.cells.module import QBMVAEModule
from spinlight.training import ImportanceWeightedBound

_TERMS = 4_000_000
"""Counts that a pass of the decoder computes at most: some sixteen megabytes for each of its tensors."""


def importance_weighted_bound(
    module: QBMVAEModule, loader: Iterable[dict[str, Tensor]], *, draws: int, seed: Seed
) -> ImportanceWeightedBound:
    """Return the importance-weighted bound on log p(x) of each cell of a loader; see `QBMVAE.get_log_likelihood`.

    Raises:
        InvalidSettingError: draws below 1, or an impossible seed.
    """
    draws = positive_integer("draws", draws)
    generator = torch.Generator(module.device).manual_seed(resolve_seed(seed))
    known = module.prior.log_partition
    values = torch.cat(
        [module.log_mean_weight(tensors, draws, _draws_at_once(tensors), generator).cpu() for tensors in loader]
    )
    return ImportanceWeightedBound(values - known.value, known.standard_error, known.method, draws)


def _draws_at_once(tensors: dict[str, Tensor]) -> int:
    """Return how many draws of a mini-batch memory allows."""
    return max(1, _TERMS // tensors[REGISTRY_KEYS.X_KEY].numel())
