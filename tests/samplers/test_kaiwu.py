"""Objects with `solve(matrix)` as samplers and samplers as such objects, against stand-ins written from the published interface."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, boltzmann, enumerate_energies, random_ising, state_numbers
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, SolverError
from spinlight.ising import Ising, kaiwu_from_ising
from spinlight.samplers import AsSolver, Exact, Gibbs, Quantized, SolveSampler, TopK, Unique
from spinlight.samplers.kaiwu import whole_numbers

FERROMAGNET = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])


class KaiwuError(Exception):
    """The SDK's only error."""


def hamiltonian(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return H(t) = - t^T M t of rows, both triangles."""
    return -np.einsum("ki,ij,kj->k", rows.astype(float), matrix, rows.astype(float))


class BruteForceOptimizer:
    """All rows, lowest H first; deterministic."""

    def solve(self, ising_matrix: np.ndarray) -> np.ndarray:
        rows = all_spins(len(ising_matrix)).numpy()
        return rows[np.argsort(hamiltonian(ising_matrix, rows), kind="stable")]


class CIMOptimizer:
    """The coherent Ising machine as published: 8 bits, tasks named by matrix and name, polled, cached, 10 to 2,000 samples.

    The task is done `polls` queries after it was created; a query before returns None, unless `wait`.
    """

    def __init__(
        self,
        task_name: str,
        wait: bool = False,
        interval: int = 1,
        project_no: str | None = None,
        task_mode: str = "optimization",
        sample_number: int = 10,
        *,
        polls: int = 1,
    ) -> None:
        if interval < 1 or not 10 <= sample_number <= 2000 or task_mode not in ("optimization", "sampling"):
            raise KaiwuError("invalid argument")
        self.task_name, self.wait, self.rows = task_name, wait, sample_number if task_mode == "sampling" else 10
        self.user_id, self.sdk_code = "USER", "SECRET"
        self.polls, self.tasks, self.queries = polls, {}, {}

    def solve(self, ising_matrix: np.ndarray) -> np.ndarray | None:
        matrix = np.asarray(ising_matrix)
        if not ((matrix == matrix.round()) & (matrix >= -128) & (matrix <= 127)).all():
            raise KaiwuError("the matrix exceeds 8 bits")
        task = (matrix.tobytes(), self.task_name)
        if task not in self.tasks:
            best = BruteForceOptimizer().solve(matrix)
            low = best[hamiltonian(matrix, best) == hamiltonian(matrix, best[:1])]
            self.tasks[task] = low[np.random.default_rng(len(self.tasks)).integers(len(low), size=self.rows)]
        self.queries[task] = self.queries.get(task, 0) + 1
        return self.tasks[task] if self.wait or self.queries[task] > self.polls else None


class Scripted:
    """Answers with what it is told to, and remembers the matrices."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.matrices = list(answers), []

    def solve(self, ising_matrix: np.ndarray) -> Any:
        self.matrices.append(ising_matrix.copy())
        ising_matrix[:] = 0.0  # a solver may work in place
        return self.answers[(len(self.matrices) - 1) % len(self.answers)]


def machine(**settings: Any) -> SolveSampler:
    solver = CIMOptimizer("test", wait=True, task_mode="sampling", sample_number=100)
    return SolveSampler(**{"solver": solver, "bits": 8, "states_per_call": 100} | settings)


# --- solvers as samplers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_every_row_of_a_solver_has_the_enumerated_energy(sparse: bool) -> None:
    problem = random_ising(5, seed=1)
    solver = BruteForceOptimizer()
    draws = SolveSampler(solver=solver).draw(problem.to_sparse() if sparse else problem, 64)
    numbers = state_numbers(draws.spins)
    assert sorted(numbers.tolist()) == sorted([*range(32), *range(32)])
    np.testing.assert_allclose(draws.energies, enumerate_energies(problem)[numbers], atol=1e-12)
    # The solver's own order is that of its H: an independent account of the same energies.
    assert (draws.energies.diff() > -1e-12).all()


@pytest.mark.parametrize("part", ["fields", "couplings"])
def test_a_flipped_sign_on_the_way_would_be_noticed(part: str) -> None:
    problem = random_ising(5, seed=1)
    parts = {"fields": problem.fields, "couplings": problem.couplings}
    wrong = Ising(**parts | {part: -parts[part]})
    states = SolveSampler(solver=BruteForceOptimizer()).draw(wrong, 2).spins
    assert problem.energy(states).min() > enumerate_energies(problem).min() + 1e-6


def test_each_problem_of_a_batch_is_a_task_of_its_own() -> None:
    problem = random_ising(4, seed=2, batch=3)
    draws = SolveSampler(solver=BruteForceOptimizer()).draw(problem, 2)
    for row in range(3):
        np.testing.assert_allclose(draws[row].energies, enumerate_energies(problem[row]).min(), atol=1e-12)
    assert draws.info.details == {"calls": 3, "returned": 96, "repeated_calls": 0, "seeded": False}


def test_a_machine_of_eight_bits_solves_the_rounded_problem() -> None:
    problem = random_ising(6, seed=3)
    draws = Quantized(sampler=machine(), bits=8).draw(problem, 100)
    assert draws.energies.min() == pytest.approx(enumerate_energies(problem).min())
    assert torch.equal(draws.energies, problem.energy(draws.spins))
    assert draws.info.details["calls"] == 1
    assert draws.info.details["largest_error"] > 0


def test_the_machine_refuses_what_is_not_whole_and_its_error_passes_through() -> None:
    with pytest.raises(KaiwuError, match="8 bits"):
        machine(bits=None).draw(random_ising(3, seed=3), 10)


@pytest.mark.parametrize(
    ("weights", "bits", "expected"),
    [
        ([0.5, -0.25], 8, [2, -1]),
        ([3.0, 2.0], 8, [3, 2]),
        ([0.1 * 127, -0.1 * 126, 0.1], 8, [127, -126, 1]),
        ([-128.0, 1.0], 8, [-128, 1]),
        ([0.0, 0.0], 8, [0, 0]),
        ([7.0], 8, [1]),
        ([1 / 3, 1 / 2], 4, [2, 3]),
    ],
)
def test_weights_become_the_smallest_whole_numbers(weights: list[float], bits: int, expected: list[int]) -> None:
    assert whole_numbers(torch.tensor(weights, dtype=torch.float64), bits).tolist() == expected


@pytest.mark.parametrize(
    "weights", [[128.0, 1.0], [1.0, 1 / 128], [1.0, 0.70710678], [1.0, 0.333], [1.0, 1 / 11, 1 / 13]]
)
def test_weights_without_such_numbers_are_refused(weights: list[float]) -> None:
    with pytest.raises(InvalidProblemError, match=r"Quantized\(sampler=..., bits=8\)"):
        whole_numbers(torch.tensor(weights, dtype=torch.float64), 8)


@pytest.mark.parametrize("bits", [2, 3, 8, 12, 24])
def test_what_quantized_rounds_is_always_whole(bits: int) -> None:
    for seed in range(5):
        solver = Scripted(np.ones((1, 9), np.int8))
        Quantized(sampler=SolveSampler(solver=solver, bits=bits), bits=bits).draw(random_ising(8, seed=seed), 1)
        (matrix,) = solver.matrices
        assert (matrix == matrix.round()).all()
        assert matrix.dtype == np.float64
        assert 0 < np.abs(matrix).max() <= 2 ** (bits - 1) - 1


def test_without_bits_the_matrix_is_that_of_the_energy() -> None:
    problem, solver = random_ising(4, seed=5), Scripted(np.ones((2, 5), np.int8))
    SolveSampler(solver=solver, most_calls=2).draw(problem, 4)
    for matrix in solver.matrices:
        np.testing.assert_array_equal(matrix, kaiwu_from_ising(problem)[0].numpy())


def test_the_first_states_are_kept_and_no_call_is_made_in_vain() -> None:
    rows = np.array([[1, -1, 1], [-1, -1, -1], [1, 1, -1]])
    solver = Scripted(rows)
    draws = SolveSampler(solver=solver, most_calls=9).draw(FERROMAGNET, 2)
    assert draws.spins.tolist() == [[1, -1], [1, 1]]
    draws = SolveSampler(solver=solver, most_calls=9).draw(FERROMAGNET, 7)
    assert draws.spins.tolist()[3:6] == [[1, -1], [1, 1], [-1, -1]]
    assert len(solver.matrices) == 1 + 3
    assert draws.info.details == {"calls": 3, "returned": 9, "repeated_calls": 2, "seeded": False}


def test_a_machine_that_keeps_its_results_is_seen_to_repeat_itself() -> None:
    draws = machine(most_calls=3).draw(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]]), 250)
    assert (draws.info.details["calls"], draws.info.details["repeated_calls"]) == (3, 2)


