"""What a trained QBM-VAE says of cells: latent bits, energies, likelihoods, labels, expression, and new cells."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scvi import REGISTRY_KEYS
from scvi.data._utils import _validate_adata_dataloader_input
from scvi.model.base import RNASeqMixin, VAEMixin
from scvi.utils import unsupported_if_adata_minified
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError
from spinlight._random import Seed
from spinlight.cells.checks import require_groups_of
from spinlight.cells.generation import generate_cells
from spinlight.cells.likelihood import importance_weighted_bound
from spinlight.cells.loading import mini_batches
from spinlight.cells.signatures import signature_of
from spinlight.ising import LogPartition, SupportsDraw
from spinlight.training import ImportanceWeightedBound

Representation = Literal["probabilities", "bits", "logits"]


class BitsMixin(RNASeqMixin, VAEMixin):  # type: ignore[misc]  # scvi-tools carries no types
    """The getters of a model of latent bits: scvi-tools' own, and those that a Gaussian latent has not."""

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        give_mean: bool = True,
        mc_samples: int = 5000,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        *,
        representation: Representation = "probabilities",
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the encoder says of each cell's bits, shape (cells, bits).

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            give_mean: False for one draw of the smoothed bits zeta, which the decoder sees.
            mc_samples: of no use here; in scvi-tools' place, where some models draw to find a mean.
            batch_size: cells per pass.
            return_dist: return mean q and variance q (1 - q) of the bits instead, as `minify_adata` takes them.
            dataloader: mini-batches, instead of cells.
            representation: "probabilities" q in [0, 1]; "bits", 1 where q > 1/2; or "logits" log(q / (1 - q)).

        Raises:
            InvalidSettingError: another representation, or one beside a draw or `return_dist`.
            InvalidDataError: other genes, or in another order.
        """
        convert = _CONVERSIONS.get(representation)
        if convert is None:
            raise InvalidSettingError(
                f"representation must be one of {', '.join(_CONVERSIONS)}, got {representation!r}"
            )
        if representation != "probabilities" and (return_dist or not give_mean):
            raise InvalidSettingError(
                f"representation={representation!r} is of the mean; leave out return_dist and give_mean"
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
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> NDArray[np.float32]:
        """Return E_q[E(z)] for each cell, shape (cells,): low where the prior puts much mass, in dimensionless units.

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            batch_size: cells per pass.
            dataloader: mini-batches, instead of cells.

        Raises:
            InvalidDataError: other genes, or in another order.
        """
        found = self._inferred(adata, indices, batch_size, dataloader)
        return torch.cat([self.module.prior.energy(each["qz"].mean).cpu() for each in found]).numpy()

    @torch.inference_mode()
    def predict(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        soft: bool = False,
        batch_size: int | None = None,
    ) -> NDArray[Any] | pd.DataFrame:
        """Return the label of each cell, shape (cells,), or with `soft` the probability of each label, a frame (cells, labels).

        Args:
            adata: cells with the same genes; those of the model by default.
            indices: which cells; all by default.
            soft: whether to return probabilities.
            batch_size: cells per pass.

        Raises:
            InvalidSettingError: a model without `label_weight`.
            InvalidDataError: other genes, or in another order.
        """
        if not self.module.label_weight:
            raise InvalidSettingError("this model has not learned labels; make it with label_weight=50, say")
        found = self._inferred(adata, indices, batch_size)
        logits = torch.cat([self.module.label_logits(each["qz"]).cpu() for each in found])
        mapping = self.adata_manager.get_state_registry(REGISTRY_KEYS.LABELS_KEY).categorical_mapping
        names = np.asarray(mapping)[: logits.shape[1]]
        if not soft:
            return names[logits.argmax(1).numpy()]
        cells = self._validate_anndata(adata).obs_names
        index = cells if indices is None else cells[np.asarray(indices)]
        return pd.DataFrame(logits.softmax(1).numpy(), index=index, columns=names)

    @unsupported_if_adata_minified  # type: ignore[untyped-decorator]
    def get_log_likelihood(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
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
            dataloader: mini-batches, instead of cells.
            draws: k, at least 1.
            seed: integer, generator, or None for fresh entropy.

        Raises:
            InvalidDataError: other genes, or in another order.
            InvalidSettingError: draws below 1, or an impossible seed.

        Cost:
            `draws` passes of the decoder.
        """
        loader = self._loader(adata, indices, batch_size, dataloader)
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
            counts in `X` (of a normal likelihood: values) and in the model's layer, if it has one; in `obs` the columns that the decoder
            is conditioned on, and of labels that a model may learn, "unlabelled"; bits in `obsm["X_qbmvae"]`.

        Law:
            that of the prior's bits.

        Raises:
            InvalidSettingError: an impossible count or seed, no sampler, or one at another beta than 1.
            UnknownNameError: there is no such batch.
            InvalidStateError: a model that was loaded without cells.
        """
        self._check_if_trained(warn=False)
        return generate_cells(self, positive_integer("count", count), batch=batch, sampler=sampler, seed=seed)

    @signature_of(RNASeqMixin.get_normalized_expression)
    def get_normalized_expression(self, *arguments: Any, **settings: Any) -> Any:
        """Return the expression that the decoder gives each gene, as scvi-tools' models do.

        Args:
            arguments: those of `scvi.model.SCVI.get_normalized_expression`.
            settings: the same, by name.

        Raises:
            InvalidSettingError: importance weights over cells.
        """
        asked = inspect.signature(super().get_normalized_expression).bind(*arguments, **settings)
        if asked.arguments.get("weights") == "importance":
            raise InvalidSettingError(
                "weights='importance' needs a latent with a density, which bits have not; take weights='uniform'"
            )
        return super().get_normalized_expression(*arguments, **settings)

    @signature_of(RNASeqMixin.differential_expression)
    def differential_expression(self, *arguments: Any, **settings: Any) -> pd.DataFrame:
        """Return which genes differ between two groups of cells, as scvi-tools' models do.

        Args:
            arguments: those of `scvi.model.SCVI.differential_expression`.
            settings: the same, by name.

        Raises:
            UnknownNameError: there is no such column, or no cell of such a group.
        """
        asked = inspect.signature(super().differential_expression).bind(*arguments, **settings).arguments
        groupby, cells = asked.get("groupby"), asked.get("adata")
        if groupby is not None:
            require_groups_of(self.adata if cells is None else cells, groupby, asked.get("group1"), asked.get("group2"))
        return super().differential_expression(*arguments, **settings)

    def get_aggregated_posterior(self, *_: Any, **__: Any) -> Any:
        """Refuse scvi-tools' mixture of Gaussians or Student t's, which bits are not.

        Raises:
            InvalidSettingError: always.
        """
        raise InvalidSettingError("the posterior of bits has no density; compare samples by their energies or bits")

    def get_log_partition(self) -> LogPartition:
        """Return log Z of the prior with its standard error, the part of an ELBO's error that all cells share."""
        return self.module.prior.log_partition

    def _inferred(
        self,
        adata: AnnData | None,
        indices: Sequence[int] | None,
        batch_size: int | None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield what inference gives for each mini-batch: the posterior `qz` and a draw `z`."""
        for tensors in self._loader(adata, indices, batch_size, dataloader):
            yield self.module.inference(**self.module._get_inference_input(tensors))

    def _loader(
        self,
        adata: AnnData | None,
        indices: Sequence[int] | None,
        batch_size: int | None,
        given: Iterable[dict[str, Tensor]] | None,
    ) -> Iterable[dict[str, Tensor]]:
        """Return the mini-batches that are given, or those of the cells."""
        self._check_if_trained(warn=False)
        _validate_adata_dataloader_input(self, adata, given)
        return mini_batches(self, self._validate_anndata(adata), indices, batch_size) if given is None else given


_CONVERSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilities": torch.sigmoid,
    "bits": lambda logits: (logits > 0).to(torch.float32),
    "logits": lambda logits: logits,
}
