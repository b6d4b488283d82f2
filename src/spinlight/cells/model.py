"""QBM-VAE: scvi-tools' variational autoencoder of counts with a Boltzmann machine as its prior."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any, Literal, get_args

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, fields
from scvi.data._utils import _get_adata_minify_type
from scvi.model._utils import _init_library_size
from scvi.model.base import (
    ArchesMixin,
    BaseMinifiedModeModelClass,
    EmbeddingMixin,
    RNASeqMixin,
    UnsupervisedTrainingMixin,
    VAEMixin,
)
from torch import Tensor

from spinlight._checks import fraction, instance, positive_integer
from spinlight._errors import InvalidDataError, InvalidSettingError
from spinlight._random import Seed
from spinlight.cells.data import require_columns, require_counts, require_covariates, require_values
from spinlight.cells.generation import generate_cells
from spinlight.cells.likelihood import importance_weighted_bound
from spinlight.cells.module import QBMVAEModule
from spinlight.cells.plan import BoltzmannTrainingPlan
from spinlight.ising import LogPartition, SupportsDraw
from spinlight.latent import BoltzmannPrior, SpikeAndExponential
from spinlight.latent.base import Prior
from spinlight.latent.relaxations.base import Relaxation
from spinlight.models import BoltzmannMachine
from spinlight.training import AnnealedImportance, ImportanceWeightedBound
from spinlight.training.interrupts import StopOnInterrupt

Representation = Literal["probabilities", "bits", "logits"]
GeneLikelihood = Literal["nb", "zinb", "poisson", "normal"]
Dispersion = Literal["gene", "gene-batch", "gene-label", "gene-cell"]

BITS = 128
"""Latent bits by default."""


class QBMVAE(
    EmbeddingMixin,  # type: ignore[misc]  # scvi-tools carries no types
    RNASeqMixin,  # type: ignore[misc]
    VAEMixin,  # type: ignore[misc]
    ArchesMixin,  # type: ignore[misc]
    UnsupervisedTrainingMixin,  # type: ignore[misc]
    BaseMinifiedModeModelClass,  # type: ignore[misc]
):
    """A variational autoencoder of counts whose latent bits have a Boltzmann machine as their prior.

    ELBO = E_q[log p(x | zeta, batch)] - KL(q(z | x) || p(z)),  p(z) = exp(-E(z)) / Z

    A scvi-tools model: register the data by `setup_anndata`, then `train`, then take the latent. Encoder body, decoder, likelihoods,
    covariates, expression, differential expression, query mapping, minified data, `history`, `save` and `load` are scvi-tools'. The
    ELBO contains - log Z: every cell's value shares the error of `get_log_partition()`. `get_elbo` draws zeta once for each cell,
    which adds an error of its own, usually the larger: call it several times and average, as `fit_cells` does, or take
    `get_log_likelihood`. Negatives and the estimate of log Z survive `save` and `load`.

    Args:
        adata: registered by `setup_anndata`.
        registry: of a data module, where the data are not in memory; see scvi-tools.
        n_latent: latent bits, the units of a fully connected Boltzmann machine; leave it out where `prior` says it.
        n_hidden: width of the hidden layers.
        n_layers: hidden layers of encoder and decoder.
        dropout_rate: of the encoder.
        dispersion: what has an inverse dispersion of its own: each gene, or each gene in each batch, label or cell.
        gene_likelihood: "nb", "zinb" or "poisson" of counts, or "normal" of log-normalised values.
        use_observed_lib_size: take the cell's total as its library size, rather than infer it.
        prior: over the bits: a `BoltzmannPrior` of any machine (full, restricted, sparse) with any negatives, or a `BernoulliPrior`
            as its control. The model trains a copy of it, `model.module.prior`.
        relaxation: of the bits; `SpikeAndExponential()` by default.
        normalize_logits: batch normalisation of the encoder's logits, which keeps every bit in use.
        network: what else `scvi.module.VAE` takes: `encode_covariates`, `deeply_inject_covariates`, `use_layer_norm`, ...

    Raises:
        InvalidDataError: data that the likelihood is none of.
        InvalidSettingError: a number outside its domain, or no prior or relaxation.

    References:
        Wang et al., "Quantum-boosted high-fidelity deep learning", arXiv 2508.11190 (2025); Lopez et al., "Deep generative
        modeling for single-cell transcriptomics", Nature Methods 15 (2018) 1053 (likelihood and decoder). Ours differs from
        the public code of the former: true negative phase, log Z with its error, gradients of the energy reach the encoder.
    """

    _module_cls = QBMVAEModule
    _training_plan_cls = BoltzmannTrainingPlan
    _LATENT_QZM_KEY = "qbmvae_latent_qzm"
    _LATENT_QZV_KEY = "qbmvae_latent_qzv"

    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict[str, Any] | None = None,
        n_latent: int | None = None,
        n_hidden: int = 128,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        dispersion: Dispersion = "gene",
        gene_likelihood: GeneLikelihood = "nb",
        use_observed_lib_size: bool = True,
        prior: Prior | None = None,
        relaxation: Relaxation | None = None,
        normalize_logits: bool = True,
        **network: Any,
    ) -> None:
        super().__init__(adata, registry)
        latent = _prior(prior, n_latent)
        if adata is not None and self.minified_data_type is None:
            _require_data_of(gene_likelihood, adata, self.registry_["setup_args"]["layer"])
        self.module = self._module_cls(
            self.summary_stats.n_vars,
            latent,
            SpikeAndExponential() if relaxation is None else _relaxation(relaxation),
            normalized_logits=normalize_logits,
            n_hidden=positive_integer("n_hidden", n_hidden),
            n_layers=positive_integer("n_layers", n_layers),
            dropout_rate=fraction("dropout_rate", dropout_rate),
            dispersion=_one_of("dispersion", dispersion, Dispersion),
            gene_likelihood=_one_of("gene_likelihood", gene_likelihood, GeneLikelihood),
            use_observed_lib_size=use_observed_lib_size,
            **({"log_variational": gene_likelihood != "normal"} | self._shapes(use_observed_lib_size) | network),
        )
        self.module.minified_data_type = self.minified_data_type
        self._model_summary_string = (
            f"QBMVAE: {latent.units} latent bits under a {type(latent).__name__}, {n_layers} x {n_hidden} hidden units, "
            f"likelihood {gene_likelihood}"
        )
        self.init_params_ = self._get_init_params(locals())

    def _shapes(self, use_observed_lib_size: bool) -> dict[str, Any]:
        """Return what the registered data say about the network: numbers of batches, labels and covariates, library sizes."""
        size_factor = self.registry_["setup_args"]["size_factor_key"]
        categorical = self.registry["field_registries"][REGISTRY_KEYS.CAT_COVS_KEY]["state_registry"]
        shapes = {
            "n_batch": self.summary_stats.n_batch,
            "n_labels": self.summary_stats.n_labels,
            "n_continuous_cov": self.summary_stats.get("n_extra_continuous_covs", 0),
            "n_cats_per_cov": categorical.get("n_cats_per_key"),
            "use_size_factor_key": bool(size_factor),
        }
        if size_factor or use_observed_lib_size:
            return shapes
        means, variances = _init_library_size(self.adata_manager, shapes["n_batch"])
        return shapes | {"library_log_means": means, "library_log_vars": variances}

    @property
    def prior_state_(self) -> dict[str, Any] | None:
        """Negatives and log Z of the prior, which `save` keeps and query mapping hands over (scvi-tools takes names with a final _)."""
        prior = self.module.prior
        return deepcopy(prior.get_extra_state()) if isinstance(prior, BoltzmannPrior) else None

    @prior_state_.setter
    def prior_state_(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self.module.prior.set_extra_state(state)

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        layer: str | None = None,
        batch_key: str | None = None,
        labels_key: str | None = None,
        size_factor_key: str | None = None,
        categorical_covariate_keys: list[str] | None = None,
        continuous_covariate_keys: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Register the data and the columns of `obs` that describe the cells.

        Args:
            adata: cells by genes.
            layer: where the raw counts are (of a normal likelihood: the log-normalised values); `X` by default.
            batch_key: column of experimental batches; the decoder is conditioned on it.
            labels_key: column of labels; never trained on.
            size_factor_key: column of size factors, which take the place of the library size.
            categorical_covariate_keys: columns of groups that the decoder is conditioned on as well.
            continuous_covariate_keys: columns of numbers that the decoder is conditioned on as well.
            kwargs: scvi-tools' own, used by `load`.

        Raises:
            InvalidDataError: negative, NaN or infinite values, a cell without any count, cells without a value in a column, size
                factors that are not above zero.
            UnknownNameError: there is no such layer or column.
            InvalidSettingError: one column for batches and labels.
        """
        arguments = cls._get_setup_method_args(**locals())
        minified = _get_adata_minify_type(adata)
        require_columns(adata, batch_key=batch_key, labels_key=labels_key)
        require_covariates(
            adata, size_factor=size_factor_key, groups=categorical_covariate_keys, numbers=continuous_covariate_keys
        )
        if minified is None:
            require_values(adata, layer)
        registered = [
            fields.LayerField(REGISTRY_KEYS.X_KEY, layer, is_count_data=False),  # the likelihood decides; we check
            fields.CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch_key),
            fields.CategoricalObsField(REGISTRY_KEYS.LABELS_KEY, labels_key),
            fields.NumericalObsField(REGISTRY_KEYS.SIZE_FACTOR_KEY, size_factor_key, required=False),
            fields.CategoricalJointObsField(REGISTRY_KEYS.CAT_COVS_KEY, categorical_covariate_keys),
            fields.NumericalJointObsField(REGISTRY_KEYS.CONT_COVS_KEY, continuous_covariate_keys),
        ]
        if minified is not None:
            registered += cls._get_fields_for_adata_minification(minified)
        manager = AnnDataManager(fields=registered, setup_method_args=arguments)
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
        self._training_mode()
        with StopOnInterrupt() as stop, warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".* module\\(s\\) in eval mode"
            )  # those that a mapped query freezes
            try:
                callbacks = [*(settings.pop("callbacks", None) or ()), stop]
                super().train(max_epochs=max_epochs, callbacks=callbacks, **settings)
            except SystemExit as error:  # what Lightning makes of an interrupt
                self.module.eval()
                self.is_trained_ = True
                raise KeyboardInterrupt("training was interrupted") from error

    def _training_mode(self) -> None:
        """Let the networks learn, also those of a loaded model, which scvi-tools leaves in evaluation mode.

        Normalisations without momentum are scvi-tools' way to freeze those of a reference: they keep its statistics.
        """
        self.module.train()
        for part in self.module.modules():
            if isinstance(part, torch.nn.BatchNorm1d) and part.momentum == 0:
                part.eval()

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        give_mean: bool = True,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        representation: Representation = "probabilities",
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the encoder says of each cell's bits, shape (cells, bits).

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            give_mean: False for one draw of the smoothed bits zeta, which the decoder sees.
            batch_size: cells per pass.
            return_dist: return mean q and variance q (1 - q) of the bits instead, as `minify_adata` takes them.
            dataloader: mini-batches, instead of cells.
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
        found = self._inferred(adata, indices, batch_size, dataloader)
        if return_dist:
            parts = [(each["qz"].mean.cpu(), each["qz"].variance.cpu()) for each in found]
            mean, variance = (torch.cat(part).numpy() for part in zip(*parts))
            return mean, variance
        return torch.cat([(convert(each["qz"].logits) if give_mean else each["z"]).cpu() for each in found]).numpy()

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
        found = self._inferred(adata, indices, batch_size)
        return torch.cat([self.module.prior.energy(each["qz"].mean).cpu() for each in found]).numpy()

    def get_log_likelihood(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int | None = None,
        *,
        draws: int = 100,
        seed: Seed = 0,
    ) -> ImportanceWeightedBound:
        """Return a lower bound on log p(x) of each cell that rises to it with the number of draws, with log Z's error.

        L_k = log (1/k) sum_i p(x | zeta_i) p(z_i) / q(z_i | x),  z_i ~ q(z | x),  zeta_i ~ r(zeta | z_i)

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            batch_size: cells per pass; memory grows with `batch_size` times genes.
            draws: k, at least 1.
            seed: integer, generator, or None for fresh entropy.

        Raises:
            InvalidDataError: other genes, or in another order.
            InvalidSettingError: draws below 1, or an impossible seed.

        Cost:
            `draws` passes of the decoder.
        """
        self._check_if_trained(warn=False)
        loader = self._make_data_loader(adata=self._validate_anndata(adata), indices=indices, batch_size=batch_size)
        return importance_weighted_bound(self.module, loader, draws=draws, seed=seed)

    def generate_cells(
        self, count: int, *, batch: str | None = None, sampler: SupportsDraw | None = None, seed: Seed = None
    ) -> AnnData:
        """Return new cells: bits of the prior, smoothed, decoded, and counts drawn.

        What the prior does not know, each new cell has from a cell of the model that is drawn at random: batch, covariates and library
        size. Bits and observations are otherwise new.

        Args:
            count: cells, at least 1.
            batch: only of this batch; of all batches, as often as the model's cells are, by default.
            sampler: of the prior's bits, at beta = 1; the prior's own way by default.
            seed: integer, generator, or None for fresh entropy.

        Returns:
            counts in `X` (of a normal likelihood: values), the columns that the model was set up with in `obs`, bits in `obsm["X_qbmvae"]`.

        Law:
            that of the prior's bits.

        Raises:
            InvalidSettingError: an impossible count or seed, no sampler, or one at another beta than 1.
            UnknownNameError: there is no such batch.
        """
        self._check_if_trained(warn=False)
        return generate_cells(self, positive_integer("count", count), batch=batch, sampler=sampler, seed=seed)

    def get_normalized_expression(self, *arguments: Any, **settings: Any) -> Any:
        """Return the expression that the decoder gives each gene, as scvi-tools' models do.

        Args:
            arguments: those of `scvi.model.SCVI.get_normalized_expression`.
            settings: the same, by name.

        Raises:
            InvalidSettingError: importance weights over cells.
        """
        if settings.get("weights") == "importance":
            raise InvalidSettingError(
                "weights='importance' needs a latent with a density, which bits have not; take weights='uniform'"
            )
        return super().get_normalized_expression(*arguments, **settings)

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

    def _inferred(
        self,
        adata: AnnData | None,
        indices: Sequence[int] | None,
        batch_size: int | None,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield what inference gives for each mini-batch: the posterior `qz` and a draw `z`."""
        self._check_if_trained(warn=False)
        if dataloader is None:
            cells = self._validate_anndata(adata)
            dataloader = self._make_data_loader(adata=cells, indices=indices, batch_size=batch_size)
        for tensors in dataloader:
            yield self.module.inference(**self.module._get_inference_input(tensors))


_CONVERSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilities": torch.sigmoid,
    "bits": lambda logits: (logits > 0).to(torch.float32),
    "logits": lambda logits: logits,
}


def _prior(prior: Prior | None, bits: int | None) -> Prior:
    """Return the module's own prior: a copy of the given one, or a full Boltzmann machine of so many bits."""
    if prior is None:
        machine = BoltzmannMachine(BITS if bits is None else positive_integer("n_latent", bits))
        return BoltzmannPrior(machine, estimator=AnnealedImportance(chains=512, steps=2000))
    instance("prior", prior, Prior, "a prior such as BoltzmannPrior(machine) or BernoulliPrior(units)")
    if bits not in (None, prior.units):
        raise InvalidSettingError(f"n_latent is {bits} and the prior has {prior.units} bits; leave n_latent out")
    return deepcopy(prior)


def _relaxation(relaxation: Relaxation) -> Relaxation:
    return instance("relaxation", relaxation, Relaxation, "a relaxation such as SpikeAndExponential()")


def _one_of(name: str, value: str, kind: Any) -> str:
    if value not in get_args(kind):
        raise InvalidSettingError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}")
    return value


def _require_data_of(likelihood: str, cells: AnnData, layer: str | None) -> None:
    if likelihood != "normal":
        require_counts(cells, layer)
