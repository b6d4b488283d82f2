"""Which hyperparameters and latent sizes every model is compared with; cases of `benchmarks/cells.py`.

Chosen on `immune_pbmc_4batch` alone: the best scIB total of eight candidates for each model, all of 30 dimensions, the best three of
one seed by the mean of three; then the best of five sizes, by one seed, with the hyperparameters that `spinlight.cells.benchmark.chosen`
has, whose fit of 30 dimensions is there already. Finished fits are kept in `runs/cells-tuning`, and an interrupted run goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from harness import Case, Claim, Settings
from spinlight._threads import torch_threads
from spinlight.cells import load_dataset
from spinlight.cells.benchmark.chosen import hyperparameters
from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.models.base import Embedding
from spinlight.cells.benchmark.registry import MODELS
from spinlight.cells.benchmark.sets import CellSet, prepare_sets
from spinlight.cells.benchmark.settings import BenchmarkSettings, epochs_of
from spinlight.cells.benchmark.shown import Shown
from spinlight.cells.benchmark.store import Store
from spinlight.cells.benchmark.trials import references, run_trial

DATASET, SIZE, SIZES = "immune_pbmc_4batch", 30, (10, 30, 64, 128, 256)
FOLDER = Path("runs/cells-tuning")
FINALISTS, SEEDS = 3, (0, 1, 2)
FEW_CELLS, EPOCHS = 700, (200, 400, 1000)
"""A part of the set, and for how long models are trained on it: passes over few cells are few steps."""

NETWORKS = [
    {"layers": layers, "normalisation": kind, "encode_batches": kind == "layer"}
    for layers, kind in product((1, 2), ("batch", "layer"))
]
"""Depth, and scvi-tools' two ways with batches: its default, and what its guide to scArches recommends."""


def cases() -> list[Case]:
    """Return a case for the hyperparameters of each model, and one for the sizes of each."""
    found = [Case(f"tuning/{name}", partial(_tuned, name)) for name in _CANDIDATES]
    sizes = [Case(f"sizes/{name}", partial(_sized, name)) for name in ("pca", *_CANDIDATES)]
    epochs = [Case(f"epochs-of-few/{name}", partial(_few_cells, name)) for name in ("scvi", "qbmvae")]
    return [*found, *sizes, *epochs]


def _networks(name: str) -> list[Embedding]:
    """Return four networks with two learning rates."""
    return [
        _candidate(name, f"{network['layers']}-{network['normalisation']}", lr=lr, **network)
        for network, lr in product(NETWORKS, (1e-3, 3e-3))
    ]


def _linear(name: str) -> list[Embedding]:
    """Return two depths and widths of the encoder with two learning rates, that of its guide and its default."""
    return [
        _candidate(name, f"{layers}-{hidden}", layers=layers, hidden=hidden, lr=lr)
        for layers, hidden, lr in product((1, 2), (128, 256), (1e-3, 5e-3))
    ]


def _poli(name: str) -> list[Embedding]:
    """Return two widths (its default and ours) and two sizes of a batch's embedding, with two learning rates."""
    return [
        _candidate(name, f"{hidden or 'own'}-{embedding}", hidden=hidden, embedding=embedding, lr=lr)
        for hidden, embedding, lr in product((None, 128), (5, 10), (1e-3, 3e-3))
    ]


def _candidate(name: str, words: str, *, lr: float, **others: Any) -> Embedding:
    """Return a model with other hyperparameters, under a name that says which."""
    model: Any = MODELS[name]  # every model is a dataclass
    changed = replace(model.chosen, lr=lr, **others)
    found: Embedding = replace(model, name=f"{name}~{words}-lr{lr:g}", chosen=changed)
    return found


_CANDIDATES: Mapping[str, Callable[[str], list[Embedding]]] = {
    "vae": _networks,
    "scvi": _networks,
    "qbmvae": _networks,
    "ldvae": _linear,
    "scpoli": _poli,
}


def _tuned(name: str, settings: Settings) -> list[Claim]:
    """Return one row for each candidate, of one seed, and one for each of the best, of three."""
    bench, models = _Bench(quick=settings.quick), _CANDIDATES[name](name)
    first = [bench.trial(model, SIZE, 0) for model in (models[:1] if settings.quick else models)]
    totals = {trial.model.name: bench.values(trial)["scib_total"] for trial in first}
    best = sorted(first, key=lambda trial: -totals[trial.model.name])[:FINALISTS]
    more = [bench.trial(trial.model, SIZE, seed) for trial in best for seed in ([] if settings.quick else SEEDS[1:])]
    finals = [[trial, *(other for other in more if other.model is trial.model)] for trial in best]
    alone = [bench.claim(f"tuning/{trial.model.name}", [trial]) for trial in first]
    several = [
        bench.claim(f"tuning/{trials[0].model.name}/{len(trials)} seeds", trials)
        for trials in finals
        if len(trials) > 1
    ]
    return [*alone, *several]


