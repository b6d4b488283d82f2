from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from helpers.enumeration import all_bits, all_spins, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.ising import ising_from_qubo, qubo_from_ising

ANY_SQUARE = np.random.default_rng(1).normal(size=(6, 6)) * (np.random.default_rng(2).random((6, 6)) < 0.6)
FORMS = {
    "array": lambda matrix: matrix,
    "nested lists": lambda matrix: matrix.tolist(),
    "tensor": torch.from_numpy,
    "sparse tensor": lambda matrix: torch.from_numpy(matrix).to_sparse(),
    "SciPy": scipy.sparse.csr_matrix,
    "dictionary": lambda matrix: {(i, j): matrix[i, j] for i in range(6) for j in range(6)},
    "upper triangle": lambda matrix: np.triu(matrix) + np.tril(matrix, -1).T,
    "symmetric": lambda matrix: (matrix + matrix.T) / 2,
}


def forms_over_bits(matrix: np.ndarray) -> np.ndarray:
    """Return x^T Q x of every state."""
    bits = all_bits(len(matrix)).double().numpy()
    return np.einsum("ki,ij,kj->k", bits, matrix, bits)


@pytest.mark.parametrize("form", FORMS)
def test_energies_are_the_quadratic_form_over_all_states(form: str) -> None:
    problem = ising_from_qubo(FORMS[form](ANY_SQUARE), 0.5)
    assert problem.is_sparse == (form in ("sparse tensor", "SciPy", "dictionary"))
    np.testing.assert_allclose(problem.energy(all_spins(6)), forms_over_bits(ANY_SQUARE) + 0.5, atol=1e-13)


def test_counting_one_triangle_only_would_be_noticed() -> None:
    half = np.triu(ANY_SQUARE)
    assert not np.allclose(ising_from_qubo(ANY_SQUARE).energy(all_spins(6)), forms_over_bits(half))


@pytest.mark.parametrize("sparse", [False, True])
def test_the_qubo_of_a_problem_has_its_energy(sparse: bool) -> None:
    problem = random_ising(6, seed=3, density=0.5)
    matrix, offset = qubo_from_ising(problem.to_sparse() if sparse else problem)
    dense = matrix.to_dense()
    assert matrix.is_sparse == sparse
    assert torch.equal(dense, torch.triu(dense))
    np.testing.assert_allclose(forms_over_bits(dense.numpy()) + float(offset), problem.energy(all_spins(6)), atol=1e-13)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_two_ways_are_inverse(sparse: bool) -> None:
    problem = random_ising(5, seed=4)
    back = ising_from_qubo(*qubo_from_ising(problem.to_sparse() if sparse else problem))
    torch.testing.assert_close(back.energy(all_spins(5)), problem.energy(all_spins(5)))
    torch.testing.assert_close(back.to_dense().couplings, problem.couplings)


def test_integer_qubos_convert_exactly() -> None:
    large = 2**40 + 1
    problem = ising_from_qubo([[large, large], [0, -1]])
    assert problem.energy(all_spins(2)).tolist() == [0.0, large, -1.0, 2 * large - 1]


def test_a_single_unit_is_a_spin_in_a_field() -> None:
    assert ising_from_qubo([[3.0]]).energy(all_spins(1)).tolist() == [0.0, 3.0]


def test_a_dictionary_ends_at_its_largest_index() -> None:
    problem = ising_from_qubo({(3, 1): 2.0, (1, 3): 1.0})
    assert problem.sites == 4
    assert problem.energy(torch.tensor([[-1, 1, -1, 1], [1, 1, 1, -1]])).tolist() == [3.0, 0.0]


def test_the_caller_s_matrix_is_neither_changed_nor_kept() -> None:
    matrix = torch.ones(2, 2, dtype=torch.float64)
    problem = ising_from_qubo(matrix)
    assert matrix.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    matrix[:] = 7.0
    assert problem.energy(all_spins(2)).tolist() == [0.0, 1.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("qubo", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.ones(3), "square"),
        (np.zeros((0, 0)), "empty"),
        ({}, "empty"),
        ([[np.nan]], "NaN"),
        ({(0, 0): np.inf}, "NaN"),
        ([[1j]], "real"),
        ({(0, -1): 1.0}, "QUBO indices"),
        ({(0.5, 1): 1.0}, "integers"),
        ({("a", "b"): 1.0}, "named variables use ising_from_dimod"),
        ({(0, 2**40): 1.0}, r"must lie in \[0, 2147483647\)"),
        ({0: 1.0}, "pairs"),
        ({(0, 0): "one"}, "real"),
    ],
)
def test_what_is_no_qubo_is_refused(qubo: object, message: str) -> None:
    with pytest.raises(InvalidProblemError, match=message):
        ising_from_qubo(qubo)


def test_a_batch_has_no_single_qubo() -> None:
    with pytest.raises(InvalidSettingError, match="batch"):
        qubo_from_ising(random_ising(3, seed=5, batch=2))
