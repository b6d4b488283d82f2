"""The prior of independent bits against enumeration, and against a Boltzmann machine without couplings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import Enumeration, TableSampler
from helpers.statistics import counts_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.latent import BernoulliPrior, BoltzmannPrior, entropy
from spinlight.models import BoltzmannMachine
from spinlight.samplers import Exact, Gibbs

UNITS = 5


def random_prior() -> BernoulliPrior:
    prior = BernoulliPrior(UNITS).double()
    prior.logits.data = 1.5 * torch.randn(UNITS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return prior


def posterior_logits() -> Tensor:
    return 2 * torch.randn(4, UNITS, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log of the product of each bit's probability, for all states; shape (..., 2^units)."""
    on = all_bits(UNITS).bool()
    p = torch.sigmoid(logits).unsqueeze(-2)
    return torch.where(on, p, 1 - p).log().sum(-1)


def test_log_probabilities_are_products_over_the_bits() -> None:
    prior = random_prior()
    torch.testing.assert_close(prior.log_probability(all_bits(UNITS)), log_probabilities(prior.logits))


def test_the_divergence_and_its_gradients_are_those_of_the_enumerated_distributions() -> None:
    prior, logits = random_prior(), posterior_logits().requires_grad_()
    log_q = log_probabilities(logits)
    exact = (log_q.exp() * (log_q - log_probabilities(prior.logits))).sum(-1)
    ours = prior.kl_divergence(logits)
    torch.testing.assert_close(ours, exact)
    for mine, expected in zip(*(torch.autograd.grad(value.sum(), [logits, prior.logits]) for value in (ours, exact))):
        torch.testing.assert_close(mine, expected)


def test_the_entropy_is_that_of_the_enumerated_posterior() -> None:
    log_q = log_probabilities(posterior_logits())
    torch.testing.assert_close(entropy(posterior_logits()), -(log_q.exp() * log_q).sum(-1))


def test_it_is_a_boltzmann_machine_without_couplings() -> None:
    prior, machine = random_prior(), BoltzmannMachine(UNITS, initial_scale=0.0).double()
    machine.biases.data = prior.logits.data.clone()
    boltzmann = BoltzmannPrior(machine, estimator=Enumeration())
    assert boltzmann.units == prior.units
    assert boltzmann.log_partition.value == pytest.approx(prior.log_partition.value, abs=1e-12)
    torch.testing.assert_close(boltzmann.kl_divergence(posterior_logits()), prior.kl_divergence(posterior_logits()))
    torch.testing.assert_close(boltzmann.energy(all_bits(UNITS)), prior.energy(all_bits(UNITS)))


def test_log_partition_is_exact_and_stays_so() -> None:
    prior = random_prior()
    exact = float(torch.logsumexp(all_bits(UNITS).double() @ prior.logits.detach(), 0))
    prior.advance()
    assert prior.estimate() == prior.log_partition
    assert prior.log_partition.value == pytest.approx(exact, abs=1e-12)
    assert (prior.log_partition.standard_error, prior.log_partition.lower) == (0, prior.log_partition.upper)


@pytest.mark.parametrize(
    "sampler", [None, Exact(), Gibbs(sweeps=5, progress=False), TableSampler(weighted=True)], ids=str
)
def test_samples_have_the_law_of_the_prior(sampler: object) -> None:
    prior = random_prior()
    bits = prior.sample(20_000, sampler=sampler, seed=1)  # type: ignore[arg-type]
    counts = torch.bincount((bits.long() << torch.arange(UNITS)).sum(-1), minlength=2**UNITS).numpy()
    exact, sharper = (log_probabilities(scale * prior.logits.detach()).exp().numpy() for scale in (1.0, 1.1))
    assert counts_p_value(counts, exact) > threshold()
    assert counts_p_value(counts, sharper) < threshold()


def test_one_seed_gives_the_same_bits() -> None:
    assert torch.equal(random_prior().sample(9, seed=5), random_prior().sample(9, seed=5))


@pytest.mark.parametrize("units", [0, -1, 2.5, True])
def test_no_units_are_refused(units: object) -> None:
    with pytest.raises(InvalidSettingError, match="units"):
        BernoulliPrior(units)  # type: ignore[arg-type]


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="5 entries"):
        random_prior().kl_divergence(torch.zeros(2, 4))
    with pytest.raises(InvalidStateError, match="5 entries"):
        random_prior().log_probability(torch.zeros(2, 4))


def test_a_sampler_at_another_temperature_and_no_rows_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="beta = 1"):
        random_prior().sample(3, sampler=Gibbs(beta=2.0))
    with pytest.raises(InvalidSettingError, match="count"):
        random_prior().sample(0)
