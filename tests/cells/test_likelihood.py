"""The importance-weighted bound is one, and rises to the likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import QBMVAE

scvi = pytest.importorskip("scvi")


def exact_log_likelihood(model: QBMVAE, grid: int) -> np.ndarray:
    """Return log p(x) of each cell of a model of two bits, by a sum over the bits and a grid over their smoothed stand-ins."""
    module, cells = model.module, model.adata.n_obs
    tensors = next(iter(model._make_data_loader(model.adata, batch_size=cells)))
    bits = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    levels = (torch.arange(grid) + 0.5) / grid
    log_prior = module.prior.log_probability(bits).detach()
    total = []
    with torch.no_grad():
        inferred = module.inference(**module._get_inference_input(tensors))
        for state, weight in zip(bits, log_prior):
            noise = torch.cartesian_prod(
                *(levels if bit else levels[:1] for bit in state)
            )  # a bit that is off has one zeta
            zeta = module.relaxation.smooth(state.expand_as(noise), noise)[:, None].expand(-1, cells, -1)
            library = inferred["library"].expand(len(zeta), -1, -1)
            given = module._get_generative_input(tensors, {"z": zeta, "library": library})
            log_p = module.generative(**given)["px"].log_prob(tensors["X"]).sum(-1)  # (points, cells)
            total.append(weight + torch.logsumexp(log_p.double(), 0) - np.log(len(zeta)))
    return torch.logsumexp(torch.stack(total), 0).numpy()


def test_the_importance_weighted_bound_rises_to_the_exact_likelihood(make_cells: Callable[..., AnnData]) -> None:
    from spinlight.cells import QBMVAE
    from spinlight.training import ExactPartition
    from spinlight.training.quiet import quiet_training

    cells = make_cells(40)
    with quiet_training():
        scvi.settings.seed = 0
        QBMVAE.setup_anndata(cells, batch_key="batch")
        model = QBMVAE(cells, n_latent=2, n_hidden=8)
        model.train(
            60, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"lr": 0.02, "n_epochs_kl_warmup": None}
        )
    model.module.prior.estimate(ExactPartition())
    exact = exact_log_likelihood(model, grid=60)
    one, many = (model.get_log_likelihood(draws=draws, seed=1).per_row.numpy() for draws in (1, 4000))
    assert one.mean() < exact.mean() - 0.05
    np.testing.assert_allclose(many, exact, atol=0.1)
    assert abs((many - exact).mean()) < 0.02
    marginal = model.get_marginal_ll(n_mc_samples=4000, n_mc_samples_per_pass=1000, return_mean=False)
    np.testing.assert_allclose(marginal.numpy(), exact, atol=0.1)
