"""Centred gradients against descent on the centred energy itself, and learning that no flip of units changes."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import (
    all_states_weighted,
    energies_by_formula,
    exact_negative_log_likelihood,
    exact_positive,
    machines,
    random_machine,
)
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.models import (
    AbstractBoltzmannMachine,
    BoltzmannMachine,
    GaussianBernoulliRBM,
    RestrictedBoltzmannMachine,
)
from spinlight.training import CentredGradient, PersistentContrastiveDivergence

every_machine = pytest.mark.parametrize("machine", machines()[1:], ids=str)
RATE = 0.3


def data_rows(machine: AbstractBoltzmannMachine, count: int = 12) -> Tensor:
    """Return rows of mostly ones, which is where centring matters."""
    uniform = torch.rand(count, machine.num_visible, generator=torch.Generator().manual_seed(3))
    return (uniform < 0.8).to(torch.int8)


def parameters(machine: AbstractBoltzmannMachine) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in machine.parameters()])


def descend(
    machine: AbstractBoltzmannMachine,
    data: Tensor,
    steps: int,
    make: Callable[[AbstractBoltzmannMachine], CentredGradient] | None,
    momentum: float = 0.0,
) -> list[float]:
    """Move the machine by exact gradients and return its exact negative log-likelihood before each step."""
    optimizer = torch.optim.SGD(machine.parameters(), lr=RATE, momentum=momentum)
    centring, curve = None if make is None else make(machine), []
    for _ in range(steps):
        curve.append(float(exact_negative_log_likelihood(machine, data).detach()))
        positive, negative = exact_positive(machine, data), all_states_weighted(machine.to_ising())
        optimizer.zero_grad()
        machine.objective(positive, negative).backward()
        if centring is not None:
            centring.step(positive, negative)
        optimizer.step()
    return curve


def exact_means(machine: AbstractBoltzmannMachine, data: Tensor) -> Tensor:
    """Return (data mean + model mean) / 2 of every unit, by the sums over all states."""
    bits = all_bits(machine.num_nodes).double()
    law = torch.softmax(-energies_by_formula(machine, bits), 0)
    agrees = (bits[:, None, : machine.num_visible] == data.double()).all(-1).double()
    given_rows = law[:, None] * agrees
    return (0.5 * ((given_rows / given_rows.sum(0)).mean(1) + law) @ bits).detach()


def pairs_of(machine: AbstractBoltzmannMachine) -> Tensor:
    """Return the units of each weight in the order of the flattened parameter, shape (2, pairs)."""
    if isinstance(machine, RestrictedBoltzmannMachine):
        visible, hidden = torch.arange(machine.num_visible), torch.arange(machine.num_visible, machine.num_nodes)
        return torch.cartesian_prod(visible, hidden).T
    return machine.pairs  # type: ignore[return-value]


def step_of_the_centred_machine(
    machine: AbstractBoltzmannMachine, data: Tensor, means: Tensor
) -> tuple[Tensor, Tensor]:
    """Return b and the weights after one step of descent on the centred machine's own parameters, mapped back."""
    rows, columns = pairs_of(machine)
    weights = machine.weight_parameter.detach().flatten().clone().requires_grad_()
    biases, matrix = (part.detach() for part in machine.biases_and_weights())
    shifted = (biases + matrix @ means).requires_grad_()

    def energy(bits: Tensor) -> Tensor:
        x = bits.double() - means
        return -(x @ shifted) - (x[..., rows] * x[..., columns]) @ weights

    hidden = all_bits(machine.num_hidden)
    whole = torch.cat([data[:, None].expand(-1, len(hidden), -1), hidden[None].expand(len(data), -1, -1)], -1)
    free = -torch.logsumexp(-energy(whole), -1)
    loss = free.mean() + torch.logsumexp(-energy(all_bits(machine.num_nodes)), 0)
    slopes, pulls = torch.autograd.grad(loss, [weights, shifted])
    weights, shifted = (weights - RATE * slopes).detach(), (shifted - RATE * pulls).detach()
    back = torch.zeros_like(matrix).index_put((rows, columns), weights)
    return shifted - (back + back.T) @ means, weights


