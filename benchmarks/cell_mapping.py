"""Labels that a trained reference gives to cells of a batch it has never seen; a case of `benchmarks/cells.py`.

Each batch in turn is left out, and mapped afterwards onto the model of the others, which does not change (scArches, Lotfollahi et
al., Nature Biotechnology 40 (2022) 121): only the weights of the new batch are trained. Its cells get the label that most of their
15 nearest reference cells have. scVI goes the same way: the same network, with the settings that scArches recommends, the same
epochs and latent size. Cells whose label no reference cell has are left out of the accuracy, of both. Finished fits are kept in
`runs/cells-mapping`, and an interrupted run goes on from there; delete them after a change of the model's code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scvi
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

from harness import Case, Claim, Settings
from spinlight._files import atomic_file
from spinlight._threads import torch_threads
from spinlight.cells import QBMVAE, load_dataset
from spinlight.cells.benchmark import chosen
from spinlight.cells.defaults import warmup_for
from spinlight.cells.digests import cells_digest, digest, texts
from spinlight.cells.versions import installed
from spinlight.training.quiet import quiet_training

if TYPE_CHECKING:
    from anndata import AnnData

FOLDER = Path("runs/cells-mapping")
DATASET, BATCH, LABEL = "immune_pbmc_4batch", "batch", "cell_type"
SIZE, EPOCHS, QUERY_EPOCHS, NEIGHBOURS = 30, 200, 100, 15
NETWORK = {
    "n_layers": 2,
    "encode_covariates": True,
    "deeply_inject_covariates": False,
    "use_layer_norm": "both",
    "use_batch_norm": "none",
    "gene_likelihood": "nb",
}
"""What scvi-tools' guide to scArches gives every model of a reference."""

MODELS = {"QBM-VAE": (QBMVAE, chosen.QBMVAE.lr), "scVI + scArches": (scvi.model.SCVI, chosen.SCVI.lr)}
"""Each model with its learning rate, of reference and query."""


def cases() -> list[Case]:
    """Return the case."""
    return [Case(f"mapping/{DATASET}", _mapping)]


def _mapping(settings: Settings) -> list[Claim]:
    cells, start = load_dataset(DATASET), time.perf_counter()
    folder, epochs = (FOLDER / "quick", (2, 1)) if settings.quick else (FOLDER / "full", (EPOCHS, QUERY_EPOCHS))
    with torch_threads(1):
        rounds = [
            {name: _accuracies(cells, name, seed, epochs, folder) for name in MODELS} for seed in range(settings.seeds)
        ]
    seconds = time.perf_counter() - start
    return [_claim(batch, rounds, seconds) for batch in [*sorted(cells.obs[BATCH].unique()), "mean of the batches"]]


def _claim(batch: str, rounds: Sequence[Mapping[str, Mapping[str, float]]], seconds: float) -> Claim:
    """Return the mean difference of accuracies, with its 95 % interval over the seeds."""
    found = {name: np.array([each[name][batch] for each in rounds]) for name in MODELS}
    difference = found["QBM-VAE"] - found["scVI + scArches"]
    mean, error = float(difference.mean()), float(stats.sem(difference)) if len(difference) > 1 else 0.0
    width = float(stats.t.ppf(0.975, max(1, len(difference) - 1))) * error
    peers = {f"{name}, accuracy": float(values.mean()) for name, values in found.items()}
    required = 0.0 if batch.startswith("mean") else None
    row = f"mapping/{DATASET}/{batch}"
    # A tie is a tie: the bound holds where the interval of the difference reaches it.
    return Claim(row, mean, "accuracy gained", (mean - width, mean + width), required, peers, seconds, slack=width)


def _accuracies(cells: AnnData, name: str, seed: int, epochs: tuple[int, int], folder: Path) -> dict[str, float]:
    """Return the accuracy of each batch when it is the one that is mapped, and their mean."""
    batches = sorted(cells.obs[BATCH].unique())
    found = {batch: _kept(cells, name, batch, seed, epochs, folder) for batch in batches}
    return found | {"mean of the batches": float(np.mean(list(found.values())))}


def _kept(cells: AnnData, name: str, batch: str, seed: int, epochs: tuple[int, int], folder: Path) -> float:
    """Return an accuracy from its file, where that was made with the same settings; else make it, and write it."""
    made_with: dict[str, Any] = {
        "model": name,
        "rate": MODELS[name][1],
        "network": NETWORK | {"n_latent": SIZE},
        "epochs": list(epochs),
        "neighbours": NEIGHBOURS,
        "batch": batch,
        "seed": seed,
        "cells": cells_digest(cells, None),
        "annotations": digest(*(texts(cells.obs[key]) for key in (BATCH, LABEL))),
        "versions": {package: installed(package) for package in ("spinlight", "scvi-tools", "torch")},
    }
    path = folder / f"{'qbmvae' if name == 'QBM-VAE' else 'scvi'}-{batch}-seed{seed}.json"
    try:
        record = json.loads(path.read_text())
        if record["made with"] == made_with:
            return float(record["accuracy"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or none that can be read
    start = time.perf_counter()
    accuracy = _accuracy(cells, name, batch, seed, epochs)
    record = {"made with": made_with, "accuracy": accuracy, "seconds": time.perf_counter() - start}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps(record, indent=1).encode())
    return accuracy


def _accuracy(cells: AnnData, name: str, batch: str, seed: int, epochs: tuple[int, int]) -> float:
    reference, query = (cells[mask].copy() for mask in (cells.obs[BATCH] != batch, cells.obs[BATCH] == batch))
    kind, rate = MODELS[name]
    options = {"accelerator": "cpu", "enable_progress_bar": False}
    with quiet_training(printed=True):
        scvi.settings.seed = seed
        kind.setup_anndata(reference, batch_key=BATCH)
        model = kind(reference, n_latent=SIZE, **NETWORK)
        model.train(epochs[0], plan_kwargs={"lr": rate, "n_epochs_kl_warmup": warmup_for(epochs[0])}, **options)
        mapped = kind.load_query_data(query, model, accelerator="cpu")
        warmup = {"n_epochs_kl_warmup": warmup_for(epochs[1])}
        mapped.train(epochs[1], plan_kwargs={"lr": rate, "weight_decay": 0.0} | warmup, **options)
    nearest = KNeighborsClassifier(NEIGHBOURS).fit(model.get_latent_representation(), reference.obs[LABEL].astype(str))
    labels = query.obs[LABEL].astype(str).to_numpy()
    known = np.isin(labels, nearest.classes_)
    return float((nearest.predict(mapped.get_latent_representation()[known]) == labels[known]).mean())
