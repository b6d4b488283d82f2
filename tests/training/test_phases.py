"""The phases: what they leave invariant, where they resume, and which samplers they refuse."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import (
    CoolingSampler,
    TableSampler,
    all_states_weighted,
    energies_by_formula,
    exact_negative_log_likelihood,
    machines,
    random_machine,
)
from helpers.statistics import law_p_value, threshold
from spinlight import training
from spinlight._errors import InvalidSettingError, InvalidStateError, UncalibratedWarning
from spinlight.ising import Draws
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Exact, Gibbs, Metropolis

every_machine = pytest.mark.parametrize("machine", machines()[1:], ids=str)


def law(machine: AbstractBoltzmannMachine, beta: float = 1.0):
    return torch.softmax(-beta * energies_by_formula(machine, all_bits(machine.num_nodes)).detach(), 0).numpy()


def exact_data(machine: AbstractBoltzmannMachine, count: int, beta: float = 1.0) -> Tensor:
    """Return visible rows of exact draws of the machine at `beta`."""
    draws = TableSampler(beta=beta).draw(machine.to_ising(), count, seed=17)
    return draws.bits[:, : machine.num_visible]


def test_completed_rows_keep_their_data_and_follow_the_conditional_of_each() -> None:
    machine = random_machine(BoltzmannMachine(6, 2), seed=2)
    visible = all_bits(4)[[1, 6, 11]]
    draws = training.complete(machine, visible, Exact(), count=5_000, seed=3)
    for row in range(3):
        assert (draws.bits[row, :, :4] == visible[row]).all()
        whole = torch.cat([visible[row].expand(4, -1), all_bits(2)], -1)
        conditional = torch.softmax(-energies_by_formula(machine, whole).detach(), 0).numpy()
        assert law_p_value(draws.bits[row, :, 4:], conditional) > threshold(3)


def test_completion_keeps_the_weights_of_the_draws() -> None:
    machine = random_machine(BoltzmannMachine(6, 2), seed=2)
    visible = all_bits(4)[[1, 6, 6, 11]]
    positive = training.complete(machine, visible, TableSampler(weighted=True))
    parameters = list(machine.parameters())
    objective = machine.objective(positive, all_states_weighted(machine.to_ising()))
    found = torch.autograd.grad(objective, parameters)
    expected = torch.autograd.grad(exact_negative_log_likelihood(machine, visible), parameters)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("machine", [BoltzmannMachine(4), RestrictedBoltzmannMachine(4, 3)])
def test_machines_that_need_no_hidden_samples_get_their_rows_back(machine: AbstractBoltzmannMachine) -> None:
    visible = all_bits(4)
    assert training.complete(machine, visible, Exact()) is visible


@pytest.mark.parametrize("rows", [torch.zeros(4), torch.zeros(2, 3, 4), torch.zeros(2, 5), torch.full((2, 4), 0.5)])
def test_rows_that_are_no_data_are_not_completed(rows: Tensor) -> None:
    with pytest.raises(InvalidStateError):
        training.complete(BoltzmannMachine(6, 2), rows, Exact())


@every_machine
@pytest.mark.parametrize("sampler", [Gibbs(), Metropolis()], ids=["gibbs", "metropolis"])
def test_contrastive_divergence_leaves_the_law_of_the_model_as_it_is(
    machine: AbstractBoltzmannMachine, sampler: Gibbs | Metropolis
) -> None:
    # One sweep of all units: more of them would hide a start that is not at the law.
    phase = training.ContrastiveDivergence(sampler, sweeps=1, seed=5)
    bits = phase.negative(machine, exact_data(machine, 20_000))
    assert law_p_value(bits, law(machine)) > threshold()
    assert law_p_value(bits, law(machine, beta=1.2)) < threshold()


def test_contrastive_divergence_starts_connected_hidden_units_at_their_conditional() -> None:
    machine = random_machine(BoltzmannMachine(6, 4), seed=2, scale=2.0)
    data = exact_data(machine, 20_000)
    proper, hasty = (training.ContrastiveDivergence(Gibbs(sweeps=sweeps), sweeps=1, seed=5) for sweeps in (1_000, 1))
    assert law_p_value(proper.negative(machine, data), law(machine)) > threshold()
    assert law_p_value(hasty.negative(machine, data), law(machine)) < threshold()


def test_one_step_of_contrastive_divergence_is_one_step_of_block_gibbs() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=4, scale=1.5)
    start = torch.tensor([1, 0, 1, 1])
    hidden = all_bits(3).double()
    up = machine.hidden_probabilities(start)
    visible_law = (hidden * up + (1 - hidden) * (1 - up)).prod(-1)
    down = machine.visible_probabilities(hidden)[:, None]
    visible = all_bits(4).double()
    expected = (visible_law[:, None] * (visible * down + (1 - visible) * (1 - down)).prod(-1)).sum(0)
    phase = training.ContrastiveDivergence(Gibbs(), sweeps=1, seed=6)
    bits = phase.negative(machine, start.expand(20_000, -1))[:, :4]
    assert law_p_value(bits, expected.detach().numpy()) > threshold()
    assert law_p_value(bits, torch.softmax(-machine.free_energy(visible), 0).detach().numpy()) < threshold()


@every_machine
def test_persistent_chains_reach_the_law_of_the_model(machine: AbstractBoltzmannMachine) -> None:
    phase = training.PersistentContrastiveDivergence(Gibbs(), chains=20_000, sweeps=30, seed=7)
    bits = phase.negative(machine, torch.zeros(1, machine.num_visible))
    assert law_p_value(bits, law(machine)) > threshold()
    assert law_p_value(bits, law(machine, beta=1.2)) < threshold()


def test_persistent_chains_follow_a_model_that_changes() -> None:
    before, after = (random_machine(BoltzmannMachine(5), seed=seed) for seed in (8, 9))
    phase = training.PersistentContrastiveDivergence(Gibbs(), chains=20_000, sweeps=30, seed=7)
    phase.negative(before, torch.zeros(1, 5))
    assert law_p_value(phase.negative(after, torch.zeros(1, 5)), law(after)) > threshold()


def rows_of(phase: training.NegativePhase, machine: AbstractBoltzmannMachine) -> Tensor:
    rows = phase.negative(machine, torch.zeros(32, machine.num_visible))
    return rows.bits if isinstance(rows, Draws) else rows


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: training.PersistentContrastiveDivergence(Gibbs(), chains=32, sweeps=2, seed=seed),
        lambda seed: training.ContrastiveDivergence(Gibbs(), sweeps=2, seed=seed),
        lambda seed: training.IndependentDraws(Exact(), count=32, seed=seed),
    ],
    ids=["persistent", "contrastive", "independent"],
)
def test_a_saved_phase_goes_on_as_if_it_had_not_stopped(make) -> None:
    machine, whole, file = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1), make(11), io.BytesIO()
    rows_of(whole, machine)
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed = make(12)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    anew = make(12)
    for _ in range(2):
        expected = rows_of(whole, machine)
        assert torch.equal(rows_of(resumed, machine), expected)
        assert not torch.equal(rows_of(anew, machine), expected)


def test_every_call_draws_anew() -> None:
    machine, phase = random_machine(BoltzmannMachine(6), seed=1), training.IndependentDraws(Exact(), count=64, seed=2)
    first, second = (phase.negative(machine, torch.zeros(1, 6)).bits for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("phase", [training.ContrastiveDivergence, training.PersistentContrastiveDivergence])
def test_contrastive_divergence_refuses_a_sampler_that_does_not_walk(phase) -> None:
    settings = {"chains": 4} if phase is training.PersistentContrastiveDivergence else {}
    with pytest.raises(InvalidSettingError, match="IndependentDraws"):
        phase(Exact(), **settings)


@pytest.mark.parametrize(
    "make",
    [
        lambda sampler: training.IndependentDraws(sampler, count=4),
        lambda sampler: training.ContrastiveDivergence(sampler),
        lambda sampler: training.PersistentContrastiveDivergence(sampler, chains=4),
        lambda sampler: training.complete(BoltzmannMachine(3, 1), torch.zeros(1, 2), sampler),
    ],
)
def test_every_phase_refuses_a_sampler_at_another_temperature(make) -> None:
    with pytest.raises(InvalidSettingError, match=r"beta = 0\.5"):
        make(Gibbs(beta=0.5))


def test_a_heuristic_is_warned_of_with_a_remedy_where_the_phase_is_made() -> None:
    with pytest.warns(
        UncalibratedWarning,
        match="Use a Boltzmann sampler such as Gibbs, or put Reweighted or Calibrated around this one$",
    ) as caught:
        training.IndependentDraws(CoolingSampler(), count=4)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_heuristic_is_not_warned_of_again_at_every_call() -> None:
    with pytest.warns(UncalibratedWarning):
        phase = training.IndependentDraws(CoolingSampler(), count=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(phase.negative(BoltzmannMachine(3), torch.zeros(1, 3))) == 4


def test_completing_by_a_heuristic_is_warned_of_where_it_is_called() -> None:
    with pytest.warns(
        UncalibratedWarning,
        match="Use a Boltzmann sampler such as Gibbs, or put Reweighted or Calibrated around this one$",
    ) as caught:
        training.complete(BoltzmannMachine(3, 1), torch.zeros(1, 2), CoolingSampler())
    assert [warning.filename for warning in caught] == [__file__]


def test_persistent_chains_refuse_a_model_of_another_size() -> None:
    phase = training.PersistentContrastiveDivergence(Gibbs(), chains=4)
    phase.negative(BoltzmannMachine(3), torch.zeros(1, 3))
    with pytest.raises(InvalidStateError, match="3 units and the model 4"):
        phase.negative(BoltzmannMachine(4), torch.zeros(1, 4))


def test_persistent_chains_refuse_a_saved_state_of_another_number_of_chains() -> None:
    saved, other = (training.PersistentContrastiveDivergence(Gibbs(), chains=chains) for chains in (4, 5))
    saved.negative(BoltzmannMachine(3), torch.zeros(1, 3))
    before = other.state_dict()
    with pytest.raises(InvalidStateError, match="4 chains and this phase 5"):
        other.load_state_dict(saved.state_dict())
    assert other.state_dict() == before


@pytest.mark.parametrize("settings", [{"chains": 0}, {"chains": 4, "sweeps": 0}, {"chains": 2.5}])
def test_sizes_below_one_are_refused(settings) -> None:
    with pytest.raises(InvalidSettingError, match="at least 1"):
        training.PersistentContrastiveDivergence(Gibbs(), **settings)


def test_completion_draws_what_its_seed_says() -> None:
    machine = random_machine(BoltzmannMachine(9, 5), seed=2)
    visible = all_bits(4)
    first, again, other = (training.complete(machine, visible, Gibbs(), seed=seed).spins for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_more_sweeps_of_contrastive_divergence_lead_further_from_the_data() -> None:
    machine = random_machine(BoltzmannMachine(6), seed=3)
    data = torch.ones(20_000, 6)
    near, far = (
        training.ContrastiveDivergence(Gibbs(), sweeps=sweeps, seed=5).negative(machine, data) for sweeps in (1, 50)
    )
    assert law_p_value(far, law(machine)) > threshold()
    assert law_p_value(near, law(machine)) < threshold()
