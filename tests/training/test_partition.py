"""Estimates of log Z against enumeration by the defining formula, on both sides."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from helpers.enumeration import all_bits, boltzmann, log_partition, random_ising
from helpers.machines import machines, random_machine
from helpers.statistics import law_p_value, mean_p_value, threshold, z_p_value
from spinlight._errors import (
    InvalidProblemError,
    InvalidSettingError,
    InvalidStateError,
    ProblemTooLargeError,
    SpinlightWarning,
)
from spinlight.ising import Ising
from spinlight.ising.partition import log_mean_weight
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.training import AnnealedImportance, ExactPartition, ReverseAnnealed
from spinlight.training.annealing import resampled, tempered
from spinlight.training.partition import Model
from spinlight.training.smaller_side import SmallerSide

every_machine = pytest.mark.parametrize("machine", machines(), ids=str)
every_problem = pytest.mark.parametrize("problem", [random_ising(9, seed=seed, scale=0.6) for seed in range(3)])


@every_machine
@pytest.mark.parametrize("beta", [0.0, 0.7, 1.0])
def test_the_exact_value_is_that_of_the_sum_over_all_states(machine: AbstractBoltzmannMachine, beta: float) -> None:
    estimate = ExactPartition(beta=beta).estimate(machine)
    exact = log_partition(machine.to_ising(), beta)
    assert estimate.lower == estimate.value == estimate.upper == pytest.approx(exact, abs=1e-12)
    assert estimate.standard_error == 0.0


@pytest.mark.parametrize("sizes", [(40, 6), (6, 40)])
def test_a_large_restricted_machine_is_summed_over_its_smaller_side(sizes: tuple[int, int]) -> None:
    machine = random_machine(RestrictedBoltzmannMachine(*sizes), seed=1, scale=0.0)
    machine.visible_bias.data.fill_(0.3)
    machine.hidden_bias.data.fill_(-0.2)
    independent = sizes[0] * math.log1p(math.exp(0.3)) + sizes[1] * math.log1p(math.exp(-0.2))
    assert ExactPartition().estimate(machine).value == pytest.approx(independent, abs=1e-10)


@pytest.mark.parametrize("scale", [1.0, 30.0, 3000.0])
def test_the_sum_over_a_side_is_exact_whatever_the_size_of_the_weights(scale: float) -> None:
    machine = random_machine(RestrictedBoltzmannMachine(50, 11), seed=4, scale=scale).requires_grad_(False)
    hidden = all_bits(11).double()
    inputs = machine.visible_bias + hidden @ machine.weight.T
    expected = torch.logsumexp(
        hidden @ machine.hidden_bias + torch.logaddexp(inputs, torch.zeros_like(inputs)).sum(-1), 0
    )
    assert ExactPartition().estimate(machine).value == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5)])
def test_exact_draws_of_a_restricted_machine_follow_its_law(sizes: tuple[int, int]) -> None:
    machine = random_machine(RestrictedBoltzmannMachine(*sizes), seed=2)
    spins = SmallerSide(machine, 0.8).draw(20_000, seed=3)
    assert law_p_value(spins, boltzmann(machine.to_ising(), 0.8)) > threshold()
    assert law_p_value(spins, boltzmann(machine.to_ising(), 0.9)) < threshold()


@pytest.mark.parametrize("units", [10, 18])  # 4 blocks of states, and several blocks in a thread's piece
def test_exact_draws_follow_their_law_across_blocks_of_states(units: int) -> None:
    """The last units of the smaller side, which tell blocks apart, and the first ones, which vary within them, are independent here."""
    machine = RestrictedBoltzmannMachine(units + 1, units).requires_grad_(False).double()
    machine.weight.zero_()
    machine.visible_bias.zero_()
    machine.hidden_bias.copy_(torch.linspace(-1, 1, units))
    machine.weight[0, 0] = machine.weight[0, units - 1] = 2.0  # couples the first and the last through one visible unit
    spins = SmallerSide(machine, 1.0).draw(40_000, seed=3)
    small = RestrictedBoltzmannMachine(1, 2).requires_grad_(False).double()
    small.weight.fill_(2.0)
    small.visible_bias.zero_()
    small.hidden_bias.copy_(machine.hidden_bias[[0, -1]])
    coupled = spins[:, [0, units + 1, 2 * units]]
    assert law_p_value(coupled, boltzmann(small.to_ising(), 1.0)) > threshold()
    assert law_p_value(coupled, boltzmann(small.to_ising(), 1.1)) < threshold()
    bits = (spins[:, units + 2 : 2 * units].double() + 1) / 2
    means = torch.sigmoid(machine.hidden_bias[1:-1])
    scores = (bits.mean(0) - means) / (means * (1 - means) / len(bits)).sqrt()
    assert float(scores.abs().max()) < 5


@pytest.mark.parametrize("wide", [50, 5])
def test_products_stay_within_the_numbers_where_weights_are_as_wide_as_they_may_be(wide: int) -> None:
    """Units whose inputs vary by just under 600 within a block, among narrow ones; where all are lowest the state is the likeliest."""
    machine = RestrictedBoltzmannMachine(1_000, 8).requires_grad_(False).double()
    machine.weight.fill_(0.01)
    machine.weight[:wide] = 74.9
    machine.visible_bias.fill_(-74.9)
    machine.visible_bias[wide:] = 0.1
    machine.hidden_bias.fill_(-100.0 * wide)
    hidden = all_bits(8).double()
    inputs = machine.visible_bias + hidden @ machine.weight.T
    expected = torch.logsumexp(
        hidden @ machine.hidden_bias + torch.logaddexp(inputs, torch.zeros_like(inputs)).sum(-1), 0
    )
    # 26,000 nats of the likeliest inputs are taken out and put back: their last digits are lost.
    assert ExactPartition().estimate(machine).value == pytest.approx(float(expected), abs=1e-9)


def test_a_log_partition_beyond_the_numbers_is_refused() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1)
    machine.hidden_bias.data.fill_(1e308)
    with pytest.raises(InvalidProblemError, match="beyond float64"):
        ExactPartition().estimate(machine)


@every_problem
@pytest.mark.parametrize("beta", [0.5, 1.0])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_bounds_enclose_the_exact_value(problem: Ising, beta: float, sparse: bool) -> None:
    model = problem.to_sparse() if sparse else problem
    lower = AnnealedImportance(beta=beta, steps=200).estimate(model, seed=4)
    upper = ReverseAnnealed(beta=beta, steps=200).estimate(model, seed=5)
    exact = log_partition(problem, beta)
    # Three standard errors are what users are promised, and so what is checked; the seeds are fixed.
    assert lower.lower - 3 * lower.standard_error <= exact <= upper.upper + 3 * upper.standard_error


@every_problem
@pytest.mark.parametrize("beta", [0.5, 1.0])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("estimator", [AnnealedImportance, ReverseAnnealed])
def test_estimates_lie_where_their_standard_error_says(problem: Ising, beta: float, sparse: bool, estimator) -> None:
    model = problem.to_sparse() if sparse else problem
    estimate = estimator(beta=beta, steps=200).estimate(model, seed=8)

    def p_value(exact: float) -> float:
        return z_p_value(estimate.value, exact, estimate.standard_error)

    assert p_value(log_partition(problem, beta)) > threshold()
    assert p_value(log_partition(problem, 1.1 * beta)) < threshold()


@every_problem
def test_the_bounds_do_not_enclose_the_value_of_a_problem_ten_percent_colder(problem: Ising) -> None:
    lower = AnnealedImportance(steps=200).estimate(problem, seed=4)
    upper = ReverseAnnealed(steps=200).estimate(problem, seed=5)
    wrong = log_partition(problem, 1.1)
    assert not lower.lower - 3 * lower.standard_error <= wrong <= upper.upper + 3 * upper.standard_error


@every_machine
def test_the_bounds_enclose_the_exact_value_of_every_machine(machine: AbstractBoltzmannMachine) -> None:
    lower = AnnealedImportance(steps=200).estimate(machine, seed=6)
    upper = ReverseAnnealed(steps=200).estimate(machine, seed=7)
    exact = log_partition(machine.to_ising())
    # As above; 1e-6 for a machine of one unit, whose weights have no variance and whose fields the kernels round to float32.
    assert lower.lower - 3 * lower.standard_error - 1e-6 <= exact <= upper.upper + 3 * upper.standard_error + 1e-6


def repeated(estimator: AnnealedImportance | ReverseAnnealed, problem: Model, times: int = 100) -> np.ndarray:
    return np.array([estimator.estimate(problem, seed=seed).value for seed in range(times)])


@pytest.mark.filterwarnings("ignore:the mean weight")
def test_few_steps_make_annealing_too_low_and_its_reverse_too_high_in_expectation() -> None:
    problem = random_ising(9, seed=1, scale=0.3)
    exact = log_partition(problem)
    below = repeated(AnnealedImportance(chains=4, steps=2), problem, 300)
    above = repeated(ReverseAnnealed(chains=4, steps=2), problem, 300)
    assert below.mean() < exact < above.mean()
    assert mean_p_value(below, exact) < threshold()
    assert mean_p_value(above, exact) < threshold()


@pytest.mark.filterwarnings("ignore:the mean weight")
def test_annealed_weights_are_unbiased_however_few_the_steps() -> None:
    problem = random_ising(7, seed=2, scale=0.5)
    ratios = np.exp(repeated(AnnealedImportance(chains=64, steps=5), problem) - log_partition(problem))
    assert mean_p_value(ratios, 1.0) > threshold()
    assert mean_p_value(ratios, np.exp(log_partition(problem, 1.1) - log_partition(problem))) < threshold()


RESTRICTED = pytest.mark.parametrize(
    "machine",
    [random_machine(RestrictedBoltzmannMachine(*sizes), seed=6, scale=1.5) for sizes in ((3, 7), (6, 4))],
    ids=str,
)


@pytest.mark.filterwarnings("ignore:the mean weight")
@RESTRICTED
def test_one_side_of_a_restricted_machine_has_unbiased_weights_however_few_the_steps(machine) -> None:
    problem = machine.to_ising()
    ratios = np.exp(repeated(AnnealedImportance(chains=64, steps=3), machine) - log_partition(problem))
    assert mean_p_value(ratios, 1.0) > threshold()
    assert mean_p_value(ratios, np.exp(log_partition(problem, 1.1) - log_partition(problem))) < threshold()


@pytest.mark.filterwarnings("ignore:the mean weight")
@pytest.mark.parametrize("sizes", [(8, 9), (9, 8)])
def test_few_steps_bracket_a_restricted_machine_too(sizes: tuple[int, int]) -> None:
    machine = random_machine(
        RestrictedBoltzmannMachine(*sizes), seed=7, scale=0.0
    )  # no fields on spins: two even wells
    for parameter, value in zip(machine.parameters(), (1.0, -sizes[1] / 2, -sizes[0] / 2), strict=True):
        parameter.data.fill_(value)
    exact = ExactPartition().estimate(machine).value
    below = repeated(AnnealedImportance(chains=2, steps=2), machine, 300)
    above = repeated(ReverseAnnealed(chains=2, steps=2), machine, 300)
    assert below.mean() < exact < above.mean()
    assert mean_p_value(below, exact) < threshold()
    assert mean_p_value(above, exact) < threshold()


@RESTRICTED
@pytest.mark.parametrize("estimator", [AnnealedImportance, ReverseAnnealed])
def test_a_restricted_machine_has_the_value_of_its_problem_with_less_variance(machine, estimator) -> None:
    found = estimator(steps=50, beta=0.7).estimate(machine, seed=9)
    plain = estimator(steps=50, beta=0.7).estimate(machine.to_ising(), seed=9)
    assert z_p_value(found.value, log_partition(machine.to_ising(), 0.7), found.standard_error) > threshold()
    assert found.standard_error < plain.standard_error


@every_machine
def test_data_can_take_the_place_of_the_pilot_run(machine: AbstractBoltzmannMachine) -> None:
    rows = all_bits(machine.num_visible)[:5]
    estimator = AnnealedImportance(steps=100, base_rows=rows)
    found = estimator.estimate(machine, seed=10)
    error = math.hypot(found.standard_error, 1e-6)
    assert z_p_value(found.value, log_partition(machine.to_ising()), error) > threshold()
    rows.zero_()
    assert estimator.estimate(machine, seed=10) == found  # the estimator has a copy of its own


def test_base_rows_need_visible_units_as_many_as_they_have() -> None:
    estimator = AnnealedImportance(base_rows=torch.ones(2, 3))
    with pytest.raises(InvalidSettingError, match="leave them out"):
        estimator.estimate(random_ising(3, seed=1))
    with pytest.raises(InvalidStateError, match="4 entries"):
        estimator.estimate(RestrictedBoltzmannMachine(4, 2))


@pytest.mark.parametrize("rows", [torch.ones(3), torch.ones(0, 3), torch.full((1, 3), 0.5)])
def test_base_rows_that_are_no_rows_of_bits_are_refused(rows: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError):
        AnnealedImportance(base_rows=rows)


def test_tempered_weights_leave_the_wanted_share_effective() -> None:
    logs = torch.linspace(0, 50, 100, dtype=torch.float64)
    weights = tempered(logs, 0.3)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert 1 / float(weights.square().sum()) == pytest.approx(30.0, rel=1e-6)
    assert torch.equal(tempered(logs / 1000, 0.3), torch.softmax(logs / 1000, 0))  # even enough as they are


def test_pilot_chains_count_by_their_weights_and_a_quarter_alike() -> None:
    # Two chains of forty have nearly all of the weight. Tempered until ten are effective, 2 a^2 + 38 c^2 = 1/10 with 2 a + 38 c = 1,
    # each has a = 0.2138; with a quarter of 2/40 beside, 13.3 of forty states are theirs.
    states = torch.arange(40)
    chosen = resampled(states, torch.where(states < 2, 30.0, 0.0).double(), seed=1)
    assert int((chosen < 2).sum()) in (13, 14)
    assert len(chosen.unique()) > 20
    assert len(resampled(states, torch.zeros(40).double(), seed=1).unique()) == 40


def test_parameters_that_are_no_numbers_are_refused() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(3, 2), seed=1)
    machine.hidden_bias.data.fill_(math.nan)
    with pytest.raises(InvalidProblemError, match="learning rate"):
        AnnealedImportance().estimate(machine)
    machine.hidden_bias.data.fill_(1e31)
    with pytest.raises(InvalidProblemError, match="float32"):
        AnnealedImportance().estimate(machine)


def test_independent_spins_have_weights_without_variance() -> None:
    fields = torch.linspace(-30, 30, 9, dtype=torch.float64)
    problem = Ising(fields, torch.zeros(9, 9), 2.0)
    exact = float(torch.logaddexp(fields, -fields).sum()) - 2.0
    for estimator in (AnnealedImportance(chains=32, steps=10), ReverseAnnealed(chains=32, steps=10)):
        estimate = estimator.estimate(problem, seed=8)
        assert estimate.value == pytest.approx(exact, abs=1e-4)
        assert estimate.standard_error < 1e-5


def test_a_mean_that_hangs_on_few_chains_has_no_error_and_says_so() -> None:
    # Fifty spins that all want to point the same way as one another, annealed in two steps.
    couplings = 0.5 * (torch.ones(50, 50) - torch.eye(50))
    with pytest.warns(SpinlightWarning, match="take more steps"):
        estimate = AnnealedImportance(chains=64, steps=2).estimate(Ising(torch.zeros(50), couplings), seed=9)
    assert math.isnan(estimate.standard_error)
    # Both aligned states and little else: log Z is close to log 2 plus the 1225 couplings.
    assert estimate.lower < math.log(2) + 0.5 * 1225 + 1e-6


def test_an_error_is_told_only_where_it_is_one() -> None:
    # Weights as uneven as few steps leave them: the mean lies in a tail that most sets of chains have not seen.
    generator = torch.Generator().manual_seed(0)
    told, missed = 0, 0
    for _ in range(300):
        spread = 5.0**0.5
        log_weights = (
            spread * torch.randn(512, generator=generator, dtype=torch.float64) - spread**2 / 2
        )  # mean weight 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value, error, effective = log_mean_weight(log_weights, "chains", "")
        assert math.isnan(error) == (effective < 64)
        told += not math.isnan(error)
        missed += value + 2 * error < 0
    assert missed < 5
    assert told < 10


@pytest.mark.parametrize("estimator", [AnnealedImportance(chains=16, steps=4), ReverseAnnealed(chains=16, steps=4)])
def test_a_problem_beyond_float32_is_refused(estimator) -> None:
    couplings = torch.tensor([[0.0, 1e39], [1e39, 0.0]], dtype=torch.float64)
    with pytest.raises(InvalidProblemError, match="float32"):
        estimator.estimate(Ising(torch.zeros(2), couplings), seed=1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_annealed_weights_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(InvalidProblemError, match="1 of 20 chains"):
        log_mean_weight(torch.tensor(19 * [0.0] + [value], dtype=torch.float64), "chains", "take more")


def test_the_same_seed_gives_the_same_estimate() -> None:
    problem = random_ising(8, seed=3)
    first, second, other = (AnnealedImportance(steps=20).estimate(problem, seed=seed).value for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.parametrize("estimator", [ExactPartition(), ReverseAnnealed()])
def test_machines_too_large_on_both_sides_are_refused_with_an_alternative(estimator) -> None:
    with pytest.raises(ProblemTooLargeError, match="AnnealedImportance"):
        estimator.estimate(RestrictedBoltzmannMachine(30, 25))


@pytest.mark.parametrize("settings", [{"chains": 0}, {"steps": 0}, {"beta": -1.0}, {"beta": math.nan}])
@pytest.mark.parametrize("estimator", [AnnealedImportance, ReverseAnnealed])
def test_impossible_settings_are_refused(estimator, settings) -> None:
    with pytest.raises(InvalidSettingError):
        estimator(**settings)


def test_each_estimator_is_a_bound_on_its_own_side_only() -> None:
    problem = random_ising(6, seed=3)
    below = AnnealedImportance(chains=64, steps=50).estimate(problem, seed=1)
    above = ReverseAnnealed(chains=64, steps=50).estimate(problem, seed=1)
    assert (below.lower, below.upper) == (below.value, math.inf)
    assert (above.lower, above.upper) == (-math.inf, above.value)


@pytest.mark.parametrize("estimator", [AnnealedImportance(chains=64, steps=20), ReverseAnnealed(chains=64, steps=20)])
def test_the_standard_error_is_the_spread_over_seeds(estimator: AnnealedImportance | ReverseAnnealed) -> None:
    problem = random_ising(8, seed=4, scale=0.5)
    runs = [estimator.estimate(problem, seed=seed) for seed in range(200)]
    spread = np.std([run.value for run in runs], ddof=1)
    claimed = np.sqrt(np.mean([run.standard_error**2 for run in runs]))
    assert 0.75 < spread / claimed < 1.33  # 200 runs tell a spread to 5 %: a factor of two either way is noticed


def test_rounding_is_part_of_the_standard_error() -> None:
    generator = torch.Generator().manual_seed(5)
    fields = 1e4 * torch.randn(100, generator=generator, dtype=torch.float64)
    problem = Ising(fields, torch.zeros(100, 100))
    exact = float(torch.logaddexp(fields, -fields).sum())
    estimate = AnnealedImportance(chains=16, steps=10).estimate(problem, seed=1)
    assert estimate.standard_error > 0
    assert abs(estimate.value - exact) <= 3 * estimate.standard_error
