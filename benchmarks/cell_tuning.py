"""Which hyperparameters and latent sizes every model is compared with; cases of `benchmarks/cells.py`.

Chosen on `immune_pbmc_4batch` alone, with one seed: the best scIB total of eight candidates for each model, all of 30 dimensions,
then the best of five sizes with the hyperparameters that `spinlight.cells.benchmark.chosen` has. Finished fits are kept in
`runs/cells-tuning`, and an interrupted run goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from harness import Case, Claim, Settings
from spinlight._threads import torch_threads
from spinlight.cells import load_dataset
from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.models.base import Embedding
from spinlight.cells.benchmark.registry import MODELS
from spinlight.cells.benchmark.sets import CellSet, prepare_sets
from spinlight.cells.benchmark.settings import BenchmarkSettings, epochs_of
from spinlight.cells.benchmark.shown import Shown
from spinlight.cells.benchmark.store import Store
from spinlight.cells.benchmark.trials import Reference, references, run_trial

DATASET, SIZE, SIZES = "immune_pbmc_4batch", 30, (10, 30, 64, 128, 256)
FOLDER = Path("runs/cells-tuning")
WARMUPS = (1 / 3, 2.0)
"""Of the weight of KL: over a third of the epochs, and over 400 of 200, which is scvi-tools' own."""

NETWORKS = [
    {"layers": layers, "normalisation": kind, "encode_batches": kind == "layer"}
    for layers, kind in product((1, 2), ("batch", "layer"))
]
"""Depth, and scvi-tools' two ways with batches: its default, and what its guide to scArches recommends."""


def cases() -> list[Case]:
    """Return a case for the hyperparameters of each model, and one for the sizes of each."""
    candidates = {"vae": _networks, "scvi": _networks, "qbmvae": _networks, "ldvae": _linear, "scpoli": _poli}
    found = [
        Case(f"tuning/{name}", partial(_measured, partial(make, name), (SIZE,))) for name, make in candidates.items()
    ]
    sizes = [
        Case(f"sizes/{name}", partial(_measured, partial(_as_chosen, name), SIZES)) for name in ("pca", *candidates)
    ]
    return [*found, *sizes]


def _networks(name: str) -> list[Embedding]:
    """Return four networks with two ways to warm up."""
    return [
        _candidate(name, f"{network['layers']}-{network['normalisation']}", warmup=warmup, **network)
        for network, warmup in product(NETWORKS, WARMUPS)
    ]


def _linear(name: str) -> list[Embedding]:
    """Return two depths of the encoder, two learning rates (that of its guide and its default) and two ways to warm up."""
    return [
        _candidate(name, f"{layers}-lr{lr:g}", layers=layers, lr=lr, warmup=warmup)
        for layers, lr, warmup in product((1, 2), (1e-3, 5e-3), WARMUPS)
    ]


def _poli(name: str) -> list[Embedding]:
    """Return two widths (its default and ours), two sizes of a batch's embedding and two ways to warm up."""
    return [
        _candidate(name, f"{hidden or 'own'}-{embedding}", hidden=hidden, embedding=embedding, warmup=warmup)
        for hidden, embedding, warmup in product((None, 128), (5, 10), WARMUPS)
    ]


def _candidate(name: str, words: str, *, warmup: float, **hyperparameters: Any) -> Embedding:
    """Return a model with other hyperparameters, under a name that says which."""
    model: Any = MODELS[name]  # every model is a dataclass
    way = "third" if warmup < 1 else "double"
    changed = replace(model.chosen, warmup=warmup, **hyperparameters)
    found: Embedding = replace(model, name=f"{name}~{words}-{way}", chosen=changed)
    return found


def _as_chosen(name: str) -> list[Embedding]:
    return [MODELS[name]]


def _measured(make: Callable[[], Sequence[Embedding]], sizes: Sequence[int], settings: Settings) -> list[Claim]:
    """Return one row for each candidate: its scIB total, with the parts and the held-out bound beside it."""
    data, store, reference = _tuning_set(), Store(FOLDER / ("quick" if settings.quick else "full")), references()
    epochs = 1 if settings.quick else epochs_of(BenchmarkSettings(), data.cells.n_obs)
    trials = [Trial(data, model, size, 0, epochs) for model in make() for size in sizes]
    with torch_threads(1):
        return [_claim(trial, store, reference) for trial in (trials[:1] if settings.quick else trials)]


def _claim(trial: Trial, store: Store, reference: Reference) -> Claim:
    start = time.perf_counter()
    if store.scored(trial) is None:
        run_trial(trial, store, reference, Shown(None, 1))
    record = store.scored(trial)
    if record is None:
        raise RuntimeError(f"{trial.name} failed: {store.failure(trial)}")
    values, held_out = record["scores"]["values"], record["fit"]["held_out"]
    total = values["scib_total"]
    known = {"bio": values["scib_bio"], "batch": values["scib_batch"], "iLISI": values["ilisi"]}
    if held_out is not None:
        known["held-out bound"] = held_out["mean"]
    row = f"tuning/{trial.model.name}/{trial.size}"
    return Claim(row, total, "scIB total", (total, total), None, known, time.perf_counter() - start)


def _tuning_set() -> CellSet:
    settings = BenchmarkSettings(batch_key="batch", labels_key="cell_type")
    (data,) = prepare_sets({DATASET: load_dataset(DATASET)}, settings)
    return data
