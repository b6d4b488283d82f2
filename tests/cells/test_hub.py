"""scvi-tools' hub of models takes a QBM-VAE as it takes its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from anndata import AnnData

anndata = pytest.importorskip("anndata")
scvi = pytest.importorskip("scvi")
pytest.importorskip("huggingface_hub")


@pytest.mark.filterwarnings("ignore")  # of the hub's own packages about each other
def test_a_model_goes_through_the_hub(cells: AnnData, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard
    from scvi.hub import HubMetadata, HubModel

    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    with quiet_training(printed=True):
        QBMVAE.setup_anndata(cells, batch_key="batch", labels_key="kind")
        model = QBMVAE(cells, n_latent=8, n_hidden=16)
        model.train(2, accelerator="cpu", enable_progress_bar=False)
    model.save(str(tmp_path), save_anndata=True, overwrite=True)
    metadata = HubMetadata.from_dir(
        str(tmp_path), anndata_version=anndata.__version__, model_parent_module="spinlight.cells"
    )
    card = ModelCard("---\nlicense: cc-by-4.0\n---\n# A QBM-VAE of three kinds of cells\n")
    shared = HubModel(str(tmp_path), metadata=metadata, model_card=card)
    assert isinstance(shared.model, QBMVAE)
    np.testing.assert_allclose(shared.model.get_latent_representation(), model.get_latent_representation(), atol=1e-5)
