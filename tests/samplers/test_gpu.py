"""Samplers where the GPU kernels serve: the same draws as on the CPU. Run as tests/kernels/test_gpu.py is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.gpu import DEVICE, INTERPRETED, ON_DEVICE
from spinlight.ising import Ising
from spinlight.kernels import devices, run
from spinlight.samplers import (
    CoherentIsingMachine,
    Exact,
    Gibbs,
    LangevinBifurcation,
    Metropolis,
    Persistent,
    Sampler,
    SimulatedAnnealing,
    SimulatedBifurcation,
)

pytest.importorskip("triton")
pytestmark = ON_DEVICE

SAMPLERS = [
    Gibbs(sweeps=2),
    Metropolis(sweeps=2),
    SimulatedAnnealing(sweeps=2),
    CoherentIsingMachine(steps=10, look_every=4),
    SimulatedBifurcation(steps=10),
    SimulatedBifurcation(steps=10, discrete=False, look_every=0),
    LangevinBifurcation(steps=2),
]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the GPU kernels serve the CPU, where they are interpreted; its own kernels would raise."""
    if INTERPRETED:
        monkeypatch.setattr(devices, "serves", lambda device: True)
    monkeypatch.setattr(run, "run_groups", None)


def whole_problem(sparse: bool, batch: int | None = None) -> Ising:
    """Return whole fields and couplings, so that local fields are exact on either device."""
    rng = np.random.default_rng(5)
    upper = np.triu(rng.integers(-1, 2, (5, 5)), 1)
    problem = Ising(rng.integers(-2, 3, 5 if batch is None else (batch, 5)), upper + upper.T)
    return problem.to_sparse() if sparse else problem


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_draws_are_those_of_the_cpu(sampler: Sampler, sparse: bool, request: pytest.FixtureRequest) -> None:
    problem = whole_problem(sparse)
    expected = sampler.draw(problem, 3, seed=1)
    request.getfixturevalue("served")
    draws = sampler.draw(problem.to(DEVICE), 3, seed=1)
    assert torch.equal(draws.spins.cpu(), expected.spins)
    assert torch.equal(draws.energies.cpu(), expected.energies)
    assert (draws.spins.device, draws.info.device) == (problem.to(DEVICE).device, str(problem.to(DEVICE).device))


@pytest.mark.parametrize("sampler", [Gibbs(sweeps=2), CoherentIsingMachine(steps=3)], ids=["Gibbs", "CIM"])
def test_batches_share_their_couplings(sampler: Sampler, request: pytest.FixtureRequest) -> None:
    problem = whole_problem(sparse=False, batch=2)
    expected = sampler.draw(problem, 3, seed=1).spins
    request.getfixturevalue("served")
    assert torch.equal(sampler.draw(problem.to(DEVICE), 3, seed=1).spins.cpu(), expected)


def test_trajectories_are_those_of_the_cpu(request: pytest.FixtureRequest) -> None:
    problem, machine = whole_problem(sparse=False), CoherentIsingMachine(steps=6)
    expected = machine.trajectories(problem, 3, every=2, seed=1)
    request.getfixturevalue("served")
    torch.testing.assert_close(
        machine.trajectories(problem.to(DEVICE), 3, every=2, seed=1), expected, atol=1e-4, rtol=0
    )


def test_a_sampler_without_gpu_kernels_says_that_it_ran_on_the_cpu() -> None:
    assert Exact().draw(whole_problem(sparse=False).to(DEVICE), 3, seed=1).info.device == "cpu"


@pytest.mark.usefixtures("served")
def test_persistent_chains_walk_where_their_sampler_does() -> None:
    problem, walker = whole_problem(False).to(DEVICE), Gibbs(sweeps=2)
    draws, expected = Persistent(sampler=walker).draw(problem, 3, seed=1), walker.draw(problem, 3, seed=1)
    assert torch.equal(draws.spins, expected.spins)
    assert draws.info.device == expected.info.device
