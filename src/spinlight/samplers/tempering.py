"""Parallel tempering: chains at many temperatures that trade places."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spinlight._checks import (
    fraction,
    integer,
    nonnegative_integer,
    positive_integer,
    positive_number,
    spins_of,
    thread_count,
)
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight._progress import progress_bar
from spinlight._random import Seed, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.arrays import real_tensor
from spinlight.ising.packing import kernel_couplings, kernel_fields
from spinlight.ising.problem import require_problem, require_single
from spinlight.samplers._chains import require_beta
from spinlight.samplers.base import Sampler, draws_of, initial_spins

if TYPE_CHECKING:
    from spinlight.kernels.ladders import Ladders, Swapped
    from spinlight.kernels.run import Progress

_MOST_RUNGS = 4096

_LARGEST_REFERENCE = 100.0
"""Spins in stronger fields than this never turn, at any rung; the kernels divide such fields by 1e-36."""

_ROUNDS = (1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the burn-in after each of which the ladder is spaced anew; the last share settles the chains on the last ladder."""


_RESPACED = 100
"""Sweeps after which rungs of ladders that are walked on are spaced anew."""


@dataclass(frozen=True, kw_only=True)
class ParallelTempering(Sampler):
    """Runs a chain on every rung of a ladder of laws, from easy to wanted, and lets neighbours trade places.

    p_b(s) ~ exp(-b beta E(s) + (1 - b) sum_i g_i s_i),  first = b_1 < ... < b_rungs = 1

    After each Metropolis sweep the chains on neighbouring rungs swap with probability

    min(1, exp((b_{r+1} - b_r) (G_{r+1} - G_r))),  G = beta E + sum_i g_i s_i

    for even r and odd r in turn, so that a state found where the landscape is flat walks to the cold end and crosses barriers
    that a single chain does not. During the burn-in the rungs are moved until all swaps are equally likely.

    Draws are states of the coldest rungs, all ladders in turn: row `ladders * time + ladder`.

    Args:
        beta: inverse temperature of the coldest rung and of the draws, above 0.
        rungs: chains per ladder, 2 to 4096. Multiples of sixteen cost least.
        first: b of the first rung, in [0, 1); at 0 its spins are independent and forget everything in every sweep.
        reference: g, fields of those independent spins, shape (sites,). None for zeros: plain temperatures, b beta. Where typical
            states are far from uniform, as those of a machine trained on images, fields fitted to the data
            (`independent_fields`) spare the ladder a phase transition on which chains would turn back.
        ladders: independent ladders per problem, at least 1.
        burn_in: sweeps before the first draw, at least 0.
        sweeps_between: sweeps from one draw of a ladder to the next, at least 1.
        cluster_every: sweeps between two isoenergetic cluster moves, which exchange a cluster of spins between the chains of two
            ladders on the same rung; 0 for none. They help on sparse graphs of low dimension, where such clusters stay small.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Asymptotic: every rung has its Boltzmann law as the burn-in grows. Rows of one ladder are correlated over the time that a
        chain takes to the hot end and back, those of different ladders independent (in pairs where clusters are exchanged).
        `info.details` reports the ladder (`rungs`, values of b), the mean chance of each swap (`swap_rates`) and how often a chain
        came from the first rung to the last (`trips`): without such trips the draws are no better than those of single chains.

    Raises:
        InvalidSettingError: a setting outside its domain; on drawing, cluster moves for a dense problem.

    Cost:
        ladders * rungs chains, each as costly as one of `Metropolis`, for burn_in + sweeps_between * count / ladders sweeps.

    References:
        Hukushima & Nemoto, J. Phys. Soc. Jpn. 65 (1996) 1604; Zhu, Ochoa & Katzgraber, Phys. Rev. Lett. 115 (2015) 077201
        (clusters); Syed, Bouchard-Cote, Deligiannidis & Doucet, J. R. Stat. Soc. B 84 (2022) 321 (even and odd rungs in turn,
        rungs at equal steps of the summed chance of a refusal).

    Example:
        >>> problem = Ising([0.0, 0.0], [[0.0, 4.0], [4.0, 0.0]])  # two wells, which a single chain hardly leaves
        >>> draws = ParallelTempering(rungs=4).draw(problem, 4000, seed=0)
        >>> bool(abs(draws.expectation(lambda s: s[..., 0])) < 0.1)
        True
    """

    law: ClassVar[Law] = "asymptotic"

    beta: float = 1.0
    rungs: int = 16
    first: float = 0.0
    reference: Sequence[float] | Tensor | None = None
    ladders: int = 4
    burn_in: int = 1000
    sweeps_between: int = 10
    cluster_every: int = 0
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        integer("rungs", self.rungs, least=2, most=_MOST_RUNGS)
        positive_integer("ladders", self.ladders)
        nonnegative_integer("burn_in", self.burn_in)
        positive_integer("sweeps_between", self.sweeps_between)
        nonnegative_integer("cluster_every", self.cluster_every)
        thread_count(self.threads)
        positive_number("beta", self.beta)
        fraction("first", self.first)
        if self.reference is not None:
            object.__setattr__(self, "reference", _fields(self.reference))

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` states of the last rungs per problem; see `Sampler.draw`.

        `initial` states are taken in turn for the ladders, and put on every rung.
        """
        started = time.perf_counter()
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        with progress_bar("Parallel tempering", self.progress) as report:
            run = LadderRun(self, problem, resolved, self._start(problem, count, resolved, initial))
            run.settle(self.burn_in, report)
            per_ladder = -(-count // self.ladders)
            spins = run.draw(per_ladder, report)[..., :count, :]
        return run.draws_of(spins, self.burn_in + per_ladder * self.sweeps_between, time.perf_counter() - started)

    def init(self, problem: Ising, ladders: int, *, seed: Seed = None) -> LadderState:
        """Return ladders that `step` walks, at random states on evenly spaced rungs; the sampler's own `ladders` are not used.

        Raises:
            InvalidSettingError: a batch of problems, an odd number of ladders where clusters are exchanged, or as `draw`.
        """
        ladders, resolved = positive_integer("ladders", ladders), resolve_seed(seed)
        require_single(problem)
        _require_fit(self, problem)
        if self.cluster_every and ladders % 2:
            raise InvalidSettingError(
                f"clusters are exchanged between two ladders: their number must be even, got {ladders}"
            )
        spins = initial_spins(problem, ladders * self.rungs, resolved, None).reshape(ladders, self.rungs, -1)
        rungs = torch.linspace(self.first, 1, self.rungs, dtype=torch.float64)
        return LadderState(spins.cpu(), rungs, torch.zeros(2, self.rungs - 1, dtype=torch.float64), resolved)

    def step(self, problem: Ising, state: LadderState, sweeps: int) -> LadderState:
        """Return the ladders after `sweeps` more sweeps of every chain, each with its swaps; `state` itself is left as it is.

        Every hundred sweeps the rungs are spaced anew by the swaps of the last hundred, for as long as the ladders are walked: they
        follow a problem that changes, as in training.

        Args:
            problem: the one that the ladders walk on; it may have changed since, but not in shape.
            state: from `init` or an earlier `step`.
            sweeps: at least 0.

        Raises:
            InvalidStateError: a state that does not fit the problem or the rungs of this sampler.
        """
        require_single(problem)
        _require_fit(self, problem)
        if state.spins.shape[1:] != (self.rungs, problem.sites):
            raise InvalidStateError(
                f"the ladders have {state.spins.shape[1]} rungs of {state.spins.shape[2]} sites, and this sampler and problem "
                f"{self.rungs} of {problem.sites}; begin anew with init"
            )
        last = state.sweeps + nonnegative_integer("sweeps", sweeps)
        ladders = _ladders(self, problem, state.seed, state.spins, first_sweep=state.sweeps)
        swapped = ladders.run(state.rungs.numpy(), sweeps, cluster_every=self.cluster_every)
        swaps = state.swaps.numpy() + np.stack([np.nan_to_num(swapped.chances) * swapped.tries, swapped.tries])
        rungs = state.rungs.numpy()
        if last // _RESPACED > state.sweeps // _RESPACED and swaps[1].all():
            rungs, swaps = respaced(rungs, swaps[0] / swaps[1]), np.zeros_like(swaps)
        spins, kept, spaced = (torch.from_numpy(part) for part in (ladders.states(), swaps, rungs))
        return LadderState(spins, spaced, kept, state.seed, last)

    @property
    def even_ladders(self) -> int:
        """The ladders that are run per problem: clusters are exchanged by pairs."""
        return self.ladders + (self.ladders % 2 if self.cluster_every else 0)

    def _start(self, problem: Ising, count: int, seed: int, initial: Tensor | None) -> Tensor | None:
        """Return the first state of every ladder, shape (..., ladders, sites), or None for random ones."""
        given = initial_spins(problem, count, seed, initial)
        return None if initial is None else given[..., torch.arange(self.even_ladders) % count, :]


@dataclass(frozen=True, eq=False)
class LadderState:
    """The whole state of ladders that go on from call to call: with the same problem and sampler they go on as they would have.

    Args:
        spins: -1/+1, int8, shape (ladders, rungs, sites); those of the last rung are draws.
        rungs: values of b, float64, shape (rungs,).
        swaps: since the rungs were last spaced, the summed chances of swaps between each rung and the next, and the number of sweeps
            that tried them; float64, shape (2, rungs - 1).
        seed: names the random streams.
        sweeps: sweeps done so far.
    """

    spins: Tensor
    rungs: Tensor
    swaps: Tensor
    seed: int
    sweeps: int = 0

    @property
    def bits(self) -> Tensor:
        """The draws, one row per ladder, as bits (1 + s) / 2, int8."""
        return (self.spins[:, -1] + 1) // 2


@dataclass(frozen=True, eq=False)
class LadderEnergies:
    """What ladders say of the laws p_b(s) ~ exp(-b G(s) + sum_i g_i s_i) on their rungs, G = beta E + sum_i g_i s_i without E's offset.

    Args:
        rungs: values of b, (rungs,).
        gaps: G of the state on every rung, one record after the other, (ladders, records, rungs).
        trips: how often a chain came from the first rung to the last.
    """

    rungs: NDArray[np.float64]
    gaps: NDArray[np.float64]
    trips: int


class LadderRun:
    """The ladders of a `ParallelTempering` at work on a problem: they settle, and then give draws for as long as wanted.

    Args:
        sampler: its settings.
        problem: one, or a batch.
        seed: names the random streams.
        start: the first state of every ladder, shape (..., ladders, sites), or None for random ones on every rung.
    """

    def __init__(self, sampler: ParallelTempering, problem: Ising, seed: int, start: Tensor | None = None) -> None:
        _require_fit(sampler, problem)
        self._sampler, self._problem, self._seed = sampler, problem, seed
        self._rungs = np.linspace(sampler.first, 1.0, sampler.rungs)
        self._ladders = _ladders(sampler, problem, seed, _on_rungs(sampler, problem, seed, start))
        self._last: Swapped | None = None

    def settle(self, sweeps: int, report: Progress | None = None) -> None:
        """Sweep, and space the rungs anew on the way until all swaps are equally likely."""
        for share in _ROUNDS:
            chances = self._run(int(share * sweeps), 0, report).chances
            if share != _ROUNDS[-1] and not np.isnan(chances).any():
                self._rungs = respaced(self._rungs, chances)

    def draw(self, per_ladder: int, report: Progress | None = None) -> Tensor:
        """Return states of the last rungs, int8, shape (per_ladder * ladders, sites) or (batch, ...), the ladders in turn."""
        swapped = self._last = self._run(
            per_ladder * self._sampler.sweeps_between, self._sampler.sweeps_between, report
        )
        sites, ladders = self._problem.sites, self._sampler.ladders
        records = torch.from_numpy(swapped.records).reshape(-1, self._sampler.even_ladders, per_ladder, sites)
        spins = records[:, :ladders].transpose(1, 2).reshape(-1, per_ladder * ladders, sites)
        return spins[0] if self._problem.batch is None else spins

    def energies(self, per_ladder: int, report: Progress | None = None) -> LadderEnergies:
        """Return what all rungs show at `per_ladder` times, of a single problem."""
        swapped = self._last = self._run(
            per_ladder * self._sampler.sweeps_between, self._sampler.sweeps_between, report
        )
        return LadderEnergies(self._rungs, swapped.gaps.astype(np.float64), int(swapped.trips.sum()))

    def draws_of(self, spins: Tensor, sweeps: int, seconds: float) -> Draws:
        """Return states as draws that report on the ladder."""
        states, beta = spins.to(self._problem.device), self._sampler.beta
        draws = draws_of(
            self._sampler, self._problem, states, beta=beta, seed=self._seed, sweeps=sweeps, seconds=seconds
        )
        rates = [] if self._last is None else [None if np.isnan(c) else float(c) for c in self._last.chances]
        trips = 0 if self._last is None else int(self._last.trips.sum())
        details = {"rungs": self._rungs.tolist(), "swap_rates": rates, "trips": trips}
        return replace(draws, info=replace(draws.info, details=details))

    def _run(self, sweeps: int, every: int, report: Progress | None) -> Swapped:
        settings = {"every": every, "cluster_every": self._sampler.cluster_every}
        return self._ladders.run(self._rungs, sweeps, progress=report, **settings)


def _require_fit(sampler: ParallelTempering, problem: Ising) -> None:
    require_problem(problem)
    if sampler.cluster_every and not problem.is_sparse:
        raise InvalidSettingError(
            "cluster moves need sparse couplings: in a dense problem clusters span it, and nothing moves; use cluster_every=0"
        )
    if sampler.reference is not None and len(sampler.reference) != problem.sites:
        raise InvalidSettingError(
            f"reference must have one field per site, shape ({problem.sites},), got {len(sampler.reference)} fields"
        )
    require_beta(problem, float(sampler.beta))


def _on_rungs(sampler: ParallelTempering, problem: Ising, seed: int, start: Tensor | None) -> Tensor:
    """Return a state for every rung of every ladder, shape (ladders, rungs, sites): `start` of each ladder, or random ones."""
    if start is None:
        spins = initial_spins(problem, sampler.even_ladders * sampler.rungs, seed, None)
        return spins.reshape(-1, sampler.rungs, problem.sites)
    return start.reshape(-1, 1, problem.sites).expand(-1, sampler.rungs, -1)


def _ladders(sampler: ParallelTempering, problem: Ising, seed: int, spins: Tensor, first_sweep: int = 0) -> Ladders:
    """Return the ladders of every problem as the kernels have them."""
    from spinlight.kernels.ladders import Ladders

    scaled = problem.scaled(sampler.beta)
    fields = kernel_fields(scaled)
    return Ladders(
        kernel_couplings(scaled),
        fields if problem.batch is None else np.repeat(fields, sampler.even_ladders, 0),
        spins.cpu().numpy(),
        None if sampler.reference is None else np.asarray(sampler.reference, np.float32),
        paired=sampler.cluster_every > 0,
        seed=seed,
        threads=thread_count(sampler.threads),
        first_sweep=first_sweep,
    )


def respaced(rungs: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rungs at which swaps are equally likely, given the chances of swaps between the present ones.

    The summed chance of a refusal is taken as piecewise linear in b, and cut into equal steps; both ends stay.
    """
    refusals = np.concatenate([[0.0], np.cumsum(1 - chances + 1e-6)])
    return np.interp(np.linspace(0, refusals[-1], len(rungs)), refusals, rungs)


def independent_fields(problem: Ising, spins: Tensor) -> Tensor:
    """Return the fields of independent spins whose means are the mean conditional ones of some states.

    g_i = log(<sigmoid(2 f_i)> / <sigmoid(-2 f_i)>) / 2 with local fields f_i: less noisy than from the spins' own means, never
    infinite, and equal to h for a problem without couplings.

    Args:
        problem: a single problem, its beta multiplied in: `problem.scaled(beta)`.
        spins: -1/+1, shape (states, sites).

    Returns:
        float64, shape (sites,), rounded to float32, in which the kernels work.

    Raises:
        InvalidStateError: spins of another shape.
        InvalidSettingError: a batch of problems.
    """
    require_single(require_problem(problem))
    states = spins_of(spins, problem.sites)
    if states.ndim != 2 or not len(states):
        raise InvalidStateError(f"spins must have shape (states, {problem.sites}), got {tuple(states.shape)}")
    local = 2 * problem.local_fields(states.to(problem.device)).cpu()
    up, down = (torch.logsumexp(functional.logsigmoid(sign * local), 0) for sign in (1, -1))
    return (0.5 * (up - down)).to(torch.float32).to(torch.float64)


def _fields(values: object) -> tuple[float, ...]:
    """Return a reference as plain numbers: settings can be compared, and do not change with a tensor elsewhere."""
    try:
        fields = real_tensor("reference", values)
    except InvalidProblemError as error:
        raise InvalidSettingError(str(error)) from error
    if fields.ndim != 1 or not bool((fields.abs() <= _LARGEST_REFERENCE).all()):
        raise InvalidSettingError(
            f"reference must be a vector of fields of at most {_LARGEST_REFERENCE:g}, got shape {tuple(fields.shape)}"
        )
    return tuple(fields.tolist())
