from __future__ import annotations

import pytest
import torch

from helpers.enumeration import all_spins, enumerate_energies, random_ising, state_numbers
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import Ising, clamp


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sites", [[], [3], [4, 0, 2], [0, 1, 2, 4, 5]])
def test_clamping_is_substitution_over_all_states(sites: list[int], sparse: bool) -> None:
    problem = random_ising(6, seed=1)
    energies = torch.from_numpy(enumerate_energies(problem))
    form = problem.to_sparse() if sparse else problem
    free = all_spins(6 - len(sites))
    for held in all_spins(len(sites)):
        clamped = clamp(form, sites, held)
        whole = clamped.restore(free)
        assert torch.equal(whole[:, sites], held.expand(len(free), -1))
        torch.testing.assert_close(clamped.problem.energy(free), energies[state_numbers(whole)])


@pytest.mark.parametrize("sparse", [False, True])
def test_rows_of_spins_give_one_conditional_problem_each(sparse: bool) -> None:
    problem = random_ising(5, seed=2)
    energies = torch.from_numpy(enumerate_energies(problem))
    held = all_spins(2)
    clamped = clamp(problem.to_sparse() if sparse else problem, [4, 1], held)
    free = all_spins(3).expand(4, -1, -1)
    whole = clamped.restore(free)
    assert clamped.problem.batch == 4
    torch.testing.assert_close(clamped.problem.energy(free), energies[state_numbers(whole)])
    assert torch.equal(whole[..., [4, 1]], held[:, None].expand(-1, 8, -1))


@pytest.mark.parametrize("rows", [False, True])
def test_a_batch_is_clamped_problem_by_problem(rows: bool) -> None:
    problem = random_ising(4, seed=3, batch=4)
    held = all_spins(2) if rows else all_spins(2)[1]
    clamped = clamp(problem, [0, 3], held)
    free = all_spins(2).expand(4, -1, -1)
    whole = clamped.restore(free)
    for i in range(4):
        energies = torch.from_numpy(enumerate_energies(problem[i]))
        torch.testing.assert_close(clamped.problem[i].energy(free[i]), energies[state_numbers(whole[i])])


def test_a_conditional_problem_without_its_field_correction_would_be_wrong() -> None:
    problem = random_ising(5, seed=4)
    clamped = clamp(problem, [0], [-1])
    wrong = Ising(problem.fields[1:], clamped.problem.couplings, clamped.problem.offset)
    whole = clamped.restore(all_spins(4))
    assert not torch.allclose(wrong.energy(all_spins(4)), problem.energy(whole))


def test_clamping_twice_is_clamping_at_once() -> None:
    problem = random_ising(5, seed=5)
    at_once = clamp(problem, [1, 3], [1, -1]).problem
    twice = clamp(clamp(problem, [1], [1]).problem, [2], [-1]).problem
    torch.testing.assert_close(twice.energy(all_spins(3)), at_once.energy(all_spins(3)))


def test_integer_problems_stay_exact_when_clamped() -> None:
    large = 2**40 + 1
    problem = Ising([large, 0, 0], [[0, large, 1], [large, 0, 0], [1, 0, 0]])
    assert clamp(problem, [0], [1]).problem.energy(torch.tensor([1, 1])).item() == -2 * large - 1


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ([5], r"\[0, 5\)"),
        ([-1], r"\[0, 5\)"),
        ([1, 1], "distinct"),
        ([0, 1, 2, 3, 4], "at least one must stay free"),
        ([0.5], "list of integers"),
        ([True], "list of integers"),
        ([[0]], "list of integers"),
        (0, "list of integers"),
        ([1j], "list of integers"),
        ("a", "list of integers"),
        ([[0], [1, 2]], "list of integers"),
    ],
)
def test_impossible_sites_are_refused(sites: object, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        clamp(random_ising(5, seed=6), sites, [1])


@pytest.mark.parametrize("spins", [[0, 1], [1], [1, 1, 1], [[[1, 1]]], [2.0, 1.0], 1])
def test_impossible_clamped_spins_are_refused(spins: object) -> None:
    with pytest.raises(InvalidStateError):
        clamp(random_ising(5, seed=7), [0, 1], spins)


def test_rows_of_another_batch_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="batch"):
        clamp(random_ising(5, seed=8, batch=3), [0, 1], torch.ones(4, 2))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 3), (5, 4, 3)])
def test_free_spins_of_another_batch_are_never_broadcast(shape: tuple[int, ...]) -> None:
    clamped = clamp(random_ising(5, seed=9), [0, 1], all_spins(2))
    with pytest.raises(InvalidStateError, match="batch=4"):
        clamped.restore(torch.ones(shape))


@pytest.mark.parametrize("free", [torch.zeros(3), torch.ones(4), torch.tensor(1)])
def test_impossible_free_spins_are_refused(free: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError):
        clamp(random_ising(5, seed=10), [0, 1], [1, 1]).restore(free)


def test_the_caller_s_spins_are_neither_changed_nor_kept() -> None:
    held = torch.tensor([1.0, -1.0], dtype=torch.float64)
    clamped = clamp(random_ising(4, seed=11), [0, 1], held)
    before = clamped.problem.energy(all_spins(2)).tolist()
    held[:] = 1.0
    assert clamped.problem.energy(all_spins(2)).tolist() == before
    assert clamped.spins.tolist() == [1, -1]
