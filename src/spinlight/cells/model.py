"""QBM-VAE: scvi-tools' variational autoencoder of counts with a Boltzmann machine as its prior."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from anndata import AnnData
from lightning.pytorch import Trainer as LightningTrainer
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, fields
from scvi.data._utils import _get_adata_minify_type
from scvi.model._utils import _init_library_size
from scvi.model.base import (
    ArchesMixin,
    BaseMinifiedModeModelClass,
    BaseModelClass,
    EmbeddingMixin,
    UnsupervisedTrainingMixin,
)
from scvi.module import VAE
from scvi.train import Trainer, TrainingPlan

from spinlight._checks import flag, fraction, instance, integer, nonnegative_number, positive_integer
from spinlight._errors import InvalidDataError, InvalidSettingError
from spinlight.cells import defaults
from spinlight.cells.checks import (
    require_anndata,
    require_columns,
    require_counts,
    require_covariates,
    require_groups,
    require_values,
)
from spinlight.cells.getters import BitsMixin
from spinlight.cells.module import QBMVAEModule
from spinlight.cells.others import require_genes, require_registered, same_genes
from spinlight.cells.plan import BoltzmannTrainingPlan
from spinlight.cells.signatures import require_known, signature_of, stated
from spinlight.latent import BoltzmannPrior, SpikeAndExponential
from spinlight.latent.base import Prior
from spinlight.latent.relaxations.base import Relaxation
from spinlight.models import BoltzmannMachine
from spinlight.training import AnnealedImportance
from spinlight.training.interrupts import StopOnInterrupt, interrupts_named

GeneLikelihood = Literal["nb", "zinb", "poisson", "normal"]
Dispersion = Literal["gene", "gene-batch", "gene-label", "gene-cell"]

_FEWEST_TRAINED = 5
_LEAST_VARIANCE = 1e-8

_OURS = {
    "n_input",
    "n_batch",
    "n_labels",
    "n_continuous_cov",
    "n_cats_per_cov",
    "latent_distribution",
    "use_size_factor_key",
    "library_log_means",
    "library_log_vars",
}
"""What `scvi.module.VAE` takes and a user cannot choose."""


class QBMVAE(
    EmbeddingMixin,  # type: ignore[misc]  # scvi-tools carries no types
    BitsMixin,
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
        n_latent: latent bits, the units of a fully connected Boltzmann machine; 30 by default, or what `prior` has.
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
        label_weight: of the labels' cross-entropy in the loss, for `predict`; none by default.
            Needs `setup_anndata(labels_key=..., unlabeled_category=...)`. `dispersion="gene-label"` uses labels too.
        encode_covariates: whether the encoder is told batch and covariates too, not only the decoder.
        use_batch_norm: of the hidden layers of "encoder", "decoder", "both" or "none".
        use_layer_norm: the same; in scvi-tools' own models batch normalisation is the default.
        network: what else `scvi.module.VAE` takes: `deeply_inject_covariates`, `batch_representation`, ...

    Raises:
        InvalidDataError: values that the likelihood has no place for.
        InvalidSettingError: a number outside its domain, no prior or relaxation, a weight of labels that are not registered, or an
            argument that nobody takes.

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
        n_hidden: int = defaults.HIDDEN,
        n_layers: int = defaults.LAYERS,
        dropout_rate: float = defaults.DROPOUT,
        dispersion: Dispersion = "gene",
        gene_likelihood: GeneLikelihood = "nb",
        use_observed_lib_size: bool = True,
        prior: Prior | None = None,
        relaxation: Relaxation | None = None,
        normalize_logits: bool = True,
        label_weight: float = 0.0,
        encode_covariates: bool = defaults.ENCODE_COVARIATES,
        use_batch_norm: defaults.Norm = defaults.BATCH_NORM,
        use_layer_norm: defaults.Norm = defaults.LAYER_NORM,
        **network: Any,
    ) -> None:
        require_known("QBMVAE", network, type(self).__init__, VAE.__init__)
        super().__init__(adata, registry)
        latent = _prior(prior, n_latent)
        if taken := _OURS & network.keys():
            raise InvalidSettingError(
                f"{', '.join(sorted(taken))} cannot be set: the latent is of bits, and the data say how many genes, batches and labels "
                "there are"
            )
        if adata is not None and self.minified_data_type is None:
            _require_data_of(gene_likelihood, adata, self.registry_["setup_args"]["layer"])
        self.module = self._module_cls(
            self.summary_stats.n_vars,
            latent,
            SpikeAndExponential() if relaxation is None else _relaxation(relaxation),
            normalized_logits=flag("normalize_logits", normalize_logits),
            label_weight=self._label_weight(label_weight),
            n_hidden=positive_integer("n_hidden", n_hidden),
            n_layers=positive_integer("n_layers", n_layers),
            dropout_rate=fraction("dropout_rate", dropout_rate),
            dispersion=_one_of("dispersion", dispersion, Dispersion),
            gene_likelihood=_one_of("gene_likelihood", gene_likelihood, GeneLikelihood),
            use_observed_lib_size=flag("use_observed_lib_size", use_observed_lib_size),
            encode_covariates=flag("encode_covariates", encode_covariates),
            use_batch_norm=_one_of("use_batch_norm", use_batch_norm, defaults.Norm),
            use_layer_norm=_one_of("use_layer_norm", use_layer_norm, defaults.Norm),
            **({"log_variational": gene_likelihood != "normal"} | self._shapes(use_observed_lib_size) | network),
        )
        self.module.minified_data_type = self.minified_data_type
        self._model_summary_string = (
            f"QBMVAE: {latent.units} latent bits under a {type(latent).__name__}, {n_layers} x {n_hidden} hidden units, "
            f"likelihood {gene_likelihood}"
        )
        self.init_params_ = self._get_init_params(locals())

    def _label_weight(self, weight: float) -> float:
        if (
            nonnegative_number("label_weight", weight)
            and self.registry_["setup_args"].get("unlabeled_category") is None
        ):
            raise InvalidSettingError(
                "label_weight needs labels: setup_anndata(labels_key=..., unlabeled_category=...), the latter being what cells without "
                "a label are called, now or in a query"
            )
        if weight and self.summary_stats.n_labels < 3:  # the last is that of cells without one
            raise InvalidSettingError("label_weight needs cells of two labels at least")
        return weight

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
        if self.adata is None:
            raise InvalidSettingError(
                "use_observed_lib_size=False takes the spread of library sizes from the cells, which a registry does not hold; give adata"
            )
        means, variances = _init_library_size(self.adata_manager, shapes["n_batch"])
        if not (np.isfinite(variances).all() and (variances > _LEAST_VARIANCE).all()):
            raise InvalidDataError(
                "library sizes cannot be inferred where a batch has one cell, or cells of one total; leave use_observed_lib_size=True"
            )
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
        unlabeled_category: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Register the data and the columns of `obs` that describe the cells.

        Args:
            adata: cells by genes.
            layer: where the raw counts are (of a normal likelihood: the log-normalised values); `X` by default.
            batch_key: column of experimental batches; the decoder is told them, and the encoder too where `encode_covariates` says so.
            labels_key: column of labels; used by a model with `label_weight` or `dispersion="gene-label"`, and by no other.
            size_factor_key: column of size factors, which take the place of the library size.
            categorical_covariate_keys: columns of groups that are told in the same way.
            continuous_covariate_keys: columns of numbers that are told in the same way.
            unlabeled_category: what cells without a label are called in that column.
            kwargs: scvi-tools' own, used by `load` and `load_query_data`.

        Raises:
            InvalidDataError: negative, NaN or infinite values, a cell without any count, cells without a value in a column, size
                factors that are not above zero.
            UnknownNameError: there is no such layer or column.
            InvalidSettingError: one column for batches and labels, or an unlabelled category without labels.
        """
        arguments = cls._get_setup_method_args(**locals())
        require_anndata(adata)
        minified = _get_adata_minify_type(adata)
        if unlabeled_category is not None and labels_key is None:
            raise InvalidSettingError("unlabeled_category is a value of the labels' column; give labels_key too")
        filled_in = (
            unlabeled_category is not None and kwargs.get("allow_missing_labels") and labels_key not in adata.obs
        )
        require_columns(adata, batch_key=batch_key, labels_key=None if filled_in else labels_key)
        if batch_key is not None:
            require_groups(adata, "batch key", batch_key)
        if labels_key is not None and labels_key in adata.obs:
            require_groups(adata, "labels key", labels_key, like=unlabeled_category)
        require_covariates(
            adata, size_factor=size_factor_key, groups=categorical_covariate_keys, numbers=continuous_covariate_keys
        )
        if minified is None:
            require_values(adata, layer)
        registered = [
            fields.LayerField(REGISTRY_KEYS.X_KEY, layer, is_count_data=False),  # the likelihood decides; we check
            fields.CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch_key),
            fields.CategoricalObsField(REGISTRY_KEYS.LABELS_KEY, labels_key)
            if unlabeled_category is None
            else fields.LabelsWithUnlabeledObsField(REGISTRY_KEYS.LABELS_KEY, labels_key, unlabeled_category),
            fields.NumericalObsField(REGISTRY_KEYS.SIZE_FACTOR_KEY, size_factor_key, required=False),
            fields.CategoricalJointObsField(REGISTRY_KEYS.CAT_COVS_KEY, categorical_covariate_keys),
            fields.NumericalJointObsField(REGISTRY_KEYS.CONT_COVS_KEY, continuous_covariate_keys),
        ]
        if minified is not None:
            registered += cls._get_fields_for_adata_minification(minified)
        manager = AnnDataManager(fields=registered, setup_method_args=arguments)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    def train(self, max_epochs: int | None = None, accelerator: str = "auto", **settings: Any) -> None:
        """Fit by Adam on the ELBO, the weight of KL rising to one over the first third of the epochs.

        Ctrl-C raises `KeyboardInterrupt` and leaves a model that can be used and saved, as it was then.

        Args:
            max_epochs: passes over the data; by default 200 from 5,000 to 20,000 cells, up to 400 for fewer, down to 20 for more.
            accelerator: "cpu", "gpu" or what else Lightning knows.
            settings: those of `scvi.model.base.UnsupervisedTrainingMixin.train` (`batch_size`, `devices`, `early_stopping`,
                `plan_kwargs`, `ckpt_path`, ...). `plan_kwargs` also takes `prior_lr` and `estimate_every`.

        Raises:
            InvalidSettingError: a number of epochs below one, or of cells in a mini-batch below two; or an argument that nobody takes.
            InvalidDataError: fewer than five cells, or values from a data module that the likelihood has no place for.
            InvalidStateError: training diverged, so that the loss is no number.
        """
        epochs = (
            defaults.epochs_for(self.summary_stats.n_cells)
            if max_epochs is None
            else positive_integer("max_epochs", max_epochs)
        )
        plan = stated(settings.pop("plan_config", None)) | stated(settings.pop("plan_kwargs", None))
        training = UnsupervisedTrainingMixin.train, Trainer.__init__, LightningTrainer.__init__
        require_known(
            "train", settings.keys() - {"ckpt_path"}, *training
        )  # which scvi-tools takes from what it hands on
        require_known("plan_kwargs of train", plan, BoltzmannTrainingPlan.__init__, TrainingPlan.__init__)
        plan = {"check_values": self.adata is None} | plan
        if "n_steps_kl_warmup" not in plan:  # scvi-tools would not look at it beside a number of epochs
            plan = {"n_epochs_kl_warmup": defaults.warmup_for(epochs)} | plan
        if settings.get("batch_size") is not None:
            integer("batch_size", settings["batch_size"], least=2, most=2**31)  # one cell has no batch statistics
        if self.summary_stats.n_cells < _FEWEST_TRAINED:
            raise InvalidDataError(
                f"{self.summary_stats.n_cells} cells are too few to train on; give {_FEWEST_TRAINED} at least"
            )
        if not self.history:
            self.is_trained_ = False  # an interrupt before the first epoch's end left no history to append to
        self._training_mode()
        with StopOnInterrupt() as stop, warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".* module\\(s\\) in eval mode"
            )  # those that a mapped query freezes
            callbacks = [*(settings.pop("callbacks", None) or ()), stop]
            try:
                with interrupts_named():
                    super().train(epochs, accelerator, callbacks=callbacks, plan_kwargs=plan, **settings)
            except KeyboardInterrupt:
                self.is_trained_ = True
                raise
            finally:
                self.module.eval()  # as scvi-tools leaves it, also where training was refused or failed

    @classmethod
    @signature_of(BaseModelClass.load)
    def load(cls, *arguments: Any, **settings: Any) -> QBMVAE:
        """Return a saved model with its cells, as `scvi.model.SCVI.load` does.

        Args:
            arguments: those of `scvi.model.SCVI.load`: the folder, then the cells.
            settings: the same, by name.

        Raises:
            InvalidDataError: cells with other genes, or in another order.
        """
        with same_genes():
            return cast("QBMVAE", super().load(*arguments, **settings))

    @classmethod
    @signature_of(ArchesMixin.load_query_data)
    def load_query_data(cls, *arguments: Any, **settings: Any) -> QBMVAE:
        """Return a model of new cells that a trained reference is mapped onto, as `scvi.model.SCVI.load_query_data` does.

        Args:
            arguments: those of `scvi.model.SCVI.load_query_data`: the new cells, then the reference or its folder.
            settings: the same, by name.

        Raises:
            InvalidDataError: cells with other genes, or in another order; `QBMVAE.prepare_query_anndata` puts them into the reference's.
        """
        with same_genes():
            return cast("QBMVAE", super().load_query_data(*arguments, **settings))

    def _training_mode(self) -> None:
        """Let the networks learn, also those of a loaded model, which scvi-tools leaves in evaluation mode.

        Normalisations without momentum are scvi-tools' way to freeze those of a reference: they keep its statistics.
        """
        self.module.train()
        for part in self.module.modules():
            if isinstance(part, torch.nn.BatchNorm1d) and part.momentum == 0:
                part.eval()

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        """Refuse cells that are not of the model's kind before scvi-tools' own checks: other genes or order, values that are no counts."""
        if adata is not None:
            require_anndata(adata)
            require_genes(adata, self.adata)
            if adata is not self.adata and _get_adata_minify_type(adata) is None:
                require_registered(adata, self.registry_, counts=self.module.gene_likelihood != "normal")
        return super()._validate_anndata(adata, copy_if_view)


def _prior(prior: Prior | None, bits: int | None) -> Prior:
    """Return the module's own prior: a copy of the given one, or a full Boltzmann machine of so many bits."""
    if prior is None:
        machine = BoltzmannMachine(defaults.BITS if bits is None else positive_integer("n_latent", bits))
        # Witnesses only follow log Z from one quick estimate of the training plan to the next: few of them will do.
        full = AnnealedImportance(chains=512, steps=2000)
        return BoltzmannPrior(machine, witnesses=64, witness_sweeps=2, estimator=full)
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
