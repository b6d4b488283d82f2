from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse
import torch

from helpers.enumeration import all_spins, energies_by_formula, enumerate_energies, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising import (
    Ising,
    clamp,
    color_sites,
    exact_probabilities,
    ground_states,
    log_partition,
    qubo_from_ising,
    write_rudy,
)

PAIR = [[0.0, 1.0], [1.0, 0.0]]


def sparse_form(form: str, couplings: torch.Tensor) -> object:
    makers = {
        "torch COO": lambda: couplings.to_sparse(),
        "torch CSR": lambda: couplings.to_sparse_csr(),
        "SciPy CSR": lambda: scipy.sparse.csr_matrix(couplings.numpy()),
        "SciPy COO array": lambda: scipy.sparse.coo_array(couplings.numpy()),
    }
    return makers[form]()


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("form", ["torch COO", "torch CSR", "SciPy CSR", "SciPy COO array"])
def test_energies_follow_the_formula_over_all_states(form: str) -> None:
    dense = random_ising(6, seed=1, density=0.5)
    sparse = Ising(dense.fields, sparse_form(form, dense.couplings), dense.offset)
    expected = torch.from_numpy(enumerate_energies(dense))
    assert sparse.is_sparse
    assert not dense.is_sparse
    torch.testing.assert_close(dense.energy(all_spins(6)), expected)
    torch.testing.assert_close(sparse.energy(all_spins(6)), expected)


def test_a_flipped_sign_of_the_couplings_is_noticed() -> None:
    problem = random_ising(5, seed=2)
    wrong = energies_by_formula(problem.fields, -problem.couplings, all_spins(5), float(problem.offset))
    assert not np.allclose(problem.energy(all_spins(5)), wrong)


@pytest.mark.parametrize("sparse", [False, True])
def test_batched_energies_are_those_of_each_problem(sparse: bool) -> None:
    batch = random_ising(5, seed=3, batch=4)
    batch = batch.to_sparse() if sparse else batch
    spins = all_spins(5).expand(4, -1, -1)
    expected = np.stack([enumerate_energies(batch[i]) for i in range(4)])
    torch.testing.assert_close(batch.energy(spins), torch.from_numpy(expected))
    torch.testing.assert_close(batch.energy(spins[:, 7]), torch.from_numpy(expected[:, 7]))
    torch.testing.assert_close(batch.energy(spins.view(4, 8, 4, 5)), torch.from_numpy(expected).view(4, 8, 4))


def test_one_state_has_a_scalar_energy() -> None:
    assert Ising([0.5, 0.0], PAIR).energy(torch.tensor([1, 1])).shape == ()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("batch", [None, 3])
def test_a_flip_changes_the_energy_by_twice_spin_times_local_field(sparse: bool, batch: int | None) -> None:
    problem = random_ising(5, seed=4, batch=batch)
    problem = problem.to_sparse() if sparse else problem
    spins = all_spins(5).expand(*(() if batch is None else (batch,)), -1, -1)
    local = problem.local_fields(spins)
    for site in range(5):
        flipped = spins.clone()
        flipped[..., site] *= -1
        change = problem.energy(flipped) - problem.energy(spins)
        torch.testing.assert_close(change, 2 * spins[..., site] * local[..., site])


def test_one_free_spin_has_the_energy_of_its_field() -> None:
    problem = Ising([0.5], [[0.0]], offset=1.0)
    assert problem.energy(torch.tensor([[-1], [1]])).tolist() == [1.5, 0.5]
    assert problem.to_sparse().energy(torch.tensor([[-1], [1]])).tolist() == [1.5, 0.5]


