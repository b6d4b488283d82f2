"""The Gaussian-Bernoulli machine against its energy, summed over hidden states and integrated over visible values."""

from __future__ import annotations

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from helpers.enumeration import all_bits, all_spins
from helpers.machines import TableSampler, all_states_weighted
from helpers.statistics import counts_p_value, threshold
from spinlight._errors import InvalidDataError, InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising import LogPartition
from spinlight.models import (
    BoltzmannMachine,
    GaussianBernoulliRBM,
    RestrictedBoltzmannMachine,
    SupportsGibbsStep,
)
from spinlight.samplers import Gibbs
from spinlight.training import (
    AnnealedImportance,
    ContrastiveDivergence,
    ExactPartition,
    IndependentDraws,
    NegativePhase,
    PersistentContrastiveDivergence,
    ReusedDraws,
    log_likelihood,
)

LINE = torch.linspace(-40, 40, 4001, dtype=torch.float64)
STEP = float(LINE[1] - LINE[0])
"""The trapezoidal rule on a line is exact to rounding for Gaussians that are wider than its step."""


def random_gaussian(visible: int, hidden: int, seed: int) -> GaussianBernoulliRBM:
    generator = torch.Generator().manual_seed(seed)
    machine = GaussianBernoulliRBM(visible, hidden).double()
    for parameter in machine.parameters():
        parameter.data = 0.8 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return machine


def unit_energies(machine: GaussianBernoulliRBM, unit: int, values: Tensor, hidden: Tensor) -> Tensor:
    """Return the terms of E that contain one visible unit, shape (values, hidden states)."""
    variance = machine.log_variances[unit].exp()
    energy = ((values - machine.visible_bias[unit]) ** 2 / (2 * variance))[:, None].expand(-1, len(hidden))
    for j in range(machine.num_hidden):
        energy = energy - values[:, None] * machine.weight[unit, j] * hidden[:, j] / variance
    return energy


def energies_by_formula(machine: GaussianBernoulliRBM, visible: Tensor, hidden: Tensor) -> Tensor:
    """Return E(v, h) term by term, shape (visible rows, hidden states)."""
    hidden = hidden.to(visible)
    units = [unit_energies(machine, i, visible[:, i], hidden) for i in range(machine.num_visible)]
    return sum(units) - hidden @ machine.hidden_bias  # type: ignore[return-value]


def integrated_energies(machine: GaussianBernoulliRBM) -> Tensor:
    """Return - log int exp(-E(v, h)) dv of every hidden state, each unit's integral by the trapezoidal rule."""
    hidden = all_bits(machine.num_hidden).double()
    integrals = [
        torch.logsumexp(-unit_energies(machine, i, LINE, hidden), 0) + math.log(STEP)
        for i in range(machine.num_visible)
    ]
    return -(hidden @ machine.hidden_bias) - sum(integrals)


def log_partition(machine: GaussianBernoulliRBM) -> Tensor:
    return torch.logsumexp(-integrated_energies(machine), 0)


MACHINES = [random_gaussian(1, 2, seed=1), random_gaussian(2, 3, seed=2), random_gaussian(5, 4, seed=3)]
every_machine = pytest.mark.parametrize("machine", MACHINES, ids=str)
MACHINE = MACHINES[1]


