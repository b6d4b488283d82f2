"""The network of the QBM-VAE: scvi-tools' variational autoencoder of counts with latent bits under any prior."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import torch
from scvi import REGISTRY_KEYS
from scvi.module import VAE
from scvi.module._constants import MODULE_KEYS
from scvi.module.base import LossOutput, auto_move_data
from scvi.utils import unsupported_if_adata_minified
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import positive_integer
from spinlight.cells.posterior import BitEncoder, SmoothedBits
from spinlight.latent.base import Prior
from spinlight.latent.relaxations.base import Relaxation


class QBMVAEModule(VAE):  # type: ignore[misc]  # scvi-tools carries no types
    """p(x, z, zeta) = p(z) r(zeta | z) p(x | zeta, batch, covariates) with bits z.

    q(z | x) is a product of Bernoullis, whose logits a network computes from log(1 + x), or from x of a normal likelihood, and batch
    and covariates where it is told them; zeta is z smoothed by the relaxation.
    Encoder body, decoder and likelihoods are scvi-tools'; the latent is ours.

    Args:
        genes: number of genes.
        prior: over the latent bits.
        relaxation: of the bits.
        normalized_logits: see `BitEncoder`.
        label_weight: of the cross-entropy of labels, nats, in the loss; none are learned at 0.
        settings: those of `scvi.module.VAE` but for `n_input`, `n_latent` and `latent_distribution`.
    """

    def __init__(
        self,
        genes: int,
        prior: Prior,
        relaxation: Relaxation,
        *,
        normalized_logits: bool,
        label_weight: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(genes, n_latent=prior.units, **settings)
        self.prior = prior
        self.relaxation = relaxation
        # scvi-tools' encoder has heads for mean and variance of a Gaussian; its body stays.
        body = self.z_encoder.encoder  # type: ignore[has-type]  # scvi-tools carries no types
        self.z_encoder = BitEncoder(body, self.n_hidden, prior.units, relaxation, normalized=normalized_logits)
        self.label_weight = label_weight
        if label_weight:
            self.classifier = nn.Linear(prior.units, self.n_labels - 1)  # the last label is that of unlabelled cells
        if self.use_observed_lib_size:
            del self.l_encoder  # nothing would train it
        # scvi-tools' query mapping takes every entry of a state_dict for a tensor; the model saves the prior's chains beside it.
        self.register_state_dict_post_hook(_without_chains)
        self.register_load_state_dict_post_hook(_not_missing)

    @auto_move_data  # type: ignore[untyped-decorator]
    def _cached_inference(
        self, qzm: Tensor, qzv: Tensor, observed_lib_size: Tensor, n_samples: int = 1
    ) -> dict[str, Tensor | SmoothedBits | None]:
        """Return what `inference` does, from the probabilities of minified data."""
        posterior = SmoothedBits.of_probabilities(qzm, self.relaxation)
        several = torch.Size() if n_samples == 1 else torch.Size([n_samples])
        library = torch.log(observed_lib_size)
        return {
            MODULE_KEYS.Z_KEY: posterior.rsample(several),
            MODULE_KEYS.QZ_KEY: posterior,
            MODULE_KEYS.QL_KEY: None,
            MODULE_KEYS.LIBRARY_KEY: library.expand(*several, *library.shape),
        }

    @unsupported_if_adata_minified  # type: ignore[untyped-decorator]
    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Any],
        generative_outputs: dict[str, Any],
        kl_weight: float | Tensor = 1.0,
    ) -> LossOutput:
        """Return the mean over cells of - log p(x | zeta) + kl_weight KL(q || p), and its parts for each cell.

        Where labels are learned, label_weight times the cross-entropy of the labelled cells is added; it is no part of the ELBO.
        """
        posterior = inference_outputs[MODULE_KEYS.QZ_KEY]
        reconstruction = -_log_likelihood(tensors, generative_outputs)
        divergence = self.prior.kl_divergence(posterior.logits)
        of_library = self._library_divergence(inference_outputs, generative_outputs, like=divergence)
        loss, known = (reconstruction + kl_weight * divergence + of_library).mean(), {}
        if self.label_weight:
            known["label_loss"] = self._cross_entropy(posterior, tensors[REGISTRY_KEYS.LABELS_KEY])
            loss = loss + self.label_weight * known["label_loss"]
        return LossOutput(
            loss=loss,
            reconstruction_loss=reconstruction,
            kl_local={MODULE_KEYS.KL_Z_KEY: divergence, MODULE_KEYS.KL_L_KEY: of_library},
            extra_metrics=known,
        )

    def _cross_entropy(self, posterior: SmoothedBits, labels: Tensor) -> Tensor:
        """Return the sum over labelled cells of - log p(label | q), divided by the number of all cells."""
        known = labels.squeeze(-1).long()
        labelled = known < self.classifier.out_features
        found = self.label_logits(posterior)[labelled]
        return functional.cross_entropy(found, known[labelled], reduction="sum") / len(known)

    def label_logits(self, posterior: SmoothedBits) -> Tensor:
        """Return the logits of the labels given the bits' probabilities, shape (cells, labels)."""
        found: Tensor = self.classifier(posterior.mean)
        return found

    def _library_divergence(self, inferred: dict[str, Any], generated: dict[str, Any], *, like: Tensor) -> Tensor:
        """Return the divergence of the library size's posterior for each cell, zero where the size is observed."""
        if self.use_observed_lib_size:
            return torch.zeros_like(like)
        posterior, prior = inferred[MODULE_KEYS.QL_KEY], generated[MODULE_KEYS.PL_KEY]
        return torch.distributions.kl_divergence(posterior, prior).sum(-1)

    @torch.no_grad()
    @auto_move_data  # type: ignore[untyped-decorator]
    def log_weights(self, tensors: dict[str, Tensor], draws: int, generator: torch.Generator) -> Tensor:
        """Return log p(x, z) - log q(z | x) of several z ~ q(z | x) for each cell, but for log Z.

        log w = log p(x | zeta) - E(z) - log q(z | x),  z ~ q(z | x),  zeta ~ r(zeta | z)

        r is in the model and in the proposal, and cancels.

        Args:
            tensors: a mini-batch, as scvi-tools' loaders give it.
            draws: for each cell.
            generator: where the noise comes from, on the module's device.

        Returns:
            float64, shape (draws, cells).
        """
        inferred = self.inference(**self._get_inference_input(tensors, full_forward_pass=True))
        logits = inferred[MODULE_KEYS.QZ_KEY].logits.double().expand(draws, -1, -1)
        # float64: noise in steps of 2^-24 would draw a rare bit more often than log q says.
        noise = torch.rand(logits.shape, generator=generator, dtype=torch.float64, device=logits.device)
        bits = (noise < torch.sigmoid(logits)).to(logits)
        log_q = -functional.softplus((1 - 2 * bits) * logits).sum(-1)
        again = torch.rand(logits.shape, generator=generator, dtype=torch.float32, device=logits.device)
        zeta, library = self.relaxation.smooth(bits, again), self._library(inferred, draws, generator)
        inferred = {**inferred, MODULE_KEYS.Z_KEY: zeta, MODULE_KEYS.LIBRARY_KEY: library}
        generated = self.generative(**self._get_generative_input(tensors, inferred))
        log_p = _log_likelihood_in_double(tensors, generated).reshape(draws, -1)
        energy = self.prior.energy(bits.flatten(0, 1).to(zeta)).double().reshape(draws, -1)
        return log_p - energy - log_q + self._library_log_weights(inferred, generated)

    def _library(self, inferred: dict[str, Any], draws: int, generator: torch.Generator) -> Tensor:
        """Return log library sizes, shape (draws, cells, 1): the observed ones, or draws of their posterior."""
        if self.use_observed_lib_size:
            observed: Tensor = inferred[MODULE_KEYS.LIBRARY_KEY].expand(draws, -1, -1)
            return observed
        posterior = inferred[MODULE_KEYS.QL_KEY]
        mean, scale = (part.expand(draws, -1, -1) for part in (posterior.loc, posterior.scale))
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        found: Tensor = mean + scale * noise
        return found

    def _library_log_weights(self, inferred: dict[str, Any], generated: dict[str, Any]) -> Tensor | float:
        if self.use_observed_lib_size:
            return 0.0
        library = inferred[MODULE_KEYS.LIBRARY_KEY]
        ratio = generated[MODULE_KEYS.PL_KEY].log_prob(library) - inferred[MODULE_KEYS.QL_KEY].log_prob(library)
        return ratio.sum(-1).double()

    @torch.inference_mode()
    def marginal_ll(
        self,
        tensors: dict[str, Tensor],
        n_mc_samples: int,
        return_mean: bool = False,
        n_mc_samples_per_pass: int = 1,
    ) -> Tensor | float:
        """Return the importance-weighted bound on log p(x) of each cell of a mini-batch, under scvi-tools' name for it.

        Raises:
            InvalidSettingError: numbers of samples below 1.
        """
        draws = positive_integer("n_mc_samples", n_mc_samples)
        at_once = positive_integer("n_mc_samples_per_pass", n_mc_samples_per_pass)
        generator = torch.Generator(self.device).manual_seed(int(torch.randint(2**62, ())))
        values = (self.log_mean_weight(tensors, draws, at_once, generator) - self.prior.log_partition.value).cpu()
        return float(values.mean()) if return_mean else values

    def log_mean_weight(
        self, tensors: dict[str, Tensor], draws: int, at_once: int, generator: torch.Generator
    ) -> Tensor:
        """Return the log of the mean weight of `log_weights` for each cell, float64, shape (cells,): the bound but for log Z.

        Args:
            tensors: a mini-batch, as scvi-tools' loaders give it.
            draws: for each cell.
            at_once: of these, how many in one pass of the decoder.
            generator: where the noise comes from, on the module's device.
        """
        total = torch.tensor(-math.inf, dtype=torch.float64, device=self.device)
        for first in range(0, draws, at_once):
            weights = self.log_weights(tensors, min(at_once, draws - first), generator)
            total = torch.logaddexp(total, torch.logsumexp(weights, 0))
        return total - math.log(draws)


def _log_likelihood(tensors: dict[str, Tensor], generated: dict[str, Any]) -> Tensor:
    """Return log p(x | zeta), summed over the genes, shape (..., cells)."""
    found: Tensor = generated[MODULE_KEYS.PX_KEY].log_prob(tensors[REGISTRY_KEYS.X_KEY]).sum(-1)
    return found


def _log_likelihood_in_double(tensors: dict[str, Tensor], generated: dict[str, Any]) -> Tensor:
    """Return log p(x | zeta) as above, but float64: log-gammas of counts beyond 10^4 cancel to too few digits in float32."""
    law = copy(generated[MODULE_KEYS.PX_KEY])
    for name, value in vars(law).items():
        if isinstance(value, Tensor) and value.is_floating_point():
            setattr(law, name, value.double())
    found: Tensor = law.log_prob(tensors[REGISTRY_KEYS.X_KEY].double()).sum(-1)
    return found


_CHAINS = "prior._extra_state"


def _without_chains(_: Any, state: dict[str, Any], prefix: str, __: Any) -> None:
    state.pop(prefix + _CHAINS, None)


def _not_missing(_: Any, keys: Any) -> None:
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.endswith(_CHAINS)]
