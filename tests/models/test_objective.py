"""The objective's gradient against autograd through the exact negative log-likelihood."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import (
    all_states_weighted,
    exact_negative_log_likelihood,
    exact_positive,
    machines,
    random_machine,
)
from spinlight._errors import InvalidStateError
from spinlight.ising import Draws
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine

every_machine = pytest.mark.parametrize("machine", machines(), ids=str)


def data_rows(machine: AbstractBoltzmannMachine) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 2, (7, machine.num_visible), generator=generator)


def gradients(machine: AbstractBoltzmannMachine, loss: Tensor) -> Tensor:
    return torch.cat(
        [
            gradient.flatten()
            for gradient in torch.autograd.grad(loss, list(machine.parameters()), materialize_grads=True)
        ]
    )


@every_machine
def test_the_gradient_is_that_of_the_negative_log_likelihood(machine: AbstractBoltzmannMachine) -> None:
    visible = data_rows(machine)
    objective = machine.objective(exact_positive(machine, visible), all_states_weighted(machine.to_ising()))
    expected = gradients(machine, exact_negative_log_likelihood(machine, visible))
    torch.testing.assert_close(gradients(machine, objective), expected)


@every_machine
def test_negatives_at_another_temperature_give_another_gradient(machine: AbstractBoltzmannMachine) -> None:
    visible = data_rows(machine)
    objective = machine.objective(exact_positive(machine, visible), all_states_weighted(machine.to_ising(), beta=1.1))
    expected = gradients(machine, exact_negative_log_likelihood(machine, visible))
    assert (gradients(machine, objective) - expected).abs().max() > 1e-3


@every_machine
@pytest.mark.parametrize("shape", [(9,), (2, 9), (3, 2, 9)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_energy_is_the_mean_of_the_energies_of_rows(
    machine: AbstractBoltzmannMachine, shape: tuple[int, ...], weighted: bool
) -> None:
    generator = torch.Generator().manual_seed(4)
    units = machine.num_visible if isinstance(machine, RestrictedBoltzmannMachine) else machine.num_nodes
    rows = torch.rand(*shape, units, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.rand(shape, generator=generator).softmax(-1) if weighted else None
    row_energies = machine.free_energy if isinstance(machine, RestrictedBoltzmannMachine) else machine.energy

    def mean() -> Tensor:
        energies = row_energies(rows)
        return energies.mean() if weights is None else (weights * energies).sum(-1).mean()

    torch.testing.assert_close(machine.mean_energy(rows, weights), mean())
    torch.testing.assert_close(gradients(machine, machine.mean_energy(rows, weights)), gradients(machine, mean()))
    (found,), (expected,) = (torch.autograd.grad(each, rows) for each in (machine.mean_energy(rows, weights), mean()))
    torch.testing.assert_close(found, expected)


@every_machine
@pytest.mark.parametrize("shape", [(1,), (3, 1), (4,), (2, 3)], ids=str)
def test_weights_of_another_shape_than_the_rows_are_refused(
    machine: AbstractBoltzmannMachine, shape: tuple[int, ...]
) -> None:
    units = machine.num_visible if isinstance(machine, RestrictedBoltzmannMachine) else machine.num_nodes
    with pytest.raises(InvalidStateError, match=r"weights must have the shape of the rows, \(3,\)"):
        machine.mean_energy(torch.zeros(3, units), torch.ones(shape))


def test_counts_weigh_like_repeated_rows() -> None:
    machine = random_machine(BoltzmannMachine(4), seed=1)
    table = all_states_weighted(machine.to_ising())
    counts = torch.randint(1, 5, (16,), generator=torch.Generator().manual_seed(2))
    counted = Draws(table.spins, table.energies, table.info, counts=counts)
    repeated = all_bits(4).repeat_interleave(counts, 0)
    visible = data_rows(machine)
    torch.testing.assert_close(machine.objective(visible, counted), machine.objective(visible, repeated))


def test_a_restricted_machine_takes_whole_rows_and_visible_rows_alike() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    whole = torch.randint(0, 2, (9, 7), generator=torch.Generator().manual_seed(2))
    assert machine.objective(whole[:, :4], whole).item() == 0.0


def test_a_machine_with_connected_hidden_units_refuses_visible_rows() -> None:
    with pytest.raises(InvalidStateError, match="6 entries"):
        BoltzmannMachine(6, 2).objective(torch.zeros(3, 4), torch.zeros(3, 6))


def test_a_restricted_machine_refuses_rows_of_another_length() -> None:
    with pytest.raises(InvalidStateError, match="4 visible entries, or 7"):
        RestrictedBoltzmannMachine(4, 3).objective(torch.zeros(3, 5), torch.zeros(3, 7))


@every_machine
@pytest.mark.parametrize("empty_side", [0, 1])
def test_a_side_without_rows_is_refused(machine: AbstractBoltzmannMachine, empty_side: int) -> None:
    sides = [torch.zeros(0 if side == empty_side else 2, machine.num_nodes) for side in (0, 1)]
    with pytest.raises(InvalidStateError, match="at least one row"):
        machine.objective(*sides)


def test_draws_of_no_states_are_refused() -> None:
    table = all_states_weighted(random_machine(BoltzmannMachine(4), seed=1).to_ising())
    none = Draws(table.spins[:0], table.energies[:0], table.info)
    with pytest.raises(InvalidStateError, match="at least one row"):
        BoltzmannMachine(4).objective(torch.zeros(1, 4), none)