def _sized(name: str, settings: Settings) -> list[Claim]:
    """Return one row for each latent size."""
    bench, model = _Bench(quick=settings.quick), _as_tuned(name)
    sizes = SIZES[:1] if settings.quick else SIZES
    return [bench.claim(f"sizes/{name}/{size}", [bench.trial(model, size, 0)]) for size in sizes]


def _few_cells(name: str, settings: Settings) -> list[Claim]:
    """Return one row for each number of epochs, of three seeds."""
    bench, model = _Bench(quick=settings.quick, cells=FEW_CELLS), _as_tuned(name)
    numbers, seeds = (EPOCHS, SEEDS) if not settings.quick else ((1,), SEEDS[:1])
    rows = {epochs: [bench.trial(model, SIZE, seed, epochs) for seed in seeds] for epochs in numbers}
    return [bench.claim(f"epochs-of-few/{name}/{epochs}", trials) for epochs, trials in rows.items()]


def _as_tuned(name: str) -> Embedding:
    """Return the candidate that was chosen, or the model itself where there is none such."""
    model: Any = MODELS[name]  # every model is a dataclass
    candidates: list[Any] = list(_CANDIDATES[name](name)) if name in _CANDIDATES else []
    alike = (each for each in candidates if hyperparameters(each.chosen) == hyperparameters(model.chosen))
    return next(alike, model)


class _Bench:
    """The set of tuning, and the trials on it that are there already."""

    def __init__(self, *, quick: bool, cells: int | None = None) -> None:
        self._data, self._reference = _tuning_set(cells), references()
        self._store = Store(FOLDER / ("quick" if quick else "full"))
        self._epochs = 1 if quick else epochs_of(BenchmarkSettings(), self._data.cells.n_obs)

    def trial(self, model: Embedding, size: int, seed: int, epochs: int | None = None) -> Trial:
        """Return a trial on the set, of another number of epochs under a name that says it."""
        if epochs is None:
            return Trial(self._data, model, size, seed, self._epochs)
        named: Any = model  # every model is a dataclass
        return Trial(self._data, replace(named, name=f"{model.name}~{epochs}"), size, seed, epochs)

    def values(self, trial: Trial) -> Mapping[str, float]:
        """Return the scores of a trial, and the held-out bound where there is one; fit and score it if need be.

        Raises:
            RuntimeError: it failed.
        """
        if self._store.scored(trial) is None:
            with torch_threads(1):
                run_trial(trial, self._store, self._reference, Shown(None, 1))
        record = self._store.scored(trial)
        if record is None:
            raise RuntimeError(f"{trial.name} failed: {self._store.failure(trial)}")
        held_out = record["fit"]["held_out"]
        bound = {} if held_out is None else {"held_out": held_out["mean"]}
        return {**record["scores"]["values"], **bound}

    def claim(self, row: str, trials: Sequence[Trial]) -> Claim:
        """Return the mean scIB total of trials that differ by their seeds, with the parts and the held-out bound beside it."""
        start = time.perf_counter()
        values = [self.values(trial) for trial in trials]
        totals = [each["scib_total"] for each in values]
        names = {"scib_bio": "bio", "scib_batch": "batch", "ilisi": "iLISI", "held_out": "held-out bound"}
        known = {word: mean(each[key] for each in values) for key, word in names.items() if key in values[0]}
        spread = (min(totals), max(totals))
        seconds = time.perf_counter() - start
        return Claim(row, mean(totals), "scIB total", spread, None, known, seconds, seeds=len(trials))


def _tuning_set(count: int | None = None) -> CellSet:
    """Return the set, or so many of its cells, drawn at random."""
    settings, cells = BenchmarkSettings(batch_key="batch", labels_key="cell_type"), load_dataset(DATASET)
    if count is None:
        (data,) = prepare_sets({DATASET: cells}, settings)
        return data
    chosen = np.sort(np.random.default_rng(0).choice(cells.n_obs, count, replace=False))
    (data,) = prepare_sets({f"{DATASET}_{count}": cells[chosen].copy()}, settings)
    return data
