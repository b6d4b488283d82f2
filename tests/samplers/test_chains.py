"""What Markov chains promise beyond `draw`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import boltzmann, random_ising
from helpers.statistics import law_p_value, threshold
from spinlight._errors import (
    FileFormatError,
    InvalidProblemError,
    InvalidSettingError,
    InvalidStateError,
    SpinlightWarning,
)
from spinlight.ising import Ising
from spinlight.samplers import ChainState, Exact, Gibbs, MarkovChain, Metropolis

EVERY_CHAIN = pytest.mark.parametrize("chain", [Gibbs(), Metropolis()], ids=lambda chain: type(chain).__name__)


def integer_problem(sites: int, seed: int) -> Ising:
    """Return a +/-1 spin glass: local fields are exact in float32, so that every cut of a run gives the same bits."""
    generator = torch.Generator().manual_seed(seed)
    upper = torch.triu(torch.randint(0, 2, (sites, sites), generator=generator) * 2.0 - 1, 1)
    return Ising(torch.zeros(sites), upper + upper.T)


@EVERY_CHAIN
@pytest.mark.parametrize("sparse", [False, True])
def test_a_run_cut_in_two_is_the_same_run(chain: MarkovChain, sparse: bool) -> None:
    problem = integer_problem(21, 1)
    problem = problem.to_sparse() if sparse else problem
    state = chain.init(problem, 20, seed=3)
    whole = chain.step(problem, state, 30)
    cut = chain.step(problem, chain.step(problem, state, 11), 19)
    assert torch.equal(whole.spins, cut.spins)
    assert whole.sweeps == cut.sweeps == 30
    assert not torch.equal(whole.spins, chain.step(problem, whole, 30).spins)


@EVERY_CHAIN
def test_a_saved_state_goes_on_as_it_would_have(chain: MarkovChain, tmp_path: Path) -> None:
    problem = integer_problem(10, 2)
    state = chain.step(problem, chain.init(problem, 5, seed=4), 7)
    state.save(tmp_path / "state.npz")
    again = ChainState.load(tmp_path / "state.npz")
    assert torch.equal(chain.step(problem, again, 9).spins, chain.step(problem, state, 9).spins)


def test_a_file_that_holds_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="npz"):
        ChainState.load(tmp_path / "bad.npz")


@EVERY_CHAIN
def test_stepping_leaves_the_old_state_alone(chain: MarkovChain) -> None:
    problem = integer_problem(10, 3)
    state = chain.init(problem, 5, seed=4)
    before = state.spins.clone()
    chain.step(problem, state, 5)
    assert torch.equal(state.spins, before)


@EVERY_CHAIN
def test_initial_states_are_where_chains_start(chain: MarkovChain) -> None:
    problem = random_ising(6, seed=1)
    start = torch.where(torch.rand(7, 6) < 0.5, -1, 1)
    assert torch.equal(chain.step(problem, chain.init(problem, 7, initial=start), 0).spins, start.to(torch.int8))


@EVERY_CHAIN
@pytest.mark.parametrize("shape", [(5, 4), (3,), (2, 5, 3)])
def test_a_state_of_another_problem_is_refused(chain: MarkovChain, shape: tuple[int, ...]) -> None:
    state = ChainState(torch.ones(shape, dtype=torch.int8), seed=0)
    with pytest.raises(InvalidStateError, match="shape"):
        chain.step(random_ising(3, seed=1), state, 1)


@EVERY_CHAIN
@pytest.mark.parametrize("sweeps", [-1, 1.5, None])
def test_sweeps_that_are_no_integer_are_refused(chain: MarkovChain, sweeps: object) -> None:
    problem = random_ising(3, seed=1)
    with pytest.raises(InvalidSettingError, match="sweeps"):
        chain.step(problem, chain.init(problem, 1), sweeps)  # type: ignore[arg-type]


@EVERY_CHAIN
def test_the_number_of_threads_does_not_change_the_draws(chain: MarkovChain) -> None:
    problem = random_ising(40, seed=2)
    one, three = (type(chain)(sweeps=100, threads=threads).draw(problem, 100, seed=5).spins for threads in (1, 3))
    assert torch.equal(one, three)


def test_chains_do_not_depend_on_how_many_run_beside_them() -> None:
    problem = random_ising(8, seed=3)
    start = torch.ones(40, 8)
    few, many = (Gibbs(sweeps=20).draw(problem, count, seed=6, initial=start[:count]).spins for count in (3, 40))
    assert torch.equal(few, many[:3])


def test_metropolis_forgets_where_a_free_spin_began() -> None:
    free = Ising([0.0], [[0.0]])
    for sweeps in (100, 101):
        draws = Metropolis(sweeps=sweeps).draw(free, 20_000, seed=7, initial=torch.ones(20_000, 1))
        assert law_p_value(draws.spins, boltzmann(free)) > threshold(2)


def test_scans_leave_the_law_unchanged_sweep_by_sweep() -> None:
    problem = random_ising(6, seed=4)
    probabilities = boltzmann(problem)
    generator = torch.Generator().manual_seed(8)
    numbers = torch.multinomial(torch.from_numpy(probabilities), 50_000, replacement=True, generator=generator)
    start = 2 * (numbers[:, None] >> torch.arange(6) & 1) - 1
    for chain in (Gibbs(), Metropolis()):
        for form in (problem, problem.to_sparse()):
            swept = chain.step(form, chain.init(form, 50_000, seed=8, initial=start), 1)
            assert law_p_value(swept.spins, probabilities) > threshold(4)


def test_a_synchronous_update_would_not_leave_the_law_unchanged() -> None:
    problem = random_ising(6, seed=4)
    probabilities = boltzmann(problem)
    generator = torch.Generator().manual_seed(9)
    numbers = torch.multinomial(torch.from_numpy(probabilities), 50_000, replacement=True, generator=generator)
    start = 2 * (numbers[:, None] >> torch.arange(6) & 1) - 1
    up = torch.sigmoid(2 * problem.local_fields(start))
    everything_at_once = torch.where(torch.rand(up.shape, generator=generator, dtype=up.dtype) < up, 1, -1)
    assert law_p_value(everything_at_once, probabilities) < threshold()


def test_two_user_threads_sample_at_once() -> None:
    problems = [random_ising(60, seed=seed) for seed in (1, 2)]
    alone = [Gibbs(sweeps=300).draw(problem, 64, seed=1).spins for problem in problems]
    together: dict[int, torch.Tensor] = {}

    def sample(i: int) -> None:
        together[i] = Gibbs(sweeps=300).draw(problems[i], 64, seed=1).spins

    users = [threading.Thread(target=sample, args=(i,)) for i in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert all(torch.equal(together[i], alone[i]) for i in range(2))


FORKED = """
import torch
from torch.utils.data import DataLoader, Dataset
from spinlight.ising import Ising
from spinlight.samplers import Gibbs

