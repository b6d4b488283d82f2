from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import all_bits, all_spins, random_ising
from spinlight._errors import InvalidProblemError, InvalidStateError
from spinlight.ising import bits_from_ising, bits_from_spins, ising_from_bits, spins_from_bits


def energies_over_bits(biases: torch.Tensor, weights: torch.Tensor, offset: float) -> torch.Tensor:
    """Return - b.x - sum_{i<j} W_ij x_i x_j + offset of every state, pair by pair."""
    x = all_bits(len(biases)).double()
    energies = offset - (x * biases).sum(-1)
    for i in range(len(biases)):
        for j in range(i):
            energies = energies - weights[i, j] * x[:, i] * x[:, j]
    return energies


@pytest.mark.parametrize("sparse", [False, True])
def test_a_boltzmann_machine_s_energy_survives_the_way_to_spins(sparse: bool) -> None:
    machine = random_ising(6, seed=1)
    weights = machine.couplings.to_sparse() if sparse else machine.couplings
    problem = ising_from_bits(machine.fields, weights, 0.75)
    expected = energies_over_bits(machine.fields, machine.couplings, 0.75)
    assert problem.is_sparse == sparse
    torch.testing.assert_close(problem.energy(all_spins(6)), expected)
    assert not torch.allclose(
        ising_from_bits(machine.fields, 2 * machine.couplings, 0.75).energy(all_spins(6)), expected
    )


def test_batched_biases_give_a_batch() -> None:
    machine = random_ising(4, seed=2, batch=3)
    problem = ising_from_bits(machine.fields, machine.couplings, machine.offset)
    for i in range(3):
        expected = energies_over_bits(machine.fields[i], machine.couplings, float(machine.offset[i]))
        torch.testing.assert_close(problem[i].energy(all_spins(4)), expected)


@pytest.mark.parametrize("sparse", [False, True])
def test_bits_of_a_problem_have_its_energy(sparse: bool) -> None:
    problem = random_ising(5, seed=3)
    biases, weights, offset = bits_from_ising(problem.to_sparse() if sparse else problem)
    assert weights.is_sparse == sparse
    expected = problem.energy(all_spins(5))
    torch.testing.assert_close(energies_over_bits(biases, weights.to_dense(), float(offset)), expected)


def test_the_two_ways_are_inverse() -> None:
    problem = random_ising(5, seed=4, batch=2)
    back = ising_from_bits(*bits_from_ising(problem))
    for name in ("fields", "couplings", "offset"):
        torch.testing.assert_close(getattr(back, name), getattr(problem, name))


def test_integer_machines_convert_exactly() -> None:
    large = 2**40 + 1
    problem = ising_from_bits([large, 0], [[0, large], [large, 0]])
    assert problem.energy(all_spins(2)).tolist() == [0.0, -large, 0.0, -2 * large]


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.float32, torch.bool])
def test_bits_of_any_type_become_spins_and_return(dtype: torch.dtype) -> None:
    bits = all_bits(3).to(dtype)
    spins = spins_from_bits(bits)
    assert torch.equal(spins, all_spins(3))
    assert spins.dtype == bits_from_spins(spins).dtype == torch.int8
    assert torch.equal(bits_from_spins(spins), all_bits(3))


@pytest.mark.parametrize("state", [torch.tensor([0.5]), torch.tensor([np.nan]), torch.tensor([2]), torch.tensor(1)])
def test_neither_bits_nor_spins_are_refused(state: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError):
        spins_from_bits(state)
    with pytest.raises(InvalidStateError):
        bits_from_spins(state)


def test_spins_are_no_bits_and_bits_no_spins() -> None:
    with pytest.raises(InvalidStateError, match="bits_from_spins"):
        spins_from_bits(torch.tensor([-1, 1]))
    with pytest.raises(InvalidStateError, match="spins_from_bits"):
        bits_from_spins(torch.tensor([0, 1]))


@pytest.mark.parametrize(
    "weights", [[[0.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[0.0, np.nan], [np.nan, 0.0]]]
)
def test_weights_that_are_no_machine_are_refused(weights: object) -> None:
    with pytest.raises(InvalidProblemError):
        ising_from_bits([0.0, 0.0], weights)


def test_lists_are_states_too() -> None:
    assert bits_from_spins([1, -1]).tolist() == [1, 0]  # type: ignore[arg-type]
    assert spins_from_bits([[0], [1]]).tolist() == [[-1], [1]]  # type: ignore[arg-type]


def test_numbers_whose_sums_overflow_make_no_problem() -> None:
    huge = torch.full((3, 3), 1.5e308, dtype=torch.float64).fill_diagonal_(0.0)
    with pytest.raises(InvalidProblemError, match="infinite"):
        ising_from_bits(torch.zeros(3), huge)