@pytest.mark.parametrize("sparse", [False, True])
def test_energies_of_integers_above_2_to_the_24_are_exact(sparse: bool) -> None:
    generator = np.random.default_rng(5)
    upper = np.triu(generator.integers(-(2**30), 2**30, (40, 40)), 1)
    fields = generator.integers(-(2**30), 2**30, 40)
    problem = Ising(fields, upper + upper.T, 2**30 + 1)
    problem = problem.to_sparse() if sparse else problem
    spins = generator.choice([-1, 1], (50, 40))
    exact = [2**30 + 1 - int(fields @ s) - int(s @ upper @ s) for s in spins]
    assert problem.energy(torch.from_numpy(spins)).tolist() == exact
    assert max(map(abs, exact)) > 2**24
    rounded = torch.from_numpy(spins).float() @ torch.from_numpy(upper).float()
    assert (rounded * torch.from_numpy(spins)).sum(-1).tolist() != [float(s @ upper @ s) for s in spins]


def test_listed_twice_sparse_couplings_add_up() -> None:
    indices = torch.tensor([[0, 1, 0, 1], [1, 0, 1, 0]])
    couplings = torch.sparse_coo_tensor(indices, torch.tensor([1.0, 1.0, 2.0, 2.0]), (2, 2), check_invariants=True)
    assert Ising([0.0, 0.0], couplings).to_dense().couplings.tolist() == [[0.0, 3.0], [3.0, 0.0]]


def test_edges_list_each_non_zero_coupling_once() -> None:
    problem = random_ising(7, seed=6, density=0.4)
    for form in (problem, problem.to_sparse(), problem.to_sparse().to_dense()):
        rows, columns, weights = form.edges()
        rebuilt = torch.zeros(7, 7, dtype=torch.float64).index_put((rows, columns), weights)
        assert bool((rows < columns).all())
        assert bool((weights != 0).all())
        torch.testing.assert_close(rebuilt + rebuilt.T, problem.couplings, rtol=0, atol=0)


def test_couplings_scaled_to_zero_are_no_edges() -> None:
    assert len(random_ising(4, seed=7).to_sparse().scaled(0.0).edges()[2]) == 0


@pytest.mark.parametrize("sparse", [False, True])
def test_scaling_multiplies_every_energy(sparse: bool) -> None:
    problem = random_ising(5, seed=8)
    form = problem.to_sparse() if sparse else problem
    torch.testing.assert_close(form.scaled(-2.5).energy(all_spins(5)), -2.5 * problem.energy(all_spins(5)))


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), "2"])
def test_a_factor_that_is_no_finite_number_is_refused(factor: object) -> None:
    with pytest.raises(InvalidSettingError, match="factor"):
        Ising([0.0, 0.0], PAIR).scaled(factor)  # type: ignore[arg-type]