problem = Ising(torch.zeros(50), torch.ones(50, 50) - torch.eye(50))

class Sampled(Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return Gibbs(sweeps=300).draw(problem, 200, seed=None if index % 2 else index).spins

Gibbs(sweeps=300, threads=2).draw(problem, 200, seed=0)
batches = list(DataLoader(Sampled(), batch_size=1, num_workers=2, multiprocessing_context="fork"))
assert torch.equal(batches[0][0], Gibbs(sweeps=300).draw(problem, 200, seed=0).spins)
assert not torch.equal(batches[1], batches[3])
print("sampled in forked workers")
"""


def test_a_forked_data_loader_worker_samples_after_its_parent_did() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert "sampled in forked workers" in done.stdout, done.stderr


INTERRUPTED = """
import _thread, threading, time, torch
from spinlight.ising import Ising
from spinlight.samplers import Gibbs, SimulatedAnnealing

matrix = torch.randn(2000, 2000)
problem = Ising(torch.zeros(2000), matrix.triu(1) + matrix.triu(1).T)
Gibbs(sweeps=1).draw(problem, 16)
SimulatedAnnealing(sweeps=1).draw(problem, 16)
threading.Timer(1.0, _thread.interrupt_main).start()
started = time.monotonic()
try:
    {sampler}.draw(problem, 64)
except KeyboardInterrupt:
    print("stopped after", time.monotonic() - started)
assert threading.active_count() == 1
"""


@pytest.mark.parametrize("sampler", ["Gibbs(sweeps=10**6, threads=2)", "SimulatedAnnealing(sweeps=10**6, threads=1)"])
def test_an_interrupt_ends_a_run_within_a_second(sampler: str) -> None:
    script = INTERRUPTED.format(sampler=sampler)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert "stopped after" in done.stdout, done.stderr
    assert float(done.stdout.split()[-1]) < 1.0 + 1.0  # the interrupt comes after one second


@pytest.mark.parametrize(
    ("spins", "seed", "sweeps", "error"),
    [
        (torch.zeros(2, 3), 0, 0, InvalidStateError),
        (torch.full((2, 3), torch.nan), 0, 0, InvalidStateError),
        (torch.ones(2, 3), -1, 0, InvalidSettingError),
        (torch.ones(2, 3), 0, -1, InvalidSettingError),
    ],
)
def test_what_can_be_no_state_of_chains_is_refused(
    spins: torch.Tensor, seed: int, sweeps: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ChainState(spins, seed, sweeps)


@EVERY_CHAIN
@pytest.mark.parametrize("sparse", [False, True])
def test_weights_beyond_float32_are_refused(chain: MarkovChain, sparse: bool) -> None:
    problem = Ising([0.0, 0.0], [[0.0, 1e39], [1e39, 0.0]])
    with pytest.raises(InvalidProblemError, match="float32"):
        chain.draw(problem.to_sparse() if sparse else problem, 2)
    with pytest.raises(InvalidProblemError, match="float32"):
        chain.draw(Ising([1e31, 0.0], torch.zeros(2, 2)), 2)


@EVERY_CHAIN
def test_large_weights_at_a_small_beta_are_an_ordinary_problem(chain: MarkovChain) -> None:
    problem = random_ising(5, seed=6, scale=0.4)
    scaled = type(chain)(beta=1e-25).draw(problem.scaled(1e25), 20_000, seed=10)
    assert law_p_value(scaled.spins, boltzmann(problem)) > threshold()


@EVERY_CHAIN
def test_numbers_of_numpy_are_numbers(chain: MarkovChain) -> None:
    problem = random_ising(4, seed=7)
    plain = type(chain)(sweeps=30, beta=0.5).draw(problem, 5, seed=11)
    numpy = type(chain)(sweeps=np.int64(30), beta=np.float32(0.5)).draw(problem, np.int32(5), seed=np.uint8(11))
    assert torch.equal(numpy.spins, plain.spins)
    assert numpy.info.settings == plain.info.settings


@EVERY_CHAIN
def test_penalties_that_drown_small_weights_are_warned_of(chain: MarkovChain) -> None:
    problem = Ising([0.0, 0.3], [[0.0, 1e7], [1e7, 0.0]])
    with pytest.warns(SpinlightWarning, match="penalties"):
        chain.draw(problem, 2)


@EVERY_CHAIN
def test_a_beta_beyond_float32_is_refused(chain: MarkovChain) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        type(chain)(beta=1e300).draw(Ising([0.0], [[0.0]]), 2)


def test_the_whole_seed_decides() -> None:
    flat = Ising(torch.zeros(20), torch.zeros(20, 20))
    draws = [Exact().draw(flat, 4, seed=seed).spins for seed in (2304, 150179, 5, 5 + 2**32)]
    starts = [Gibbs(sweeps=0).draw(flat, 4, seed=seed).spins for seed in (5, 5 + 2**32)]
    for group in (draws, starts):
        assert len({tuple(spins.flatten().tolist()) for spins in group}) == len(group)
