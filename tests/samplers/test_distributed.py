"""Draws over a Ray cluster of two machines, both of them here; what a sampler promises is tested on it too.

Tests that kill workers stand last in their class: new ones take seconds to start.
"""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from helpers.enumeration import boltzmann, random_ising
from helpers.sources import PACKAGE
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight._random import derive_seed
from spinlight.ising import Draws, Ising
from spinlight.samplers import (
    Calibrated,
    CoherentIsingMachine,
    Distributed,
    Exact,
    Gibbs,
    ParallelTempering,
    Persistent,
    Quantized,
    Reweighted,
    Sampler,
    TopK,
    Unique,
)
from spinlight.samplers.distributed import _joined

ray = pytest.importorskip("ray")
# Ray starts its processes by fork and exec; other tests may have imported JAX, which warns of every fork.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

PROBLEM = random_ising(6, seed=1, scale=0.4)
GIBBS = Gibbs(sweeps=50)


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Connect to a cluster of two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="error")
    if before is None:
        del os.environ["RAY_USAGE_STATS_ENABLED"]
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def in_pieces(problem: Ising, sizes: list[int], seed: int) -> torch.Tensor:
    parts = [GIBBS.draw(problem, size, seed=derive_seed(seed, piece)).spins for piece, size in enumerate(sizes)]
    return torch.cat(parts, -2)


