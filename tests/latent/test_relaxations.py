"""Eq. (2) against its analytic distribution, and its gradients against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from helpers.statistics import mean_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.latent import SpikeAndExponential

BETAS = (0.5, 5.0, 20.0)


def distribution(values: np.ndarray, beta: float) -> np.ndarray:
    """Return P(zeta <= value | z = 1) = (e^(beta value) - 1) / (e^beta - 1)."""
    return np.expm1(beta * values) / math.expm1(beta)


def sample(beta: float, q: float, count: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.full((count,), q, dtype=torch.float64)
    return SpikeAndExponential(beta=beta).sample(probabilities, generator=generator).numpy()


@pytest.mark.parametrize("beta", BETAS)
def test_noise_is_the_distribution_function_of_what_it_gives(beta: float) -> None:
    q, noise = 0.7, torch.linspace(0.31, 0.999, 40, dtype=torch.float64)
    values = SpikeAndExponential(beta=beta)(torch.tensor(q, dtype=torch.float64), noise).numpy()
    np.testing.assert_allclose(1 - q + q * distribution(values, beta), noise.numpy(), rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
def test_a_bit_is_on_with_probability_q(beta: float) -> None:
    assert mean_p_value(sample(beta, 0.3, 20_000) > 0, 0.3) > threshold()


@pytest.mark.parametrize("beta", BETAS)
def test_values_of_a_bit_that_is_on_have_the_analytic_distribution(beta: float) -> None:
    values = sample(beta, 0.6, 60_000)
    assert stats.kstest(values[values > 0], lambda at: distribution(at, beta)).pvalue > threshold()


def test_another_sharpness_has_another_distribution() -> None:
    values = sample(5.0, 0.6, 60_000)
    assert stats.kstest(values[values > 0], lambda at: distribution(at, 5.5)).pvalue < threshold()


@pytest.mark.parametrize("beta", BETAS)
def test_path_gradients_average_to_the_derivative_of_the_expectation(beta: float) -> None:
    q = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    # Midpoints in the logarithm of rho + q - 1: a sharp exponential has much of its gradient where that is tiny.
    width = 1e-3
    excess = (torch.arange(-36, math.log(0.4), width, dtype=torch.float64)[:-1] + width / 2).exp()
    values = SpikeAndExponential(beta=beta)(q, excess + 0.6)
    (gradient,) = torch.autograd.grad((values.square() * excess * width).sum(), q)
    # E[zeta^2] = q * integral of zeta^2 under the exponential, so its derivative in q is the integral.
    expected, _ = integrate.quad(lambda at: at**2 * beta * math.exp(beta * at) / math.expm1(beta), 0, 1)
    assert float(gradient) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_edges(dtype: torch.dtype) -> None:
    q = torch.tensor([0.0, 1e-30, 1e-6, 1e-3, 0.5, 1 - 1e-7, 1.0], dtype=dtype, requires_grad=True)
    noise = torch.tensor([0.0, 1e-7, 0.5, 1 - 1e-7, 1.0], dtype=dtype)[:, None]
    for beta in (1e-3, *BETAS, 50.0):
        values = SpikeAndExponential(beta=beta)(q, noise)
        (gradient,) = torch.autograd.grad(values.sum(), q)
        assert bool(gradient.isfinite().all())
        assert 0 <= values.min().item() <= values.max().item() <= 1 + 1e-6


@pytest.mark.parametrize("beta", [0.0, -1.0, 51.0, math.nan, "5"])
def test_an_impossible_sharpness_is_refused(beta: object) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        SpikeAndExponential(beta=beta)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_that_are_no_probabilities_are_refused(value: float) -> None:
    with pytest.raises(InvalidStateError, match="probabilities"):
        SpikeAndExponential().sample(torch.tensor([value]))
    with pytest.raises(InvalidStateError, match="probabilities"):
        SpikeAndExponential()(torch.tensor([value]), torch.tensor([0.5]))


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_noise_outside_the_unit_interval_is_refused(value: float) -> None:
    with pytest.raises(InvalidStateError, match="noise"):
        SpikeAndExponential()(torch.tensor([0.5]), torch.tensor([value]))
