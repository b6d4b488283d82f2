"""The adversarial network: its losses by their formulas, what each reaches, and a prior that learns the law of the features."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.enumeration import all_bits, boltzmann
from helpers.machines import TableSampler, exact_negative_log_likelihood, random_machine
from helpers.statistics import law_p_value, mean_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import spins_from_bits
from spinlight.latent import QGAN, AdversarialStep, OverlappingExponentials, independent_bits
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Exact, Gibbs
from spinlight.training import IndependentDraws, NegativePhase, PersistentContrastiveDivergence

UNITS, FEATURES, WIDTH, ROWS = 3, 5, 7, 6


def network(prior: AbstractBoltzmannMachine | None = None, *, readout: bool = True, **settings) -> QGAN:
    """Return a network in float64 whose parts are small and smooth."""
    torch.manual_seed(0)
    width = WIDTH if readout else UNITS
    return QGAN(
        nn.Linear(UNITS, FEATURES),
        nn.Sequential(nn.Linear(FEATURES, width), nn.Tanh()),
        nn.Sequential(nn.Linear(width, 4), nn.Softplus(), nn.Linear(4, 1)),
        random_machine(BoltzmannMachine(UNITS), 1) if prior is None else prior,
        readout=nn.Linear(width, UNITS) if readout else None,
        **settings,
    ).double()


def chains(count: int = 16, seed: int = 0) -> PersistentContrastiveDivergence:
    return PersistentContrastiveDivergence(Gibbs(progress=False), chains=count, seed=seed)


def rows(count: int = ROWS) -> Tensor:
    return torch.rand(count, FEATURES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def reached(qgan: QGAN, loss: Tensor) -> set[str]:
    """Return the names of the parameters that get a gradient other than zero."""
    qgan.zero_grad(set_to_none=True)
    loss.backward()
    return {name for name, part in qgan.named_parameters() if part.grad is not None}


def names(qgan: QGAN, *parts: str) -> set[str]:
    return {name for name, _ in qgan.named_parameters() if name.split(".")[0] in parts}


@pytest.mark.parametrize("readout", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_each_loss_reaches_the_parameters_it_is_for_and_no_others(readout: bool, penalty: float) -> None:
    qgan = network(readout=readout)
    step = qgan.step(rows(), chains())
    assert reached(qgan, step.discriminator_loss(penalty)) == names(qgan, "features", "head")
    assert reached(qgan, step.generator_loss()) == names(qgan, "generator")
    assert reached(qgan, step.associative_loss()) == names(qgan, "prior", "readout")
    assert all(part.requires_grad for part in qgan.parameters())


def test_parameters_that_were_frozen_stay_so() -> None:
    qgan = network()
    qgan.head.requires_grad_(False)
    qgan.step(rows(), chains()).generator_loss().backward()
    assert not any(part.requires_grad for part in qgan.head.parameters())
    assert all(part.requires_grad for part in qgan.features.parameters())


def test_the_discriminators_loss_is_its_formula() -> None:
    qgan = network()
    step = qgan.step(rows(), chains())
    generated = qgan.generator(step.zeta)
    plain = -torch.sigmoid(qgan(rows())).log().mean() - (1 - torch.sigmoid(qgan(generated))).log().mean()
    torch.testing.assert_close(step.discriminator_loss(0.0), plain)
    jacobian = torch.autograd.functional.jacobian(qgan, rows())  # rows by rows by features: D of one row knows no other
    own = jacobian.diagonal(dim1=0, dim2=1).T
    torch.testing.assert_close(step.discriminator_loss(3.0), plain + 1.5 * own.square().sum(1).mean())


def test_the_gradient_of_the_penalty_is_that_of_finite_differences() -> None:
    qgan = network()
    step = qgan.step(rows(), chains())
    weight = qgan.features[0].weight
    (slope,) = torch.autograd.grad(step.discriminator_loss(3.0), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def moved(size: float) -> float:
        with torch.no_grad():
            weight.add_(direction, alpha=size)
        value = float(step.discriminator_loss(3.0).detach())
        with torch.no_grad():
            weight.sub_(direction, alpha=size)
        return value

    assert float((slope * direction).sum()) == pytest.approx((moved(1e-5) - moved(-1e-5)) / 2e-5, rel=1e-6)


def test_the_generators_loss_is_its_formula_and_so_is_its_gradient() -> None:
    qgan = network()
    step = qgan.step(rows(), chains())
    by_hand = -torch.sigmoid(qgan(qgan.generator(step.zeta))).log().mean()
    ours = step.generator_loss()
    torch.testing.assert_close(ours, by_hand)
    parameters = list(qgan.generator.parameters())
    for mine, expected in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(by_hand, parameters)):
        torch.testing.assert_close(mine, expected)


def test_the_associative_loss_is_the_machines_objective_and_the_code_that_is_missed() -> None:
    qgan = network()
    step = qgan.step(rows(), chains())
    logits = qgan.logits(qgan.generator(step.zeta))
    missed = -(step.codes * functional.logsigmoid(logits) + (1 - step.codes) * functional.logsigmoid(-logits))
    objective = qgan.prior.objective(step.positive, step.negative)
    torch.testing.assert_close(step.associative_loss(), objective + missed.sum(1).mean())


def test_the_machines_gradient_is_that_of_the_likelihood_of_the_features_bits() -> None:
    qgan = network(readout=False)
    step = qgan.step(rows(), IndependentDraws(TableSampler(weighted=True), count=8, seed=0))
    parameters = list(qgan.prior.parameters())
    ours = torch.autograd.grad(step.associative_loss(), parameters)
    exact = torch.autograd.grad(exact_negative_log_likelihood(qgan.prior, step.positive), parameters)
    for mine, expected in zip(ours, exact):
        torch.testing.assert_close(mine, expected)


def test_bits_of_the_data_follow_the_sigmoid_of_their_logits() -> None:
    qgan = network()
    one = rows(1).expand(4_000, -1)
    bits = qgan.step(one, chains(4_000)).positive
    probabilities = torch.sigmoid(qgan.logits(rows(1))).detach()[0]
    assert mean_p_value(bits, probabilities) > threshold()
    assert mean_p_value(bits, 1 - probabilities) < threshold()


def test_codes_are_samples_of_the_machine_none_taken_twice() -> None:
    qgan = network()
    step = qgan.step(rows(), chains(16))
    negative = [tuple(row) for row in step.negative.tolist()]
    assert len(step.codes) == ROWS
    assert all(negative.count(tuple(code)) >= step.codes.tolist().count(list(code)) for code in step.codes.tolist())
    drawn = qgan.step(rows(4_000), IndependentDraws(Exact(), count=4_000, seed=1)).codes
    problem = qgan.prior.to_ising()
    assert law_p_value(spins_from_bits(drawn), boltzmann(problem)) > threshold()
    assert law_p_value(spins_from_bits(drawn), boltzmann(problem, beta=0.7)) < threshold()


def test_weighted_draws_become_codes_by_their_weights() -> None:
    machine = random_machine(BoltzmannMachine(10), 4)
    qgan = QGAN(nn.Linear(10, 2), nn.Linear(2, 10), nn.Linear(10, 1), machine).double()
    x = torch.rand(1024, 2, dtype=torch.float64)
    codes = qgan.step(x, IndependentDraws(TableSampler(weighted=True), count=1024, seed=5)).codes  # every state once
    law = torch.from_numpy(boltzmann(machine.to_ising()))
    means = law @ all_bits(10).double()
    assert mean_p_value(codes, means) > threshold()
    assert mean_p_value(codes, 0.5) < threshold()


MACHINES = {
    "full": BoltzmannMachine(UNITS),
    "with hidden units": BoltzmannMachine(UNITS + 2, 2),
    "restricted": RestrictedBoltzmannMachine(UNITS, 4),
}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize(
    "negatives",
    [
        lambda: chains(),
        lambda: IndependentDraws(Exact(), count=16, seed=0),
        lambda: PersistentContrastiveDivergence(None, chains=16, seed=0),
    ],
)
def test_any_machine_and_any_negative_phase_do(machine: AbstractBoltzmannMachine, negatives) -> None:
    qgan = network(copy.deepcopy(machine))
    step = qgan.step(rows(), negatives())
    assert step.codes.shape == (ROWS, UNITS)
    assert set(step.codes.unique().tolist()) <= {0.0, 1.0}
    assert reached(qgan, step.associative_loss()) == names(qgan, "prior", "readout")
    assert qgan.generate(4, sampler=Exact(), seed=1).shape == (4, FEATURES)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def law_of_features(qgan: QGAN, x: Tensor) -> Tensor:
    """Return the mean over rows of prod_i Bernoulli(z_i; sigmoid(l_i(x))) at every state."""
    logits, bits = qgan.logits(x).detach()[:, None], all_bits(UNITS).to(x)
    return (bits * functional.logsigmoid(logits) + (1 - bits) * functional.logsigmoid(-logits)).sum(-1).exp().mean(0)


def divergence(qgan: QGAN, x: Tensor) -> float:
    """Return KL(law of the features' bits, machine), by enumeration."""
    law, machine = law_of_features(qgan, x), torch.from_numpy(boltzmann(qgan.prior.to_ising()))
    return float((law * (law / machine).log()).sum())


def taught(prior: AbstractBoltzmannMachine) -> float:
    """Return the divergence that is left when a prior has learned the features of two kinds of rows, features being held."""
    torch.manual_seed(0)
    readout = nn.Linear(2, UNITS, bias=False)
    with torch.no_grad():
        readout.weight.copy_(torch.tensor([[3.0, -3.0], [3.0, -3.0], [-3.0, 3.0]]))
    qgan = QGAN(nn.Linear(UNITS, 2), nn.Identity(), nn.Linear(2, 1), prior, readout=readout).double()
    x = torch.eye(2, dtype=torch.float64).repeat(200, 1)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=2_000, sweeps=3, seed=1)
    optimizer = torch.optim.Adam([part for part in prior.parameters() if part.requires_grad], lr=0.05)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
        descend(optimizer, qgan.step(x, negatives).associative_loss())
    return divergence(qgan, x)


