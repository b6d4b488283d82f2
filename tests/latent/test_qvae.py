"""The autoencoder on models so small that log p(x), the ELBO and their gradients are sums over all states."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.enumeration import all_bits
from helpers.machines import Enumeration, TableSampler, random_machine
from helpers.statistics import mean_p_value, threshold
from spinlight._errors import InvalidDataError, InvalidSettingError, InvalidStateError
from spinlight.ising import LogPartition
from spinlight.latent import (
    QVAE,
    BernoulliLikelihood,
    BernoulliPrior,
    BoltzmannPrior,
    NormalLikelihood,
    OverlappingExponentials,
    PowerFunction,
    Prior,
    Relaxation,
    SpikeAndExponential,
    StraightThrough,
)
from spinlight.models import BoltzmannMachine
from spinlight.samplers import Exact, Gibbs
from spinlight.training import (
    ExactPartition,
    ImportanceWeightedBound,
    IndependentDraws,
    PersistentContrastiveDivergence,
)

UNITS, FEATURES = 2, 4
ROW = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)

RELAXATIONS = (
    SpikeAndExponential(beta=3.0),
    OverlappingExponentials(beta=3.0),
    PowerFunction(beta=4.0),
    StraightThrough(beta=2.0),
)


def boltzmann_prior(units: int = UNITS) -> BoltzmannPrior:
    """Return a prior whose log Z and gradients are exact: every state is a negative, with its weight."""
    machine = random_machine(BoltzmannMachine(units), 7)
    every_state = IndependentDraws(TableSampler(weighted=True), count=1)
    return BoltzmannPrior(machine, negatives=every_state, estimator=Enumeration())


def bernoulli_prior(units: int = UNITS) -> BernoulliPrior:
    prior = BernoulliPrior(units).double()
    prior.logits.data = torch.linspace(-1, 1.5, units, dtype=torch.float64)
    return prior


PRIORS = {"boltzmann": boltzmann_prior, "bernoulli": bernoulli_prior}
every_prior = pytest.mark.parametrize("prior", PRIORS)
every_relaxation = pytest.mark.parametrize("relaxation", RELAXATIONS, ids=str)


def tiny(prior: Prior, relaxation: Relaxation = RELAXATIONS[0]) -> QVAE:
    torch.manual_seed(11)
    encoder, decoder = nn.Linear(FEATURES, prior.units), nn.Linear(prior.units, FEATURES)
    for network in (encoder, decoder):
        nn.init.normal_(network.weight, std=0.7)
    return QVAE(encoder.double(), decoder.double(), prior, relaxation=relaxation)


def model_of(prior: str, relaxation: Relaxation = RELAXATIONS[0]) -> QVAE:
    return tiny(PRIORS[prior](), relaxation)


@dataclass(frozen=True)
class Enumerated:
    """What sums over all bits, and quadrature over zeta given each, say of one row.

    Args:
        log_prior: log p(z), shape (states,).
        log_posterior: log q(z | x), shape (states,).
        log_likelihoods: log p(x | zeta) at the nodes, shape (states, nodes).
        means: of x given zeta at the nodes, shape (states, nodes, features).
        log_weights: of the nodes; they sum to one.
    """

    log_prior: Tensor
    log_posterior: Tensor
    log_likelihoods: Tensor
    means: Tensor
    log_weights: Tensor

    @property
    def log_probability(self) -> Tensor:
        """log p(x) = log sum_z p(z) int r(zeta | z) p(x | zeta) dzeta."""
        given = torch.logsumexp(self.log_likelihoods + self.log_weights, -1)
        return torch.logsumexp(self.log_prior + given, 0)

    @property
    def elbo(self) -> Tensor:
        """sum_z q(z) [ int r(zeta | z) log p(x | zeta) dzeta - log q(z) / p(z) ]."""
        given = self.log_likelihoods @ self.log_weights.exp()
        return self.log_posterior.exp() @ (given + self.log_prior - self.log_posterior)

    def mean(self, log_bits: Tensor) -> np.ndarray:
        """Return E[x], shape (features,), for bits with these log probabilities."""
        shares = (log_bits[:, None] + self.log_weights).exp()
        return (shares.unsqueeze(-1) * self.means).sum((0, 1)).detach().numpy()


def enumerated(qvae: QVAE, x: Tensor = ROW, nodes: int = 40) -> Enumerated:
    """Return the parts of one row, by the defining formulas; differentiable in encoder, decoder and prior."""
    units = qvae.prior.units
    bits = all_bits(units).double()
    logits = qvae.encoder(x)[0]
    log_q = torch.where(bits > 0, functional.logsigmoid(logits), functional.logsigmoid(-logits)).sum(-1)
    at, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(nodes))
    noise = torch.cartesian_prod(*[(at + 1) / 2] * units).reshape(-1, units)
    log_weights = torch.cartesian_prod(*[(weights / 2).log()] * units).reshape(-1, units).sum(-1)
    # int r(zeta | z) f(zeta) dzeta over the noise of `smooth`, which its own tests check against r.
    zeta = qvae.relaxation.smooth(bits[:, None], noise)
    log_p = -functional.softplus((1 - 2 * x) * qvae.decoder(zeta)).sum(-1)
    means = torch.sigmoid(qvae.decoder(zeta))
    return Enumerated(torch.log_softmax(-energies(qvae.prior, bits), 0), log_q, log_p, means, log_weights)


def energies(prior: Prior, bits: Tensor) -> Tensor:
    if isinstance(prior, BernoulliPrior):
        return -(bits @ prior.logits)
    biases, weights = prior.machine.biases_and_weights()
    return -(bits @ biases) - 0.5 * ((bits @ weights) * bits).sum(-1)


def many(rows: int, x: Tensor = ROW) -> Tensor:
    return x.expand(rows, -1)


def drawn(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_prior
@every_relaxation
def test_the_elbo_is_that_of_the_enumerated_model(prior: str, relaxation: Relaxation) -> None:
    qvae = model_of(prior, relaxation)
    values = qvae.elbo(many(20_000), generator=drawn()).value.detach()
    exact = enumerated(qvae)
    assert mean_p_value(values.numpy(), exact.elbo.item()) > threshold()
    # Without log Z it is no bound at all: here it lies above log p(x).
    wrong = values + qvae.prior.log_partition.value
    assert mean_p_value(wrong.numpy(), exact.elbo.item()) < threshold()
    assert exact.elbo < exact.log_probability < wrong.mean()


@every_prior
@every_relaxation
@pytest.mark.parametrize("samples", [1, 7])
def test_importance_weights_average_to_the_probability_of_the_row(
    prior: str, relaxation: Relaxation, samples: int
) -> None:
    qvae = model_of(prior, relaxation)
    bound = qvae.importance_weighted_bound(many(20_000), draws=samples, seed=1)
    ratios = (bound.per_row - enumerated(qvae).log_probability.detach()).exp().numpy()
    assert mean_p_value(ratios, 1.0) > threshold()
    assert mean_p_value(ratios * math.exp(qvae.prior.log_partition.value), 1.0) < threshold()


@every_relaxation
def test_energies_of_twice_the_size_are_noticed(relaxation: Relaxation, monkeypatch: pytest.MonkeyPatch) -> None:
    qvae = model_of("boltzmann", relaxation)
    exact, energy = enumerated(qvae).log_probability.detach(), qvae.prior.energy
    monkeypatch.setattr(qvae.prior, "energy", lambda bits: 2 * energy(bits))
    bound = qvae.importance_weighted_bound(many(20_000), draws=7, seed=1)
    assert mean_p_value((bound.per_row - exact).exp().numpy(), 1.0) < threshold()


@every_prior
@every_relaxation
def test_the_bound_rises_from_the_elbo_to_the_likelihood(prior: str, relaxation: Relaxation) -> None:
    qvae = model_of(prior, relaxation)
    exact = enumerated(qvae)
    bounds = [qvae.importance_weighted_bound(many(20_000), draws=k, seed=k) for k in (1, 5, 50)]
    assert mean_p_value(bounds[0].per_row.numpy(), exact.elbo.item()) > threshold()
    assert mean_p_value(bounds[1].per_row.numpy(), exact.elbo.item()) < threshold()
    for below, above in pairwise(bounds):
        assert above.value - below.value > 5 * math.hypot(above.row_error, below.row_error)
    last = qvae.importance_weighted_bound(many(200), draws=1000, seed=5)
    assert bounds[-1].value < last.value < exact.log_probability + 5 * last.row_error
    assert last.value == pytest.approx(exact.log_probability.item(), abs=0.02)


def test_more_bits_without_smoothing_agree_with_enumeration_too() -> None:
    qvae = tiny(boltzmann_prior(4), StraightThrough())
    exact = enumerated(qvae, nodes=1)
    bound = qvae.importance_weighted_bound(many(20_000), draws=5, seed=1)
    assert mean_p_value((bound.per_row - exact.log_probability.detach()).exp().numpy(), 1.0) > threshold()
    assert exact.elbo < bound.value < exact.log_probability


@pytest.mark.parametrize("chunk", [1, 7, 64, 4096])
def test_chunks_of_any_size_give_the_same_expectation(chunk: int) -> None:
    qvae = model_of("boltzmann")
    bound = qvae.importance_weighted_bound(many(300), draws=10, seed=1, chunk=chunk)
    assert bound.per_row.shape == (300,)
    ratios = (bound.per_row - enumerated(qvae).log_probability.detach()).exp().numpy()
    assert mean_p_value(ratios, 1.0) > threshold()


def test_no_more_rows_than_a_chunk_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    qvae, sizes = model_of("bernoulli"), []
    qvae.decoder.register_forward_pre_hook(lambda module, arguments: sizes.append(len(arguments[0])))
    qvae.importance_weighted_bound(many(10), draws=7, chunk=30)
    assert sizes == [30, 30, 10]
    sizes.clear()
    qvae.importance_weighted_bound(many(10), draws=2, chunk=4)
    assert sizes == [4, 4, 4, 4, 4]  # two samples of four, four and two rows


def test_one_seed_gives_one_bound_whatever_torchs_global_state() -> None:
    qvae = model_of("bernoulli")
    values = [qvae.importance_weighted_bound(many(5), seed=seed).value for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


@every_prior
def test_gradients_of_the_divergence_reach_the_prior_exactly(prior: str) -> None:
    qvae = model_of(prior, StraightThrough())
    parameters = list(qvae.prior.parameters())
    ours = torch.autograd.grad(qvae.elbo(ROW).value.sum(), parameters)
    exact = torch.autograd.grad(enumerated(qvae, nodes=1).elbo, parameters)
    for mine, expected in zip(ours, exact):
        torch.testing.assert_close(mine, expected)


def gradient_samples(relaxation: Relaxation, count: int = 20_000) -> tuple[Tensor, Tensor]:
    """Return gradients of single rows' ELBOs with respect to the posterior's logits, and that of the exact one."""
    qvae = model_of("boltzmann", relaxation)
    logits = qvae.encode(many(count)).detach().requires_grad_()
    qvae.encode = lambda x: logits  # type: ignore[method-assign]
    (ours,) = torch.autograd.grad(qvae.elbo(many(count), generator=drawn()).value.sum(), logits)
    (exact,) = torch.autograd.grad(enumerated(qvae).elbo, qvae.encoder.bias)
    return ours, exact


@pytest.mark.parametrize("relaxation", RELAXATIONS[:3], ids=str)
def test_gradients_average_to_that_of_the_exact_bound(relaxation: Relaxation) -> None:
    ours, exact = gradient_samples(relaxation)
    assert mean_p_value(ours.numpy(), exact.numpy()) > threshold()


def test_gradients_of_bits_passed_on_do_not() -> None:
    ours, exact = gradient_samples(StraightThrough(beta=2.0), count=100_000)
    assert mean_p_value(ours.numpy(), exact.numpy()) < threshold()


def test_the_loss_weighs_the_divergence() -> None:
    elbo = model_of("bernoulli")(many(5))
    torch.testing.assert_close(elbo.loss(), -elbo.value.mean())
    torch.testing.assert_close(elbo.loss(0.25), (0.25 * elbo.divergence - elbo.reconstruction).mean())
    with pytest.raises(InvalidSettingError, match="kl_weight"):
        elbo.loss(-1.0)


def test_the_error_of_log_partition_does_not_shrink_with_the_rows() -> None:
    machine = random_machine(BoltzmannMachine(UNITS), 7)
    prior = BoltzmannPrior(machine, estimator=Enumeration(error=0.3))
    few, lots = (tiny(prior).importance_weighted_bound(many(rows), draws=3, seed=1) for rows in (50, 5000))
    assert few.log_partition_error == lots.log_partition_error == 0.3
    assert lots.row_error < few.row_error / 5
    for bound in (few, lots):
        assert bound.standard_error == pytest.approx(math.sqrt(bound.row_error**2 + 0.09))
        assert bound.pessimistic == pytest.approx(bound.value - 0.6)


def test_an_error_that_nobody_knows_stays_unknown() -> None:
    bound = ImportanceWeightedBound(torch.tensor([-3.0, -4.0]), math.nan, "annealing", 1)
    assert math.isnan(bound.standard_error)
    assert math.isnan(bound.pessimistic)
    assert math.isnan(ImportanceWeightedBound(torch.tensor([-3.0]), 0.0, "enumeration", 1).row_error)


def test_the_row_error_is_the_spread_of_repetitions() -> None:
    qvae = model_of("bernoulli")
    bounds = [qvae.importance_weighted_bound(many(50), draws=2, seed=seed) for seed in range(300)]
    # The standard deviation of 300 numbers is known to 1 part in sqrt(600), 4 %: a fifth is far outside.
    claimed = np.mean([bound.row_error for bound in bounds])
    assert np.std([bound.value for bound in bounds]) == pytest.approx(claimed, rel=0.2)


def test_a_bound_shows_its_value_and_both_errors() -> None:
    bound = ImportanceWeightedBound(torch.tensor([-3.0, -5.0]), 0.25, "annealing", 10)
    assert str(bound) == ">= -4.000 +/- 1.000 (2 rows) +/- 0.250 (log Z by annealing), 10 draws per row"


def test_new_rows_have_the_mean_of_the_model_by_any_sampler() -> None:
    qvae = model_of("boltzmann", OverlappingExponentials(beta=3.0))
    parts = enumerated(qvae)
    exact = parts.mean(parts.log_prior)
    for sampler in (None, Exact(), Gibbs(sweeps=30, progress=False)):
        rows = qvae.generate(20_000, sampler=sampler, seed=1)
        assert mean_p_value(rows.numpy(), exact) > threshold()
        assert mean_p_value(rows.numpy(), 0.97 * exact) < threshold()
    assert torch.equal(qvae.generate(5, seed=1), qvae.generate(5, seed=1))


def test_reconstructions_have_the_mean_of_the_posterior() -> None:
    qvae = model_of("bernoulli", SpikeAndExponential(beta=3.0))
    parts = enumerated(qvae)
    exact = parts.mean(parts.log_posterior)
    rows = qvae.reconstruct(many(20_000), seed=drawn())
    assert mean_p_value(rows.numpy(), exact) > threshold()
    assert mean_p_value(rows.numpy(), 0.97 * exact) < threshold()


def test_representations_are_three_views_of_the_logits() -> None:
    qvae = model_of("bernoulli")
    logits = qvae.represent(ROW, "logits")
    assert torch.equal(logits, qvae.encode(ROW))
    assert torch.equal(qvae.represent(ROW), torch.sigmoid(logits))
    assert torch.equal(qvae.represent(ROW, "bits"), (logits > 0).double())
    with pytest.raises(InvalidSettingError, match="representation"):
        qvae.represent(ROW, "spins")  # type: ignore[arg-type]


def test_a_training_step_moves_the_negatives_on() -> None:
    machine = random_machine(BoltzmannMachine(UNITS), 7)
    negatives = PersistentContrastiveDivergence(chains=16, sweeps=3)
    qvae = tiny(BoltzmannPrior(machine, negatives=negatives, estimator=ExactPartition()))
    for steps in (1, 2):
        qvae.training_loss(ROW).backward()
        assert negatives.state_dict()["chain"]["sweeps"] == 3 * steps
    qvae.elbo(ROW)
    assert negatives.state_dict()["chain"]["sweeps"] == 6


@pytest.mark.parametrize("prior", ["boltzmann", "bernoulli"])
def test_training_finds_the_law_of_a_small_data_set(prior: str) -> None:
    """Two rows that are each other's complement, 3 : 1: one bit says which, and no model does better than the entropy."""
    torch.manual_seed(0)
    law = BoltzmannPrior(BoltzmannMachine(2), estimator=ExactPartition())
    law = law if prior == "boltzmann" else BernoulliPrior(2)
    qvae = QVAE(nn.Linear(FEATURES, 2), nn.Linear(2, FEATURES), law, relaxation=StraightThrough())
    x = torch.tensor([[1.0, 1, 0, 0]] * 3 + [[0.0, 0, 1, 1]]).repeat(8, 1)
    optimiser = torch.optim.Adam(qvae.parameters(), lr=0.05)
    for step in range(500):
        loss = qvae.training_loss(x, kl_weight=min(1.0, step / 100))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    qvae.prior.estimate()
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    bound = qvae.importance_weighted_bound(x, draws=100, seed=1)
    assert -entropy - 0.1 < bound.value < -entropy  # rows as frequent as in the law: log p cannot exceed its entropy


