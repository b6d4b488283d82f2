"""Likelihoods against torch's own distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, distributions

from spinlight._errors import InvalidDataError, InvalidSettingError, InvalidStateError
from spinlight.latent import BernoulliLikelihood, NormalLikelihood


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 4), (3, 1, 5, 4)])
def test_bits_have_the_probability_of_independent_bernoullis(shape: tuple[int, ...]) -> None:
    x, logits = (numbers(*shape) > 0).double(), numbers(*shape, seed=1)
    exact = distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(BernoulliLikelihood().log_probability(x, logits), exact)
    torch.testing.assert_close(BernoulliLikelihood().log_probability(x.to(torch.uint8), logits), exact)
    torch.testing.assert_close(BernoulliLikelihood().mean(logits), distributions.Bernoulli(logits=logits).mean)


@pytest.mark.parametrize("features", [1, 4])
@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 5, 4)])
def test_numbers_have_the_density_of_independent_normals(shape: tuple[int, ...], features: int) -> None:
    likelihood = NormalLikelihood(scale=0.5, features=features).double()
    likelihood.log_scale.data += 0.3 * numbers(features, seed=2)
    x, means = numbers(*shape), numbers(*shape, seed=1)
    exact = distributions.Normal(means, likelihood.log_scale.exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_probability(x, means), exact)
    assert torch.equal(likelihood.mean(means), means)


def test_deviations_are_learned_to_be_those_of_the_residuals() -> None:
    x, likelihood = numbers(50, 3), NormalLikelihood(features=3).double()
    optimiser = torch.optim.LBFGS(likelihood.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -likelihood.log_probability(x, torch.zeros_like(x)).mean()
        value.backward()
        return value

    optimiser.step(loss)
    torch.testing.assert_close(likelihood.log_scale.exp(), x.square().mean(0).sqrt(), rtol=1e-3, atol=0)


def test_deviations_can_be_held() -> None:
    likelihood = NormalLikelihood(scale=0.1).requires_grad_(False)
    assert not likelihood.log_probability(torch.ones(2, 3), torch.zeros(2, 3)).requires_grad
    assert float(likelihood.log_scale) == pytest.approx(math.log(0.1))


def test_intensities_are_refused_as_bits() -> None:
    with pytest.raises(InvalidDataError, match="binarise"):
        BernoulliLikelihood().log_probability(torch.tensor([[0.0, 0.5]]), torch.zeros(1, 2))


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood(), NormalLikelihood()])
@pytest.mark.parametrize("shape", [(3, 5), (2, 4), (4,), (3, 4, 1)])
def test_a_decoder_of_another_shape_is_refused_rather_than_broadcast(
    likelihood: object, shape: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidStateError, match="decoder"):
        likelihood.log_probability(torch.zeros(3, 4), torch.zeros(shape))  # type: ignore[attr-defined]


def test_deviations_of_other_features_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="3 deviations"):
        NormalLikelihood(features=3).log_probability(torch.zeros(2, 4), torch.zeros(2, 4))


@pytest.mark.parametrize("settings", [{"scale": 0.0}, {"scale": math.nan}, {"features": 0}])
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(InvalidSettingError, match=next(iter(settings))):
        NormalLikelihood(**settings)
