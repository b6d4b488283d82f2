"""The network of the QBM-VAE: counts to latent bits and back."""

from __future__ import annotations

from typing import Any

import torch
from scvi import REGISTRY_KEYS
from scvi.distributions import NegativeBinomial
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from scvi.nn import FCLayers
from torch import Tensor, nn

from spinlight.latent import BoltzmannPrior, SpikeAndExponential


class QBMVAEModule(BaseModuleClass):  # type: ignore[misc]  # scvi-tools carries no types
    """p(x, z) = p(z) p(x | zeta, batch) with a Boltzmann prior over bits z and negative binomial counts x.

    q(z | x) is a product of Bernoullis, whose logits a network computes from log(1 + x); zeta is z smoothed by the
    relaxation. The mean count is the cell's observed library size times a softmax over the genes; each gene has one inverse dispersion.

    Args:
        genes: number of genes.
        batches: number of experimental batches, for the decoder.
        prior: over the latent bits.
        relaxation: of the bits.
        hidden_units: width of the hidden layers.
        layers: hidden layers of encoder and decoder.
        dropout: of the encoder.
    """

    def __init__(
        self,
        genes: int,
        batches: int,
        prior: BoltzmannPrior,
        relaxation: SpikeAndExponential,
        *,
        hidden_units: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        bits = prior.units
        self.prior = prior
        self.relaxation = relaxation
        self.encoder = FCLayers(genes, hidden_units, n_layers=layers, n_hidden=hidden_units, dropout_rate=dropout)
        self.to_logits = nn.Linear(hidden_units, bits)
        self.decoder = FCLayers(
            bits, hidden_units, n_cat_list=[batches], n_layers=layers, n_hidden=hidden_units, dropout_rate=0.0
        )
        self.to_fractions = nn.Sequential(nn.Linear(hidden_units, genes), nn.Softmax(-1))
        self.log_inverse_dispersion = nn.Parameter(torch.zeros(genes))

    def _get_inference_input(self, tensors: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        return {"counts": tensors[REGISTRY_KEYS.X_KEY]}

    @auto_move_data  # type: ignore[untyped-decorator]
    def inference(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the posterior's logits and smoothed bits, both of shape (cells, bits)."""
        logits = self.to_logits(self.encoder(torch.log1p(counts)))
        return {"logits": logits, "z": self.relaxation.sample(torch.sigmoid(logits))}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return {
            "z": inference_outputs["z"],
            "library": tensors[REGISTRY_KEYS.X_KEY].sum(1, keepdim=True),
            "batch": tensors[REGISTRY_KEYS.BATCH_KEY],
        }

    @auto_move_data  # type: ignore[untyped-decorator]
    def generative(self, z: Tensor, library: Tensor, batch: Tensor) -> dict[str, NegativeBinomial]:
        """Return the distribution of the counts, shape (cells, genes)."""
        fractions = self.to_fractions(self.decoder(z, batch))
        return {"px": NegativeBinomial(mu=library * fractions, theta=self.log_inverse_dispersion.exp())}

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Tensor],
        generative_outputs: dict[str, NegativeBinomial],
        kl_weight: float | Tensor = 1.0,
    ) -> LossOutput:
        """Return the mean over cells of - log p(x | zeta) + kl_weight KL(q || p), and its parts for each cell."""
        reconstruction = -generative_outputs["px"].log_prob(tensors[REGISTRY_KEYS.X_KEY]).sum(-1)
        divergence = self.prior.kl_divergence(inference_outputs["logits"])
        loss = (reconstruction + kl_weight * divergence).mean()
        return LossOutput(loss=loss, reconstruction_loss=reconstruction, kl_local=divergence)
