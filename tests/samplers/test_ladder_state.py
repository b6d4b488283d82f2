"""Ladders that go on from call to call: the law of their coldest chains, their rungs, and what is saved of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, random_ising
from helpers.statistics import law_p_value, mean_p_value, threshold
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising import Ising
from spinlight.samplers import LadderState, ParallelTempering


def wells(field: float = 0.02) -> Ising:
    """Return a ferromagnet whose two wells, unequally deep, are far apart."""
    return Ising(torch.full((8,), field), torch.ones(8, 8) - torch.eye(8))


def walked(sampler: ParallelTempering, problem: Ising, ladders: int, calls: int, sweeps: int, seed: int) -> LadderState:
    state = sampler.init(problem, ladders, seed=seed)
    for _ in range(calls):
        state = sampler.step(problem, state, sweeps)
    return state


@pytest.mark.parametrize("cluster_every", [0, 3])
def test_the_coldest_chains_of_many_ladders_have_the_law_of_the_problem(cluster_every: int) -> None:
    problem = random_ising(6, seed=4, scale=0.5).to_sparse()
    sampler = ParallelTempering(rungs=4, cluster_every=cluster_every, progress=False)
    spins = 2 * walked(sampler, problem, 10_000, calls=10, sweeps=5, seed=1).bits - 1
    assert law_p_value(spins, boltzmann(problem)) > threshold()
    assert law_p_value(spins, boltzmann(problem, 0.8)) < threshold()


def test_wells_are_left_by_ladders_and_not_by_chains_of_one_temperature() -> None:
    problem = wells()
    up = torch.ones(200, 8, 8, dtype=torch.int8)
    sampler = ParallelTempering(rungs=8, progress=False)
    start = LadderState(
        up, torch.linspace(0, 1, 8, dtype=torch.float64), torch.zeros(2, 7, dtype=torch.float64), seed=3
    )
    means = sampler.step(problem, start, 600).spins[:, -1].double().mean(1).numpy()
    states = 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1) - 1
    expected = float(boltzmann(problem) @ states.mean(1))
    assert mean_p_value(means, expected) > threshold()
    assert mean_p_value(means, 1.0) < threshold()


def test_ladders_that_are_saved_go_on_as_if_they_had_not_stopped() -> None:
    problem, sampler, file = wells(), ParallelTempering(rungs=5, progress=False), io.BytesIO()
    whole = walked(sampler, problem, 3, calls=21, sweeps=7, seed=2)
    torch.save(vars(walked(sampler, problem, 3, calls=10, sweeps=7, seed=2)), file)
    file.seek(0)
    resumed = LadderState(**torch.load(file, weights_only=True))
    for _ in range(11):
        resumed = sampler.step(problem, resumed, 7)
    assert all(torch.equal(getattr(resumed, name), getattr(whole, name)) for name in ("spins", "rungs", "swaps"))
    assert (resumed.seed, resumed.sweeps) == (whole.seed, 147)


def test_rungs_follow_the_problem_until_swaps_are_equally_likely() -> None:
    problem = Ising(torch.zeros(60), random_ising(60, seed=3, scale=0.3).couplings)
    sampler = ParallelTempering(rungs=8, progress=False)
    state = walked(sampler, problem, 32, calls=60, sweeps=10, seed=5)
    assert int(state.swaps[1].max()) == 0  # 600 sweeps: spaced anew just now
    chances = []
    for spaced in (state, LadderState(state.spins, torch.linspace(0, 1, 8, dtype=torch.float64), state.swaps, seed=6)):
        later = sampler.step(problem, spaced, 99)
        chances.append(later.swaps[0] / later.swaps[1])
    assert float(chances[0].max() - chances[0].min()) < 0.5 * float(chances[1].max() - chances[1].min())
    assert (float(state.rungs[0]), float(state.rungs[-1])) == (0.0, 1.0)


def test_ladders_refuse_what_does_not_fit() -> None:
    sampler = ParallelTempering(rungs=4, progress=False)
    state = sampler.init(wells(), 2, seed=0)
    with pytest.raises(InvalidStateError, match="4 rungs of 8 sites"):
        ParallelTempering(rungs=5).step(wells(), state, 1)
    with pytest.raises(InvalidStateError, match="4 of 3"):
        sampler.step(random_ising(3, seed=1), state, 1)
    with pytest.raises(InvalidSettingError, match="sweeps"):
        sampler.step(wells(), state, -1)
    with pytest.raises(InvalidSettingError, match="must be even"):
        ParallelTempering(cluster_every=1).init(wells().to_sparse(), 3)
    with pytest.raises(InvalidSettingError):
        sampler.init(random_ising(3, seed=1, batch=2), 4)
    with pytest.raises(InvalidProblemError):
        sampler.init(None, 4)