def test_an_unfinished_task_is_an_error_and_later_it_is_not() -> None:
    sampler = machine(solver=CIMOptimizer("test", polls=1))
    with pytest.raises(SolverError, match=r"CIMOptimizer\.solve returned None: its task is not finished.*wait=True"):
        sampler.draw(FERROMAGNET, 10)
    assert len(sampler.draw(FERROMAGNET, 10)) == 10


def test_too_few_states_are_an_error_that_keeps_them() -> None:
    with pytest.raises(SolverError, match=r"1 call.* brought 10 of 11 states; raise most_calls") as caught:
        machine(solver=CIMOptimizer("test", wait=True), states_per_call=None).draw(FERROMAGNET, 11)
    assert [tuple(states.shape) for states in caught.value.states] == [(10, 2)]


@pytest.mark.parametrize("nothing", [[], np.empty((0, 3)), torch.empty(0, 3)], ids=["list", "array", "tensor"])
def test_no_rows_are_an_error_that_keeps_those_before(nothing: Any) -> None:
    with pytest.raises(SolverError, match=r"Scripted\.solve returned no rows") as caught:
        SolveSampler(solver=Scripted([[1, -1, -1]], nothing), most_calls=3).draw(FERROMAGNET, 2)
    assert [states.tolist() for states in caught.value.states] == [[[-1, 1]]]


