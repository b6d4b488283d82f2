"""New cells from the prior of a trained model."""

from __future__ import annotations

import anndata
import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse
from scvi import REGISTRY_KEYS
from scvi.model.base import BaseModelClass
from scvi.module._constants import MODULE_KEYS
from torch import Tensor

from spinlight._errors import InvalidStateError, UnknownNameError
from spinlight._random import Seed, derive_seed, resolve_seed, uniform
from spinlight.cells.loading import mini_batches
from spinlight.cells.settings import LATENT
from spinlight.ising import SupportsDraw


@torch.inference_mode()
def generate_cells(
    model: BaseModelClass, count: int, *, batch: str | None, sampler: SupportsDraw | None, seed: Seed
) -> AnnData:
    """Return new cells; see `QBMVAE.generate_cells`.

    Raises:
        InvalidSettingError: an impossible seed, no sampler, or one at another beta than 1.
        UnknownNameError: there is no such batch.
    """
    resolved, module = resolve_seed(seed), model.module
    chosen = _templates(model, count, batch, np.random.default_rng(derive_seed(resolved, 0)))
    bits = module.prior.sample(count, sampler=sampler, seed=derive_seed(resolved, 1))
    zeta = module.relaxation.smooth(bits, uniform(derive_seed(resolved, 2), *bits.shape)).float()
    with torch.random.fork_rng(devices=[module.device] if module.device.type == "cuda" else []):
        torch.manual_seed(derive_seed(resolved, 3))  # scvi-tools' distributions know torch's global state only
        values = _decoded(model, chosen, zeta)
    columns = [key for key in _columns(model) if key in model.adata.obs]
    lent = model.adata.obs[columns].iloc[chosen].set_axis([f"generated {number}" for number in range(count)])
    arguments = model.registry["setup_args"]
    if arguments["unlabeled_category"] is not None:
        lent[arguments["labels_key"]] = arguments["unlabeled_category"]
    cells = anndata.AnnData(values, obs=lent, var=model.adata.var[[]].copy())
    if arguments["layer"] is not None:
        cells.layers[arguments["layer"]] = cells.X.copy()
    cells.obsm[LATENT] = bits.cpu().numpy()
    return cells


def _templates(model: BaseModelClass, count: int, batch: str | None, random: np.random.Generator) -> NDArray[np.intp]:
    """Return cells of the model, drawn with replacement, that lend batch, covariates and library size."""
    if model.adata is None:
        raise InvalidStateError(
            "new cells take batch and library size from cells of the model, which has none; load it with adata"
        )
    if batch is None:
        return random.integers(model.adata.n_obs, size=count)
    state = model.adata_manager.get_state_registry(REGISTRY_KEYS.BATCH_KEY)
    codes = np.asarray(model.adata_manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY)).ravel()
    # A model that a query was mapped onto knows batches of which it has no cells.
    names = {str(name): code for code, name in enumerate(state.categorical_mapping) if (codes == code).any()}
    if str(batch) not in names:
        raise UnknownNameError(f"there are no cells of a batch {batch!r}; batches: {', '.join(names)}")
    return random.choice(np.flatnonzero(codes == names[str(batch)]), size=count)


def _decoded(model: BaseModelClass, chosen: NDArray[np.intp], zeta: Tensor) -> sparse.csr_matrix:
    module, parts = model.module, []
    done = 0
    for tensors in mini_batches(model, model.adata, chosen, None):
        rows = len(tensors[REGISTRY_KEYS.BATCH_KEY])
        inferred = module.inference(**module._get_inference_input(tensors))
        inferred = {**inferred, MODULE_KEYS.Z_KEY: zeta[done : done + rows].to(module.device)}
        generated = module.generative(**module._get_generative_input(tensors, inferred))
        parts.append(sparse.csr_matrix(generated[MODULE_KEYS.PX_KEY].sample().float().cpu().numpy()))
        done += rows
    return sparse.vstack(parts, format="csr")


def _columns(model: BaseModelClass) -> list[str]:
    """Return the columns of `obs` that the decoder is conditioned on."""
    arguments = model.registry["setup_args"]
    single = [arguments["batch_key"], arguments["size_factor_key"]]
    if model.module.dispersion == "gene-label":
        single.append(arguments["labels_key"])
    several = [*(arguments["categorical_covariate_keys"] or ()), *(arguments["continuous_covariate_keys"] or ())]
    return [key for key in (*single, *several) if key]
