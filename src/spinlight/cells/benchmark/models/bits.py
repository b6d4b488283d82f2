"""The QBM-VAE and its control, whose bits are independent under the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spinlight._checks import require_extra
from spinlight.cells.benchmark.chosen import (
    BATCH_SIZE,
    LIKELIHOOD_DRAWS,
    Chosen,
    ChosenPrior,
    full_network,
    hyperparameters,
    warmup_epochs,
)
from spinlight.cells.benchmark.models.base import BATCH, Embedded, Embedding, FitTask, HeldOut
from spinlight.cells.versions import installed

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True)
class Bits(Embedding):
    """`QBMVAE` with a Boltzmann machine, or independent bits with learned biases, as its prior.

    Args:
        name: what the command calls it.
        about: what it is, in one line.
        prior: the law of the bits.
        chosen: hyperparameters.
        chosen_prior: those of the prior.
    """

    name: str
    about: str
    prior: Literal["boltzmann", "bernoulli"]
    chosen: Chosen
    chosen_prior: ChosenPrior

    @property
    def size(self) -> int:
        """The chosen number of bits."""
        return self.chosen.size

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides a fit."""
        return {
            "model": f"QBMVAE of spinlight {installed('spinlight') or 'unknown'}",
            "prior": self.prior,
            "hyperparameters": hyperparameters(self.chosen),
            "hyperparameters of the prior": asdict(self.chosen_prior),
        }

    def fit(self, cells: AnnData, task: FitTask) -> Embedded:
        """Embed the cells by what the encoder says of their bits."""
        scvi = require_extra("scvi", "cells")
        # Both bring scvi-tools in, which takes seconds.
        from spinlight.cells.benchmark.models.training import loss_curves, train
        from spinlight.cells.model import QBMVAE
        from spinlight.latent import BernoulliPrior

        scvi.settings.seed = task.seed
        QBMVAE.setup_anndata(cells, batch_key=BATCH if BATCH in cells.obs else None)
        model = QBMVAE(
            cells,
            n_latent=task.size,
            prior=BernoulliPrior(task.size) if self.prior == "bernoulli" else None,
            **full_network(self.chosen),
        )
        plan = {
            "lr": self.chosen.lr,
            "prior_lr": self.chosen_prior.lr,
            "n_epochs_kl_warmup": warmup_epochs(self.chosen, task.epochs),
        }
        seconds = train(model, task, plan)
        latent: Any = model.get_latent_representation(representation=self.chosen_prior.representation)  # type: ignore[arg-type]
        return Embedded(
            latent=np.asarray(latent, dtype=np.float32),
            seconds=seconds,
            curves=loss_curves(model),
            held_out=_held_out(model, task),
            energies=model.get_cell_energy(),
        )


def _held_out(model: Any, task: FitTask) -> HeldOut:
    bound = model.get_log_likelihood(
        indices=task.split.held_out, batch_size=BATCH_SIZE, draws=LIKELIHOOD_DRAWS, seed=task.seed
    )
    # Too high a log Z makes a likelihood too low, which flatters nobody.
    pessimistic = np.asarray(bound.per_row, dtype=np.float64) - 2 * bound.log_partition_error
    return HeldOut(
        per_cell=pessimistic, of="counts given their total", log_partition_error=float(bound.log_partition_error)
    )
