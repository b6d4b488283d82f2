"""The ELBO of a fitted model, with what its estimate leaves uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError
from spinlight.cells.model import QBMVAE

DRAWS = 16
"""Smoothed bits drawn for each cell of a reported ELBO."""


@dataclass(frozen=True, kw_only=True)
class ElboEstimate:
    """The mean ELBO of some cells, and its two independent errors; the choice of cells is in neither.

    Args:
        value: nats per cell.
        sampling_error: standard error from drawing a few smoothed bits zeta for each cell.
        log_partition_error: standard error of log Z, which every cell shares; NaN where none can be given.
    """

    value: float
    sampling_error: float
    log_partition_error: float

    @property
    def standard_error(self) -> float:
        """Both errors together, sqrt(sampling_error^2 + log_partition_error^2)."""
        return math.hypot(self.sampling_error, self.log_partition_error)


def estimate_elbo(model: QBMVAE, indices: Sequence[int], *, draws: int = DRAWS) -> ElboEstimate:
    """Return the mean ELBO of cells, each averaged over several draws of its smoothed bits.

    With v_i the variance of cell i's ELBO over R draws and n cells, sampling_error = sqrt(sum_i v_i / R) / n: given the cells,
    their draws are independent.

    Args:
        model: trained.
        indices: which cells; at least one.
        draws: R, at least 2.

    Raises:
        InvalidSettingError: fewer than two draws.

    Cost:
        `draws` passes over the cells.
    """
    if positive_integer("draws", draws) < 2:
        raise InvalidSettingError("draws must be at least 2: one draw says nothing about its error")
    passes = [model.get_elbo(indices=indices, return_mean=False).double() for _ in range(draws)]
    elbo = torch.stack(passes)  # (draws, cells)
    return ElboEstimate(
        value=float(elbo.mean()),
        sampling_error=float((elbo.var(0) / draws).sum().sqrt()) / elbo.shape[1],
        log_partition_error=model.get_log_partition().standard_error,
    )