@every_machine
def test_a_step_is_that_of_the_centred_machine_mapped_back(machine: AbstractBoltzmannMachine) -> None:
    moved, data = copy.deepcopy(machine), data_rows(machine)
    biases, weights = step_of_the_centred_machine(machine, data, exact_means(machine, data))
    descend(moved, data, 1, CentredGradient)
    torch.testing.assert_close(moved.weight_parameter.detach().flatten(), weights)
    torch.testing.assert_close(torch.cat(list(moved.bias_parameters)).detach(), biases)
    plain = copy.deepcopy(machine)
    descend(plain, data, 1, None)
    assert (plain.weight_parameter.flatten() - weights).abs().max() > 1e-3


def test_known_hidden_logits_change_nothing() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1)
    found = []
    for known in (True, False):
        moved, phase = copy.deepcopy(machine), PersistentContrastiveDivergence(chains=7, seed=0)
        rows = data_rows(machine).double()
        phase.objective(moved, rows).backward()
        calls = counted(moved)
        CentredGradient(moved).step(rows, phase.latest, hidden_logits=phase.latest_logits if known else None)
        assert len(calls) == (0 if known else 2)
        found.append(torch.cat([parameter.grad.flatten() for parameter in moved.parameters()]))
    torch.testing.assert_close(*found)


def counted(machine: RestrictedBoltzmannMachine) -> list[int]:
    """Return a list that grows with each product of rows and weights that a machine takes."""
    calls, take = [], machine._hidden_logits
    machine._hidden_logits = lambda state: calls.append(len(state)) or take(state)  # type: ignore[method-assign]
    return calls


def test_logits_of_other_rows_are_not_looked_at() -> None:
    machine, phase = (
        random_machine(RestrictedBoltzmannMachine(5, 3), seed=1),
        PersistentContrastiveDivergence(chains=7, seed=0),
    )
    rows = data_rows(machine).double()
    phase.objective(machine, 1 - rows)
    stale, negative = phase.latest_logits, torch.ones(7, 5, dtype=torch.float64)
    machine.objective(rows, negative).backward()
    with_stale, without = CentredGradient(machine), CentredGradient(machine)
    with_stale.step(rows, negative, hidden_logits=stale)
    without.step(rows, negative)
    assert torch.equal(with_stale.means, without.means)


def test_a_phase_that_finds_no_logits_holds_none_of_an_earlier_call() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1)
    phase, rows = PersistentContrastiveDivergence(chains=7, seed=0), data_rows(machine).double()
    phase.objective(machine, rows)
    assert phase.latest_logits is not None
    phase.objective(machine, rows, rows)  # with the positive side given, products are not shared
    assert phase.latest_logits is None


def test_sides_without_rows_are_refused() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1)
    rows = data_rows(machine).double()
    machine.objective(rows, rows).backward()
    with pytest.raises(InvalidStateError, match="there are none"):
        CentredGradient(machine).step(rows, rows[:0])


def test_the_logits_of_persistent_chains_are_those_of_data_and_negatives() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1)
    negatives, data = PersistentContrastiveDivergence(chains=7, seed=0), data_rows(machine).double()
    negatives.objective(machine, data)
    first, second = negatives.latest_logits.of(data, negatives.latest)
    torch.testing.assert_close(first, (machine.hidden_bias + data @ machine.weight).detach())
    torch.testing.assert_close(second, (machine.hidden_bias + negatives.latest @ machine.weight).detach())
    assert negatives.latest_logits.of(data.clone(), negatives.latest) is None


@every_machine
def test_the_means_slide(machine: AbstractBoltzmannMachine) -> None:
    moved, data = copy.deepcopy(machine), data_rows(machine)
    made: list[CentredGradient] = []

    def make(model: AbstractBoltzmannMachine) -> CentredGradient:
        made.append(CentredGradient(model, rate=0.2))
        return made[0]

    descend(moved, data, 1, make)
    first = exact_means(machine, data)
    torch.testing.assert_close(made[0].means, first)
    second = exact_means(moved, data)
    descend(moved, data, 1, lambda _: made[0])
    torch.testing.assert_close(made[0].means, 0.8 * first + 0.2 * second)


