"""Draws split over the machines of a Ray cluster."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import nonnegative_integer, positive_integer, require_extra
from spinlight._errors import InvalidSettingError
from spinlight._progress import progress_bar
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.problem import require_problem
from spinlight.samplers.base import Sampler, initial_spins, require_sampler, wrapped
from spinlight.samplers.calibrated import Calibrated

_CONNECTING = Lock()
"""Held by the thread that looks for a connection or makes one, and changes the environment meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Distributed(Sampler):
    """Splits the draws of another sampler into pieces that a Ray cluster makes.

    draws = piece 0, piece 1, ...;  piece k: `draws_per_task` draws of `sampler` with the seed derive_seed(seed, k)

    How many pieces there are depends on the count alone: any number of machines, in any order, makes bitwise the same draws where
    the machines are alike. Worth it where a piece takes seconds: sending one costs some milliseconds.

    A connection of this process to Ray is used as it is. Otherwise one is made, to `address`, or to the cluster that the
    environment variable RAY_ADDRESS names, or to a Ray of its own on this machine, started in some seconds. It stays open for the
    calls that follow, to the end of the process or until `ray.shutdown()`. Ray's usage reports are off in what is started here.
    spinlight must be installed on every machine.

    Args:
        sampler: any whose draws can be made in pieces. `Unique`, `TopK` and `Reweighted` compare draws with each other and go around:
            `Reweighted(sampler=Distributed(sampler=...))`. `Calibrated` needs its factor: `calibrate` it first.
        draws_per_task: of each problem of a batch, the last piece being what is left.
        workers: pieces at work at once at the most, and the CPUs of a Ray that is started here, `cpus_per_task` for each. None: as
            many as there are CPUs.
        cpus_per_task: of each piece, and its threads where the sampler's own `threads` is None.
        retries: how often a piece begins again when its worker dies; after that Ray's error is raised. An error of the sampler itself is
            raised at once.
        address: of a Ray cluster, such as "10.0.0.1:6379" or "ray://10.0.0.1:10001".

    Law:
        That of the sampler: pieces have streams of their own, and rows are as independent as the sampler's.

    Raises:
        InvalidSettingError: a setting outside its domain, or a sampler whose draws cannot be made in pieces.
        MissingExtraError: Ray is not installed; on drawing.

    Cost:
        The problem travels once per machine and call, from the CPU: one on another device is copied there first, and its draws are
        made on the CPUs of the workers and copied back. Ctrl-C ends the workers at work and returns.

    References:
        Moritz et al., "Ray: a distributed framework for emerging AI applications", OSDI 2018.

    Example:
        >>> from spinlight.samplers import Gibbs
        >>> Distributed(sampler=Gibbs(sweeps=10_000), draws_per_task=256, cpus_per_task=2).law
        'asymptotic'
    """

    sampler: Sampler
    draws_per_task: int = 1024
    workers: int | None = None
    cpus_per_task: int = 1
    retries: int = 3
    address: str | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        _require_divisible(self.sampler)
        positive_integer("draws_per_task", self.draws_per_task)
        positive_integer("cpus_per_task", self.cpus_per_task)
        nonnegative_integer("retries", self.retries)
        if self.workers is not None:
            positive_integer("workers", self.workers)
        if self.address is not None and not (isinstance(self.address, str) and self.address):
            raise InvalidSettingError(f"address must be that of a Ray cluster, or None, got {self.address!r}")

    @property
    def law(self) -> Law:  # type: ignore[override]
        """That of the sampler inside."""
        return self.sampler.law

    @property
    def corrected(self) -> bool:  # type: ignore[override]
        """As the sampler inside."""
        return self.sampler.corrected

    @property
    def beta(self) -> float:
        """The inverse temperature of the sampler inside, where it has one."""
        return self.sampler.beta  # type: ignore[attr-defined]

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` draws per problem, in the order of their pieces; see `Sampler.draw`."""
        started = time.perf_counter()
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        require_problem(problem)
        starts = None if initial is None else initial_spins(problem, count, resolved, initial).cpu()
        ray = self._connected()
        handle = ray.put(problem.to("cpu"))
        submit = _remote_piece().options(num_cpus=self.cpus_per_task, max_retries=self.retries)

        def task(piece: int) -> Any:
            first = piece * self.draws_per_task
            size = min(self.draws_per_task, count - first)
            start = None if starts is None else starts[..., first : first + size, :].clone()
            return submit.remote(self.sampler, handle, size, derive_seed(resolved, piece), start, self.cpus_per_task)

        parts = self._results(ray, task, -(-count // self.draws_per_task))
        draws = _joined(parts).to(problem.device)
        info = replace(draws.info, seed=resolved, seconds=time.perf_counter() - started)
        return wrapped(self, replace(draws, info=info))

    def _connected(self) -> ModuleType:
        """Return Ray, connected."""
        ray = require_extra("ray", "ray")
        with _CONNECTING:
            if not ray.is_initialized():
                self._connect(ray)
        return ray

    def _connect(self, ray: ModuleType) -> None:
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        cpus = None if self.workers is None or address != "local" else self.workers * self.cpus_per_task
        own = {"num_cpus": cpus, "include_dashboard": False} if address == "local" else {}
        with _without_usage_reports():
            ray.init(address=address, log_to_driver=False, logging_level="error", **own)

    def _results(self, ray: ModuleType, task: Callable[[int], Any], pieces: int) -> list[Draws]:
        """Return the pieces in order, at most `workers` being at work at once; an interrupt or error ends those at work."""
        parts: dict[int, Draws] = {}
        running: dict[Any, int] = {}
        waiting = iter(range(pieces))
        most = pieces if self.workers is None else self.workers
        try:
            with progress_bar("Distributed", getattr(self.sampler, "progress", True)) as report:
                while len(parts) < pieces:
                    while len(running) < most and (piece := next(waiting, None)) is not None:
                        running[task(piece)] = piece
                    (done,), _ = ray.wait(list(running), num_returns=1)
                    # Out of the list before it may raise: Ray aborts the process when a task that has ended is cancelled.
                    piece = running.pop(done)
                    parts[piece] = _made(ray.get(done))
                    if report is not None:
                        report(len(parts), pieces)
        finally:
            ended = set(ray.wait(list(running), num_returns=len(running), timeout=0)[0]) if running else set()
            for reference in set(running) - ended:
                ray.cancel(reference, force=True)
        return [parts[piece] for piece in range(pieces)]


def _require_divisible(sampler: object) -> None:
    """Refuse what draws nothing, and a sampler that weighs its draws against each other, or holds such a one."""
    require_sampler(sampler)
    if isinstance(sampler, Calibrated) and not sampler.divisible:
        raise InvalidSettingError(
            "the draws of Calibrated without a factor cannot be made in pieces, for each would find a factor of its own; call "
            ".calibrate(problem) first and pass what it returns"
        )
    if not getattr(sampler, "divisible", True):
        raise InvalidSettingError(
            f"the draws of {type(sampler).__name__} cannot be made in pieces, for they depend on each other; put Distributed around the "
            "sampler inside it"
        )
    if isinstance(inner := getattr(sampler, "sampler", None), Sampler):
        _require_divisible(inner)


@contextmanager
def _without_usage_reports() -> Iterator[None]:
    """Have what is started within report nothing to Ray's makers; the environment is then as it was."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@cache
def _remote_piece() -> Any:
    return require_extra("ray", "ray").remote(_piece)


def _piece(
    sampler: Sampler, problem: Ising, count: int, seed: int, initial: Tensor | None, threads: int
) -> Draws | Exception:
    """Make one piece, in a worker, on as many threads as CPUs were asked for.

    An error is returned, not raised: Ray would wrap it, and print those of pieces that nobody waits for any more.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return sampler.draw(problem, count, seed=seed, initial=initial)
    except Exception as error:
        error.add_note(f"raised in a worker of Distributed:\n{traceback.format_exc()}")
        return error
    finally:
        torch.set_num_threads(before)


def _made(found: Draws | Exception) -> Draws:
    """Return a piece, or raise what went wrong in its worker."""
    if isinstance(found, Exception):
        raise found
    return found


def _joined(parts: Sequence[Draws]) -> Draws:
    """Return the draws of all pieces, one after the other.

    log Z stands only where all pieces agree on it, being exact: how estimates go together depends on how they were made.
    """
    first = parts[0]
    known = [part.log_partition for part in parts]
    details = [dict(part.info.details) for part in parts]
    merged = details[0] if all(each == details[0] for each in details) else {"pieces": details}
    return Draws(
        spins=torch.cat([part.spins for part in parts], -2),
        energies=torch.cat([part.energies for part in parts], -1),
        info=replace(first.info, details=merged),
        log_weights=_cat([part.log_weights for part in parts]),
        counts=_cat([part.counts for part in parts]),
        log_partition=known[0] if all(each == known[0] for each in known) else None,
    )


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.cat(found, -1) if len(found) == len(parts) else None
