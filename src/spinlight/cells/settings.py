"""What a fit may vary, checked when it is stated; imports nothing heavy, so that a slip is answered at once."""

from __future__ import annotations

from dataclasses import dataclass

from spinlight._checks import integer, positive_integer
from spinlight._errors import InvalidSettingError
from spinlight.cells.defaults import BITS

LATENT, ENERGY, CLUSTERS = "X_qbmvae", "qbmvae_energy", "qbmvae_leiden"
"""Where a fit leaves the latent (obsm), the energy and the cluster (obs) of each cell."""

LARGEST_SEED = 2**32 - 1
"""What NumPy's global generator takes, which scvi-tools seeds."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit may vary.

    Args:
        layer: where the raw counts are; `X` by default.
        batch_key: column of experimental batches.
        labels_key: column of known labels; used for scores and colours only.
        epochs: passes over the data; by default 200 from 5,000 to 20,000 cells, up to 400 for fewer cells, fewer for more.
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
        numbers = {
            "epochs": None if self.epochs is None else positive_integer("epochs", self.epochs),
            "latent": positive_integer("latent", self.latent),
            "seed": integer("seed", self.seed, least=0, most=LARGEST_SEED),
            "threads": positive_integer("threads", self.threads),
        }
        for name, number in numbers.items():
            # Plain ints, as JSON wants them: a NumPy integer is one too.
            object.__setattr__(self, name, number)
        for use, key in (("batch key", self.batch_key), ("labels key", self.labels_key)):
            if key in (LATENT, ENERGY, CLUSTERS):
                raise InvalidSettingError(f"the {use} {key!r} is a column that the fit itself writes; rename it")
