"""How a QBM-VAE is trained: negatives before each step, an estimate of log Z every ten."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from scvi.train import TrainingPlan

from spinlight._checks import positive_integer, positive_number
from spinlight._errors import SpinlightWarning
from spinlight.cells.module import QBMVAEModule
from spinlight.training import AnnealedImportance

_QUICK = AnnealedImportance(chains=64, steps=300)
"""About twenty milliseconds for 128 bits."""


class BoltzmannTrainingPlan(TrainingPlan):  # type: ignore[misc]  # scvi-tools carries no types
    """scvi-tools' training plan, with negatives for the prior and a learning rate of its own.

    Args:
        module: the network.
        lr: learning rate of the networks.
        prior_lr: learning rate of the Boltzmann machine. Chains follow its parameters only as fast as they mix.
        n_epochs_kl_warmup: epochs over which the weight of KL rises to one.
        estimate_every: steps between two quick estimates of log Z, for the history; training ends with a full one.
        settings: those of `scvi.train.TrainingPlan` (`weight_decay`, `max_kl_weight`, ...).
    """

    def __init__(
        self,
        module: QBMVAEModule,
        *,
        lr: float = 3e-3,
        prior_lr: float = 1e-2,
        n_epochs_kl_warmup: int | None = 50,
        estimate_every: int = 10,
        **settings: Any,
    ) -> None:
        super().__init__(module, lr=lr, n_epochs_kl_warmup=n_epochs_kl_warmup, **settings)
        self.prior_lr = positive_number("prior_lr", prior_lr)
        self.estimate_every = positive_integer("estimate_every", estimate_every)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Draw negatives of the present prior, then step as scvi-tools does."""
        self.module.prior.advance()
        if self.global_step % self.estimate_every == 0:
            self._estimate_quickly()
        return super().training_step(batch, batch_idx)

    def _estimate_quickly(self) -> None:
        with warnings.catch_warnings():
            # Of too few effective chains; the history shows it as an error that is NaN, and the last estimate is a full one.
            warnings.simplefilter("ignore", SpinlightWarning)
            self.module.prior.estimate(_QUICK)

    def on_validation_epoch_start(self) -> None:
        """Estimate log Z for the held-out cells."""
        self._estimate_quickly()

    def on_train_epoch_end(self) -> None:
        """Log log Z with its error."""
        known = self.module.prior.log_partition
        self.log_dict({"log_partition": known.value, "log_partition_error": known.standard_error})

    def on_train_end(self) -> None:
        """Leave the module with an estimate of log Z at its last parameters."""
        self.module.prior.estimate()

    def configure_optimizers(self) -> dict[str, Any]:
        """Return Adam with two learning rates: the networks', with scvi-tools' settings, and the prior's."""
        prior = list(self.module.prior.parameters())
        networks = [
            parameter
            for name, parameter in self.module.named_parameters()
            if parameter.requires_grad and not name.startswith("prior.")
        ]
        optimizer = self.get_optimizer_creator()(networks)
        # scvi-tools' large eps (0.01) would swallow gradients of couplings, which are below one; decay would bias energies.
        optimizer.add_param_group({"params": prior, "lr": self.prior_lr, "eps": 1e-8, "weight_decay": 0.0})
        return {"optimizer": optimizer}