def trained(qvae: QVAE, steps: int, seed: int) -> list[Tensor]:
    """Return the losses of some steps of plain gradient descent from a given state of torch's generator."""
    torch.manual_seed(seed)
    optimiser, losses = torch.optim.SGD(qvae.parameters(), lr=0.05), []
    for _ in range(steps):
        losses.append(qvae.training_loss(many(8)))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    return losses


def test_a_loaded_model_goes_on_exactly_as_the_saved_one() -> None:
    def fresh() -> QVAE:
        return tiny(BoltzmannPrior(BoltzmannMachine(UNITS).double(), estimator=ExactPartition()))

    saved, loaded, file = fresh(), fresh(), io.BytesIO()
    trained(saved, 5, seed=1)
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(torch.stack(trained(loaded, 5, seed=2)), torch.stack(trained(saved, 5, seed=2)))
    assert loaded.prior.log_partition == saved.prior.log_partition
    bounds = [model.importance_weighted_bound(ROW, seed=1).value for model in (loaded, saved)]
    assert bounds[0] == bounds[1]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda qvae: pickle.loads(pickle.dumps(qvae))], ids=["copy", "pickle"]
)
def test_a_copy_goes_on_as_the_original_would(copied: Callable[[QVAE], QVAE]) -> None:
    qvae = tiny(BoltzmannPrior(BoltzmannMachine(UNITS).double(), estimator=ExactPartition()))
    trained(qvae, 3, seed=1)
    twin = copied(qvae)
    assert torch.equal(torch.stack(trained(twin, 3, seed=2)), torch.stack(trained(qvae, 3, seed=2)))


