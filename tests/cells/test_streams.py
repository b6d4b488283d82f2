"""Cells that a data module brings, mini-batch by mini-batch: annbatch's where it is installed, and a plain one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spinlight._errors import InvalidDataError
from spinlight.training.quiet import quiet_training

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import QBMVAE

pytest.importorskip("scvi")
lightning = pytest.importorskip("lightning.pytorch")


class Stream(lightning.LightningDataModule):
    """What scvi-tools asks of a data module."""

    def __init__(self, model: QBMVAE, change: Callable[[torch.Tensor], None] = lambda values: None) -> None:
        super().__init__()
        self.registry, self.n_obs, self.n_vars = model.registry, model.adata.n_obs, model.adata.n_vars
        self.n_batch = model.summary_stats.n_batch
        self._batches = list(model._make_data_loader(model.adata, batch_size=30))
        change(self._batches[1]["X"])

    def train_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        return DataLoader(self._batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        return DataLoader(self._batches[:1], batch_size=None)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return iter(self._batches)


def registered(cells: AnnData) -> QBMVAE:
    from spinlight.cells import QBMVAE

    QBMVAE.setup_anndata(cells, batch_key="batch")
    return QBMVAE(cells, n_latent=6, n_hidden=16)


def streamed(stream: Any, **settings: Any) -> QBMVAE:
    from spinlight.cells import QBMVAE

    model = QBMVAE(registry=stream.registry, n_latent=6, n_hidden=16, **settings)
    with quiet_training(printed=True):
        model.train(2, accelerator="cpu", enable_progress_bar=False, datamodule=stream)
    return model


def test_a_model_learns_from_a_stream_and_says_of_it_what_it_says_of_cells(cells: AnnData) -> None:
    known = registered(cells)
    stream = Stream(known)
    model = streamed(stream)
    assert model.adata is None
    known.module, known.is_trained_ = model.module, True
    np.testing.assert_array_equal(
        model.get_latent_representation(dataloader=stream), known.get_latent_representation(batch_size=30)
    )
    np.testing.assert_array_equal(model.get_cell_energy(dataloader=stream), known.get_cell_energy(batch_size=30))
    bounds = model.get_log_likelihood(dataloader=stream, draws=3), known.get_log_likelihood(batch_size=30, draws=3)
    np.testing.assert_allclose(*(bound.per_row for bound in bounds), rtol=1e-12)


def test_cells_or_a_stream_are_asked_for_by_name(cells: AnnData) -> None:
    known = registered(cells)
    stream = Stream(known)
    model = streamed(stream)
    with pytest.raises(ValueError, match="Only one of `adata` or `dataloader`"):
        model.get_cell_energy(cells, dataloader=stream)


def negative(values: torch.Tensor) -> None:
    values[3, 2] = -1


def fractional(values: torch.Tensor) -> None:
    values[3, 2] = 0.5


def unknown(values: torch.Tensor) -> None:
    values[3, 2] = float("nan")


def empty(values: torch.Tensor) -> None:
    values[3] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (negative, "negative values"),
        (fractional, r"no counts \(fractions\)"),
        (unknown, "NaN or infinity"),
        (empty, "1 cells of a mini-batch have no count"),
    ],
)
def test_a_stream_of_no_counts_is_refused_at_the_mini_batch(
    cells: AnnData, change: Callable[[torch.Tensor], None], words: str
) -> None:
    with pytest.raises(InvalidDataError, match=words):
        streamed(Stream(registered(cells), change))


def test_fractions_are_values_of_a_normal_likelihood(cells: AnnData) -> None:
    assert streamed(Stream(registered(cells), fractional), gene_likelihood="normal").is_trained_


@pytest.mark.filterwarnings("ignore")  # of zarr, annbatch and scvi-tools about each other
def test_cells_that_annbatch_streams_from_disk_are_learned_from(cells: AnnData, tmp_path: Path) -> None:
    pytest.importorskip("annbatch")
    from spinlight.cells import QBMVAE

    cells.write_h5ad(tmp_path / "cells.h5ad")
    stream = QBMVAE.setup_annbatch(
        str(tmp_path / "cells.zarr"),
        [str(tmp_path / "cells.h5ad")],
        batch_key="batch",
        labels_key="kind",
        batch_size=30,
        chunk_size=10,
        preload_nchunks=6,
        preload_to_gpu=False,
    )
    model = streamed(stream)
    energies = model.get_cell_energy(dataloader=stream.inference_dataloader())
    assert energies.shape == (cells.n_obs,)
    in_memory = registered(cells)
    in_memory.module, in_memory.is_trained_ = model.module, True
    np.testing.assert_allclose(np.sort(energies), np.sort(in_memory.get_cell_energy()), rtol=1e-4)