def rows_for(machine: GaussianBernoulliRBM, count: int = 7) -> Tensor:
    return 2 * torch.randn(count, machine.num_visible, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@every_machine
def test_energy_is_its_formula(machine: GaussianBernoulliRBM) -> None:
    visible, hidden = rows_for(machine), all_bits(machine.num_hidden)
    expected = energies_by_formula(machine, visible, hidden)
    torch.testing.assert_close(machine(visible[:, None], hidden), expected)


@every_machine
def test_free_energy_sums_the_hidden_units_out(machine: GaussianBernoulliRBM) -> None:
    visible = rows_for(machine)
    summed = torch.logsumexp(-energies_by_formula(machine, visible, all_bits(machine.num_hidden)), 1)
    torch.testing.assert_close(-machine.free_energy(visible), summed)
    torch.testing.assert_close(-machine.free_energy(visible, hidden_logits=machine.hidden_logits(visible)), summed)


@every_machine
def test_hidden_energy_and_the_ising_problem_integrate_the_visible_units_out(machine: GaussianBernoulliRBM) -> None:
    expected = integrated_energies(machine)
    torch.testing.assert_close(machine.hidden_energy(all_bits(machine.num_hidden)), expected)
    torch.testing.assert_close(machine.to_ising().energy(all_spins(machine.num_hidden)), expected.detach())


@every_machine
def test_log_partition_of_the_hidden_problem_is_that_of_the_machine(machine: GaussianBernoulliRBM) -> None:
    assert ExactPartition().estimate(machine).value == pytest.approx(float(log_partition(machine).detach()), abs=1e-10)


def test_annealing_bounds_the_log_partition_of_the_machine() -> None:
    estimate: LogPartition = AnnealedImportance(chains=256, steps=200).estimate(MACHINE, seed=1)
    assert abs(estimate.value - float(log_partition(MACHINE).detach())) < 5 * estimate.standard_error


def test_densities_integrate_to_one_on_a_line_and_on_a_plane() -> None:
    line, plane = MACHINES[0], MACHINES[1]
    density = (-line.free_energy(LINE[:, None]) - log_partition(line)).exp()
    assert float(density.detach().sum() * STEP) == pytest.approx(1.0, abs=1e-10)
    coarse = LINE[::10]
    grid = torch.cartesian_prod(coarse, coarse)
    density = (-plane.free_energy(grid) - log_partition(plane)).exp()
    assert float(density.detach().sum() * (10 * STEP) ** 2) == pytest.approx(1.0, abs=1e-10)


@every_machine
def test_hidden_probabilities_are_the_conditional_means(machine: GaussianBernoulliRBM) -> None:
    visible, hidden = rows_for(machine), all_bits(machine.num_hidden)
    law = torch.softmax(-energies_by_formula(machine, visible, hidden), 1)
    torch.testing.assert_close(machine.hidden_probabilities(visible), law @ hidden.double())


@every_machine
def test_visible_means_and_variances_are_those_of_the_conditional_density(machine: GaussianBernoulliRBM) -> None:
    hidden = all_bits(machine.num_hidden).double()
    for i in range(machine.num_visible):
        law = torch.softmax(-unit_energies(machine, i, LINE, hidden), 0)
        mean, square = law.T @ LINE, law.T @ LINE**2
        torch.testing.assert_close(machine.visible_means(hidden)[:, i], mean)
        torch.testing.assert_close(square - mean**2, machine.log_variances[i].exp().expand(len(hidden)))


EDGES = torch.linspace(-4, 4, 9, dtype=torch.float64)


def cell_counts(visible: Tensor) -> np.ndarray:
    """Return how many rows fall into each cell of the plane, the outer ones without bound."""
    cells = torch.bucketize(visible, EDGES)
    side = len(EDGES) + 1
    return torch.bincount(cells[:, 0] * side + cells[:, 1], minlength=side**2).numpy()


def cell_probabilities(machine: GaussianBernoulliRBM) -> np.ndarray:
    """Return the exact probability of each cell: a mixture over hidden states of products of normal intervals."""
    law = torch.softmax(-integrated_energies(machine), 0).detach().numpy()
    means = machine.visible_means(all_bits(machine.num_hidden)).detach().numpy()
    deviations = (0.5 * machine.log_variances).exp().detach().numpy()
    ends = np.concatenate([[-np.inf], EDGES.numpy(), [np.inf]])
    shares = np.diff(stats.norm.cdf((ends[:, None, None] - means) / deviations), axis=0)
    return np.einsum("s,as,bs->ab", law, shares[..., 0], shares[..., 1]).ravel()


def with_weights_scaled(factor: float) -> GaussianBernoulliRBM:
    other = copy.deepcopy(MACHINE)
    other.weight.data *= factor
    return other


@pytest.mark.parametrize("weighted", [False, True])
def test_samples_follow_the_density(weighted: bool) -> None:
    visible = MACHINE.sample(TableSampler(weighted=weighted), 40_000, seed=1)
    assert visible.shape == (40_000, 2)
    assert counts_p_value(cell_counts(visible), cell_probabilities(MACHINE)) > threshold()
    assert counts_p_value(cell_counts(visible), cell_probabilities(with_weights_scaled(1.1))) < threshold()


def test_a_gibbs_step_leaves_the_exact_law_as_it_is_and_no_other() -> None:
    kept, bent = (machine.sample(TableSampler(), 40_000, seed=2) for machine in (MACHINE, with_weights_scaled(1.1)))
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        kept, bent = MACHINE.gibbs_step(kept, generator), with_weights_scaled(1.1).gibbs_step(bent, generator)
    assert counts_p_value(cell_counts(kept), cell_probabilities(MACHINE)) > threshold()
    assert counts_p_value(cell_counts(bent), cell_probabilities(MACHINE)) < threshold()


def test_gibbs_steps_lead_from_elsewhere_to_the_law() -> None:
    visible, generator = torch.full((40_000, 2), 3.0), torch.Generator().manual_seed(4)
    first = MACHINE.gibbs_step(visible, generator)
    for _ in range(50):
        visible = MACHINE.gibbs_step(visible, generator)
    assert counts_p_value(cell_counts(visible), cell_probabilities(MACHINE)) > threshold()
    assert counts_p_value(cell_counts(first), cell_probabilities(MACHINE)) < threshold()


def test_the_same_seed_gives_the_same_rows_whatever_torchs_global_state() -> None:
    start, before = rows_for(MACHINE), torch.get_rng_state()
    for draw in (lambda seed: MACHINE.gibbs_step(start, seed), lambda seed: MACHINE.sample(Gibbs(), 7, seed=seed)):
        first, second, other = (draw(seed) for seed in (1, 1, 2))
        assert torch.equal(first, second)
        assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def gradients(machine: GaussianBernoulliRBM, loss: Tensor) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(machine.parameters()))])


