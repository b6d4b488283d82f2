"""The atlas is one of counts like the real ones, whatever its size; the benchmark runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scvi")

from atlas import BATCHES, GENES, write_atlas
from spinlight._files import data_folder
from spinlight.cells import load_cells, load_dataset
from spinlight.cells.checks import require_cells

SOURCE = data_folder() / "singlecell" / "pbmc_facs_zheng.h5ad"
pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="the folder of shared data is not there")


def test_an_atlas_holds_counts_with_the_means_of_the_real_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas._STRETCH", 1500)
    write_atlas(tmp_path / "atlas.h5ad", 4000)
    made, real = load_cells(tmp_path / "atlas.h5ad"), load_dataset("pbmc_facs_zheng")
    require_cells(made, batch_key="batch")
    assert made.shape == (4000, GENES)
    assert made.obs["batch"].nunique() == BATCHES
    real = real[:, made.var_names]
    expected, variance = np.asarray(real.X.mean(0)).ravel(), np.asarray(real.X.power(2).mean(0)).ravel()
    # Var = E[c] + Var(c) <= E[c] + E[c^2]; five standard errors of 4,000 cells, over 2,000 genes.
    error = np.sqrt((expected + variance) / 4000)
    assert (np.abs(np.asarray(made.X.mean(0)).ravel() - expected) < 5 * error).all()
    assert (np.abs(np.asarray(made.X.mean(0)).ravel() - 1.2 * expected) > 5 * error).any()


@pytest.mark.slow
def test_the_benchmark_of_scale_runs() -> None:
    from cells_scale import _million
    from harness import Settings

    time, memory, flat = _million(Settings(quick=True, seeds=1))
    assert 0 < time.value < 2
    assert 0.3 < memory.value < 6
    assert flat.value > 0.3
