"""The hyperparameters of every model, ours those that it ships with.

The best of eight for each model by `benchmarks/cells.py --rows 'tuning/*'`, and of five sizes by `'sizes/*'`, on `immune_pbmc_4batch`
alone; they apply to all sets.

Changing a number here makes a new result of every trial that it enters; see `grid.Trial.fit_key`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spinlight.cells import defaults

BATCH_SIZE = 128
"""Cells in a step of every model that is trained in steps."""

HELD_OUT = 0.1
"""Share of the cells that no model is trained on."""

LIKELIHOOD_DRAWS = 100
"""Latent states drawn for each held-out cell in importance-weighted bounds."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Hyperparameters of a variational model.

    Args:
        size: latent size where the command says `chosen`.
        hidden: units of each hidden layer.
        layers: hidden layers.
        dropout: of the encoder.
        likelihood: of the counts, as scvi-tools calls it.
        lr: learning rate of the networks.
        warmup: epochs over which the weight of KL rises to one, as a share of all; above one, it does not get there.
        normalisation: of the hidden layers.
        encode_batches: whether the encoder is told the batch too, not only the decoder.
    """

    size: int
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.1
    likelihood: str = "nb"
    lr: float = 1e-3
    warmup: float = 1 / 3
    normalisation: Literal["batch", "layer"] = "batch"
    encode_batches: bool = False


@dataclass(frozen=True, kw_only=True)
class ChosenPrior:
    """Hyperparameters that only models of bits have.

    Args:
        lr: learning rate of the prior.
        representation: what stands for a cell's bits; see `QBMVAE.get_latent_representation`.
    """

    lr: float
    representation: str = "probabilities"


@dataclass(frozen=True, kw_only=True)
class ChosenPoli:
    """Hyperparameters of scPoli.

    Args:
        size: latent size where the command says `chosen`.
        embedding: dimensions of a batch's embedding.
        hidden: units of the hidden layer; None for scarches' square root of the number of genes.
        lr: learning rate.
        warmup: share of the epochs over which the weight of KL rises to one.
    """

    size: int
    embedding: int = 10
    hidden: int | None = None
    lr: float = 1e-3
    warmup: float = 1 / 3


PCA_SIZE = 256

# It is given no batches, so that encoding them changes nothing; the candidate that was chosen has it.
VAE = Chosen(size=64, likelihood="normal", normalisation="layer", encode_batches=True)
SCVI = Chosen(size=30, layers=2, normalisation="layer", encode_batches=True)
LDVAE = Chosen(size=64, hidden=256, lr=5e-3)
SCPOLI = ChosenPoli(size=128, embedding=5, hidden=128)

QBMVAE = Chosen(
    size=defaults.BITS,
    hidden=defaults.HIDDEN,
    layers=defaults.LAYERS,
    dropout=defaults.DROPOUT,
    lr=defaults.RATE,
    warmup=defaults.WARMUP,
    normalisation="layer" if defaults.LAYER_NORM == "both" else "batch",
    encode_batches=defaults.ENCODE_COVARIATES,
)
QBMVAE_PRIOR = ChosenPrior(lr=defaults.PRIOR_RATE)
"""Also of the ablation, which changes nothing but the prior."""


def hyperparameters(chosen: Chosen | ChosenPoli | None) -> Any:
    """Return what decides a fit of any size, as plain JSON values: all but the chosen size, or words for a package's defaults."""
    if chosen is None:
        return "those of the package"
    return {name: value for name, value in asdict(chosen).items() if name != "size"}


_SCVI_DEFAULTS: dict[str, Any] = {"use_batch_norm": "both", "use_layer_norm": "none", "encode_covariates": False}
"""What `network` leaves out, since some models of scvi-tools cannot vary it."""


def network(chosen: Chosen) -> dict[str, Any]:
    """Return what scvi-tools' models call these hyperparameters; of normalisation and encoder, what differs from its defaults."""
    settings: dict[str, Any] = {
        "n_hidden": chosen.hidden,
        "n_layers": chosen.layers,
        "dropout_rate": chosen.dropout,
        "gene_likelihood": chosen.likelihood,
    }
    if chosen.normalisation == "layer":
        settings |= {"use_layer_norm": "both", "use_batch_norm": "none"}
    if chosen.encode_batches:
        settings["encode_covariates"] = True
    return settings


def full_network(chosen: Chosen) -> dict[str, Any]:
    """Return the same with scvi-tools' defaults said too, for models that have others."""
    return _SCVI_DEFAULTS | network(chosen)


def warmup_epochs(chosen: Chosen | ChosenPoli, epochs: int) -> int:
    """Return over how many epochs the weight of KL rises to one."""
    return defaults.warmup_for(epochs, chosen.warmup)