def exact_gradient(machine: GaussianBernoulliRBM, visible: Tensor) -> Tensor:
    summed = torch.logsumexp(-energies_by_formula(machine, visible, all_bits(machine.num_hidden)), 1)
    return gradients(machine, log_partition(machine) - summed.mean())


@every_machine
@pytest.mark.parametrize("beta", [1.0, 1.1])
def test_the_gradient_with_hidden_draws_is_that_of_the_negative_log_likelihood(
    machine: GaussianBernoulliRBM, beta: float
) -> None:
    visible = rows_for(machine)
    found = gradients(machine, machine.objective(visible, all_states_weighted(machine.to_ising(), beta)))
    error = float((found - exact_gradient(machine, visible)).abs().max())
    assert error < 1e-9 if beta == 1.0 else error > 1e-3


def test_the_gradient_with_visible_rows_is_the_same_in_the_mean() -> None:
    grid = torch.cartesian_prod(LINE[::10], LINE[::10])
    density = torch.softmax(-MACHINE.free_energy(grid), 0).detach()
    visible = rows_for(MACHINE)
    # What the objective averages over rows, averaged over the density.
    found = gradients(MACHINE, MACHINE.free_energy(visible).mean() - density @ MACHINE.free_energy(grid))
    torch.testing.assert_close(found, exact_gradient(MACHINE, visible))
    rows = rows_for(MACHINE, 11)
    expected = MACHINE.free_energy(visible).mean() - MACHINE.free_energy(rows).mean()
    torch.testing.assert_close(MACHINE.objective(visible, rows), expected)


def test_any_phase_that_draws_makes_its_negatives() -> None:
    phase = IndependentDraws(TableSampler(weighted=True), count=1)
    found = gradients(MACHINE, MACHINE.objective(rows_for(MACHINE), phase.negative(MACHINE, rows_for(MACHINE))))
    torch.testing.assert_close(found, exact_gradient(MACHINE, rows_for(MACHINE)))


@pytest.mark.parametrize(
    "phase",
    [
        ContrastiveDivergence(sweeps=2, seed=5),
        PersistentContrastiveDivergence(chains=40_000, sweeps=2, seed=5),
    ],
    ids=["contrastive", "persistent"],
)
def test_contrastive_divergence_leaves_the_law_as_it_is(phase: NegativePhase) -> None:
    data = MACHINE.sample(TableSampler(), 40_000, seed=6)
    phase.objective(MACHINE, data)  # the chains that share their matrix products with the gradient
    visible = phase.negative(MACHINE, data)
    assert isinstance(visible, Tensor)
    assert counts_p_value(cell_counts(visible), cell_probabilities(MACHINE)) > threshold()
    assert counts_p_value(cell_counts(visible), cell_probabilities(with_weights_scaled(1.1))) < threshold()


def test_draws_of_its_hidden_units_are_reused_while_it_changes() -> None:
    machine, rows = copy.deepcopy(MACHINE), rows_for(MACHINE)
    phase = ReusedDraws(TableSampler(weighted=True), count=8, steps=10, least_share=0.0)
    phase.negative(machine, rows)
    machine.load_state_dict(random_gaussian(2, 3, seed=8).state_dict())
    found = gradients(machine, phase.objective(machine, rows))
    torch.testing.assert_close(found, exact_gradient(machine, rows))


def test_its_likelihood_is_that_of_its_density() -> None:
    rows = rows_for(MACHINE)
    density = torch.logsumexp(-energies_by_formula(MACHINE, rows, all_bits(3)), 1) - log_partition(MACHINE)
    found = log_likelihood(MACHINE, rows, partition=ExactPartition().estimate(MACHINE))
    assert found.value == pytest.approx(float(density.detach().mean()))


def test_both_restricted_machines_support_a_gibbs_step_and_connected_ones_do_not() -> None:
    assert isinstance(MACHINE, SupportsGibbsStep)
    assert isinstance(RestrictedBoltzmannMachine(2, 2), SupportsGibbsStep)
    assert not isinstance(BoltzmannMachine(3), SupportsGibbsStep)


