"""Whether log Z of a prior that has learned cells is known as well as its error says; a case of `benchmarks/cells.py`.

A QBM-VAE of 28 bits, few enough to go through all states, is trained on `immune_pbmc_4batch`; then the estimate that training ends with is
made again and again with other seeds.
"""

from __future__ import annotations

import time

import numpy as np
import scvi

from harness import Case, Claim, Settings
from spinlight._threads import torch_threads
from spinlight.cells import QBMVAE, load_dataset
from spinlight.training import ExactPartition
from spinlight.training.quiet import quiet_training

DATASET, BITS, EPOCHS, ESTIMATES = "immune_pbmc_4batch", 28, 60, 40


def cases() -> list[Case]:
    """Return the case."""
    return [Case(f"prior/{DATASET}/{BITS}", _log_partition)]


def _log_partition(settings: Settings) -> list[Claim]:
    bits, epochs, estimates = (8, 1, 4) if settings.quick else (BITS, EPOCHS, ESTIMATES)
    start, cells = time.perf_counter(), load_dataset(DATASET)
    with torch_threads(1), quiet_training(printed=True):
        scvi.settings.seed = 0
        QBMVAE.setup_anndata(cells, batch_key="batch")
        model = QBMVAE(cells, n_latent=bits)
        model.train(epochs, accelerator="cpu", enable_progress_bar=False)
        prior = model.module.prior
        exact = ExactPartition().estimate(prior.machine).value
        found = [prior.estimator.estimate(prior.machine, seed=seed) for seed in range(estimates)]
    errors = np.array([each.value - exact for each in found])
    stated = np.array([each.standard_error for each in found])
    scores, seconds = errors / stated, time.perf_counter() - start
    known = {"log Z": exact, "mean error": float(errors.mean()), "stated error": float(stated.mean())}
    known["beyond two errors below"] = float((scores < -2).mean())
    root = float(np.sqrt((scores**2).mean()))
    row = f"prior/{DATASET}/{bits} bits/error of log Z"
    ends = (float(scores.min()), float(scores.max()))
    return [Claim(row, root, "of the stated error", ends, 1.5, known, seconds, sense="most")]
