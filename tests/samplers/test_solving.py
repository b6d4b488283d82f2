"""`solve` against enumeration, against the clock, and against Ctrl-C."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError, SpinlightWarning
from spinlight.ising import Ising, ground_states, ising_from_edges, ising_from_qubo, kaiwu_from_ising
from spinlight.samplers import (
    CoherentIsingMachine,
    Exact,
    Gibbs,
    InterruptedSolveError,
    ParallelTempering,
    Restarts,
    Sampler,
    SimulatedBifurcation,
    Solution,
    SolveSampler,
    Strategy,
    solve,
)
from spinlight.samplers._blocks import halved


def lowest(problem: Ising) -> float:
    return float(ground_states(problem)[0])


def torus(side: int, seed: int) -> Ising:
    """Return +/-J on a periodic square lattice."""
    site = torch.arange(side * side).reshape(side, side)
    rows, columns = site.repeat(2, 1).ravel(), torch.cat([site.roll(-1, 0), site.roll(-1, 1)]).ravel()
    signs = torch.randint(0, 2, (len(rows),), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0
    return ising_from_edges(side * side, rows, columns, signs)


@pytest.mark.parametrize("density", [1.0, 0.2])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_enumerated_ground_state_is_found_at_any_scale_of_the_weights(density: float, scale: float) -> None:
    problem = random_ising(16, seed=3, density=density).scaled(scale)
    solution = solve(problem, time_limit_s=20.0, target=lowest(problem), seed=1)
    assert solution.reached
    assert solution.energy == float(problem.energy(solution.spins))
    assert solution.energy == pytest.approx(lowest(problem), rel=1e-12)


@pytest.mark.parametrize(
    "sampler",
    [CoherentIsingMachine(progress=False), SimulatedBifurcation(progress=False), Exact(beta=20.0), Restarts(chains=5)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_any_sampler_or_strategy_will_do(sampler: Sampler | Strategy) -> None:
    problem = random_ising(10, seed=4)
    assert solve(problem, sampler, time_limit_s=20.0, target=lowest(problem), seed=1).reached


def test_a_callers_solver_sees_no_other_problem() -> None:
    problem, seen = random_ising(4, seed=4), []

    class Solver:
        def solve(self, matrix: np.ndarray) -> np.ndarray:
            seen.append(matrix.copy())
            return np.ones((32, 5), np.int8)

    solve(problem, SolveSampler(solver=Solver()), time_limit_s=0.2, target=0.5 + float(problem.energy(torch.ones(4))))
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], kaiwu_from_ising(problem)[0].numpy())


def test_settings_that_fit_this_problem_alone_will_do() -> None:
    problem = random_ising(10, seed=4)
    tempering = ParallelTempering(reference=problem.fields, progress=False)
    assert solve(problem, tempering, time_limit_s=20.0, target=lowest(problem), seed=1).reached


@pytest.mark.parametrize("couplings", [[[0.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_a_problem_without_couplings_is_solved_too(couplings: list[list[float]]) -> None:
    problem = Ising([-1.0] * len(couplings), couplings)
    solution = solve(problem, time_limit_s=5.0, target=-float(len(couplings)))
    assert solution.reached
    assert solution.bits.tolist() == [0] * len(couplings)


def test_a_target_that_cannot_be_reached_uses_the_time_and_no_more() -> None:
    problem = torus(40, seed=1)
    solve(problem, time_limit_s=0.1)
    started = time.perf_counter()
    solution = solve(problem, time_limit_s=1.0, target=-1e9)
    assert not solution.reached
    assert solution.seconds > 0.5
    assert time.perf_counter() - started < 3.0  # generous: other work may hold the machine


def test_a_round_that_would_take_too_long_is_given_up() -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidSettingError, match=r"no round could be completed within 0\.5 s"):
        solve(torus(30, seed=1), Gibbs(sweeps=32_000_000, progress=False), time_limit_s=0.5)
    assert time.perf_counter() - started < 5.0


def test_the_same_seed_gives_the_same_rounds() -> None:
    problem = torus(8, seed=2)

    def energies(seed: int, threads: int) -> list[float]:
        rounds = Restarts(threads=threads).rounds(problem, seed, lambda: 1e9)
        return [float(draws.energies.sum()) for draws in itertools.islice(rounds, 6)]

    assert energies(1, 1) == energies(1, 2)
    assert energies(1, 1) != energies(2, 1)


def test_energies_of_blocks_are_those_of_their_sites() -> None:
    problem = random_ising(40, seed=5, density=0.1)
    states = 2 * torch.randint(0, 2, (3, 40), generator=torch.Generator().manual_seed(1), dtype=torch.int8) - 1
    states[1:, :25] = states[0, :25]  # a large part that all agree on
    blocks = halved(problem, states)
    assert blocks is not None
    assert blocks.problem.sites <= 20
    spins = all_spins(blocks.problem.sites)[:: 2 ** (blocks.problem.sites - 8)]
    expected = problem.energy(blocks.expanded(spins))
    torch.testing.assert_close(blocks.problem.energy(spins), expected, rtol=1e-12, atol=1e-12)
    sides = torch.where(blocks.reference == states[1], 1, -1).to(torch.int8)
    of_blocks = torch.stack([sides[blocks.members == block].unique() for block in range(blocks.problem.sites)])
    assert blocks.expanded(of_blocks.ravel()).tolist() == states[1].tolist()  # the states stay states of the blocks


def test_states_that_all_agree_leave_nothing_to_anneal() -> None:
    problem = Ising(torch.zeros(6), torch.ones(6, 6) - torch.eye(6))
    assert halved(problem, torch.ones(4, 6, dtype=torch.int8)) is None
    assert halved(problem, torch.ones(1, 6, dtype=torch.int8)) is None


def test_an_interrupt_keeps_the_best_so_far() -> None:
    def interrupted(best: Solution | None, left: float) -> None:
        if best is not None:
            raise KeyboardInterrupt

    problem = torus(6, seed=3)
    with pytest.raises(InterruptedSolveError) as caught:
        solve(problem, time_limit_s=30.0, progress=interrupted)
    solution = caught.value.solution
    assert solution.energy == float(problem.energy(solution.spins))
    assert solution.seconds < 20


def test_an_interrupt_before_the_first_round_is_an_ordinary_one() -> None:
    def interrupted(best: Solution | None, left: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(torus(30, seed=3), Gibbs(sweeps=100_000, progress=False), time_limit_s=30.0, progress=interrupted)
    assert not isinstance(caught.value, InterruptedSolveError)


def test_progress_is_told_the_best_and_the_time_left() -> None:
    told: list[tuple[float | None, float]] = []
    solve(
        torus(30, seed=3),
        time_limit_s=0.5,
        progress=lambda best, left: told.append((None if best is None else best.energy, left)),
    )
    best = [energy for energy, _ in told if energy is not None]
    assert best == sorted(best, reverse=True)
    assert all(0 <= left <= 0.5 for _, left in told)


@pytest.mark.parametrize(
    "settings", [{"time_limit_s": 0.0}, {"time_limit_s": -1.0}, {"target": float("nan")}, {"seed": -1}]
)
def test_settings_outside_their_domain_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidSettingError):
        solve(torus(3, seed=1), **{"time_limit_s": 1.0} | settings)  # type: ignore[arg-type]


def test_what_is_no_sampler_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="sampler must be a sampler"):
        solve(torus(3, seed=1), "annealing", time_limit_s=1.0)  # type: ignore[arg-type]


def test_a_batch_or_no_problem_is_refused() -> None:
    with pytest.raises(InvalidSettingError):
        solve(random_ising(4, seed=1, batch=2), time_limit_s=1.0)
    with pytest.raises(InvalidProblemError):
        solve(None, time_limit_s=1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings", [{"chains": 0}, {"hot": -1.0}, {"cold": float("inf")}, {"cold": 0.5}, {"threads": 0}]
)
def test_restarts_refuses_settings_outside_their_domain(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidSettingError):
        Restarts(**settings)  # type: ignore[arg-type]


def test_couplings_that_cancel_but_for_rounding_are_no_couplings() -> None:
    """Assignment of four to four with a penalty of 2.6: sums over blocks cancel to 1e-16, and not alike from both sides."""
    costs = torch.rand(16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows, columns = torch.arange(16) // 4, torch.arange(16) % 4
    same = (rows[:, None] == rows) | (columns[:, None] == columns)
    matrix = 2.6 * same.double().fill_diagonal_(0.0) + (costs - 2 * 2.6).diag()
    problem = ising_from_qubo(matrix)
    for seed in range(5):
        solution = solve(problem, time_limit_s=0.2, seed=seed)
        assert solution.energy == pytest.approx(float(ground_states(problem)[0]))
        assert solution.draws.info.law == "heuristic"


def test_a_round_that_fails_does_not_lose_the_best_so_far() -> None:
    class Machine:
        calls = 0

        def solve(self, matrix: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls > 2:
                raise RuntimeError("machine down")
            return np.ones((40, len(matrix)), np.int8)

    with pytest.warns(SpinlightWarning, match="after 2 rounds.*machine down"):
        solution = solve(random_ising(5, seed=1), SolveSampler(solver=Machine()), time_limit_s=5.0)
    assert solution.rounds == 2


@pytest.mark.parametrize("scale", [1e-11, 1.0, 1e9])
def test_a_target_is_reached_or_not_at_any_scale(scale: float) -> None:
    pair = Ising([0.0, 0.0], [[0.0, scale], [scale, 0.0]])
    assert solve(pair, time_limit_s=5.0, target=-scale, seed=1).reached
    assert not solve(pair, time_limit_s=0.1, target=-1.001 * scale, seed=1).reached


def test_weights_too_small_for_the_kernels_are_refused() -> None:
    with pytest.raises(InvalidProblemError, match="multiply"):
        solve(Ising([1e-30], [[0.0]]), time_limit_s=0.1)