def test_the_machine_learns_the_law_of_the_features_and_independent_bits_cannot() -> None:
    # Two kinds of rows alike often, and bits that agree with theirs with probability sigmoid(3): each bit by itself is a fair coin,
    # so independent bits are left with the whole mutual information, 3 log 2 less the entropy of the law.
    agree = torch.sigmoid(torch.tensor(3.0, dtype=torch.float64))
    flips = all_bits(3).double().sum(1)
    one = agree ** (3 - flips) * (1 - agree) ** flips
    law = (one + one.flip(0)) / 2
    left = 3 * math.log(2) + float((law * law.log()).sum())
    assert left > 0.8
    # A full machine has this law among its own: noise of 400 fresh rows a step, averaged over the falling rate.
    assert taught(BoltzmannMachine(UNITS)) < 0.01
    assert taught(independent_bits(UNITS)) == pytest.approx(left, abs=0.02)


def test_a_readout_learns_the_codes_that_made_the_images() -> None:
    qgan = network(independent_bits(UNITS, learned=False))
    negatives, optimizer = chains(128), torch.optim.Adam(qgan.readout.parameters(), lr=0.05)
    for _ in range(300):
        descend(optimizer, qgan.step(rows(128), negatives).associative_loss())
    codes = all_bits(UNITS).double()
    assert torch.equal((qgan.logits(qgan.generator(codes)) > 0).double(), codes)
    assert not torch.equal((network().logits(network().generator(codes)) > 0).double(), codes)