def test_the_caller_s_tensors_are_neither_changed_nor_kept() -> None:
    fields, offset = torch.ones(2, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    couplings = torch.tensor(PAIR, dtype=torch.float64)
    problem = Ising(fields, couplings, offset)
    before = problem.energy(all_spins(2)).tolist()
    assert (fields.tolist(), couplings.tolist(), offset.item()) == ([1.0, 1.0], PAIR, 0.0)
    fields[0], couplings[0, 1], offset[()] = 9.0, 9.0, 9.0
    assert problem.energy(all_spins(2)).tolist() == before


def test_the_caller_s_sparse_tensors_and_arrays_are_not_kept() -> None:
    array, matrix = np.ones(2), scipy.sparse.csr_matrix(np.array(PAIR))
    tensor = torch.tensor(PAIR, dtype=torch.float64).to_sparse().coalesce()
    problems = [Ising(array, matrix), Ising(array, tensor)]
    array[:] = 9.0
    matrix.data[:] = 9.0
    tensor.values()[:] = 9.0
    assert [problem.energy(torch.tensor([1, 1])).item() for problem in problems] == [-3.0, -3.0]


def test_parameters_become_numbers_without_a_gradient() -> None:
    problem = Ising(torch.nn.Parameter(torch.ones(2)), torch.zeros(2, 2, requires_grad=True))
    assert not problem.fields.requires_grad
    assert not problem.couplings.requires_grad


@pytest.mark.parametrize(
    "fields",
    [
        np.arange(4)[::-2],
        np.array([3, 1], dtype=">i4"),
        np.broadcast_to(np.array([3, 1]), (2, 2))[0],
        np.array([3, 1], dtype=np.uint16),
        np.array([3, 1], dtype=np.float16),
    ],
    ids=["reversed", "byte-swapped", "read-only", "unsigned", "half precision"],
)
def test_any_numpy_array_of_real_numbers_will_do(fields: np.ndarray) -> None:
    assert Ising(fields, PAIR).fields.tolist() == [3.0, 1.0]


def test_asymmetry_within_rounding_is_averaged_away() -> None:
    problem = Ising([0.0, 0.0], [[0.0, 1.0], [1.0 + 2e-7, 0.0]])
    assert problem.couplings[0, 1] == problem.couplings[1, 0] == pytest.approx(1.0 + 1e-7, abs=1e-12)


BAD_PROBLEMS = {
    "NaN field": ([np.nan, 0.0], PAIR, 0.0, "NaN or infinity"),
    "infinite field": ([np.inf, 0.0], PAIR, 0.0, "NaN or infinity"),
    "NaN coupling": ([0.0, 0.0], [[0.0, np.nan], [np.nan, 0.0]], 0.0, "NaN or infinity"),
    "infinite coupling": ([0.0, 0.0], [[0.0, np.inf], [np.inf, 0.0]], 0.0, "NaN or infinity"),
    "NaN offset": ([0.0, 0.0], PAIR, np.nan, "NaN or infinity"),
    "complex field": ([1j, 0.0], PAIR, 0.0, "real"),
    "complex tensor": (torch.zeros(2, dtype=torch.complex64), PAIR, 0.0, "real"),
    "complex couplings": ([0.0, 0.0], np.array(PAIR) * 1j, 0.0, "real"),
    "words": (["a", "b"], PAIR, 0.0, "real"),
    "ragged couplings": ([0.0, 0.0], [[0.0, 1.0], [1.0]], 0.0, "numbers"),
    "None": (None, PAIR, 0.0, "real"),
    "sparse fields": (torch.ones(2).to_sparse(), PAIR, 0.0, "dense"),
    "asymmetric": ([0.0, 0.0], [[0.0, 1.0], [2.0, 0.0]], 0.0, r"U \+ U.T"),
    "upper triangle": ([0.0, 0.0], [[0.0, 1.0], [0.0, 0.0]], 0.0, r"U \+ U.T"),
    "sparse asymmetric": ([0.0, 0.0], scipy.sparse.csr_matrix([[0.0, 1.0], [0.0, 0.0]]), 0.0, r"U \+ U.T"),
    "self-coupling": ([0.0, 0.0], [[1.0, 1.0], [1.0, 0.0]], 0.0, "diagonal"),
    "sparse self-coupling": ([0.0, 0.0], scipy.sparse.eye(2).tocsr(), 0.0, "diagonal"),
    "sparse NaN": ([0.0, 0.0], scipy.sparse.csr_matrix([[0, np.nan], [np.nan, 0]]), 0.0, "NaN"),
    "sparse complex": ([0.0, 0.0], scipy.sparse.csr_matrix(np.array(PAIR) * 1j), 0.0, "real"),
    "hybrid sparse": ([0.0, 0.0], torch.tensor(PAIR).to_sparse(1), 0.0, "two sparse axes"),
    "not square": ([0.0, 0.0], [[0.0, 1.0]], 0.0, "square"),
    "sparse not square": ([0.0, 0.0], scipy.sparse.csr_matrix([[0.0, 1.0]]), 0.0, "square"),
    "a list of couplings": ([0.0, 0.0], [1.0, 1.0], 0.0, "square"),
    "no sites": ([], np.zeros((0, 0)), 0.0, "empty"),
    "sparse without sites": ([], torch.zeros(0, 0).to_sparse(), 0.0, "empty"),
    "scalar field": (0.0, PAIR, 0.0, "fields must have shape"),
    "too few fields": ([0.0], PAIR, 0.0, "fields must have shape"),
    "three axes": (np.zeros((1, 1, 2)), PAIR, 0.0, "fields must have shape"),
    "empty batch": (np.zeros((0, 2)), PAIR, 0.0, "fields must have shape"),
    "offset of another batch": (np.zeros((3, 2)), PAIR, np.zeros(2), "offset must be"),
    "batch of offsets, one problem": ([0.0, 0.0], PAIR, np.zeros(1), "offset must be"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize(("fields", "couplings", "offset", "message"), BAD_PROBLEMS.values(), ids=BAD_PROBLEMS)
def test_what_is_no_ising_problem_is_refused(fields: object, couplings: object, offset: object, message: str) -> None:
    with pytest.raises(InvalidProblemError, match=message):
        Ising(fields, couplings, offset)


@pytest.mark.parametrize(
    "spins",
    [
        torch.tensor([0, 1]),
        torch.tensor([1.0, np.nan]),
        torch.tensor([2, 1]),
        torch.tensor([1]),
        torch.tensor([1, 1, 1]),
        torch.tensor(1),
    ],
    ids=["a bit", "NaN", "two", "too few", "too many", "a scalar"],
)
def test_what_is_no_state_is_refused(spins: torch.Tensor) -> None:
    problem = Ising([0.0, 0.0], PAIR)
    with pytest.raises(InvalidStateError, match=r"-1 or \+1|2 entries"):
        problem.energy(spins)
    with pytest.raises(InvalidStateError, match=r"-1 or \+1|2 entries"):
        problem.local_fields(spins)


@pytest.mark.parametrize("shape", [(2,), (4, 2), (1, 2)])
def test_states_of_a_batch_are_never_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidStateError, match="batch=3"):
        random_ising(2, seed=9, batch=3).energy(torch.ones(shape))


def test_a_single_problem_has_no_batch_to_index() -> None:
    with pytest.raises(InvalidProblemError, match="no batch axis"):
        random_ising(2, seed=10)[0]


def test_a_batch_with_one_offset_gives_it_to_each_problem() -> None:
    assert Ising(np.zeros((3, 2)), PAIR, 5.0)[2].offset.item() == 5.0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))])
