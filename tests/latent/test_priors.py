"""The divergence from a Boltzmann prior, its gradient and its log Z against enumeration."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits, all_spins, boltzmann, log_partition
from helpers.machines import (
    Enumeration,
    TableSampler,
    all_states_weighted,
    energies_by_formula,
    random_machine,
)
from helpers.statistics import law_p_value, mean_p_value, threshold, z_p_value
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed
from spinlight.ising import Draws, Ising, LogPartition
from spinlight.latent import BoltzmannPrior
from spinlight.latent.witnesses import Witnesses
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Gibbs, ParallelTempering
from spinlight.training import (
    AnnealedImportance,
    ContrastiveDivergence,
    IndependentDraws,
    NegativePhase,
    PersistentContrastiveDivergence,
    ReusedDraws,
)


def fresh_machines() -> list[AbstractBoltzmannMachine]:
    kinds = (BoltzmannMachine(7), BoltzmannMachine(6, 2), RestrictedBoltzmannMachine(4, 4))
    return [random_machine(machine, seed) for seed, machine in enumerate(kinds)]


class Hotter(TableSampler):
    """Claims beta = 1 and draws at 0.9."""

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        return super().draw(problem.scaled(0.9), count, seed=seed)


every_machine = pytest.mark.parametrize("machine", fresh_machines(), ids=str)


def table() -> NegativePhase:
    """Return negatives that are all states with their weights."""
    return IndependentDraws(TableSampler(weighted=True), count=1)


def exact_prior(machine: AbstractBoltzmannMachine) -> BoltzmannPrior:
    """Return a prior whose negatives are all states with their weights, and whose log Z is known: every expectation is exact."""
    return BoltzmannPrior(machine, negatives=table(), estimator=Enumeration())


def posterior_logits(machine: AbstractBoltzmannMachine) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    logits = 2 * torch.randn(5, machine.num_nodes, generator=generator, dtype=torch.float64)
    return logits.requires_grad_()


def exact_divergence(machine: AbstractBoltzmannMachine, logits: Tensor) -> Tensor:
    """Return sum_z q(z) log(q(z) / p(z)) over all states, for each row."""
    bits = all_bits(machine.num_nodes).to(logits)
    log_q = -torch.nn.functional.softplus((1 - 2 * bits) * logits[:, None]).sum(-1)
    energies = energies_by_formula(machine, bits)
    log_p = -energies - torch.logsumexp(-energies, 0)
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def shift(machine: AbstractBoltzmannMachine, size: float) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in machine.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


@every_machine
def test_the_divergence_is_that_of_the_enumerated_distributions(machine: AbstractBoltzmannMachine) -> None:
    logits = posterior_logits(machine)
    torch.testing.assert_close(exact_prior(machine).kl_divergence(logits), exact_divergence(machine, logits))


@every_machine
def test_gradients_of_the_divergence_are_the_exact_ones(machine: AbstractBoltzmannMachine) -> None:
    logits = posterior_logits(machine)
    prior = exact_prior(machine)
    prior.advance()
    inputs = [logits, *machine.parameters()]
    ours = torch.autograd.grad(prior.kl_divergence(logits).sum(), inputs, materialize_grads=True)
    exact = torch.autograd.grad(exact_divergence(machine, logits).sum(), inputs, materialize_grads=True)
    for mine, expected in zip(ours, exact):
        torch.testing.assert_close(mine, expected)


def test_negatives_at_another_temperature_give_another_gradient() -> None:
    machine = random_machine(BoltzmannMachine(7), 0)
    prior = BoltzmannPrior(machine, negatives=IndependentDraws(Hotter(weighted=True), count=1), estimator=Enumeration())
    logits = posterior_logits(machine)
    (ours,) = torch.autograd.grad(prior.kl_divergence(logits).sum(), machine.biases)
    (exact,) = torch.autograd.grad(exact_divergence(machine, logits).sum(), machine.biases)
    assert (ours - exact).abs().max() > 1e-2


def test_the_divergence_of_nearly_certain_bits_keeps_its_digits() -> None:
    machine = random_machine(BoltzmannMachine(6), 3)
    logits = torch.full((1, 6), 30.0, dtype=torch.float64)
    torch.testing.assert_close(
        exact_prior(machine).kl_divergence(logits), exact_divergence(machine, logits), rtol=1e-12, atol=0
    )


@every_machine
def test_log_partition_follows_a_change_of_parameters(machine: AbstractBoltzmannMachine) -> None:
    torch.manual_seed(3)
    prior = BoltzmannPrior(copy.deepcopy(machine), witnesses=20_000, estimator=Enumeration())
    before = prior.log_partition
    shift(prior.machine, 0.3)
    after, exact = prior.log_partition, log_partition(prior.machine.to_ising())
    assert z_p_value(after.value, exact, after.standard_error) > threshold()
    assert z_p_value(before.value, exact, after.standard_error) < threshold()
    assert after.method == "enumeration, followed by importance ratios"


def test_following_adds_the_error_of_the_ratio() -> None:
    prior = BoltzmannPrior(random_machine(BoltzmannMachine(6), 1), witnesses=4000, estimator=Enumeration(error=0.5))
    assert prior.log_partition.standard_error == 0.5
    shift(prior.machine, 0.1)
    followed, exact = prior.log_partition, log_partition(prior.machine.to_ising())
    ratio_error = followed.standard_error - 0.5
    assert 0 < ratio_error < 0.05
    assert z_p_value(followed.value, exact, ratio_error) > threshold()
    assert z_p_value(followed.value, log_partition(prior.machine.to_ising(), 1.1), ratio_error) < threshold()
    assert followed.lower == -math.inf


def test_an_estimate_replaces_what_was_followed() -> None:
    prior = exact_prior(random_machine(BoltzmannMachine(6), 1))
    assert prior.log_partition.method == "enumeration"
    shift(prior.machine, 0.2)
    assert prior.estimate() == prior.log_partition
    assert prior.log_partition.value == log_partition(prior.machine.to_ising())


def test_two_estimates_of_one_step_are_independent_and_those_of_a_loaded_prior_the_same() -> None:
    def annealed() -> BoltzmannPrior:
        machine = random_machine(BoltzmannMachine(6), 1)
        return BoltzmannPrior(machine, estimator=AnnealedImportance(chains=64, steps=10))

    saved, loaded, file = annealed(), annealed(), io.BytesIO()
    values = {saved.log_partition.value, saved.estimate().value, saved.estimate().value}
    assert len(values) == 3
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert loaded.estimate() == saved.estimate()


def latest(prior: BoltzmannPrior) -> Tensor:
    """Return the spins of the negatives of a prior with persistent chains."""
    spins = prior.negatives.state_dict()["chain"]["spins"]
    assert isinstance(spins, Tensor)
    return spins


def trained_errors(seed: int) -> tuple[float, float]:
    """Return the errors of log Z after training, followed on the witnesses and on the negatives themselves."""
    machine = random_machine(BoltzmannMachine(12), 2, scale=0.2)
    torch.manual_seed(seed)
    negatives = PersistentContrastiveDivergence(chains=64)
    prior = BoltzmannPrior(machine, negatives=negatives, witnesses=64, witness_sweeps=1, estimator=Enumeration())
    on_negatives = prior.log_partition.value
    optimiser = torch.optim.Adam(machine.parameters(), lr=0.05)
    for _ in range(30):
        prior.advance()
        rows = latest(prior)
        seen = Witnesses(rows, machine.to_ising().energy(rows), 0, 0)
        optimiser.zero_grad()
        prior.kl_divergence(torch.zeros(1, 12, dtype=torch.float64)).mean().backward()
        optimiser.step()
        on_negatives += seen.ratio(machine.to_ising()).value
    exact = log_partition(machine.to_ising())
    return prior.log_partition.value - exact, on_negatives - exact


def test_log_partition_keeps_up_with_training_and_would_not_on_the_negatives_themselves() -> None:
    # The ratios of sequential Monte Carlo are unbiased: exp(estimate - log Z) is one on average over independent runs.
    followed, on_negatives = np.exp(np.array([trained_errors(seed) for seed in range(20)])).T
    assert mean_p_value(followed, 1.0) > threshold()
    assert mean_p_value(on_negatives, 1.0) < threshold()


def test_states_carried_to_another_problem_have_its_law() -> None:
    machine = random_machine(BoltzmannMachine(5), 4)
    states, seeds = all_states_weighted(machine.to_ising()), range(100)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    picks = [torch.multinomial(states.weights, 2_000, replacement=True, generator=each) for each in generators]
    sets = [Witnesses(states.spins[at], states.energies[at], seed, 0) for seed, at in zip(seeds, picks)]
    shift(machine, 0.3)
    problem = machine.to_ising()
    exact = all_states_weighted(problem).expectation(lambda spins: spins.double())
    # Resampling makes the rows of one set dependent; sets are independent of each other, and so are their means. Normalised
    # weights bias a mean by about one part in the 2000 rows, well below the error of a hundred sets.
    carried = torch.stack([each.carried(problem).spins.double().mean(0) for each in sets])
    before = torch.stack([each.spins.double().mean(0) for each in sets])
    assert mean_p_value(carried.numpy(), exact.numpy()) > threshold()
    assert mean_p_value(before.numpy(), exact.numpy()) < threshold()


def test_persistent_gibbs_chains_give_the_gradient_of_log_partition() -> None:
    machine = random_machine(BoltzmannMachine(6), 4, scale=0.5)
    torch.manual_seed(1)
    negatives = PersistentContrastiveDivergence(chains=4000, sweeps=5)
    prior = BoltzmannPrior(machine, negatives=negatives, estimator=Enumeration())
    for _ in range(10):
        prior.advance()
    bits = (latest(prior) + 1).div(2).double()
    weights = torch.softmax(-energies_by_formula(machine, all_bits(6)), 0)
    exact = weights @ all_bits(6).to(weights)
    assert mean_p_value(bits.numpy(), exact.detach().numpy()) > threshold()
    assert mean_p_value(bits.numpy(), 1 - exact.detach().numpy()) < threshold()
    loss = prior.kl_divergence(posterior_logits(machine).detach()).mean()
    (gradient,) = torch.autograd.grad(loss, machine.biases)
    positive = torch.sigmoid(posterior_logits(machine).detach()).mean(0)
    torch.testing.assert_close(gradient, bits.mean(0) - positive)


def test_a_loaded_prior_goes_on_exactly_as_the_saved_one() -> None:
    def trained() -> BoltzmannPrior:
        prior = BoltzmannPrior(random_machine(BoltzmannMachine(6), 1), estimator=Enumeration())
        prior.advance()
        return prior

    saved = trained()
    shift(saved.machine, 0.05)
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded = BoltzmannPrior(BoltzmannMachine(6).double(), estimator=Enumeration())
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert loaded.log_partition == saved.log_partition
    saved.advance()
    loaded.advance()
    assert torch.equal(latest(loaded), latest(saved))
    assert loaded.log_partition == saved.log_partition


def test_a_prior_that_never_ran_is_saved_too() -> None:
    prior = BoltzmannPrior(BoltzmannMachine(3), estimator=Enumeration())
    other = BoltzmannPrior(BoltzmannMachine(3), estimator=Enumeration())
    other.load_state_dict(prior.state_dict())
    other.advance()
    prior.advance()
    assert torch.equal(latest(other), latest(prior))


@pytest.mark.parametrize("negatives", [Gibbs(progress=False), "persistent", PersistentContrastiveDivergence])
def test_what_makes_no_negatives_is_refused(negatives: object) -> None:
    with pytest.raises(InvalidSettingError, match="must be a negative phase"):
        BoltzmannPrior(BoltzmannMachine(3), negatives=negatives)  # type: ignore[arg-type]


def test_chains_that_start_at_data_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="start at data"):
        BoltzmannPrior(BoltzmannMachine(3), negatives=ContrastiveDivergence())


@pytest.mark.parametrize("machine", [None, 3, torch.nn.Linear(2, 2)])
def test_what_is_no_machine_is_refused(machine: object) -> None:
    with pytest.raises(InvalidSettingError, match="must be a Boltzmann machine"):
        BoltzmannPrior(machine)  # type: ignore[arg-type]


def test_log_probabilities_are_those_of_the_enumerated_distribution_and_carry_its_gradient() -> None:
    machine = random_machine(BoltzmannMachine(5), 0)
    bits = all_bits(5)[3:9]
    exact = torch.log_softmax(-energies_by_formula(machine, all_bits(5)), 0)[3:9]
    ours = exact_prior(machine).log_probability(bits)
    torch.testing.assert_close(ours, exact)
    for mine, expected in zip(*(torch.autograd.grad(value.sum(), [*machine.parameters()]) for value in (ours, exact))):
        torch.testing.assert_close(mine, expected)


def test_only_bits_have_a_log_probability() -> None:
    with pytest.raises(InvalidStateError, match="bits"):
        exact_prior(BoltzmannMachine(2)).log_probability(torch.tensor([[0.0, 0.5]]))


def test_samples_of_the_prior_have_its_law_by_any_sampler() -> None:
    machine = random_machine(BoltzmannMachine(5), 3)
    prior = BoltzmannPrior(machine, negatives=IndependentDraws(TableSampler(), count=100), estimator=Enumeration())
    for bits in (prior.sample(20_000, seed=1), prior.sample(20_000, sampler=Gibbs(sweeps=50, progress=False), seed=1)):
        assert law_p_value(bits, boltzmann(machine.to_ising())) > threshold()
        assert law_p_value(bits, boltzmann(machine.to_ising(), 1.1)) < threshold()


@pytest.mark.parametrize("name", ["witnesses", "witness_sweeps"])
def test_no_chains_and_no_sweeps_are_refused(name: str) -> None:
    with pytest.raises(InvalidSettingError, match=name):
        BoltzmannPrior(BoltzmannMachine(3), **{name: 0})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(InvalidStateError, match="logits"):
        BoltzmannPrior(BoltzmannMachine(2), estimator=Enumeration()).kl_divergence(torch.tensor([[0.0, value]]))


@pytest.mark.parametrize("estimator", [3, "annealed", AnnealedImportance])
def test_what_estimates_nothing_is_refused(estimator: object) -> None:
    with pytest.raises(InvalidSettingError, match="a method estimate"):
        BoltzmannPrior(BoltzmannMachine(2), estimator=estimator)  # type: ignore[arg-type]


def test_the_error_of_a_ratio_is_the_spread_of_its_repetitions() -> None:
    machine = random_machine(BoltzmannMachine(6), 3)
    problem, states = machine.to_ising(), all_states_weighted(machine.to_ising())
    shift(machine, 0.3)
    found, claimed = [], []
    for seed in range(4000):
        picks = torch.multinomial(states.weights, 500, replacement=True, generator=torch.Generator().manual_seed(seed))
        witnesses = Witnesses(states.spins[picks], problem.energy(states.spins[picks]), seed, 0)
        ratio = witnesses.ratio(machine.to_ising())
        found.append(ratio.value)
        claimed.append(ratio.error)
    # The standard deviation of 4000 numbers is known to 1 part in sqrt(8000), 1.1 %: six times that is far outside.
    assert np.std(found) == pytest.approx(np.mean(claimed), rel=0.067)


def test_a_ratio_that_hangs_on_few_witnesses_has_no_error() -> None:
    machine = random_machine(BoltzmannMachine(12), 3)
    prior = BoltzmannPrior(machine, witnesses=64, estimator=Enumeration())
    assert prior.log_partition.standard_error == 0
    shift(machine, 5.0)
    assert math.isnan(prior.log_partition.standard_error)
    prior.estimate()
    assert prior.log_partition.standard_error == 0


def test_witnesses_move_on_and_take_up_the_law_of_the_present_machine() -> None:
    machine = random_machine(BoltzmannMachine(6), 3)
    prior = BoltzmannPrior(machine, witnesses=4000, witness_sweeps=30, estimator=Enumeration())
    _ = prior.log_partition
    shift(machine, 0.4)
    prior.advance()
    kept = prior.get_extra_state()["kept"]
    assert kept["steps"] == 0  # too few of them counted
    witnesses = kept["witnesses"]["spins"]
    exact = all_states_weighted(machine.to_ising()).expectation(lambda spins: spins.double())
    assert mean_p_value(witnesses.double().numpy(), exact.numpy()) > threshold()


def test_witnesses_stay_while_nearly_all_of_them_count_and_walk_later_what_they_left_out() -> None:
    machine = random_machine(BoltzmannMachine(6), 3)
    prior = BoltzmannPrior(machine, witnesses=1000, witness_sweeps=7, estimator=Enumeration())
    _ = prior.log_partition
    start = prior.get_extra_state()["kept"]["witnesses"]
    for step in (1, 2, 3):
        shift(machine, 0.01)
        prior.advance()
        kept = prior.get_extra_state()["kept"]
        assert torch.equal(kept["witnesses"]["spins"], start["spins"])
        assert kept["steps"] == step
    known = prior.log_partition
    loaded = BoltzmannPrior(copy.deepcopy(machine), witnesses=1000, witness_sweeps=7, estimator=Enumeration())
    loaded.load_state_dict(prior.state_dict())
    assert loaded.log_partition == known
    for each in (prior, loaded):
        shift(each.machine, 1.0)
        each.advance()
        assert each.get_extra_state()["kept"]["witnesses"]["sweeps"] == start["sweeps"] + 4 * 7
    assert prior.log_partition == loaded.log_partition


def test_an_estimate_of_a_machine_far_away_starts_with_witnesses_of_its_own() -> None:
    machine = random_machine(BoltzmannMachine(12), 3)
    prior = BoltzmannPrior(machine, witnesses=2000, estimator=Enumeration())
    _ = prior.log_partition
    shift(machine, 5.0)
    prior.estimate()
    problem, witnesses = machine.to_ising(), prior.get_extra_state()["kept"]["witnesses"]
    torch.testing.assert_close(witnesses["energies"], problem.energy(witnesses["spins"]))
    assert witnesses["sweeps"] == 100  # from random states; carried ones would be copies of the few that counted
    seeds = {witnesses["seed"]}
    for _ in range(2):
        shift(machine, -5.0)
        prior.advance()  # which may meet it first
        witnesses = prior.get_extra_state()["kept"]["witnesses"]
        assert witnesses["sweeps"] == 100
        seeds.add(witnesses["seed"])
    assert len(seeds) == 3


def test_witnesses_that_walk_take_up_the_law_wherever_they_start() -> None:
    problem = random_machine(BoltzmannMachine(6), 3).to_ising()
    start = torch.ones(4000, 6, dtype=torch.int8)
    exact = all_states_weighted(problem).expectation(lambda spins: spins.double())
    walked = Witnesses(start, problem.energy(start), 1, 0).walked(problem, 50)
    assert mean_p_value(walked.spins.double().numpy(), exact.numpy()) > threshold()
    assert (
        mean_p_value(start.double().numpy() + 1e-9 * torch.randn(4000, 6).double().numpy(), exact.numpy()) < threshold()
    )
    assert walked.sweeps == 50
    torch.testing.assert_close(walked.energies, problem.energy(walked.spins))
    again = Witnesses(start, problem.energy(start), 1, 50).walked(problem, 50)
    assert not torch.equal(again.spins, walked.spins)  # other sweeps have other random numbers


def test_resampling_keeps_each_state_its_share_of_the_times_on_average() -> None:
    machine = random_machine(BoltzmannMachine(4), 3)
    before, states = machine.to_ising(), all_spins(4)
    shift(machine, 0.5)
    after = machine.to_ising()
    shares = torch.softmax(before.energy(states) - after.energy(states), 0).numpy()
    numbers = 2 ** torch.arange(4)
    kept = [
        Witnesses(states, before.energy(states), seed, 0).carried(after).spins.add(1).div(2).long() @ numbers
        for seed in range(2000)
    ]
    counts = np.array([np.bincount(each.numpy(), minlength=16) for each in kept], dtype=float)
    by_number = np.empty(16)
    by_number[(states.add(1).div(2).long() @ numbers).numpy()] = 16 * shares
    assert np.abs(counts - by_number).max() < 1  # systematic: rounded up or down
    # Its rounding up is one draw of a coin for each seed, with a chance of the share's fraction.
    fraction = by_number - np.floor(by_number)
    errors = np.sqrt(fraction * (1 - fraction) / len(kept))
    assert (np.abs(counts.mean(0) - by_number) < 5 * errors + 1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_another_precision_than_the_machine_are_taken(dtype: torch.dtype) -> None:
    machine = random_machine(BoltzmannMachine(4), 1)
    other = torch.float32 if dtype == torch.float64 else torch.float64
    logits = torch.zeros(3, 4, dtype=dtype, requires_grad=True)
    divergence = exact_prior(machine.to(other)).kl_divergence(logits)
    divergence.sum().backward()
    assert divergence.dtype == dtype
    torch.testing.assert_close(divergence, exact_divergence(machine, logits.detach()).to(dtype), rtol=1e-4, atol=1e-4)


@dataclass
class Asked:
    """Enumerates, and keeps what it was given."""

    models: list[object] = field(default_factory=list)

    def estimate(self, model: Ising | AbstractBoltzmannMachine, *, seed: object = None) -> LogPartition:
        self.models.append(model)
        return Enumeration().estimate(model)


@pytest.mark.parametrize("machine", [BoltzmannMachine(5), RestrictedBoltzmannMachine(3, 2)], ids=str)
def test_an_estimator_gets_a_restricted_machine_itself(machine: AbstractBoltzmannMachine) -> None:
    estimator = Asked()
    prior = BoltzmannPrior(random_machine(machine, 2), negatives=table(), estimator=estimator)
    values = [prior.log_partition.value, prior.estimate().value]
    kind = RestrictedBoltzmannMachine if isinstance(machine, RestrictedBoltzmannMachine) else Ising
    assert [isinstance(model, kind) for model in estimator.models] == [True, True]
    assert values == pytest.approx([log_partition(machine.to_ising())] * 2)


def test_the_problem_is_built_once_for_all_values_of_the_same_parameters_and_anew_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = random_machine(BoltzmannMachine(5), 3)
    prior = BoltzmannPrior(machine, negatives=table(), estimator=Enumeration())
    built, to_ising = [], BoltzmannMachine.to_ising
    monkeypatch.setattr(BoltzmannMachine, "to_ising", lambda self: built.append(self) or to_ising(self))
    optimizer = torch.optim.SGD(prior.parameters(), lr=0.1)
    for _ in range(3):
        prior.advance()
        prior.kl_divergence(torch.zeros(2, 5, dtype=torch.float64)).sum().backward()
        optimizer.step()
    assert len(built) == 6  # at each step once for the negatives, and once for the witnesses and all values
    machine.biases.data[0] += 1.0  # which no version counter tells
    assert prior.estimate().value == pytest.approx(log_partition(to_ising(machine)))
    machine.float()
    assert prior.estimate().value == pytest.approx(log_partition(to_ising(machine)), abs=1e-5)


@pytest.mark.parametrize(
    "negatives",
    [
        PersistentContrastiveDivergence(chains=40_000, sweeps=5, seed=1),
        PersistentContrastiveDivergence(ParallelTempering(rungs=4, progress=False), chains=20_000, sweeps=5, seed=1),
        ReusedDraws(TableSampler(), count=100_000, steps=20, seed=1),
    ],
    ids=["chains", "tempered", "reused"],
)
@pytest.mark.parametrize(
    "machine", [RestrictedBoltzmannMachine(4, 3), BoltzmannMachine(6, 2)], ids=["restricted", "full"]
)
def test_every_phase_gives_the_gradient_of_log_partition(
    negatives: NegativePhase, machine: AbstractBoltzmannMachine
) -> None:
    machine = random_machine(copy.deepcopy(machine), 4, scale=0.5)
    prior = BoltzmannPrior(machine, negatives=copy.deepcopy(negatives), estimator=Enumeration())
    prior.advance()
    before = log_partition_gradient(machine)
    shift(machine, 0.1)  # reused draws are reweighted, chains walk on
    for _ in range(10):
        prior.advance()
    nothing = torch.full((1, machine.num_nodes), -40.0, dtype=torch.float64)  # all bits off: E is 0 and has no gradient
    (ours,) = torch.autograd.grad(prior.kl_divergence(nothing).sum(), machine.weight_parameter)
    # Each entry is a mean of products of two bits, or of a bit and a probability: variance below 1/4, over 20,000 rows at least; the
    # weights of the reused draws leave more than half of them effective.
    error = 0.5 / math.sqrt(20_000)
    assert float((ours - log_partition_gradient(machine)).abs().max()) < 4.5 * error
    assert (
        float((ours - before).abs().max()) > 4.5 * error
    )  # had the draws not been reweighted, or the chains stood still
    assert float((ours - log_partition_gradient(machine, beta=1.1)).abs().max()) > 4.5 * error


def log_partition_gradient(machine: AbstractBoltzmannMachine, beta: float = 1.0) -> Tensor:
    """Return the mean of the products of units, by enumeration."""
    energies = energies_by_formula(machine, all_bits(machine.num_nodes))
    value = torch.logsumexp(-energies, 0) if beta == 1 else -(torch.softmax(-beta * energies, 0).detach() @ energies)
    return torch.autograd.grad(value, machine.weight_parameter)[0]


def test_chains_of_block_gibbs_begin_at_states_of_the_machine() -> None:
    """A machine of two wells, all bits on or all off, which no chain leaves: half of them must be in each from the first step on."""
    machine = RestrictedBoltzmannMachine(6, 6).double()
    with torch.no_grad():
        machine.weight.fill_(2.0)
        machine.visible_bias.fill_(-6.0)
        machine.hidden_bias.fill_(-6.0)
    torch.manual_seed(2)
    prior = BoltzmannPrior(machine, witnesses=1000, estimator=Enumeration())
    prior.advance()
    on = prior.negatives.state_dict()["sides"]["visible"].mean(1)
    assert 0.3 < float((on > 0.5).double().mean()) < 0.7  # of 256: five standard errors to either side are .16


def test_a_loaded_prior_has_the_gradient_that_the_saved_one_had() -> None:
    for negatives in (table(), PersistentContrastiveDivergence(chains=20, seed=0)):
        saved, loaded = (
            BoltzmannPrior(
                random_machine(RestrictedBoltzmannMachine(3, 2), 1),
                negatives=copy.deepcopy(negatives),
                estimator=Enumeration(),
            )
            for _ in range(2)
        )
        saved.advance()
        loaded.load_state_dict(saved.state_dict())
        logits, calls = torch.zeros(1, 5, dtype=torch.float64), saved.negatives.state_dict()["calls"]
        gradients = [
            torch.autograd.grad(each.kl_divergence(logits).sum(), each.machine.weight)[0] for each in (saved, loaded)
        ]
        assert torch.equal(*gradients)
        assert loaded.negatives.state_dict()["calls"] == calls


def test_witnesses_follow_a_machine_that_leaves_one_of_its_wells() -> None:
    """All bits on or all off, alike at first; then the biases rise, step by step, until nearly all is on: chains alone stay."""
    errors = []
    for seed in range(4):
        torch.manual_seed(seed)
        machine = BoltzmannMachine(10).double()
        with torch.no_grad():
            machine.pair_weights.fill_(1.2)
            machine.biases.fill_(-5.4)
        prior = BoltzmannPrior(machine, negatives=table(), witness_sweeps=1, estimator=Enumeration())
        _ = prior.log_partition
        for _ in range(25):
            prior.advance()
            with torch.no_grad():
                machine.biases += 0.02
        errors.append(prior.log_partition.value - log_partition(machine.to_ising()))
    # 256 witnesses, half of them in either well give or take 8: log Z within .06, less as four are averaged. Without resampling, -1.6.
    assert abs(np.mean(errors)) < 0.3


def test_a_state_of_other_witnesses_is_refused() -> None:
    few, many = (BoltzmannPrior(BoltzmannMachine(3), witnesses=n, estimator=Enumeration()) for n in (64, 128))
    few.advance()
    with pytest.raises(InvalidStateError, match="64 witnesses and this prior 128"):
        many.load_state_dict(few.state_dict())