def flipped(machine: AbstractBoltzmannMachine, flips: Tensor) -> AbstractBoltzmannMachine:
    """Return the machine that gives a state with these units flipped the energy of the state, up to a constant."""
    other, (rows, columns) = copy.deepcopy(machine), pairs_of(machine)
    signs = 1.0 - 2.0 * flips.double()
    biases, matrix = (part.detach() for part in machine.biases_and_weights())
    new_biases = signs * (biases + matrix @ flips.double())
    weight = other.weight_parameter
    weight.data = weight.data * (signs[rows] * signs[columns]).reshape(weight.shape)
    for bias, part in zip(other.bias_parameters, new_biases.split([len(bias) for bias in other.bias_parameters])):
        bias.data = part.clone()
    return other


def some_flips(machine: AbstractBoltzmannMachine) -> Tensor:
    return torch.arange(machine.num_nodes) % 3 != 1


@every_machine
def test_the_flipped_machine_of_these_tests_has_the_same_energies(machine: AbstractBoltzmannMachine) -> None:
    bits, flips = all_bits(machine.num_nodes), some_flips(machine)
    difference = flipped(machine, flips)(bits ^ flips.to(bits)) - machine(bits)
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))


@every_machine
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_learning_curves_are_the_same_for_flipped_data(machine: AbstractBoltzmannMachine, momentum: float) -> None:
    flips, data = some_flips(machine), data_rows(machine)
    mirrored = data ^ flips[: machine.num_visible].to(data)

    def curves(make: Callable[[AbstractBoltzmannMachine], CentredGradient] | None) -> tuple[Tensor, Tensor]:
        first, second = copy.deepcopy(machine), flipped(machine, flips)
        pair = descend(first, data, 25, make, momentum), descend(second, mirrored, 25, make, momentum)
        return torch.tensor(pair[0]), torch.tensor(pair[1])

    torch.testing.assert_close(*curves(CentredGradient), rtol=0.0, atol=1e-9)
    first, second = curves(None)
    assert first[0] == pytest.approx(second[0])
    assert (first - second).abs().max() > 1e-2


def test_rows_of_visible_units_and_of_all_units_give_a_restricted_machine_the_same_means() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    whole = torch.randint(0, 2, (9, 7), generator=torch.Generator().manual_seed(2))
    means = []
    for negative in (whole, whole[:, :4]):
        machine.zero_grad()
        machine.objective(whole[:3, :4], negative).backward()
        centring = CentredGradient(machine)
        centring.step(whole[:3, :4], negative)
        means.append(centring.means)
    torch.testing.assert_close(*means)


def test_a_saved_state_goes_on_as_if_it_had_not_stopped() -> None:
    machine = random_machine(BoltzmannMachine(5), seed=1)
    data, file = data_rows(machine), io.BytesIO()
    centring = CentredGradient(machine)
    descend(machine, data, 3, lambda _: centring)
    resumed, anew = (CentredGradient(copy.deepcopy(machine)) for _ in range(2))
    torch.save(centring.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    descend(machine, data, 3, lambda _: centring)
    for other in (resumed, anew):
        descend(other.model, data, 3, lambda _, other=other: other)  # type: ignore[misc]
    assert torch.equal(parameters(resumed.model), parameters(machine))
    assert not torch.equal(parameters(anew.model), parameters(machine))


def test_an_unused_state_is_saved_and_loaded() -> None:
    centring = CentredGradient(BoltzmannMachine(3))
    centring.load_state_dict(centring.state_dict())
    assert centring.means is None


def test_a_state_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidStateError, match="2 units, and the model has 3"):
        CentredGradient(BoltzmannMachine(3)).load_state_dict({"means": torch.zeros(2)})


def test_gradients_must_be_there() -> None:
    rows = torch.zeros(1, 3)
    with pytest.raises(InvalidStateError, match="backward"):
        CentredGradient(BoltzmannMachine(3)).step(rows, rows)


@pytest.mark.parametrize("rate", [0.0, 1.5, -0.1])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(InvalidSettingError, match="rate"):
        CentredGradient(BoltzmannMachine(3), rate=rate)


def test_a_machine_with_real_units_has_no_units_to_flip() -> None:
    with pytest.raises(InvalidSettingError, match="GaussianBernoulliRBM"):
        CentredGradient(GaussianBernoulliRBM(2, 2))  # type: ignore[arg-type]