class Watched(nn.Module):
    """A decoder that says in which mode it is."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.modes = inner, set()

    def forward(self, zeta: Tensor) -> Tensor:
        self.modes.add(self.training)
        return self.inner(zeta)


def test_a_bound_is_that_of_the_networks_in_use_and_leaves_them_as_they_were() -> None:
    qvae = model_of("bernoulli")
    qvae.decoder = Watched(qvae.decoder)
    qvae.train()
    qvae.encoder.eval()  # a part that its owner holds
    qvae.importance_weighted_bound(ROW)
    assert qvae.decoder.modes == {False}
    assert (qvae.training, qvae.decoder.training, qvae.encoder.training) == (True, True, False)


@pytest.mark.parametrize("use", ["represent", "reconstruct", "generate"])
def test_what_a_row_is_does_not_hang_on_the_rows_beside_it(use: str) -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    decoder = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    qvae = QVAE(encoder, decoder, BernoulliPrior(2), relaxation=StraightThrough())
    rows = torch.randint(0, 2, (50, 3)).float()
    qvae(rows)  # means and variances of the batches
    before = {name: value.clone() for name, value in qvae.state_dict().items() if isinstance(value, Tensor)}
    calls = {
        "represent": lambda count: qvae.represent(rows[:count], "logits"),
        "reconstruct": lambda count: qvae.reconstruct(rows[:count], seed=1),
        "generate": lambda count: qvae.generate(count, seed=1),
    }
    calls[use](50), calls[use](1)  # a batch of one has no variance
    if use == "represent":
        torch.testing.assert_close(calls[use](1), calls[use](50)[:1])
    assert (qvae.training, encoder.training, decoder.training) == (True, True, True)
    assert all(torch.equal(qvae.state_dict()[name], value) for name, value in before.items())


def test_noise_from_something_else_than_a_generator_is_refused_by_name() -> None:
    with pytest.raises(InvalidSettingError, match=r"generator must be a torch\.Generator"):
        model_of("bernoulli").elbo(ROW, generator=0)


def test_a_failure_leaves_the_networks_as_they_were() -> None:
    qvae = model_of("bernoulli").train()
    with pytest.raises(InvalidDataError):
        qvae.importance_weighted_bound(0.5 * ROW)
    assert qvae.decoder.training


def test_numbers_are_modelled_with_a_normal_likelihood() -> None:
    qvae = QVAE(nn.Linear(3, 2), nn.Linear(2, 3), BernoulliPrior(2), likelihood=NormalLikelihood(scale=0.5))
    x = torch.randn(6, 3, generator=drawn())
    qvae.training_loss(x).backward()
    assert qvae.likelihood.log_scale.grad.abs() > 0
    assert qvae.generate(4).shape == (4, 3)
    assert "likelihood.log_scale" in qvae.state_dict()
    assert math.isfinite(qvae.importance_weighted_bound(x).value)


def test_images_pass_through_convolutions() -> None:
    encoder = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    decoder = nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 1, 3))
    qvae = QVAE(encoder, decoder, BernoulliPrior(3))
    x = (torch.rand(5, 1, 4, 4) > 0.5).float()
    assert qvae.elbo(x).value.shape == (5,)
    assert qvae.importance_weighted_bound(x, draws=3).per_row.shape == (5,)
    assert qvae.reconstruct(x).shape == x.shape


PARTS = {
    "encoder": nn.Linear(4, 2),
    "decoder": nn.Linear(2, 4),
    "prior": BernoulliPrior(2),
    "relaxation": StraightThrough(),
    "likelihood": BernoulliLikelihood(),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", None),
        ("decoder", torch.sigmoid),
        ("prior", BoltzmannMachine(2)),
        ("relaxation", StraightThrough),
        ("relaxation", "straight through"),
        ("likelihood", BernoulliLikelihood),
        ("likelihood", nn.Linear(2, 2)),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidSettingError, match=f"{name} must"):
        QVAE(**PARTS | {name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("output", [nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 2), nn.Unflatten(1, (2, 1)))])
def test_an_encoder_of_the_wrong_width_is_refused(output: nn.Module) -> None:
    with pytest.raises(InvalidStateError, match="2 logits for each of 3 rows"):
        QVAE(**PARTS | {"encoder": output}).elbo(torch.zeros(3, 4))  # type: ignore[arg-type]


def test_an_encoder_that_gives_no_numbers_is_refused() -> None:
    qvae = model_of("bernoulli")
    with pytest.raises(InvalidStateError, match="logits"):
        qvae.elbo(torch.full((1, FEATURES), math.nan, dtype=torch.float64))


@pytest.mark.parametrize("settings", [{"draws": 0}, {"draws": 2.5}, {"chunk": 0}, {"seed": -1}])
def test_impossible_settings_of_the_bound_are_refused(settings: dict) -> None:
    with pytest.raises(InvalidSettingError, match=next(iter(settings))):
        model_of("bernoulli").importance_weighted_bound(ROW, **settings)


def test_log_partition_enters_the_bound_as_the_prior_knows_it() -> None:
    qvae = model_of("boltzmann")
    before = qvae.importance_weighted_bound(ROW, seed=1).value
    known = LogPartition(qvae.prior.log_partition.value + 0.5, 0.1, -math.inf, math.inf, "told")
    qvae.prior._kept = replace(qvae.prior._present, known=known)
    after = qvae.importance_weighted_bound(ROW, seed=1)
    assert after.value == pytest.approx(before - 0.5)
    assert after.log_partition_error == 0.1
