"""What an epoch of a QBM-VAE costs beside one of scVI with the same network, on the same loader; a case of `benchmarks/cells.py`."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import scvi
import torch
from lightning.pytorch.callbacks import Callback

import harness
from harness import Case, Claim, Settings
from spinlight.cells import QBMVAE, load_dataset
from spinlight.cells.benchmark import chosen
from spinlight.training.quiet import quiet_training

DATASET, SIZES, REQUIRED = "immune_pbmc_4batch", (30, 128), 1 / 1.3
"""Rates are compared: at most 1.3 times scVI's time is at least 1 / 1.3 of its rate."""


def cases() -> list[Case]:
    """Return a case for each number of latent bits."""
    return [Case(f"epoch/{DATASET}/{size}", partial(_epochs, size)) for size in SIZES]


def _epochs(size: int, settings: Settings) -> list[Claim]:
    torch.set_num_threads(harness.cores())
    models = {name: _model(name, size) for name in ("QBM-VAE", "scVI")}
    start, epochs = time.perf_counter(), 2 if settings.quick else 4
    rounds = [{name: _rate(model, epochs) for name, model in models.items()} for _ in range(settings.seeds)]
    seconds = time.perf_counter() - start
    rates = {name: [each[name] for each in rounds] for name in models}
    ratio = harness.paired_ratio(rates["QBM-VAE"], rates["scVI"])
    known = {f"{name} s/epoch": 1 / statistics.median(rate) for name, rate in rates.items()}
    row = f"epoch/{DATASET}/{size} latent/rate against scVI"
    return [Claim(row, ratio.median, "x", (ratio.lowest, ratio.highest), REQUIRED, known, seconds)]


def _rate(model: Any, epochs: int) -> float:
    """Return epochs per second; the first, which warms up, and the last, after which models say goodbye, are not counted."""
    watch = _Stopwatch()
    model.module.train()  # scvi-tools leaves a trained model in evaluation mode, in which an epoch costs less
    with quiet_training(printed=True):
        model.train(epochs + 2, accelerator="cpu", enable_progress_bar=False, train_size=1.0, callbacks=[watch])
    return epochs / (watch.starts[-1] - watch.starts[1])


class _Stopwatch(Callback):  # type: ignore[misc]  # Lightning carries no types
    """When every epoch started."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.starts.append(time.perf_counter())


def _model(name: str, size: int) -> Any:
    cells = load_dataset(DATASET)
    kind = QBMVAE if name == "QBM-VAE" else scvi.model.SCVI
    with quiet_training(printed=True):
        scvi.settings.seed = 0
        kind.setup_anndata(cells, batch_key="batch")
        return kind(cells, n_latent=size, **chosen.full_network(chosen.QBMVAE))
