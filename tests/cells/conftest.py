"""Synthetic cells: three kinds in two batches, drawn from a law that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from anndata import AnnData


def synthetic_cells(count: int = 90, genes: int = 24, seed: int = 0) -> AnnData:
    """Return Poisson counts of three kinds, each with a third of the genes raised; column `batch` halves the cells."""
    anndata = pytest.importorskip("anndata")
    generator = np.random.default_rng(seed)
    kinds = np.arange(count) % 3
    rates = np.where(np.arange(genes)[None] % 3 == kinds[:, None], 12.0, 2.0)
    cells = anndata.AnnData(generator.poisson(rates).astype(np.float32))
    cells.obs["kind"] = [f"kind {kind}" for kind in kinds]
    cells.obs["batch"] = np.where(np.arange(count) < count // 2, "first", "second")
    cells.obs_names = [f"cell {index}" for index in range(count)]
    cells.var_names = [f"gene {index}" for index in range(genes)]
    return cells


@pytest.fixture(scope="session")
def make_cells() -> Callable[..., AnnData]:
    """Return the function that draws synthetic cells."""
    return synthetic_cells


@pytest.fixture
def cells() -> AnnData:
    """Return a fresh set of synthetic cells."""
    return synthetic_cells()