def trained(prior: AbstractBoltzmannMachine, steps: int) -> QGAN:
    qgan, negatives = network(prior), chains(seed=3)
    groups = (qgan.discriminator_parameters(), qgan.generator.parameters(), qgan.associative_parameters())
    optimizers = [torch.optim.SGD(group, lr=0.1) for group in groups]
    for _ in range(steps):
        step = qgan.step(rows(), negatives)
        losses = (step.discriminator_loss, step.generator_loss, step.associative_loss)
        for optimizer, loss in zip(optimizers, losses):
            descend(optimizer, loss())
    return qgan


def test_the_control_differs_only_in_its_couplings() -> None:
    machine, control = BoltzmannMachine(UNITS, initial_scale=0.0), independent_bits(UNITS)
    ours, other = (trained(prior, 1) for prior in (machine, control))
    # From the same start the first step gives every other part the same change: the draws are the same too.
    theirs = dict(other.named_parameters())
    different = {name for name, part in ours.named_parameters() if not torch.equal(part, theirs[name])}
    assert different == {"prior.pair_weights"}
    assert trained(independent_bits(UNITS), 5).prior.pair_weights.abs().max() == 0
    assert trained(independent_bits(UNITS), 5).prior.biases.abs().min() > 0


def test_fair_coins_never_learn() -> None:
    prior = independent_bits(UNITS, learned=False)
    assert trained(prior, 3).prior.biases.abs().max() == 0
    step = network(independent_bits(UNITS, learned=False), readout=False).step(rows(), chains())
    assert not step.associative_loss().requires_grad


def test_training_goes_on_bit_for_bit_from_a_saved_state() -> None:
    whole, phase = network(), chains(seed=3)
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.01)

    def advance(qgan: QGAN, negatives: NegativePhase, descent: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            step = qgan.step(rows(), negatives)
            for loss in (step.discriminator_loss, step.generator_loss, step.associative_loss):
                descend(descent, loss())

    advance(whole, phase, optimizer, 3)
    saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict(), phase.state_dict()))
    advance(whole, phase, optimizer, 3)
    for with_chains in (True, False):
        resumed, other = network(), chains(seed=9)
        descent = torch.optim.Adam(resumed.parameters(), lr=0.01)
        weights, moments, state = copy.deepcopy(saved)
        resumed.load_state_dict(weights)
        descent.load_state_dict(moments)
        if with_chains:
            other.load_state_dict(state)
        advance(resumed, other, descent, 3)
        same = all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters()))
        assert same == with_chains


