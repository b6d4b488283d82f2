"""The ELBO's error is that of its draws and of log Z."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats

from helpers.statistics import threshold
from spinlight._errors import InvalidSettingError

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import QBMVAE

scvi = pytest.importorskip("scvi")


@pytest.fixture(scope="module")
def model(make_cells: Callable[..., AnnData]) -> QBMVAE:
    """Return a barely trained model: its bits are uncertain, so its draws scatter."""
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    cells = make_cells(60)
    with quiet_training():
        scvi.settings.seed = 0
        QBMVAE.setup_anndata(cells)
        model = QBMVAE(cells, n_latent=8, n_hidden=16)
        model.train(2, accelerator="cpu", enable_progress_bar=False)
    return model


def scatter_p_value(values: np.ndarray, errors: np.ndarray) -> float:
    """Return the two-sided p-value of the values' variance about their mean, if each has the error given."""
    statistic = (((values - values.mean()) / errors) ** 2).sum()
    law = stats.chi2(len(values) - 1)
    return float(2 * min(law.cdf(statistic), law.sf(statistic)))


def test_repeated_estimates_scatter_as_their_sampling_error_says(model: QBMVAE) -> None:
    from spinlight.cells.elbo import estimate_elbo

    indices = range(40)
    torch.manual_seed(0)
    # Of 100, half or twice the error is seen: chi2(99) is below 99 / 4 once in 10^14.
    estimates = [estimate_elbo(model, indices, draws=4) for _ in range(100)]
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.sampling_error for estimate in estimates])
    assert scatter_p_value(values, errors) > threshold()
    assert scatter_p_value(values, errors / 2) < threshold()
    assert scatter_p_value(values, errors * 2) < threshold()
    # The error of log Z alone, which one fit's estimates share, says nothing of this scatter.
    assert scatter_p_value(values, np.array([estimate.log_partition_error for estimate in estimates])) < threshold()


def test_the_errors_add_in_quadrature() -> None:
    from spinlight.cells.elbo import ElboEstimate

    assert ElboEstimate(value=0.0, sampling_error=3.0, log_partition_error=4.0).standard_error == 5.0


def test_the_estimate_is_the_mean_of_single_elbos(model: QBMVAE) -> None:
    from spinlight.cells.elbo import estimate_elbo

    torch.manual_seed(1)
    expected = np.mean([float(model.get_elbo(indices=[4, 7])) for _ in range(3)])
    torch.manual_seed(1)
    assert estimate_elbo(model, [4, 7], draws=3).value == pytest.approx(expected, rel=1e-6)


def test_one_draw_is_refused(model: QBMVAE) -> None:
    from spinlight.cells.elbo import estimate_elbo

    with pytest.raises(InvalidSettingError, match="at least 2"):
        estimate_elbo(model, [0], draws=1)
