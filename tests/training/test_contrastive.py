"""Block Gibbs in contrastive divergence: what it leaves invariant, and that sharing matrix products changes no gradient."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import TableSampler, exact_negative_log_likelihood, random_machine
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Gibbs, ParallelTempering
from spinlight.training import ContrastiveDivergence, NegativePhase, PersistentContrastiveDivergence

CHAINS = 20_000
TEMPERING = ParallelTempering(rungs=4, progress=False)


def machine_of(seed: int = 4, scale: float = 1.0) -> RestrictedBoltzmannMachine:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed, scale)
    assert isinstance(machine, RestrictedBoltzmannMachine)
    return machine


def visible_law(machine: RestrictedBoltzmannMachine, beta: float = 1.0):
    return torch.softmax(-beta * machine.free_energy(all_bits(4)).detach(), 0).numpy()


def exact_rows(machine: RestrictedBoltzmannMachine, count: int) -> Tensor:
    return TableSampler().draw(machine.to_ising(), count, seed=17).bits[:, :4].double()


@pytest.mark.parametrize("sweeps", [1, 2])
def test_block_sweeps_from_the_data_leave_the_law_as_it_is(sweeps: int) -> None:
    machine = machine_of()
    rows = ContrastiveDivergence(sweeps=sweeps, seed=5).negative(machine, exact_rows(machine, CHAINS))
    assert law_p_value(2 * rows - 1, visible_law(machine)) > threshold()
    assert law_p_value(2 * rows - 1, visible_law(machine, beta=1.2)) < threshold()


def test_one_block_sweep_is_the_product_of_both_conditionals() -> None:
    machine, start = machine_of(scale=1.5), torch.tensor([1.0, 0.0, 1.0, 1.0])
    hidden, visible = all_bits(3).double(), all_bits(4).double()
    up, down = machine.hidden_probabilities(start), machine.visible_probabilities(hidden)[:, None]
    given_start = (hidden * up + (1 - hidden) * (1 - up)).prod(-1)
    expected = (given_start[:, None] * (visible * down + (1 - visible) * (1 - down)).prod(-1)).sum(0).detach()
    rows = ContrastiveDivergence(sweeps=1, seed=6).negative(machine, start.expand(CHAINS, -1))
    assert law_p_value(2 * rows - 1, expected.numpy()) > threshold()
    assert law_p_value(2 * rows - 1, visible_law(machine)) < threshold()


def test_persistent_block_chains_reach_the_law_of_the_model() -> None:
    machine = machine_of()
    phase = PersistentContrastiveDivergence(chains=CHAINS, sweeps=30, seed=7)
    rows = phase.negative(machine, torch.zeros(1, 4))
    assert law_p_value(2 * rows - 1, visible_law(machine)) > threshold()
    assert law_p_value(2 * rows - 1, visible_law(machine, beta=1.2)) < threshold()


def test_chains_whose_hidden_units_were_drawn_with_the_gradient_keep_the_law() -> None:
    machine = machine_of()
    phase = PersistentContrastiveDivergence(chains=CHAINS, sweeps=1, seed=7)
    data = exact_rows(machine, CHAINS)
    for _ in range(3):
        phase.objective(machine, data)
    rows = phase.negative(machine, data)
    assert law_p_value(2 * rows - 1, visible_law(machine)) > threshold()
    assert law_p_value(2 * rows - 1, visible_law(machine, beta=1.2)) < threshold()


@pytest.mark.parametrize(
    "make",
    [
        lambda: PersistentContrastiveDivergence(chains=64, sweeps=2, seed=7),
        lambda: ContrastiveDivergence(sweeps=2, seed=7),
    ],
    ids=["persistent", "contrastive"],
)
def test_shared_products_give_the_gradient_of_the_objective(make) -> None:
    machine, data = machine_of(), exact_rows(machine_of(5), 50)
    parameters = list(machine.parameters())
    shared = torch.autograd.grad(make().objective(machine, data), parameters)
    apart = torch.autograd.grad(machine.objective(data, make().negative(machine, data)), parameters)
    torch.testing.assert_close(shared, apart)
    swapped = torch.autograd.grad(machine.objective(make().negative(machine, data), data), parameters)
    assert not torch.allclose(shared[0], swapped[0])


def test_the_objective_of_many_chains_has_the_gradient_of_the_likelihood() -> None:
    machine, data = machine_of(), exact_rows(machine_of(5), 400)
    phase = PersistentContrastiveDivergence(chains=200_000, sweeps=10, seed=3)
    parameters = list(machine.parameters())
    found = torch.cat([part.flatten() for part in torch.autograd.grad(phase.objective(machine, data), parameters)])
    likelihood = exact_negative_log_likelihood(machine, data.to(torch.int8))
    exact = torch.cat([part.flatten() for part in torch.autograd.grad(likelihood, parameters)])
    # Means of 200,000 bits, whose standard deviation is at most a half.
    assert float((found - exact).abs().max()) < 5 * 0.5 / 200_000**0.5
    assert float(exact.abs().max()) > 50 * 0.5 / 200_000**0.5


def test_persistent_chains_start_at_rows_of_the_first_batch() -> None:
    frozen = RestrictedBoltzmannMachine(4, 3).double()
    with torch.no_grad():
        frozen.weight.zero_()
        frozen.weight[:, 0], frozen.hidden_bias[0] = (
            100.0,
            -150.0,
        )  # one hidden unit that is on where two or more visible ones are
        frozen.visible_bias.fill_(-50.0)
    data = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    rows = PersistentContrastiveDivergence(chains=200, seed=3).negative(frozen, data)
    assert set(rows.sum(-1).tolist()) == {0.0, 4.0}


@pytest.mark.parametrize("shared", [False, True])
def test_saved_block_chains_go_on_as_if_they_had_not_stopped(shared: bool) -> None:
    machine, data, file = machine_of(), exact_rows(machine_of(5), 30), io.BytesIO()

    def use(phase: NegativePhase) -> None:
        phase.objective(machine, data) if shared else phase.negative(machine, data)

    whole = PersistentContrastiveDivergence(chains=40, seed=11)
    use(whole)
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed, anew = (PersistentContrastiveDivergence(chains=40, seed=12) for _ in range(2))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    use(whole)
    use(resumed)
    expected = whole.negative(machine, data)
    assert torch.equal(resumed.negative(machine, data), expected)
    assert not torch.equal(anew.negative(machine, data), expected)


def test_processes_that_train_together_have_chains_of_their_own() -> None:
    machine, data = machine_of(), exact_rows(machine_of(5), 30)
    phases = [PersistentContrastiveDivergence(chains=40, seed=11) for _ in range(3)]
    phases[1].branch(0)
    phases[2].branch(1)
    rows = [phase.negative(machine, data) for phase in phases]
    assert not torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[1], rows[2])


@pytest.mark.parametrize("sampler", [Gibbs(progress=False), TEMPERING])
def test_chains_under_way_part_where_processes_go_on_together(sampler: Any) -> None:
    machine, data = machine_of(), exact_rows(machine_of(5), 30)
    phases = [PersistentContrastiveDivergence(sampler, chains=40, seed=11) for _ in range(3)]
    phases[0].negative(machine, data)
    for number, phase in enumerate(phases[1:]):
        phase.load_state_dict(phases[0].state_dict())
        phase.branch(number)
    rows = [phase.negative(machine, data) for phase in phases]
    assert not torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[1], rows[2])


def test_tempered_negatives_are_the_coldest_chains_of_ladders_and_go_on_where_they_were_saved() -> None:
    machine, file = machine_of(), io.BytesIO()

    def phase(chains: int, seed: int = 7) -> PersistentContrastiveDivergence:
        return PersistentContrastiveDivergence(TEMPERING, chains=chains, sweeps=10, seed=seed)

    rows = phase(CHAINS).negative(machine, torch.zeros(1, 4))
    assert rows.shape == (CHAINS, 7)
    assert law_p_value(2 * rows[:, :4] - 1, visible_law(machine)) > threshold()
    assert law_p_value(2 * rows[:, :4] - 1, visible_law(machine, beta=1.2)) < threshold()
    whole, resumed = phase(30), phase(30, seed=8)
    whole.negative(machine, torch.zeros(1, 4))
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(12):  # past the sweep after which the rungs are spaced anew
        assert torch.equal(whole.negative(machine, torch.zeros(1, 4)), resumed.negative(machine, torch.zeros(1, 4)))


@pytest.mark.parametrize("saved", [None, Gibbs(progress=False), TEMPERING])
@pytest.mark.parametrize("wanted", [None, Gibbs(progress=False), TEMPERING])
def test_chains_of_one_sampler_do_not_go_on_with_another(saved, wanted) -> None:
    before = PersistentContrastiveDivergence(saved, chains=4, seed=0)
    before.negative(machine_of(), torch.zeros(1, 4))
    after = PersistentContrastiveDivergence(wanted, chains=4, seed=0)
    if type(saved) is type(wanted):
        after.load_state_dict(before.state_dict())
        return
    with pytest.raises(InvalidStateError, match="go on with those of before"):
        after.load_state_dict(before.state_dict())


def test_a_machine_without_two_sides_is_walked_by_gibbs() -> None:
    machine = random_machine(BoltzmannMachine(5), seed=1)
    law = torch.softmax(-machine(all_bits(5)).detach(), 0).numpy()
    rows = PersistentContrastiveDivergence(chains=CHAINS, sweeps=30, seed=7).negative(machine, torch.zeros(1, 5))
    assert rows.dtype == torch.int8
    assert law_p_value(2 * rows - 1, law) > threshold()


def test_block_chains_refuse_a_model_of_another_size_and_another_number_of_chains() -> None:
    phase = PersistentContrastiveDivergence(chains=4, seed=0)
    phase.negative(machine_of(), torch.zeros(1, 4))
    with pytest.raises(InvalidStateError, match="4 units and the model 5"):
        phase.negative(RestrictedBoltzmannMachine(5, 2), torch.zeros(1, 5))
    with pytest.raises(InvalidStateError, match="4 chains and this phase 6"):
        PersistentContrastiveDivergence(chains=6).load_state_dict(phase.state_dict())


@pytest.mark.parametrize(
    "rows",
    [torch.zeros(0, 4), torch.zeros(4), torch.zeros(2, 5), torch.full((2, 4), 1.5), torch.full((2, 4), torch.nan)],
)
def test_data_that_are_no_rows_of_the_machine_are_refused(rows: Tensor) -> None:
    for phase in (PersistentContrastiveDivergence(chains=4), ContrastiveDivergence()):
        with pytest.raises(InvalidStateError):
            phase.objective(machine_of(), rows)


def test_a_sampler_is_refused_where_it_cannot_walk() -> None:
    with pytest.raises(InvalidSettingError, match="IndependentDraws"):
        PersistentContrastiveDivergence(TableSampler())
    with pytest.raises(InvalidSettingError, match="MarkovChain, such as"):
        ContrastiveDivergence(TEMPERING)
    with pytest.raises(InvalidSettingError, match="units are all bits"):
        PersistentContrastiveDivergence(Gibbs()).negative(torch.nn.Linear(2, 2), torch.zeros(1, 2))
