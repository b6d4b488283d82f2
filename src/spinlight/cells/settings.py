"""What a fit may vary, checked when it is stated; imports nothing heavy, so that a slip is answered at once."""

from __future__ import annotations

from dataclasses import dataclass

from spinlight._checks import integer, positive_integer
from spinlight._errors import InvalidSettingError
from spinlight.cells.defaults import BITS

LATENT, ENERGY, CLUSTERS = "X_qbmvae", "qbmvae_energy", "qbmvae_leiden"
"""Where a fit leaves the latent (obsm), the energy and the cluster (obs) of each cell."""

LABEL, LABEL_SHARE = "qbmvae_label", "qbmvae_label_share"
"""Where new cells get the label of their neighbours, and the share of these that have it (obs)."""

LARGEST_SEED = 2**32 - 1
"""What NumPy's global generator takes, which scvi-tools seeds."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit may vary.

    Args:
        layer: where the raw counts are; `X` by default.
        batch_key: column of experimental batches.
        labels_key: column of known labels; used for scores and colours only.
        epochs: passes over the data; by default 200 from 5,000 to 20,000 cells, up to 400 for fewer, down to 20 for more.
        latent: latent bits.
        seed: integer in [0, 2^32); the same seed and number of threads give the same result on one machine and version, to
            rounding.
        threads: of torch during the fit. One is as fast as several for networks of this size, and a busy machine does not slow
            it.

    Raises:
        InvalidSettingError: a number outside its domain, or a key that the fit itself writes.
    """

    layer: str | None = None
    batch_key: str | None = None
    labels_key: str | None = None
    epochs: int | None = None
    latent: int = BITS
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        _keep_plain(
            self,
            epochs=None if self.epochs is None else positive_integer("epochs", self.epochs),
            latent=positive_integer("latent", self.latent),
            seed=integer("seed", self.seed, least=0, most=LARGEST_SEED),
            threads=positive_integer("threads", self.threads),
        )
        _require_others("a fit", (LATENT, ENERGY, CLUSTERS), batch_key=self.batch_key, labels_key=self.labels_key)


@dataclass(frozen=True, kw_only=True)
class EmbedSettings:
    """What an embedding of new cells may vary.

    Args:
        layer: where their raw counts are; `X` by default.
        batch_key: their column of batches; the fit's own by default.
        epochs: passes over the cells of batches that the fit did not have; others are not trained on.
        seed: integer in [0, 2^32).
        threads: of torch.

    Raises:
        InvalidSettingError: a number outside its domain, or a key that the embedding itself writes.
    """

    layer: str | None = None
    batch_key: str | None = None
    epochs: int = 100
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        _keep_plain(
            self,
            epochs=positive_integer("epochs", self.epochs),
            seed=integer("seed", self.seed, least=0, most=LARGEST_SEED),
            threads=positive_integer("threads", self.threads),
        )
        _require_others("an embedding", (LATENT, ENERGY, LABEL, LABEL_SHARE), batch_key=self.batch_key)


def _keep_plain(settings: object, **numbers: int | None) -> None:
    """Keep numbers as plain ints, as JSON wants them: a NumPy integer is one too."""
    for name, number in numbers.items():
        object.__setattr__(settings, name, number)


def _require_others(what: str, written: tuple[str, ...], **keys: str | None) -> None:
    """Refuse keys that are columns which are written."""
    for use, key in keys.items():
        if key in written:
            raise InvalidSettingError(
                f"the {use.replace('_', ' ')} {key!r} is a column that {what} itself writes; rename it"
            )
