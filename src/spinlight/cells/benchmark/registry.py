"""The models that can be compared, by name."""

from __future__ import annotations

from collections.abc import Sequence

from spinlight._errors import InvalidSettingError, UnknownNameError
from spinlight.cells.benchmark import chosen
from spinlight.cells.benchmark.models.base import Embedding
from spinlight.cells.benchmark.models.bits import Bits
from spinlight.cells.benchmark.models.components import Components
from spinlight.cells.benchmark.models.poli import Poli
from spinlight.cells.benchmark.models.variational import Variational

_ALL: tuple[Embedding, ...] = (
    Components(),
    Variational(
        name="vae",
        about="autoencoder of log-normalised counts, Gaussian likelihood, no batches",
        chosen=chosen.VAE,
        batches=False,
    ),
    Variational(name="scvi", about="scVI", chosen=chosen.SCVI),
    Variational(name="scvi-defaults", about="scVI at scvi-tools' defaults"),
    Variational(name="ldvae", about="scVI with a linear decoder", model="LinearSCVI", chosen=chosen.LDVAE),
    Variational(name="ldvae-defaults", about="LinearSCVI at scvi-tools' defaults", model="LinearSCVI"),
    Poli(name="scpoli", about="scPoli without labels", chosen=chosen.SCPOLI),
    Poli(name="scpoli-defaults", about="scPoli without labels, at scarches' defaults"),
    Bits(
        name="qbmvae",
        about="bits under a Boltzmann machine",
        prior="boltzmann",
        chosen=chosen.QBMVAE,
        chosen_prior=chosen.QBMVAE_PRIOR,
    ),
    Bits(
        name="bernoulli",
        about="qbmvae with independent bits as its prior",
        prior="bernoulli",
        chosen=chosen.QBMVAE,
        chosen_prior=chosen.QBMVAE_PRIOR,
    ),
    Variational(name="gaussian", about="qbmvae's network with a Gaussian latent", chosen=chosen.QBMVAE),
)

MODELS = {model.name: model for model in _ALL}
"""Every model by its name."""

ALIASES = {"boltzmann": "qbmvae"}
"""The ablation's third name is the model itself."""

SUGGESTED = ("pca", "scvi", "qbmvae")
"""What is compared where nothing is said."""


def models_named(names: Sequence[str]) -> tuple[Embedding, ...]:
    """Return models by their names, each once.

    Raises:
        UnknownNameError: there is no such model.
        InvalidSettingError: no name.
    """
    if not names:
        raise InvalidSettingError(f"name at least one model; there are: {', '.join(MODELS)}")
    found = {}
    for name in names:
        known = ALIASES.get(name, name)
        if known not in MODELS:
            raise UnknownNameError(f"there is no model {name!r}; there are: {', '.join([*MODELS, *ALIASES])}")
        found[known] = MODELS[known]
    return tuple(found.values())
