"""Single cells: the QBM-VAE, a variational autoencoder of counts with a Boltzmann machine as its prior.

Needs the extra `cells` (scvi-tools, scanpy), which is imported when one of these names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinlight.cells.benchmark.run import Benchmarked, benchmark_cells
    from spinlight.cells.benchmark.settings import BenchmarkSettings
    from spinlight.cells.data import load_cells, load_dataset
    from spinlight.cells.embedding import EmbeddedCells, embed_cells
    from spinlight.cells.fit import Fitted, fit_cells
    from spinlight.cells.model import QBMVAE
    from spinlight.cells.settings import EmbedSettings, FitSettings
    from spinlight.training.interrupts import InterruptedFitError

_HOMES = {
    "QBMVAE": "spinlight.cells.model",
    "BenchmarkSettings": "spinlight.cells.benchmark.settings",
    "Benchmarked": "spinlight.cells.benchmark.run",
    "EmbedSettings": "spinlight.cells.settings",
    "EmbeddedCells": "spinlight.cells.embedding",
    "FitSettings": "spinlight.cells.settings",
    "Fitted": "spinlight.cells.fit",
    "InterruptedFitError": "spinlight.training.interrupts",
    "benchmark_cells": "spinlight.cells.benchmark.run",
    "embed_cells": "spinlight.cells.embedding",
    "fit_cells": "spinlight.cells.fit",
    "load_cells": "spinlight.cells.data",
    "load_dataset": "spinlight.cells.data",
}

__all__ = [
    "QBMVAE",
    "BenchmarkSettings",
    "Benchmarked",
    "EmbedSettings",
    "EmbeddedCells",
    "FitSettings",
    "Fitted",
    "InterruptedFitError",
    "benchmark_cells",
    "embed_cells",
    "fit_cells",
    "load_cells",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name on first use: scvi-tools takes seconds to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
