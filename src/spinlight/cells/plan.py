"""How a QBM-VAE is trained: negatives before each step, an estimate of log Z every fifty."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from scvi import REGISTRY_KEYS
from scvi.train import TrainingPlan
from torch.optim.lr_scheduler import ReduceLROnPlateau

from spinlight._checks import flag, positive_integer, positive_number
from spinlight._errors import InvalidSettingError, InvalidStateError, SpinlightWarning
from spinlight.cells import defaults
from spinlight.cells.checks import require_mini_batch
from spinlight.cells.module import QBMVAEModule
from spinlight.latent import BoltzmannPrior
from spinlight.training import AnnealedImportance

_QUICK = AnnealedImportance(chains=64, steps=300)
"""Some twenty milliseconds for 128 bits."""

_CHAINS = "spinlight_prior"
"""Where a checkpoint holds them."""


class BoltzmannTrainingPlan(TrainingPlan):  # type: ignore[misc]  # scvi-tools carries no types
    """scvi-tools' training plan, with negatives for the prior and a learning rate of its own.

    Args:
        module: the network.
        lr: learning rate of the networks.
        prior_lr: learning rate of the Boltzmann machine. Chains follow its parameters only as fast as they mix.
        n_epochs_kl_warmup: epochs over which the weight of KL rises to one; `QBMVAE.train` says a third of all, this plan by itself none.
        estimate_every: steps between two quick estimates of log Z, for the history; training ends with a full one.
        check_values: whether every mini-batch is checked as `setup_anndata` checks cells; `QBMVAE.train` says so where a data module
            brings them.
        settings: those of `scvi.train.TrainingPlan` (`weight_decay`, `max_kl_weight`, `reduce_lr_on_plateau`, ...).

    Raises:
        InvalidSettingError: an impossible number, or `update_only_decoder`, which this model has no use for.
    """

    def __init__(
        self,
        module: QBMVAEModule,
        *,
        lr: float = defaults.RATE,
        prior_lr: float = defaults.PRIOR_RATE,
        n_epochs_kl_warmup: int | None = None,
        estimate_every: int = 50,
        check_values: bool = False,
        **settings: Any,
    ) -> None:
        if settings.get("update_only_decoder"):
            raise InvalidSettingError(
                "update_only_decoder is for training on minified data, which QBMVAE cannot do; leave it out"
            )
        super().__init__(module, lr=positive_number("lr", lr), n_epochs_kl_warmup=n_epochs_kl_warmup, **settings)
        self.prior_lr = positive_number("prior_lr", prior_lr)
        self.estimate_every = positive_integer("estimate_every", estimate_every)
        self.check_values = flag("check_values", check_values)

    def on_fit_start(self) -> None:
        """Give every process chains of its own, where several train together."""
        if self.trainer.world_size > 1 and isinstance(self.module.prior, BoltzmannPrior):
            self.module.prior.negatives.branch(self.trainer.global_rank)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Draw negatives of the present prior, then step as scvi-tools does.

        Raises:
            InvalidDataError: values that the likelihood has no place for, where they are checked.
        """
        if self.check_values:
            require_mini_batch(batch[REGISTRY_KEYS.X_KEY], counts=self.module.gene_likelihood != "normal")
        if self._learns_prior:
            self.module.prior.advance()
            if self.global_step % self.estimate_every == 0:
                self._estimate_quickly()
        return super().training_step(batch, batch_idx)

    @property
    def _learns_prior(self) -> bool:
        """Whether the prior changes: not while a query is mapped."""
        return any(parameter.requires_grad for parameter in self.module.prior.parameters())

    def _estimate_quickly(self) -> None:
        if not isinstance(self.module.prior, BoltzmannPrior):
            return
        with warnings.catch_warnings():
            # Of too few effective chains; the history shows it as an error that is NaN, and the last estimate is a full one.
            warnings.simplefilter("ignore", SpinlightWarning)
            self.module.prior.estimate(_QUICK)

    def on_validation_epoch_start(self) -> None:
        """Estimate log Z for the held-out cells."""
        if self._learns_prior:
            self._estimate_quickly()

    def on_train_epoch_end(self) -> None:
        """Log log Z with its error, and refuse to go on with a loss that is no number.

        Raises:
            InvalidStateError: a loss that is no number.
        """
        loss = self.trainer.callback_metrics.get("train_loss_epoch", self.trainer.callback_metrics.get("train_loss"))
        if loss is not None and not bool(torch.isfinite(loss)):
            raise InvalidStateError(
                f"training diverged in epoch {self.current_epoch}: the loss is {float(loss)}; "
                f"make the model anew and train it with a lower lr than {self.lr:g}"
            )
        known = self.module.prior.log_partition
        self.log_dict({"log_partition": known.value, "log_partition_error": known.standard_error})

    def on_train_end(self) -> None:
        """Leave the module with an estimate of log Z at its last parameters."""
        if self._learns_prior:
            self.module.prior.estimate()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the prior's chains in Lightning's checkpoints too; the module's `state_dict` has none."""
        if isinstance(self.module.prior, BoltzmannPrior):
            checkpoint[_CHAINS] = self.module.prior.get_extra_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the chains of a checkpoint."""
        if _CHAINS in checkpoint:
            self.module.prior.set_extra_state(checkpoint[_CHAINS])

    def configure_optimizers(self) -> dict[str, Any]:
        """Return Adam with two learning rates: the networks', with scvi-tools' settings, and the prior's.

        `reduce_lr_on_plateau` lowers both by the same factor.
        """
        prior = [parameter for parameter in self.module.prior.parameters() if parameter.requires_grad]
        of_prior = set(map(id, prior))
        networks = [
            parameter
            for parameter in self.module.parameters()
            if parameter.requires_grad and id(parameter) not in of_prior
        ]
        optimizer = self.get_optimizer_creator()(networks)
        # scvi-tools' large eps (0.01) would swallow gradients of couplings, which are below one; decay would bias energies.
        if prior:
            optimizer.add_param_group({"params": prior, "lr": self.prior_lr, "eps": 1e-8, "weight_decay": 0.0})
        self._in_one_pass(optimizer, [*networks, *prior])
        if not self.reduce_lr_on_plateau:
            return {"optimizer": optimizer}
        scheduler = ReduceLROnPlateau(
            optimizer,
            patience=self.lr_patience,
            factor=self.lr_factor,
            threshold=self.lr_threshold,
            min_lr=self.lr_min,
            threshold_mode="abs",
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": self.lr_scheduler_metric}}

    def _in_one_pass(self, optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        """Let Adam go once over each parameter: on a CPU its dozen small operations cost a tenth of a step.

        Not on a GPU, where Lightning refuses to clip gradients of such an optimizer in 16 bits.
        """
        if self.optimizer_name in ("Adam", "AdamW") and all(each.device.type == "cpu" for each in parameters):
            for group in optimizer.param_groups:
                group["fused"] = True