class Failing(Scripted):
    """Raises what it is told to answer, if that is an error."""

    def solve(self, ising_matrix: np.ndarray) -> Any:
        answer = super().solve(ising_matrix)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_an_error_of_a_later_call_keeps_the_states_of_those_before() -> None:
    broken = KaiwuError("connection lost")
    with pytest.raises(SolverError, match=r"brought 1 states.*connection lost") as caught:
        SolveSampler(solver=Failing([[1, -1, -1]], broken), most_calls=3).draw(FERROMAGNET, 2)
    assert caught.value.__cause__ is broken
    assert [states.tolist() for states in caught.value.states] == [[[-1, 1]]]


def test_an_error_of_the_first_call_and_an_interrupt_are_raised_as_they_are() -> None:
    with pytest.raises(KaiwuError):
        SolveSampler(solver=Failing(KaiwuError("no connection"))).draw(FERROMAGNET, 2)
    with pytest.raises(KeyboardInterrupt):
        SolveSampler(solver=Failing([[1, -1, -1]], KeyboardInterrupt()), most_calls=3).draw(FERROMAGNET, 2)


@pytest.mark.parametrize(
    "rows", [[[1, 0, 1]], [[1, 1]], [1, 1, 1], [[[1, 1, 1]]], "rows", 3, [[1, 1, float("nan")]], [[1, 1, 1, 1]]]
)
def test_rows_that_do_not_fit_the_matrix_are_refused(rows: Any) -> None:
    with pytest.raises(InvalidStateError):
        SolveSampler(solver=Scripted(rows)).draw(FERROMAGNET, 1)


def test_more_calls_than_allowed_are_refused_before_the_first() -> None:
    solver = Scripted([[1, 1, 1]])
    with pytest.raises(InvalidSettingError, match="2001 states at 2000 a call need 2 calls, and most_calls is 1"):
        SolveSampler(solver=solver, states_per_call=2000).draw(FERROMAGNET, 2001)
    assert solver.matrices == []


def test_every_problem_of_a_batch_is_checked_before_the_first_call() -> None:
    solver = Scripted([[1, 1, 1]])
    batch = Ising([[1.0, 0.0], [0.1234567, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InvalidProblemError, match="Quantized"):
        SolveSampler(solver=solver, bits=8).draw(batch, 1)
    assert solver.matrices == []


def test_initial_states_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="takes no initial states"):
        machine().draw(FERROMAGNET, 4, initial=all_spins(2))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"solver": None}, "solver"),
        ({"solver": BruteForceOptimizer}, "solver"),
        ({"solver": Gibbs()}, "solver"),
        ({"bits": 1}, "bits"),
        ({"bits": 25}, "bits"),
        ({"states_per_call": 0}, "states_per_call"),
        ({"most_calls": 0}, "most_calls"),
    ],
)
def test_settings_outside_their_domain_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        machine(**settings)


def test_what_a_solver_holds_is_neither_shown_nor_recorded() -> None:
    sampler = TopK(sampler=Quantized(sampler=machine()), kept=3)
    draws = sampler.draw(FERROMAGNET, 10)
    for shown in (repr(sampler), repr(draws.info), json.dumps(sampler.settings())):
        assert "SECRET" not in shown
        assert "USER" not in shown
    inner = draws.info.settings["sampler"]["sampler"]
    assert inner == {
        "class": "SolveSampler",
        "solver": "CIMOptimizer",
        "bits": 8,
        "states_per_call": 100,
        "most_calls": 1,
    }


