"""What a benchmark may vary, checked when it is stated; imports nothing heavy, so that a slip is answered at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError
from spinlight.cells.benchmark.registry import SUGGESTED, models_named
from spinlight.cells.defaults import epochs_for

CHOSEN: Literal["chosen"] = "chosen"
"""In place of a size: each model's own, as it was chosen."""

Size = int | Literal["chosen"]


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """What a benchmark may vary.

    Args:
        models: names of the models that are compared; see `registry.MODELS`.
        sizes: latent sizes, integers or "chosen" for each model's own. Models at their package's defaults have one size only.
        seeds: how many, from 0 on; each is another split of the cells, another start and another training.
        batch_key: column of experimental batches.
        labels_key: column of known labels, for scores and colours only; no model sees them.
        order_key: column of a known order: numbers, ordered categories, or names whose order `order` states.
        order: groups of names of `order_key`, from first to last; names in one group are equal, cells with others have no place.
        layer: where the raw counts are; `X` by default.
        epochs: of every model; by default those of `QBMVAE.train`, and of a package's defaults as many as it sets.
        threads: of torch during the fits.

    Raises:
        InvalidSettingError: a number outside its domain, one column for two uses, or an order without a column.
        UnknownNameError: there is no such model.
    """

    models: Sequence[str] = SUGGESTED
    sizes: Sequence[Size] = (30,)
    seeds: int = 5
    batch_key: str | None = None
    labels_key: str | None = None
    order_key: str | None = None
    order: Sequence[Sequence[str]] = ()
    layer: str | None = None
    epochs: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        models_named(self.models)
        if not self.sizes:
            raise InvalidSettingError(f"name at least one latent size, an integer or {CHOSEN!r}")
        for size in self.sizes:
            if size != CHOSEN:
                positive_integer("size", size)
        positive_integer("seeds", self.seeds)
        positive_integer("threads", self.threads)
        if self.epochs is not None:
            positive_integer("epochs", self.epochs)
        if self.batch_key is not None and self.batch_key in (self.labels_key, self.order_key):
            raise InvalidSettingError(
                f"{self.batch_key!r} is the batch key and the key of something else; models see batches and nothing else"
            )
        if self.order and self.order_key is None:
            raise InvalidSettingError("an order of names needs the column that holds them, order_key")
        names = [name for group in self.order for name in group]
        if len(set(names)) < len(names) or (self.order and len(self.order) < 2):
            raise InvalidSettingError("an order has at least two places, and each name once")


def size_of(text: str) -> Size:
    """Return a latent size as a user writes it.

    Raises:
        InvalidSettingError: neither an integer nor "chosen".
    """
    if text == CHOSEN:
        return CHOSEN
    try:
        return int(text)
    except ValueError as error:
        raise InvalidSettingError(f"a size is an integer or {CHOSEN!r}, got {text!r}") from error


def epochs_of(settings: BenchmarkSettings, count: int) -> int:
    """Return the epochs of the settings, or the default for so many cells."""
    return epochs_for(count) if settings.epochs is None else settings.epochs
