"""The models of scvi-tools: scVI, the linearly decoded one, and a plain autoencoder that knows no batches."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spinlight._checks import require_extra
from spinlight.cells.benchmark.chosen import (
    BATCH_SIZE,
    LIKELIHOOD_DRAWS,
    Chosen,
    hyperparameters,
    network,
    warmup_epochs,
)
from spinlight.cells.benchmark.models.base import BATCH, Embedded, FitTask, HeldOut, PackageModel
from spinlight.cells.evaluation import log_normalized
from spinlight.cells.versions import installed

if TYPE_CHECKING:
    from anndata import AnnData

_TERMS = 4_000_000
"""Values that a pass of the decoder computes at most in likelihoods."""


@dataclass(frozen=True, kw_only=True)
class Variational(PackageModel):
    """A model of scvi-tools.

    Args:
        name: what the command calls it.
        about: what it is, in one line.
        model: its class in `scvi.model`.
        chosen: hyperparameters; None for those of the package.
        batches: whether it is given the batches.
    """

    name: str
    about: str
    model: Literal["SCVI", "LinearSCVI"] = "SCVI"
    chosen: Chosen | None = None
    batches: bool = True

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides a fit."""
        return {
            "model": f"scvi.model.{self.model} of scvi-tools {installed('scvi-tools') or 'unknown'}",
            "batches": self.batches,
            "hyperparameters": hyperparameters(self.chosen),
        }

    def own_epochs(self, cells: int) -> int | None:
        """Return scvi-tools' 400 epochs, fewer beyond 20,000 cells, where all is as the package sets it."""
        return max(1, min(400, round(400 * 20_000 / cells))) if self.chosen is None else None

    def fit(self, cells: AnnData, task: FitTask) -> Embedded:
        """Embed the cells by the posterior means."""
        scvi = require_extra("scvi", "cells")
        # It brings Lightning in, which comes with scvi-tools.
        from spinlight.cells.benchmark.models.training import loss_curves, train

        kind = getattr(scvi.model, self.model)
        scvi.settings.seed = task.seed
        if self._normal:
            cells = log_normalized(cells.X)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*does not contain unnormalized count data"
            )  # a normal likelihood
            kind.setup_anndata(cells, batch_key=BATCH if self.batches and BATCH in cells.obs else None)
        model = kind(cells, n_latent=task.size, **self._network())
        seconds = train(model, task, self._plan(task.epochs))
        return Embedded(
            latent=np.asarray(model.get_latent_representation(), dtype=np.float32),
            seconds=seconds,
            curves=loss_curves(model),
            held_out=self._held_out(model, task),
        )

    @property
    def _normal(self) -> bool:
        return self.chosen is not None and self.chosen.likelihood == "normal"

    def _network(self) -> dict[str, Any]:
        if self.chosen is None:
            return {}
        return network(self.chosen) | ({"log_variational": False} if self._normal else {})

    def _plan(self, epochs: int) -> dict[str, Any]:
        if self.chosen is None:
            return {}
        return {"lr": self.chosen.lr, "n_epochs_kl_warmup": warmup_epochs(self.chosen, epochs)}

    def _held_out(self, model: Any, task: FitTask) -> HeldOut:
        rows = BATCH_SIZE * model.adata.n_vars
        draws = max(
            part
            for part in range(1, LIKELIHOOD_DRAWS + 1)
            if LIKELIHOOD_DRAWS % part == 0 and (part * rows <= _TERMS or part == 1)
        )
        bounds = model.get_marginal_ll(
            indices=task.split.held_out,
            n_mc_samples=LIKELIHOOD_DRAWS,
            n_mc_samples_per_pass=draws,
            batch_size=BATCH_SIZE,
            return_mean=False,
        )
        of = "log-normalised values" if self._normal else "counts"
        if model.module.use_observed_lib_size:
            of += " given their total"
        return HeldOut(per_cell=np.asarray(bounds, dtype=np.float64).ravel(), of=of)
