from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import all_bits, all_spins, enumerate_energies, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising import Ising, ising_from_bits, ising_from_kaiwu, kaiwu_from_ising, spins_from_kaiwu_rows


def hamiltonian(matrix: np.ndarray) -> np.ndarray:
    """Return H(s) = - s^T M s of every state, both triangles."""
    spins = all_spins(len(matrix)).double().numpy()
    return -np.einsum("ki,ij,kj->k", spins, matrix, spins)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_matrix_of_a_problem_has_its_energy_over_all_states(sparse: bool) -> None:
    problem = random_ising(5, seed=1)
    matrix, offset = kaiwu_from_ising(problem.to_sparse() if sparse else problem)
    states = spins_from_kaiwu_rows(all_spins(6))
    np.testing.assert_allclose(hamiltonian(matrix.numpy()) + float(offset), problem.energy(states), atol=1e-13)


def test_counting_one_triangle_only_would_be_noticed() -> None:
    problem = random_ising(5, seed=2)
    matrix, offset = kaiwu_from_ising(problem)
    energies = problem.energy(spins_from_kaiwu_rows(all_spins(6)))
    assert not np.allclose(hamiltonian(np.triu(matrix.numpy())) + float(offset), energies)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_problem_of_a_matrix_has_its_energy_over_all_states(sparse: bool) -> None:
    matrix = torch.from_numpy(np.random.default_rng(3).normal(size=(6, 6)))
    matrix = matrix + matrix.T
    problem = ising_from_kaiwu(matrix.to_sparse() if sparse else matrix, 0.25)
    expected = hamiltonian(matrix.numpy()) + 0.25
    np.testing.assert_allclose(problem.energy(spins_from_kaiwu_rows(all_spins(6))), expected, atol=1e-12)


def test_the_two_ways_are_inverse() -> None:
    problem = random_ising(5, seed=4)
    back = ising_from_kaiwu(*kaiwu_from_ising(problem))
    for name in ("fields", "couplings", "offset"):
        torch.testing.assert_close(getattr(back, name), getattr(problem, name), rtol=0, atol=0)


def test_a_boltzmann_machine_has_the_published_matrix_elements() -> None:
    """Kaiwu-PyTorch-Plugin, full machine: M_ij = W_ij / 8, M_i,last = b_i / 4 + sum_j W_ij / 8."""
    machine = random_ising(4, seed=5)
    matrix, _ = kaiwu_from_ising(ising_from_bits(machine.fields, machine.couplings))
    torch.testing.assert_close(matrix[:-1, :-1], machine.couplings / 8)
    torch.testing.assert_close(matrix[:-1, -1], machine.fields / 4 + machine.couplings.sum(1) / 8)


def test_rows_are_multiplied_by_their_last_column() -> None:
    rows = np.array([[1, -1, 1], [1, -1, -1]])
    assert spins_from_kaiwu_rows(rows).tolist() == [[1, -1], [-1, 1]]


def test_a_row_and_its_negative_are_one_state() -> None:
    assert torch.equal(spins_from_kaiwu_rows(all_spins(4)), spins_from_kaiwu_rows(-all_spins(4)))


def test_the_lowest_row_of_a_solver_is_a_ground_state() -> None:
    problem = random_ising(6, seed=6)
    matrix, offset = kaiwu_from_ising(problem)
    best = all_spins(7)[hamiltonian(matrix.numpy()).argmin()]
    assert problem.energy(spins_from_kaiwu_rows(best)).item() == pytest.approx(enumerate_energies(problem).min())
    assert hamiltonian(matrix.numpy()).min() + float(offset) == pytest.approx(enumerate_energies(problem).min())


@pytest.mark.parametrize("rows", [all_bits(3), torch.ones(2, 1), torch.tensor(1), [[1.0, np.nan]], "ab"])
def test_what_is_no_solution_is_refused(rows: object) -> None:
    with pytest.raises(InvalidStateError):
        spins_from_kaiwu_rows(rows)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.0, 1.0], [0.0, 0.0]], "symmetric"),
        ([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], "symmetric"),
        ([[0.0, 1.0]], "square"),
        ([[0.0]], "at least one site"),
        (np.zeros((0, 0)), "empty"),
        ([[0.0, np.nan], [np.nan, 0.0]], "NaN"),
    ],
)
def test_what_is_no_kaiwu_matrix_is_refused(matrix: object, message: str) -> None:
    with pytest.raises(InvalidProblemError, match=message):
        ising_from_kaiwu(matrix)


def test_a_batch_has_no_single_matrix() -> None:
    with pytest.raises(InvalidSettingError, match="batch"):
        kaiwu_from_ising(random_ising(3, seed=7, batch=2))


def test_the_offset_that_is_returned_is_a_copy() -> None:
    problem = Ising([1.0], [[0.0]], 2.0)
    _, offset = kaiwu_from_ising(problem)
    offset += 1
    assert float(problem.offset) == 2.0