def test_a_machine_initialised_from_data_is_their_gaussian() -> None:
    machine, rows = GaussianBernoulliRBM(2, 3, initial_scale=0.0).double(), rows_for(MACHINE, 50)
    machine.initialize_from_data(rows)
    torch.testing.assert_close(machine.visible_bias.detach(), rows.mean(0))
    torch.testing.assert_close(machine.log_variances.exp().detach(), rows.var(0, correction=0))
    assert exact_gradient(machine, rows).abs().max() < 1e-9  # no Gaussian of independent units is likelier


@pytest.mark.parametrize("rows", [torch.tensor([[1.0, 2.0], [1.0, 3.0]]), torch.zeros(0, 2), torch.ones(1, 2)])
def test_a_unit_that_never_varies_has_no_variance_to_start_from(rows: Tensor) -> None:
    with pytest.raises(InvalidDataError, match="unit 0"):
        GaussianBernoulliRBM(2, 1).initialize_from_data(rows)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda machine: pickle.loads(pickle.dumps(machine))])
def test_copies_have_the_same_free_energies(again) -> None:
    assert torch.equal(again(MACHINE).free_energy(rows_for(MACHINE)), MACHINE.free_energy(rows_for(MACHINE)))


def test_a_state_dict_survives_a_file_loaded_with_weights_only() -> None:
    file, other = io.BytesIO(), random_gaussian(2, 3, seed=9)
    torch.save(MACHINE.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.free_energy(rows_for(MACHINE)), MACHINE.free_energy(rows_for(MACHINE)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_dtype_of_the_parameters(dtype: torch.dtype) -> None:
    machine = copy.deepcopy(MACHINE).to(dtype)
    rows = rows_for(machine).float()
    results = (machine.free_energy(rows), machine.gibbs_step(rows, 1), machine.sample(TableSampler(), 3, seed=1))
    assert {result.dtype for result in results} == {dtype}


NO_ROWS = [torch.zeros(2, 3), torch.zeros(2, 2, dtype=torch.int8), torch.full((1, 2), math.nan), torch.tensor(1.0)]


@pytest.mark.parametrize("rows", NO_ROWS)
@pytest.mark.parametrize(
    "call",
    [
        MACHINE.free_energy,
        MACHINE.hidden_logits,
        MACHINE.hidden_probabilities,
        MACHINE.gibbs_step,
        MACHINE.initialize_from_data,
        lambda rows: MACHINE.energy(rows, torch.zeros(3)),
        lambda rows: MACHINE.objective(rows, torch.zeros(1, 2)),
        lambda rows: MACHINE.objective(torch.zeros(1, 2), rows),
    ],
)
def test_rows_that_are_no_visible_values_are_refused(call, rows: Tensor) -> None:
    with pytest.raises(InvalidStateError, match="visible"):
        call(rows)


@pytest.mark.parametrize(
    "call",
    [
        MACHINE.visible_means,
        MACHINE.draw_visible,
        MACHINE.hidden_energy,
        lambda rows: MACHINE.energy(torch.zeros(2), rows),
    ],
)
@pytest.mark.parametrize("rows", [torch.zeros(2, 2), torch.full((2, 3), 1.5)])
def test_rows_that_are_no_hidden_bits_are_refused(call, rows: Tensor) -> None:
    with pytest.raises(InvalidStateError):
        call(rows)


def test_draws_stand_on_the_negative_side_and_no_side_is_empty() -> None:
    draws = all_states_weighted(MACHINE.to_ising())
    with pytest.raises(InvalidStateError, match="positive side is data"):
        MACHINE.objective(draws, rows_for(MACHINE))
    with pytest.raises(InvalidStateError, match="at least one row"):
        MACHINE.objective(rows_for(MACHINE), draws[:0])
    with pytest.raises(InvalidStateError, match="at least one row"):
        MACHINE.objective(torch.zeros(0, 2), rows_for(MACHINE))


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (1.5, 1)])
def test_impossible_sizes_are_refused(sizes) -> None:
    with pytest.raises(InvalidSettingError, match="at least 1"):
        GaussianBernoulliRBM(*sizes)


def test_impossible_settings_of_samples_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="initial_scale"):
        GaussianBernoulliRBM(1, 1, initial_scale=-1.0)
    with pytest.raises(InvalidSettingError, match="beta = 2"):
        MACHINE.sample(Gibbs(beta=2.0), 1)
    with pytest.raises(InvalidSettingError, match="count"):
        MACHINE.sample(Gibbs(), 0)
    with pytest.raises(InvalidSettingError, match="seed"):
        MACHINE.gibbs_step(rows_for(MACHINE), seed=-1)


def test_parameters_that_are_no_numbers_make_no_problem() -> None:
    machine = copy.deepcopy(MACHINE)
    machine.log_variances.data[0] = -math.inf
    with pytest.raises(InvalidProblemError):
        machine.to_ising()