def test_generated_rows_are_the_generators_at_samples_of_the_prior() -> None:
    qgan = QGAN(nn.Identity(), nn.Linear(UNITS, UNITS), nn.Linear(UNITS, 1), random_machine(BoltzmannMachine(UNITS), 1))
    qgan.generator = nn.Sequential(nn.Linear(UNITS, UNITS, bias=False)).double()
    with torch.no_grad():
        qgan.generator[0].weight.copy_(torch.eye(UNITS))
    for sampler in (None, Exact()):
        bits = qgan.generate(4_000, sampler=sampler, seed=2).round()
        assert law_p_value(spins_from_bits(bits), boltzmann(qgan.prior.to_ising())) > threshold()
        assert law_p_value(spins_from_bits(bits), boltzmann(qgan.prior.to_ising(), beta=0.5)) < threshold()
    assert torch.equal(qgan.generate(5, seed=1), qgan.generate(5, seed=1))
    assert not torch.equal(qgan.generate(50, seed=1), qgan.generate(50, seed=2))


def test_smoothed_bits_reach_the_generator_in_training_and_generation() -> None:
    smooth = OverlappingExponentials(beta=4.0).smooth
    qgan = network(smoothing=smooth)
    step = qgan.step(rows(), chains())
    inside = (step.zeta > 0) & (step.zeta < 1)
    assert bool(inside.all())
    assert set(step.codes.unique().tolist()) <= {0.0, 1.0}
    plain = network()
    assert not torch.equal(plain.generate(9, seed=1), qgan.generate(9, seed=1))
    assert torch.equal(qgan.generate(9, seed=1), qgan.generate(9, seed=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_come_from_the_inputs(dtype: torch.dtype) -> None:
    qgan = network().to(dtype)
    step = qgan.step(rows().to(dtype), chains())
    assert {step.codes.dtype, step.discriminator_loss().dtype, step.generator_loss().dtype} == {dtype}
    assert qgan.generate(3, seed=1).dtype == dtype


def test_copies_and_pickles_go_on_as_the_original() -> None:
    qgan = network(smoothing=OverlappingExponentials().smooth)
    for other in (copy.deepcopy(qgan), pickle.loads(pickle.dumps(qgan))):
        assert torch.equal(other.generate(5, seed=1), qgan.generate(5, seed=1))


def test_the_callers_rows_are_left_as_they_were() -> None:
    x = rows()
    network().step(x, chains()).discriminator_loss().backward()
    assert torch.equal(x, rows())
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"generator": torch.tanh},
        {"features": None},
        {"head": 3},
        {"prior": nn.Linear(2, 2)},
        {"readout": "linear"},
        {"smoothing": OverlappingExponentials},
        {"smoothing": 0.5},
    ],
    ids=str,
)
def test_a_part_that_is_not_what_it_must_be_is_refused(wrong: dict) -> None:
    parts = {
        "generator": nn.Identity(),
        "features": nn.Identity(),
        "head": nn.Identity(),
        "prior": BoltzmannMachine(UNITS),
    }
    with pytest.raises(InvalidSettingError, match=next(iter(wrong))):
        QGAN(**(parts | wrong))


def test_more_rows_than_negatives_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="6 rows of data need as many negatives, and there are 5"):
        network().step(rows(), chains(5))


def test_logits_of_the_wrong_shape_or_not_finite_are_refused() -> None:
    qgan = QGAN(nn.Identity(), nn.Linear(FEATURES, 4).double(), nn.Linear(4, 1).double(), BoltzmannMachine(UNITS))
    with pytest.raises(InvalidStateError, match="features must give 3 logits"):
        qgan.logits(rows())
    qgan = network()
    with torch.no_grad():
        qgan.readout.bias.fill_(math.nan)
    with pytest.raises(InvalidStateError, match="NaN"):
        qgan.step(rows(), chains())


def test_a_head_that_gives_more_than_one_number_is_refused() -> None:
    qgan = network()
    qgan.head = nn.Linear(WIDTH, 2).double()
    step = qgan.step(rows(), chains())
    for loss in (step.discriminator_loss, step.generator_loss):
        with pytest.raises(InvalidStateError, match="one number for each of 6 rows"):
            loss()


def test_a_negative_penalty_and_impossible_counts_are_refused() -> None:
    qgan = network()
    step: AdversarialStep = qgan.step(rows(), chains())
    with pytest.raises(InvalidSettingError, match="penalty"):
        step.discriminator_loss(-1.0)
    with pytest.raises(InvalidSettingError, match="count"):
        qgan.generate(0)
    with pytest.raises(InvalidSettingError, match="num_nodes"):
        independent_bits(0)
    with pytest.raises(InvalidSettingError, match="beta"):
        qgan.generate(2, sampler=Gibbs(beta=0.5))