@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    @pytest.mark.parametrize("workers", [None, 1, 2])
    def test_draws_are_those_of_the_pieces_whatever_the_number_of_workers(self, workers: int | None) -> None:
        draws = Distributed(sampler=GIBBS, draws_per_task=40, workers=workers).draw(PROBLEM, 100, seed=3)
        assert torch.equal(draws.spins, in_pieces(PROBLEM, [40, 40, 20], seed=3))
        assert torch.equal(draws.energies, PROBLEM.energy(draws.spins))

    @pytest.mark.parametrize("sparse", [False, True])
    def test_batches_are_split_along_the_draws(self, sparse: bool) -> None:
        batch = random_ising(5, seed=2, batch=3)
        batch = batch.to_sparse() if sparse else batch
        draws = Distributed(sampler=GIBBS, draws_per_task=7).draw(batch, 10, seed=3)
        assert draws.spins.shape == (3, 10, 5)
        assert torch.equal(draws.spins, in_pieces(batch, [7, 3], seed=3))

    def test_draws_follow_the_law(self) -> None:
        draws = Distributed(sampler=GIBBS, draws_per_task=5000).draw(PROBLEM, 20_000, seed=11)
        assert law_p_value(draws.spins, boltzmann(PROBLEM)) > threshold()
        assert law_p_value(draws.spins, boltzmann(PROBLEM, beta=2.0)) < threshold()

    def test_the_origin_is_recorded_and_reproduces_the_draws(self) -> None:
        sampler = Distributed(sampler=GIBBS, draws_per_task=8)
        draws = sampler.draw(PROBLEM, 20)
        assert (draws.info.sampler, draws.info.law, draws.info.beta) == ("Distributed", "asymptotic", 1.0)
        assert draws.info.settings == sampler.settings()
        assert torch.equal(sampler.draw(PROBLEM, 20, seed=draws.info.seed).spins, draws.spins)
        generator = torch.Generator().manual_seed(5)
        assert not torch.equal(*(sampler.draw(PROBLEM, 20, seed=generator).spins for _ in range(2)))

    def test_initial_states_reach_their_piece(self) -> None:
        start = Exact().draw(PROBLEM, 10, seed=1).spins
        still = Distributed(sampler=Gibbs(sweeps=0), draws_per_task=3)
        assert torch.equal(still.draw(PROBLEM, 10, initial=start).spins, start)

    def test_exact_log_z_stays_and_details_are_kept(self) -> None:
        exact = Distributed(sampler=Exact(), draws_per_task=10).draw(PROBLEM, 30, seed=1)
        assert exact.log_partition == Exact().draw(PROBLEM, 1).log_partition
        rounded = Distributed(sampler=Quantized(sampler=GIBBS, bits=4), draws_per_task=10).draw(PROBLEM, 30, seed=1)
        assert rounded.info.details == Quantized(sampler=GIBBS, bits=4).draw(PROBLEM, 1).info.details

    def test_an_error_of_the_sampler_is_raised_as_it_is(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ProblemTooLargeError, match="40 sites") as caught:
            Distributed(sampler=Exact(), draws_per_task=1).draw(random_ising(40, seed=1), 6)
        assert any("exact.py" in note for note in caught.value.__notes__)
        time.sleep(0.5)
        assert capfd.readouterr() == ("", "")

    def test_draws_go_on_after_errors(self) -> None:
        """A task that has ended must not be cancelled: Ray aborts the whole process at that."""
        failing = Distributed(sampler=ParallelTempering(reference=[0.0]), draws_per_task=10, workers=1)
        for _ in range(5):
            with pytest.raises(InvalidSettingError, match="one field per site"):
                failing.draw(PROBLEM, 40, seed=1)
            assert len(Distributed(sampler=GIBBS, draws_per_task=20, workers=1).draw(PROBLEM, 40, seed=1)) == 40

    def test_each_piece_has_the_threads_of_its_cpus(self) -> None:
        class Counting(Sampler):
            law: ClassVar = "exact"

            def draw(self, problem, count, *, seed=None, initial=None) -> Draws:
                draws = Gibbs(sweeps=0).draw(problem, count, seed=seed)
                return replace(draws, info=replace(draws.info, details={"threads": torch.get_num_threads()}))

        assert Distributed(sampler=Counting()).draw(PROBLEM, 2).info.details == {"threads": 1}

    def test_threads_draw_at_once(self) -> None:
        sampler = Distributed(sampler=GIBBS, draws_per_task=40)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda seed: sampler.draw(PROBLEM, 60, seed=seed).spins, (3, 4)))
        for spins, seed in zip(found, (3, 4), strict=True):
            assert torch.equal(spins, in_pieces(PROBLEM, [40, 20], seed=seed))

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ((PROBLEM, 0), InvalidSettingError),
            ((None, 2), InvalidProblemError),
            ((PROBLEM, 2, -1), InvalidSettingError),
            ((PROBLEM, 2, 1, torch.zeros(2, 6)), InvalidStateError),
        ],
    )
    def test_mistakes_are_found_before_anything_is_sent(self, arguments: tuple, error: type[Exception]) -> None:
        problem, count, seed, initial = (*arguments, *(None,) * (4 - len(arguments)))
        with pytest.raises(error):
            Distributed(sampler=GIBBS).draw(problem, count, seed=seed, initial=initial)

    def test_without_retries_a_dead_worker_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ray.exceptions.WorkerCrashedError):
            Distributed(sampler=dying(tmp_path / "died"), retries=0).draw(PROBLEM, 10, seed=3)

    def test_a_worker_that_dies_is_replaced(self, tmp_path: Path) -> None:
        draws = Distributed(sampler=dying(tmp_path / "died"), draws_per_task=40).draw(PROBLEM, 100, seed=3)
        assert (tmp_path / "died").exists()
        assert torch.equal(draws.spins, in_pieces(PROBLEM, [40, 40, 20], seed=3))

    def test_an_interrupt_ends_the_work_and_returns_soon(self, tmp_path: Path) -> None:
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Distributed(sampler=sleeping(tmp_path / "woke", seconds=10), draws_per_task=1).draw(PROBLEM, 4)
        assert time.monotonic() - started < 3
        while ray.available_resources().get("CPU", 0) < 2:
            assert time.monotonic() - started < 8
            time.sleep(0.1)
        assert not (tmp_path / "woke").exists()


def dying(marker: Path) -> Sampler:
    """Return a sampler whose process dies once: local classes travel by value."""

    @dataclass(frozen=True)
    class Dying(Sampler):
        law: ClassVar = "asymptotic"

        def draw(self, problem, count, *, seed=None, initial=None) -> Draws:
            if not marker.exists():
                marker.touch()
                os._exit(1)
            return Gibbs(sweeps=50).draw(problem, count, seed=seed, initial=initial)

    return Dying()


def sleeping(marker: Path, *, seconds: float) -> Sampler:
    """Return a sampler that sleeps and then leaves a mark."""

    @dataclass(frozen=True)
    class Sleeping(Sampler):
        law: ClassVar = "asymptotic"

        def draw(self, problem, count, *, seed=None, initial=None) -> Draws:
            time.sleep(seconds)
            marker.touch()
            return Gibbs(sweeps=0).draw(problem, count, seed=seed)

    return Sleeping()


