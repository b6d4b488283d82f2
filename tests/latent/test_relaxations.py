"""Relaxations against their analytic distributions, and their gradients against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from helpers.statistics import mean_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.latent import OverlappingExponentials, PowerFunction, Relaxation, SpikeAndExponential, StraightThrough

BETAS = {
    SpikeAndExponential: (0.5, 5.0, 20.0),
    OverlappingExponentials: (0.5, 8.0, 20.0),
    PowerFunction: (1.2, 5.0, 20.0),
    StraightThrough: (0.5, 2.0, 20.0),
}
LARGEST = {SpikeAndExponential: 50.0, OverlappingExponentials: 50.0, PowerFunction: 100.0, StraightThrough: 1e3}
EVERY = [kind(beta=beta) for kind, betas in BETAS.items() for beta in betas]
CONTINUOUS = [relaxation for relaxation in EVERY if isinstance(relaxation, OverlappingExponentials | PowerFunction)]
SMOOTH = [relaxation for relaxation in EVERY if not isinstance(relaxation, StraightThrough)]

every_relaxation = pytest.mark.parametrize("relaxation", EVERY, ids=str)
every_smooth_one = pytest.mark.parametrize("relaxation", SMOOTH, ids=str)
every_continuous_one = pytest.mark.parametrize("relaxation", CONTINUOUS, ids=str)


def conditional(relaxation: Relaxation, bit: int, values: np.ndarray) -> np.ndarray:
    """Return P(zeta <= value | z)."""
    beta = relaxation.beta
    match relaxation:
        case SpikeAndExponential():
            return np.expm1(beta * values) / math.expm1(beta) if bit else np.ones_like(values)
        case OverlappingExponentials():
            rising = np.expm1(beta * values) / math.expm1(beta)
            return rising if bit else np.expm1(-beta * values) / math.expm1(-beta)
        case PowerFunction():
            return 1 - (1 - values) ** (1 / beta) if bit else values ** (1 / beta)
    raise NotImplementedError


def mixture(relaxation: Relaxation, q: float, values: np.ndarray) -> np.ndarray:
    """Return P(zeta <= value)."""
    return (1 - q) * conditional(relaxation, 0, values) + q * conditional(relaxation, 1, values)


def second_moment(relaxation: Relaxation, bit: int) -> float:
    """Return E[zeta^2 | z] = 1 - int 2 zeta F(zeta) dzeta, by parts, on the substitution zeta = (1 - cos)/2 of both ends."""
    angles = (np.arange(200_000) + 0.5) * math.pi / 200_000
    values, weights = (1 - np.cos(angles)) / 2, np.sin(angles) / 2 * math.pi / 200_000
    return 1 - float((2 * values * conditional(relaxation, bit, values) * weights).sum())


def sample(relaxation: Relaxation, q: float, count: int = 60_000) -> np.ndarray:
    generator = torch.Generator().manual_seed(1)
    return relaxation.sample(torch.full((count,), q, dtype=torch.float64), generator=generator).numpy()


def sharper(relaxation: Relaxation) -> Relaxation:
    return type(relaxation)(beta=1.1 * relaxation.beta)


@every_smooth_one
@pytest.mark.parametrize("q", [0.7, 0.02])
def test_noise_is_the_distribution_function_of_what_it_gives(relaxation: Relaxation, q: float) -> None:
    noise = torch.linspace(0.001, 0.999, 400, dtype=torch.float64)
    values = relaxation(torch.tensor(q, dtype=torch.float64), noise).numpy()
    # Nearer to one, numbers next to each other have distribution functions far from each other.
    inside = (values > 0) & (values < 1 - 1e-6)
    assert inside.any()
    np.testing.assert_allclose(mixture(relaxation, q, values[inside]), noise[inside].numpy(), rtol=1e-9)


@every_smooth_one
@pytest.mark.parametrize("bit", [0, 1])
def test_noise_is_the_distribution_function_of_a_smoothed_bit(relaxation: Relaxation, bit: int) -> None:
    noise = torch.linspace(0.001, 0.999, 400, dtype=torch.float64)
    values = relaxation.smooth(torch.tensor(bit), noise).numpy()
    if isinstance(relaxation, SpikeAndExponential) and bit == 0:
        assert not values.any()
        return
    inside = (values > 0) & (values < 1 - 1e-6)
    assert inside.any()
    np.testing.assert_allclose(conditional(relaxation, bit, values[inside]), noise[inside].numpy(), rtol=1e-9)


def test_a_bit_that_is_passed_on_stays_as_it_is() -> None:
    bits = torch.tensor([[0], [1]])
    assert torch.equal(StraightThrough().smooth(bits, torch.rand(2, 5)), bits.float().expand(2, 5))


@pytest.mark.parametrize("relaxation", [each for each in EVERY if each not in CONTINUOUS], ids=str)
def test_a_bit_is_on_with_probability_q(relaxation: Relaxation) -> None:
    assert mean_p_value(sample(relaxation, 0.3) > 0, 0.3) > threshold()
    assert mean_p_value(sample(relaxation, 0.3) > 0, 0.33) < threshold()


@pytest.mark.parametrize("beta", BETAS[SpikeAndExponential])
def test_values_of_a_bit_that_is_on_have_the_analytic_distribution(beta: float) -> None:
    values = sample(SpikeAndExponential(beta=beta), 0.6)
    assert (
        stats.kstest(values[values > 0], lambda at: conditional(SpikeAndExponential(beta=beta), 1, at)).pvalue
        > threshold()
    )


def test_another_sharpness_has_another_distribution() -> None:
    values = sample(SpikeAndExponential(beta=5.0), 0.6)
    assert (
        stats.kstest(values[values > 0], lambda at: conditional(SpikeAndExponential(beta=5.5), 1, at)).pvalue
        < threshold()
    )


# At a power of 20, a tenth of the mass lies nearer to one than float64 can tell.
@pytest.mark.parametrize("relaxation", [OverlappingExponentials(beta=8.0), PowerFunction(beta=5.0)], ids=str)
@pytest.mark.parametrize("q", [0.3, 0.6])
def test_overlapping_values_have_the_law_of_the_mixture(relaxation: Relaxation, q: float) -> None:
    values = sample(relaxation, q)
    assert stats.kstest(values, lambda at: mixture(relaxation, q, at)).pvalue > threshold()
    assert stats.kstest(values, lambda at: mixture(sharper(relaxation), q, at)).pvalue < threshold()


@pytest.mark.parametrize("relaxation", [OverlappingExponentials(beta=8.0), PowerFunction(beta=5.0)], ids=str)
def test_bits_drawn_first_and_smoothed_have_the_law_of_the_mixture_too(relaxation: Relaxation) -> None:
    generator = torch.Generator().manual_seed(2)
    first, second = torch.rand(2, 60_000, generator=generator, dtype=torch.float64)
    values = relaxation.smooth(first < 0.3, second).numpy()
    assert stats.kstest(values, lambda at: mixture(relaxation, 0.3, at)).pvalue > threshold()
    assert stats.kstest(values, lambda at: mixture(relaxation, 0.33, at)).pvalue < threshold()


def gradients(relaxation: Relaxation, q: float, noise: torch.Tensor) -> torch.Tensor:
    probabilities = torch.full_like(noise, q, requires_grad=True)
    (found,) = torch.autograd.grad(relaxation(probabilities, noise).sum(), probabilities)
    return found


@every_smooth_one
@pytest.mark.parametrize("q", [0.7, 0.02])
def test_gradients_are_those_of_the_inverse_distribution_function(relaxation: Relaxation, q: float) -> None:
    noise, width = torch.linspace(0.0105, 0.9895, 90, dtype=torch.float64), 1e-7
    ends = [relaxation(torch.tensor(q + step, dtype=torch.float64), noise) for step in (width, -width)]
    difference = (ends[0] - ends[1]) / (2 * width)
    torch.testing.assert_close(gradients(relaxation, q, noise), difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta", BETAS[StraightThrough])
def test_the_gradient_of_a_bit_passed_on_is_that_of_its_smooth_neighbour(beta: float) -> None:
    q, noise = 0.3, torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    odds = (q / (1 - q) * noise / (1 - noise)) ** beta
    soft = odds / (1 + odds)
    torch.testing.assert_close(
        gradients(StraightThrough(beta=beta), q, noise), beta * soft * (1 - soft) / (q * (1 - q))
    )


def mean_gradient_of_the_square(relaxation: Relaxation, q: float) -> float:
    """Return the mean over noise of d zeta^2 / dq, on a grid that is fine where rho + q - 1 is small: the sharpest place."""
    steps = torch.linspace(-36, 0, 200_001, dtype=torch.float64)
    edges = torch.cat([(1 - q) * (1 - steps.exp()), (1 - q) + q * steps.exp()]).sort().values.unique()
    noise, widths = (edges[1:] + edges[:-1]) / 2, edges.diff()
    values = relaxation(probabilities := torch.full_like(noise, q, requires_grad=True), noise)
    (found,) = torch.autograd.grad((values.square() * widths).sum(), probabilities)
    return float(found.sum())


@pytest.mark.parametrize(
    "relaxation",
    [*(SpikeAndExponential(beta=beta) for beta in (0.5, 5.0, 20.0)), *CONTINUOUS[:2], *CONTINUOUS[3:5]],
    ids=str,
)
def test_path_gradients_average_to_the_derivative_of_the_expectation(relaxation: Relaxation) -> None:
    # E[zeta^2] is linear in q, so its derivative is the difference of the two conditional moments.
    expected = second_moment(relaxation, 1) - second_moment(relaxation, 0)
    assert mean_gradient_of_the_square(relaxation, 0.4) == pytest.approx(expected, rel=2e-3)


def test_the_gradient_of_a_bit_passed_on_is_biased() -> None:
    assert abs(mean_gradient_of_the_square(StraightThrough(beta=2.0), 0.4) - 1) > 0.1  # E[z^2] = q


@pytest.mark.parametrize("kind", BETAS)
def test_sharp_relaxations_are_bits(kind: type[Relaxation]) -> None:
    # The bit that one noise gives is the nearest in law: E|zeta - z| of an exponential or a power is about 1/beta at most.
    q, noise = torch.tensor(0.4, dtype=torch.float64), torch.linspace(0, 1, 20_001, dtype=torch.float64)
    bits = (noise > 0.6).double()
    assert (kind(beta=LARGEST[kind])(q, noise) - bits).abs().mean() < 1.05 / LARGEST[kind]
    if kind is not StraightThrough:
        assert (kind(beta=BETAS[kind][0])(q, noise) - bits).abs().mean() > 0.1


@every_relaxation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_noise_never_gives_less(relaxation: Relaxation, dtype: torch.dtype) -> None:
    noise = torch.linspace(0, 1, 5_001, dtype=dtype)
    for q in (0.0, 1e-4, 0.3, 0.9, 1.0):
        rises = relaxation(torch.tensor(q, dtype=dtype), noise).diff()
        assert rises.min() >= -8 * torch.finfo(dtype).eps


@every_relaxation
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_no_nan(relaxation: Relaxation, dtype: torch.dtype) -> None:
    logits = torch.linspace(-20, 20, 401).to(dtype).requires_grad_()
    noise = torch.linspace(0, 1, 301).to(dtype)[:, None]
    zeta = relaxation(torch.sigmoid(logits), noise)
    assert zeta.dtype == dtype
    assert ((zeta >= 0) & (zeta <= 1)).all()
    if dtype is torch.bfloat16:  # float16 ends at 65,504, and gradients with respect to q do not
        zeta.sum().backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("kind", BETAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_at_the_edges(kind: type[Relaxation], dtype: torch.dtype) -> None:
    q = torch.tensor([0.0, 1e-30, 1e-6, 1e-3, 0.5, 1 - 1e-7, 1.0], dtype=dtype, requires_grad=True)
    noise = torch.tensor([0.0, 1e-7, 0.5, 1 - 1e-7, 1.0], dtype=dtype)[:, None]
    for beta in (1.001 if kind is PowerFunction else 1e-3, *BETAS[kind], LARGEST[kind]):
        values = kind(beta=beta)(q, noise)
        (gradient,) = torch.autograd.grad(values.sum(), q)
        assert bool(gradient.isfinite().all())
        assert 0 <= values.min().item() <= values.max().item() <= 1 + 1e-6


@pytest.mark.parametrize("kind", BETAS)
@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, math.inf, "5"])
def test_an_impossible_sharpness_is_refused(kind: type[Relaxation], beta: object) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        kind(beta=beta)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "beta"),
    [(SpikeAndExponential, 51.0), (OverlappingExponentials, 51.0), (PowerFunction, 101.0), (PowerFunction, 1.0)],
)
def test_a_sharpness_beyond_float32_or_without_any_effect_is_refused(kind: type[Relaxation], beta: float) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        kind(beta=beta)  # type: ignore[call-arg]


@every_relaxation
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_that_are_no_probabilities_are_refused(relaxation: Relaxation, value: float) -> None:
    with pytest.raises(InvalidStateError, match="probabilities"):
        relaxation.sample(torch.tensor([value]))
    with pytest.raises(InvalidStateError, match="probabilities"):
        relaxation(torch.tensor([value]), torch.tensor([0.5]))


@every_relaxation
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_noise_outside_the_unit_interval_is_refused(relaxation: Relaxation, value: float) -> None:
    with pytest.raises(InvalidStateError, match="noise"):
        relaxation(torch.tensor([0.5]), torch.tensor([value]))
    with pytest.raises(InvalidStateError, match="noise"):
        relaxation.smooth(torch.tensor([1]), torch.tensor([value]))


def test_only_bits_are_smoothed() -> None:
    with pytest.raises(InvalidStateError, match="bits"):
        SpikeAndExponential().smooth(torch.tensor([0.5]), torch.tensor([0.5]))
