"""Energies of the machines against their formula, their Ising problem and their Kaiwu matrix, over all states."""

from __future__ import annotations

import math

import pytest
import torch

from helpers.enumeration import all_bits, all_spins
from helpers.machines import energies_by_formula, machines, random_machine
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising import Ising, ising_from_bits
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine

every_machine = pytest.mark.parametrize("machine", machines(), ids=str)
with_hidden = pytest.mark.parametrize("machine", [m for m in machines() if m.num_hidden], ids=str)


@every_machine
def test_energy_takes_each_pair_once(machine: AbstractBoltzmannMachine) -> None:
    bits = all_bits(machine.num_nodes)
    torch.testing.assert_close(machine(bits), energies_by_formula(machine, bits))


@every_machine
def test_the_ising_problem_has_the_same_energies_offset_included(machine: AbstractBoltzmannMachine) -> None:
    energies = machine.to_ising().energy(all_spins(machine.num_nodes))
    torch.testing.assert_close(energies, energies_by_formula(machine, all_bits(machine.num_nodes)))


@with_hidden
def test_the_clamped_problem_has_the_energies_of_the_whole_machine(machine: AbstractBoltzmannMachine) -> None:
    visible, hidden = all_bits(machine.num_visible), all_bits(machine.num_hidden)
    whole = torch.cat(
        [
            visible[:, None].expand(-1, len(hidden), -1),
            hidden[None].expand(len(visible), -1, -1),
        ],
        -1,
    )
    spins = all_spins(machine.num_hidden).expand(len(visible), -1, -1)
    clamped = machine.to_ising(clamped=visible)
    torch.testing.assert_close(clamped.energy(spins), energies_by_formula(machine, whole))
    torch.testing.assert_close(machine.to_ising(visible[3]).fields, clamped.fields[3])


def test_clamping_with_the_field_correction_doubled_is_caught() -> None:
    """The negative control: a public implementation divides the row sums by 4 where the conversion needs 8."""
    machine = random_machine(BoltzmannMachine(7, 3), seed=3)
    visible = all_bits(machine.num_visible)
    right = machine.to_ising(clamped=visible)
    wrong = Ising(right.fields + right.couplings.sum(1), right.couplings, right.offset)
    spins = all_spins(machine.num_hidden).expand(len(visible), -1, -1)
    assert (wrong.energy(spins) - right.energy(spins)).std(-1).min() > 0.1


@every_machine
def test_the_kaiwu_matrix_counts_both_triangles_and_an_auxiliary_spin(machine: AbstractBoltzmannMachine) -> None:
    matrix, offset = machine.get_ising_matrix(), machine.to_ising().offset
    spins = all_spins(machine.num_nodes).double()
    for auxiliary in (1.0, -1.0):
        states = torch.cat([spins * auxiliary, torch.full((len(spins), 1), auxiliary, dtype=torch.float64)], -1)
        hamiltonian = -torch.einsum("ni,ij,nj->n", states, matrix, states)
        torch.testing.assert_close(hamiltonian + offset, energies_by_formula(machine, all_bits(machine.num_nodes)))


@every_machine
def test_the_energy_of_probabilities_is_the_mean_energy_of_independent_units(machine: AbstractBoltzmannMachine) -> None:
    q = torch.rand(machine.num_nodes, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    bits = all_bits(machine.num_nodes).double()
    law = (bits * q + (1 - bits) * (1 - q)).prod(-1)
    torch.testing.assert_close(machine.energy(q), law @ energies_by_formula(machine, bits))


@every_machine
def test_energy_is_differentiable_in_probabilities(machine: AbstractBoltzmannMachine) -> None:
    q = torch.full((2, machine.num_nodes), 0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(machine, (q,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_problem_from_a_list_of_pairs_is_that_of_the_matrices(dtype: torch.dtype) -> None:
    machine = random_machine(BoltzmannMachine(7), 2).to(dtype)
    found, expected = machine.to_ising(), ising_from_bits(*machine.biases_and_weights())
    assert all(torch.equal(getattr(found, name), getattr(expected, name)) for name in ("fields", "couplings"))
    torch.testing.assert_close(found.offset, expected.offset, rtol=1e-14, atol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["biases", "pair_weights"])
def test_parameters_that_are_no_numbers_make_no_problem(name: str, value: float) -> None:
    machine = BoltzmannMachine(4)
    getattr(machine, name).data[1] = value
    with pytest.raises(InvalidProblemError, match="NaN or infinity"):
        machine.to_ising()


@every_machine
@pytest.mark.parametrize("shape", [(), (99,), (2, 99)])
def test_rows_of_the_wrong_length_are_refused(machine: AbstractBoltzmannMachine, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidStateError, match="entries"):
        machine.energy(torch.zeros(shape))


@every_machine
@pytest.mark.parametrize("value", [-1.0, 1.5, float("nan")])
def test_values_outside_the_unit_interval_are_refused(machine: AbstractBoltzmannMachine, value: float) -> None:
    with pytest.raises(InvalidStateError, match=r"\[0, 1\]"):
        machine.energy(torch.full((3, machine.num_nodes), value))


def test_clamping_a_fully_visible_machine_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="nothing to sample"):
        BoltzmannMachine(3).to_ising(clamped=torch.zeros(3))


@pytest.mark.parametrize("clamped", [torch.zeros(5), torch.zeros(2, 2, 4), torch.full((4,), 0.5)])
def test_clamped_bits_of_a_wrong_shape_or_value_are_refused(clamped: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError, match="bits "):
        BoltzmannMachine(6, 2).to_ising(clamped=clamped)


@pytest.mark.parametrize("sizes", [(0, 0), (3, 3), (3, -1), (2.0, 1), (True, 0)])
def test_boltzmann_machines_without_a_visible_unit_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(InvalidSettingError, match="num_"):
        BoltzmannMachine(*sizes)


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0)])
def test_restricted_machines_with_an_empty_side_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(InvalidSettingError, match="num_"):
        RestrictedBoltzmannMachine(*sizes)


def test_set_weights_is_the_inverse_of_biases_and_weights() -> None:
    source, target = random_machine(BoltzmannMachine(5, 2), seed=8), BoltzmannMachine(5, 2).double()
    target.set_weights(*source.biases_and_weights())
    torch.testing.assert_close(target(all_bits(5)), source(all_bits(5)))


def test_set_weights_refuses_another_size_and_asymmetry() -> None:
    machine = BoltzmannMachine(3)
    with pytest.raises(InvalidProblemError, match="3 units"):
        machine.set_weights(torch.zeros(2), torch.zeros(2, 2))
    with pytest.raises(InvalidProblemError, match="symmetric"):
        machine.set_weights(torch.zeros(3), torch.triu(torch.ones(3, 3), 1))
