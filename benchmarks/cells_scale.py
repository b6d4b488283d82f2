"""An epoch over cells that do not fit into memory: a million of them, read from their file by scvi-tools' own loader.

Every size trains in a process of its own, from an .h5ad file that `atlas.py` makes in a temporary folder; the peak is that of the
process's resident memory, libraries and all. scVI has our network and latent size. Two batches warm a process up and are not counted;
starting the trainer and the last estimate of log Z are. The file has just been written, and may lie in the system's cache. Seeds are
not repeated: a row is one run.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import harness
from atlas import GENES, write_atlas
from harness import Case, Claim, Settings

SIZES, QUICK = (10_000, 100_000, 1_000_000), (2_000, 4_000, 8_000)
MINUTES, GIBIBYTES, FLAT = 25.0, 6.0, 0.8
"""What is asked: of the largest size, its minutes and its memory; and how far cells per second may fall from the first to the last."""


@dataclass(frozen=True)
class Epoch:
    """One epoch: seconds of training, and the peak of the process's memory in GiB."""

    seconds: float
    peak: float


def cases() -> list[Case]:
    """Return the case."""
    return [Case("million", _million)]


def _million(settings: Settings) -> list[Claim]:
    sizes, start, found = QUICK if settings.quick else SIZES, time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.h5ad"
            write_atlas(path, size)
            for model in ("QBM-VAE", "scVI"):
                found[model, size] = _in_a_process(path, model)
            path.unlink()
    seconds = time.perf_counter() - start
    rates = {f"{model} {size:,} cells/s": size / epoch.seconds for (model, size), epoch in found.items()}
    peaks = {f"{model} {size:,} GiB": epoch.peak for (model, size), epoch in found.items()}
    last, first = found["QBM-VAE", sizes[-1]], found["QBM-VAE", sizes[0]]
    minutes, flat = last.seconds / 60, sizes[-1] / last.seconds / (sizes[0] / first.seconds)
    name = f"million/{sizes[-1]:,} cells x {GENES:,} genes"
    return [
        Claim(f"{name}/epoch", minutes, "min", (minutes, minutes), MINUTES, rates, seconds, sense="most", seeds=1),
        Claim(
            f"{name}/peak memory",
            last.peak,
            "GiB",
            (last.peak, last.peak),
            GIBIBYTES,
            peaks,
            seconds,
            sense="most",
            seeds=1,
        ),
        Claim(f"{name}/rate against {sizes[0]:,}", flat, "x", (flat, flat), FLAT, rates, seconds, seeds=1),
    ]


def _in_a_process(path: Path, model: str) -> Epoch:
    """Return what an epoch costs in a fresh process, whose memory nobody else has used."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_epoch, (path, model))


def _epoch(path: Path, name: str) -> Epoch:
    import scvi
    import torch

    from spinlight.cells import QBMVAE, load_cells
    from spinlight.cells.benchmark import chosen
    from spinlight.training.quiet import quiet_training

    torch.set_num_threads(harness.cores())
    kind = {"QBM-VAE": QBMVAE, "scVI": scvi.model.SCVI}[name]
    network = chosen.full_network(chosen.QBMVAE)
    with quiet_training(printed=True):
        cells = load_cells(path, backed=True)
        kind.setup_anndata(cells, batch_key="batch")
        model = kind(cells, n_latent=chosen.QBMVAE.size, **network)
        options = {"accelerator": "cpu", "enable_progress_bar": False, "train_size": 1.0}
        model.train(1, limit_train_batches=2, **options)  # compiles what is compiled
        model.module.train()  # scvi-tools leaves a trained model in evaluation mode, in which an epoch costs less
        start = time.perf_counter()
        model.train(1, **options)
        seconds = time.perf_counter() - start
    return Epoch(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    return harness.main(cases(), __doc__ or "", arguments)


if __name__ == "__main__":
    sys.exit(main())