@pytest.mark.slow
def test_without_a_connection_a_quiet_ray_of_its_own_is_started() -> None:
    code = """
import os
from spinlight.ising import Ising
from spinlight.samplers import Distributed, Gibbs
before = dict(os.environ)
draws = Distributed(sampler=Gibbs(sweeps=5), workers=1).draw(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]]), 3, seed=1)
import ray
print(len(draws), int(ray.cluster_resources()["CPU"]), "RAY_USAGE_STATS_ENABLED" in set(os.environ) - set(before))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), environment.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 1 False\n", "")


def test_weights_and_multiplicities_are_put_together() -> None:
    parts = [GIBBS.draw(PROBLEM, 50, seed=seed).unique() for seed in (1, 2)]
    weighted = [replace(part, log_weights=-0.5 * part.energies) for part in parts]
    joined = _joined(weighted)
    assert torch.equal(joined.counts, torch.cat([part.counts for part in parts]))
    assert torch.equal(joined.log_weights, -0.5 * joined.energies)
    assert joined.log_partition is None
    marked = [replace(part, info=replace(part.info, details={"n": n})) for n, part in enumerate(parts)]
    assert _joined(marked).info.details == {"pieces": [{"n": 0}, {"n": 1}]}


@pytest.mark.parametrize("inner", [Exact(), GIBBS, CoherentIsingMachine()])
def test_law_and_beta_are_those_of_the_sampler_inside(inner: Sampler) -> None:
    sampler = Distributed(sampler=inner)
    assert sampler.law == inner.law
    assert getattr(sampler, "beta", None) == getattr(inner, "beta", None)


def test_threads_make_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[str | None] = []

    def init(**settings: object) -> None:
        time.sleep(0.05)  # time enough for the other thread to come
        connections.append(os.environ.get("RAY_USAGE_STATS_ENABLED"))

    monkeypatch.setattr(ray, "is_initialized", lambda: bool(connections))
    monkeypatch.setattr(ray, "init", init)
    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: Distributed(sampler=GIBBS)._connected(), range(2)))
    assert connections == ["0"]
    assert os.environ.get("RAY_USAGE_STATS_ENABLED") == before


@pytest.mark.parametrize("inner", [GIBBS, CoherentIsingMachine(), Calibrated(sampler=GIBBS, factor=0.5)])
def test_what_is_corrected_stays_so(inner: Sampler) -> None:
    assert Distributed(sampler=inner).corrected == inner.corrected


def test_a_sampler_to_be_calibrated_needs_its_factor_first() -> None:
    sampler = Calibrated(sampler=Exact(), draws=1000)
    for inner in (sampler, Quantized(sampler=sampler)):
        with pytest.raises(InvalidSettingError, match=r"\.calibrate\(problem\) first"):
            Distributed(sampler=inner)
    assert Distributed(sampler=sampler.calibrate(PROBLEM, seed=1)).law == "heuristic"


def test_it_is_frozen_and_travels_to_other_processes() -> None:
    sampler = Distributed(sampler=GIBBS)
    for twin in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        assert twin == sampler
    with pytest.raises(AttributeError):
        sampler.workers = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "inner",
    [
        Unique(sampler=GIBBS),
        TopK(sampler=GIBBS, kept=3),
        Reweighted(sampler=GIBBS),
        Persistent(sampler=GIBBS),
        Quantized(sampler=Unique(sampler=GIBBS)),
    ],
)
def test_draws_that_depend_on_each_other_are_not_split(inner: Sampler) -> None:
    with pytest.raises(InvalidSettingError, match="cannot be made in pieces"):
        Distributed(sampler=inner)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampler": None},
        {"sampler": Gibbs},
        {"draws_per_task": 0},
        {"workers": 0},
        {"cpus_per_task": 0},
        {"retries": -1},
        {"address": 7},
        {"address": ""},
    ],
)
def test_settings_outside_their_domain_are_refused(wrong: dict) -> None:
    with pytest.raises(InvalidSettingError, match=next(iter(wrong))):
        Distributed(**{"sampler": GIBBS} | wrong)