# --- samplers as solvers ----------------------------------------------------------------------------------------------------


def test_rows_have_the_auxiliary_spin_last_and_the_energies_of_the_matrix() -> None:
    problem = random_ising(4, seed=6)
    matrix, offset = kaiwu_from_ising(problem)
    rows = AsSolver(sampler=Gibbs(sweeps=5, progress=False), count=500).solve(matrix.numpy(), seed=1)
    assert (rows.dtype, rows.shape) == (np.dtype(np.int8), (500, 5))
    assert (rows[:, -1] == 1).all()
    expected = enumerate_energies(problem)[state_numbers(torch.from_numpy(rows[:, :-1]))]
    np.testing.assert_allclose(hamiltonian(matrix.numpy(), rows) + float(offset), expected, atol=1e-12)


def test_rows_follow_the_law_of_the_matrix_and_no_other() -> None:
    matrix = np.random.default_rng(3).normal(scale=0.3, size=(6, 6))
    matrix += matrix.T
    rows = AsSolver(sampler=Exact(), count=20_000).solve(matrix, seed=1)
    states = np.concatenate([all_spins(5).numpy(), np.ones((32, 1))], 1)

    def law(factor: float) -> np.ndarray:
        weights = np.exp(-factor * hamiltonian(matrix, states))
        return weights / weights.sum()

    spins = torch.from_numpy(rows[:, :-1])
    assert law_p_value(spins, law(1.0)) > threshold()
    for wrong in (0.5, 0.9, -1.0):
        assert law_p_value(spins, law(wrong)) < threshold()


def test_a_seed_repeats_the_rows() -> None:
    matrix = kaiwu_from_ising(random_ising(8, seed=6, scale=0.1))[0]
    solver = AsSolver(sampler=Gibbs(sweeps=5, progress=False))
    first, again, other, free = (solver.solve(matrix, seed=seed) for seed in (1, 1, 2, None))
    assert (first == again).all()
    assert not (first == other).all()
    assert not (free == solver.solve(matrix)).all()


def test_a_sampler_that_drops_copies_returns_fewer_rows() -> None:
    matrix = kaiwu_from_ising(FERROMAGNET)[0]
    assert AsSolver(sampler=Unique(sampler=Exact()), count=1000).solve(matrix, seed=1).shape == (4, 3)


def test_there_and_back_is_the_sampler_itself() -> None:
    problem = random_ising(6, seed=7, scale=0.4)
    draws = SolveSampler(solver=AsSolver(sampler=Exact(), count=20_000)).draw(problem, 20_000, seed=1)
    assert draws.info.details["seeded"] is True
    assert law_p_value(draws.spins, boltzmann(problem)) > threshold()
    assert law_p_value(draws.spins, boltzmann(Ising(-problem.fields, problem.couplings))) < threshold()


def test_seeded_calls_for_one_problem_differ() -> None:
    sampler = SolveSampler(solver=AsSolver(sampler=Exact(), count=20), most_calls=5)
    draws = sampler.draw(random_ising(12, seed=8, scale=0.1), 100, seed=1)
    assert (draws.info.details["calls"], draws.info.details["repeated_calls"]) == (5, 0)


@pytest.mark.parametrize("matrix", [[[0.0, 1.0]], [[0.0, 1.0], [2.0, 0.0]], [[0.0]], [[0.0, np.nan], [np.nan, 0.0]]])
def test_what_is_no_kaiwu_matrix_is_refused(matrix: list[list[float]]) -> None:
    with pytest.raises(InvalidProblemError):
        AsSolver(sampler=Exact()).solve(matrix)


@pytest.mark.parametrize(("settings", "word"), [({"sampler": None}, "sampler"), ({"count": 0}, "count")])
def test_a_solver_needs_a_sampler_and_a_count(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        AsSolver(**{"sampler": Exact()} | settings)


def test_both_travel_to_other_processes() -> None:
    sampler = SolveSampler(solver=AsSolver(sampler=Exact(), count=5), bits=8)
    for twin in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        assert twin == sampler
        assert torch.equal(twin.draw(FERROMAGNET, 5, seed=1).spins, sampler.draw(FERROMAGNET, 5, seed=1).spins)