@pytest.mark.parametrize("sparse", [False, True])
def test_copies_have_the_same_energies(copied, sparse: bool) -> None:
    problem = random_ising(4, seed=11)
    problem = problem.to_sparse() if sparse else problem
    assert copied(problem).energy(all_spins(4)).tolist() == problem.energy(all_spins(4)).tolist()


def test_the_representation_shows_sizes_only() -> None:
    problem = random_ising(3, seed=12, batch=2).to_sparse()
    assert repr(problem) == "Ising(sites=3, batch=2, sparse, device=cpu)"


def test_attributes_cannot_be_replaced() -> None:
    problem = random_ising(3, seed=13)
    with pytest.raises(AttributeError):
        problem.fields = torch.zeros(3)  # type: ignore[misc]


@pytest.mark.parametrize(
    "call",
    [
        lambda thing: clamp(thing, [0], [1]),
        color_sites,
        exact_probabilities,
        log_partition,
        ground_states,
        qubo_from_ising,
        lambda thing: write_rudy(thing, "nowhere.txt"),
    ],
)
@pytest.mark.parametrize("thing", [None, [[0.0, 1.0], [1.0, 0.0]], {(0, 1): 1.0}])
def test_what_is_no_problem_is_refused_by_name(call: Callable[[object], object], thing: object) -> None:
    with pytest.raises(InvalidProblemError, match="an Ising problem is needed"):
        call(thing)
