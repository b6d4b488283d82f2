"""The trials of a benchmark: each set, model, size and seed, and the keys by which a finished one is known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spinlight._errors import InvalidSettingError
from spinlight.cells.benchmark import chosen
from spinlight.cells.benchmark.models.base import Embedding
from spinlight.cells.benchmark.scores.scoring import SETTINGS
from spinlight.cells.benchmark.sets import CellSet
from spinlight.cells.benchmark.settings import CHOSEN, BenchmarkSettings, epochs_of


@dataclass(frozen=True)
class Trial:
    """One fit and its scores.

    Args:
        data: the set of cells.
        model: what is fitted.
        size: latent size.
        seed: of split, start and training.
        epochs: passes over the training cells.
    """

    data: CellSet
    model: Embedding
    size: int
    seed: int
    epochs: int

    @property
    def name(self) -> str:
        """Where its files lie, below the folder of trials, without a suffix."""
        return f"{self.data.name}/{self.model.name}-{self.size}-seed{self.seed}"

    @property
    def fit_settings(self) -> dict[str, Any]:
        """All that decides its fit but data and seed, as plain JSON values."""
        common = {"model": self.model.name, "size": self.size, "settings": dict(self.model.settings)}
        if self.model.deterministic:
            return common
        return common | {
            "epochs": self.epochs,
            "batch_size": chosen.BATCH_SIZE,
            "held_out": chosen.HELD_OUT,
            "likelihood_draws": chosen.LIKELIHOOD_DRAWS,
        }

    @property
    def fit_key(self) -> str:
        """A digest that changes with the settings, the counts or the seed."""
        return _key({"fit": self.fit_settings, "data": self.data.data_key, "seed": self.seed})

    @property
    def score_key(self) -> str:
        """A digest that changes with the fit, the annotations or the scores' settings."""
        return _key({"fit": self.fit_key, "known": self.data.known_key, "scores": SETTINGS})


def _key(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def plan_trials(sets: Sequence[CellSet], models: Sequence[Embedding], settings: BenchmarkSettings) -> list[Trial]:
    """Return all trials, seed by seed, so that an interrupted benchmark has compared all models by some seeds.

    Raises:
        InvalidSettingError: a size that a model cannot have on a set.
    """
    contenders = [(model, size) for model in models for size in sizes_of(model, settings)]
    for data in sets:
        for model, size in contenders:
            if reason := model.refusal(data.cells.n_obs, data.cells.n_vars, size):
                raise InvalidSettingError(f"{data.name}: {reason}, and size {size} was asked for")
    return [
        Trial(data, model, size, seed, _epochs(settings, model, data.cells.n_obs))
        for data in sets
        for seed in range(settings.seeds)
        for model, size in contenders
        if seed == 0 or not model.deterministic
    ]


def _epochs(settings: BenchmarkSettings, model: Embedding, cells: int) -> int:
    own = model.own_epochs(cells) if settings.epochs is None else None
    return epochs_of(settings, cells) if own is None else own


def sizes_of(model: Embedding, settings: BenchmarkSettings) -> list[int]:
    """Return the sizes of one model, each once."""
    if model.fixed_size:
        return [model.size]
    return list(dict.fromkeys(model.size if size == CHOSEN else int(size) for size in settings.sizes))
