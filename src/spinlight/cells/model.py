"""QBM-VAE: scvi-tools' variational autoencoder of counts with a Boltzmann machine as its prior."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager
from scvi.data.fields import CategoricalObsField, LayerField
from scvi.model.base import BaseModelClass, UnsupervisedTrainingMixin, VAEMixin
from torch import Tensor

from spinlight._checks import fraction, positive_integer
from spinlight._errors import InvalidDataError, InvalidSettingError
from spinlight.cells.data import require_columns, require_counts
from spinlight.cells.module import QBMVAEModule
from spinlight.cells.plan import BoltzmannTrainingPlan
from spinlight.ising import LogPartition
from spinlight.latent import BoltzmannPrior, SpikeAndExponential
from spinlight.models import BoltzmannMachine
from spinlight.training import AnnealedImportance, NegativePhase
from spinlight.training.interrupts import StopOnInterrupt

Representation = Literal["probabilities", "bits", "logits"]


class QBMVAE(VAEMixin, UnsupervisedTrainingMixin, BaseModelClass):  # type: ignore[misc]  # scvi-tools carries no types
    """A variational autoencoder of raw counts whose latent bits have a Boltzmann machine as their prior.

    ELBO = E_q[log p(x | zeta, batch)] - KL(q(z | x) || p(z)),  p(z) = exp(-E(z)) / Z

    A scvi-tools model: register the data by `setup_anndata`, then `train`, then take the latent. The likelihood is negative
    binomial with the observed library size; the batch enters the decoder only. `get_elbo`, `get_reconstruction_error`,
    `history`, `view_anndata_setup`, `save` and `load` are scvi-tools'. The ELBO contains - log Z: every cell's value shares the
    error of `get_log_partition()`. `get_elbo` draws zeta once for each cell, which adds an error of its own, usually the larger:
    call it several times and average, as `fit_cells` does. Negatives and the estimate of log Z survive `save` and `load`.

    Args:
        adata: registered by `setup_anndata`; raw counts.
        n_latent: latent bits, the units of a fully connected Boltzmann machine.
        n_hidden: width of the hidden layers.
        n_layers: hidden layers of encoder and decoder.
        dropout_rate: of the encoder.
        relaxation_beta: sharpness of the smoothed bits; see `SpikeAndExponential`.
        negatives: of the prior, by any phase that `BoltzmannPrior` takes; 256 persistent chains by default.

    Raises:
        InvalidSettingError: a number outside its domain, or no negatives.

    References:
        Wang et al., "Quantum-boosted high-fidelity deep learning", arXiv 2508.11190 (2025); Lopez et al., "Deep generative
        modeling for single-cell transcriptomics", Nature Methods 15 (2018) 1053 (likelihood and decoder). Ours differs from
        the public code of the former: true negative phase, log Z with its error, gradients of the energy reach the encoder.
    """

    _training_plan_cls = BoltzmannTrainingPlan

    def __init__(
        self,
        adata: AnnData,
        n_latent: int = 128,
        n_hidden: int = 128,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        relaxation_beta: float = 5.0,
        negatives: NegativePhase | None = None,
    ) -> None:
        super().__init__(adata)
        self.module = QBMVAEModule(
            self.summary_stats.n_vars,
            self.summary_stats.n_batch,
            BoltzmannPrior(
                BoltzmannMachine(positive_integer("n_latent", n_latent)),
                negatives=negatives,
                estimator=AnnealedImportance(chains=512, steps=2000),
            ),
            SpikeAndExponential(beta=relaxation_beta),
            hidden_units=positive_integer("n_hidden", n_hidden),
            layers=positive_integer("n_layers", n_layers),
            dropout=fraction("dropout_rate", dropout_rate),
        )
        self._model_summary_string = (
            f"QBMVAE: {n_latent} latent bits under a Boltzmann machine, {n_layers} x {n_hidden} hidden units"
        )
        self.init_params_ = self._get_init_params(locals())

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        layer: str | None = None,
        batch_key: str | None = None,
        labels_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Register the raw counts and the columns of `obs` that describe the cells.

        Args:
            adata: cells by genes.
            layer: where the counts are; `X` by default.
            batch_key: column of experimental batches; the decoder is conditioned on it.
            labels_key: column of labels; never trained on.
            kwargs: scvi-tools' own, used by `load`.

        Raises:
            InvalidDataError: values that are no raw counts, a cell without any, or cells without a batch or label.
            UnknownNameError: there is no such layer or column.
            InvalidSettingError: one column for batches and labels.
        """
        arguments = cls._get_setup_method_args(**locals())
        require_columns(adata, batch_key=batch_key, labels_key=labels_key)
        require_counts(adata, layer)
        fields = [
            LayerField(REGISTRY_KEYS.X_KEY, layer, is_count_data=True),
            CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch_key),
            CategoricalObsField(REGISTRY_KEYS.LABELS_KEY, labels_key),
        ]
        manager = AnnDataManager(fields=fields, setup_method_args=arguments)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    def train(self, max_epochs: int | None = None, **settings: Any) -> None:
        """Fit by Adam on the ELBO, the weight of KL rising to one over the first epochs.

        Ctrl-C raises `KeyboardInterrupt` and leaves a model that can be used and saved, as it was then.

        Args:
            max_epochs: scvi-tools' heuristic by default (400 for up to 20,000 cells).
            settings: those of `scvi.model.base.UnsupervisedTrainingMixin.train` (`batch_size`, `accelerator`, `early_stopping`,
                `plan_kwargs`, ...). `plan_kwargs` also takes `prior_lr` and `estimate_every`.

        Raises:
            InvalidSettingError: a number of epochs below one.
        """
        if max_epochs is not None:
            positive_integer("max_epochs", max_epochs)
        with StopOnInterrupt() as stop:
            try:
                callbacks = [*(settings.pop("callbacks", None) or ()), stop]
                super().train(max_epochs=max_epochs, callbacks=callbacks, **settings)
            except SystemExit as error:  # what Lightning makes of an interrupt
                self.module.eval()
                self.is_trained_ = True
                raise KeyboardInterrupt("training was interrupted") from error

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int | None = None,
        representation: Representation = "probabilities",
    ) -> NDArray[np.float32]:
        """Return what the encoder says of each cell's bits, shape (cells, bits).

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            batch_size: cells per pass.
            representation: "probabilities" q in [0, 1]; "bits", 1 where q > 1/2; or "logits" log(q / (1 - q)).

        Raises:
            InvalidSettingError: another representation.
            InvalidDataError: other genes, or in another order.
        """
        convert = _CONVERSIONS.get(representation)
        if convert is None:
            raise InvalidSettingError(
                f"representation must be one of {', '.join(_CONVERSIONS)}, got {representation!r}"
            )
        return torch.cat([convert(logits).cpu() for logits in self._logits(adata, indices, batch_size)]).numpy()

    @torch.inference_mode()
    def get_cell_energy(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """Return E_q[E(z)] for each cell, shape (cells,): low where the prior puts much mass, in dimensionless units.

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            batch_size: cells per pass.

        Raises:
            InvalidDataError: other genes, or in another order.
        """
        prior = self.module.prior
        energies = [prior.energy(torch.sigmoid(logits)).cpu() for logits in self._logits(adata, indices, batch_size)]
        return torch.cat(energies).numpy()

    def get_log_partition(self) -> LogPartition:
        """Return log Z of the prior with its standard error, the part of an ELBO's error that all cells share."""
        return self.module.prior.log_partition

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        """Refuse cells with other genes than the model's, or the same in another order, before scvi-tools' own checks."""
        if adata is not None and self.adata is not None and not adata.var_names.equals(self.adata.var_names):
            raise InvalidDataError(
                "these cells have other genes than the model was made for, or in another order; "
                "take cells[:, model.adata.var_names]"
            )
        return super()._validate_anndata(adata, copy_if_view)

    def _logits(self, adata: AnnData | None, indices: Sequence[int] | None, batch_size: int | None) -> Iterator[Tensor]:
        self._check_if_trained(warn=False)
        loader = self._make_data_loader(adata=self._validate_anndata(adata), indices=indices, batch_size=batch_size)
        for tensors in loader:
            yield self.module.inference(**self.module._get_inference_input(tensors))["logits"]


_CONVERSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilities": torch.sigmoid,
    "bits": lambda logits: (logits > 0).to(torch.float32),
    "logits": lambda logits: logits,
}
