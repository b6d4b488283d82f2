"""Parallel tempering: chains at many temperatures that trade places."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import integer, nonnegative_integer, nonnegative_number, positive_integer, thread_count
from spinlight._errors import InvalidSettingError
from spinlight._progress import progress_bar
from spinlight._random import Seed, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.packing import kernel_couplings, kernel_fields
from spinlight.ising.problem import require_problem
from spinlight.samplers._chains import require_beta
from spinlight.samplers.base import Sampler, draws_of, initial_spins

if TYPE_CHECKING:
    from spinlight.kernels.ladders import Ladders, Swapped
    from spinlight.kernels.run import Progress

_MOST_RUNGS = 4096

_ROUNDS = (1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the burn-in after each of which the ladder is spaced anew; the last share settles the chains on the last ladder."""


@dataclass(frozen=True, kw_only=True)
class ParallelTempering(Sampler):
    """Runs a chain on every rung of a ladder of temperatures and lets neighbours trade places.

    After each Metropolis sweep the chains on rungs beta_r < beta_{r+1} swap with probability

    min(1, exp((beta_{r+1} - beta_r) (E_{r+1} - E_r)))

    for even r and odd r in turn, so that a state found where the landscape is flat walks to the cold end and crosses barriers
    that a single chain does not. During the burn-in the rungs are moved until all swaps are equally likely.

    Draws are states of the coldest rungs, all ladders in turn: row `ladders * time + ladder`.

    Args:
        beta: inverse temperature of the coldest rung and of the draws, above 0.
        rungs: chains per ladder, 2 to 4096. Multiples of sixteen cost least.
        hottest: inverse temperature of the first rung, below beta; at 0 its chains forget everything in every sweep.
        ladders: independent ladders per problem, at least 1.
        burn_in: sweeps before the first draw, at least 0.
        every: sweeps between two draws from one ladder, at least 1.
        cluster_every: sweeps between two isoenergetic cluster moves, which exchange a cluster of spins between the chains of two
            ladders on the same rung; 0 for none. They help on sparse graphs of low dimension, where such clusters stay small.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Asymptotic: every rung has its Boltzmann law as the burn-in grows. Rows of one ladder are correlated over the time that a
        chain takes to the hot end and back, those of different ladders independent (in pairs where clusters are exchanged).
        `info.details` reports the ladder (`betas`), the mean chance of each swap (`swap_rates`) and how often a chain came from
        the hottest rung to the coldest (`trips`): without such trips the draws are no better than those of single chains.

    Raises:
        InvalidSettingError: a setting outside its domain; on drawing, cluster moves for a dense problem.

    Cost:
        ladders * rungs chains, each as costly as one of `Metropolis`, for burn_in + every * count / ladders sweeps.

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
    hottest: float = 0.0
    ladders: int = 4
    burn_in: int = 1000
    every: int = 10
    cluster_every: int = 0
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        integer("rungs", self.rungs, least=2, most=_MOST_RUNGS)
        positive_integer("ladders", self.ladders)
        nonnegative_integer("burn_in", self.burn_in)
        positive_integer("every", self.every)
        nonnegative_integer("cluster_every", self.cluster_every)
        thread_count(self.threads)
        if not nonnegative_number("hottest", self.hottest) < nonnegative_number("beta", self.beta):
            raise InvalidSettingError(
                f"the ladder rises from hottest={self.hottest} to beta={self.beta}: the first must be below the second"
            )

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` states of the coldest rungs per problem; see `Sampler.draw`.

        `initial` states are taken in turn for the ladders, and put on every rung.
        """
        started = time.perf_counter()
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        ladders = self._prepared(problem, count, resolved, initial)
        per_ladder = -(-count // self.ladders)
        sweeps = per_ladder * self.every
        with progress_bar("Parallel tempering", self.progress) as report:
            betas = self._settled(ladders, report)
            swapped = ladders.run(betas, sweeps, every=self.every, cluster_every=self.cluster_every, progress=report)
        records = torch.from_numpy(swapped.records).reshape(-1, self._even, per_ladder, problem.sites)[
            :, : self.ladders
        ]
        spins = records.transpose(1, 2).reshape(-1, per_ladder * self.ladders, problem.sites)[:, :count]
        draws = draws_of(
            self,
            problem,
            spins.reshape(*(() if problem.batch is None else (problem.batch,)), count, problem.sites).to(
                problem.device
            ),
            beta=self.beta,
            seed=resolved,
            sweeps=self.burn_in + sweeps,
            seconds=time.perf_counter() - started,
        )
        return replace(draws, info=replace(draws.info, details=_report(betas, swapped)))

    @property
    def _even(self) -> int:
        """The ladders that are run per problem: clusters are exchanged by pairs."""
        return self.ladders + (self.ladders % 2 if self.cluster_every else 0)

    def _prepared(self, problem: Ising, count: int, seed: int, initial: Tensor | None) -> Ladders:
        from spinlight.kernels.ladders import Ladders

        require_problem(problem)
        if self.cluster_every and not problem.is_sparse:
            raise InvalidSettingError(
                "cluster moves need sparse couplings: in a dense problem clusters span it, and nothing moves; use cluster_every=0"
            )
        require_beta(problem, float(self.beta))
        if initial is None:
            rows = initial_spins(problem, self._even * self.rungs, seed, None)
            start = rows.reshape(-1, self.rungs, problem.sites)
        else:
            given = initial_spins(problem, count, seed, initial)
            start = given[..., torch.arange(self._even) % count, :].reshape(-1, 1, problem.sites)
            start = start.expand(-1, self.rungs, -1)
        fields = kernel_fields(problem)
        return Ladders(
            kernel_couplings(problem),
            fields if problem.batch is None else np.repeat(fields, self._even, 0),
            start.cpu().numpy(),
            paired=self.cluster_every > 0,
            seed=seed,
            threads=thread_count(self.threads),
        )

    def _settled(self, ladders: Ladders, report: Progress | None) -> NDArray[np.float64]:
        """Run the burn-in and return the betas of the ladder it ends on."""
        betas = np.linspace(self.hottest, self.beta, self.rungs)
        for share in _ROUNDS:
            sweeps = int(share * self.burn_in)
            chances = ladders.run(betas, sweeps, cluster_every=self.cluster_every, progress=report).chances
            if share != _ROUNDS[-1] and not np.isnan(chances).any():
                betas = respaced(betas, chances)
        return betas


def respaced(betas: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rungs at which swaps are equally likely, given the chances of swaps between the present ones.

    The summed chance of a refusal is taken as piecewise linear in beta, and cut into equal steps; both ends stay.
    """
    refusals = np.concatenate([[0.0], np.cumsum(1 - chances + 1e-6)])
    return np.interp(np.linspace(0, refusals[-1], len(betas)), refusals, betas)


def _report(betas: NDArray[np.float64], swapped: Swapped) -> dict[str, Any]:
    rates = [None if np.isnan(rate) else float(rate) for rate in swapped.chances]
    return {"betas": betas.tolist(), "swap_rates": rates, "trips": int(swapped.trips.sum())}
