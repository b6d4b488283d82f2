"""Population annealing: many chains cooled together, the unlikely ones replaced by copies of the likely ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import fraction, integer, nonnegative_integer, positive_integer, positive_number, thread_count
from spinlight._errors import InvalidSettingError
from spinlight._progress import progress_bar
from spinlight._random import Seed, derive_seed, positions_of, resolve_seed, uniform
from spinlight.ising import Draws, Ising, Law, LogPartition
from spinlight.ising.partition import log_mean_weight
from spinlight.ising.problem import require_problem
from spinlight.samplers._chains import require_beta, sweep
from spinlight.samplers.base import Sampler, draws_of, initial_spins

_MOST_STEPS = 100_000


@dataclass(frozen=True, kw_only=True)
class PopulationAnnealing(Sampler):
    """Cools populations of chains from beta = 0 in small steps, and draws each population anew at every step.

    w_i = exp(-(beta' - beta) E_i),  n_i copies of chain i with mean w_i / <w>,  then Metropolis sweeps at beta'
    Z(beta) = 2^sites prod_steps <w>

    The steps are chosen beforehand, by a smaller population, such that the weights of a step leave a given share of the
    population effective. With steps that are fixed, each population's Z is unbiased whatever the mixing; several independent
    populations give its error.

    Args:
        beta: inverse temperature at the end, above 0.
        populations: independent ones, at least 16.
        members: chains of each, at least 2; more where `count` asks for more draws than there are chains.
        sweeps: at every step, at least 0.
        effective_share: (sum w)^2 / (members sum w^2), what part of a population its weights leave effective at every step, in
            (0, 1); nearer to 1 means smaller steps.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Asymptotic in members, sweeps and steps. Rows of one population are related: `info.details` reports how many `families`
        of chains with one ancestor are left, how many count (`effective_families`, the squared sum of their sizes over the sum of
        their squares) and the `steps`. Hundreds of effective families are a good sign, tens a bad one.

    Raises:
        InvalidSettingError: a setting outside its domain; on drawing, a landscape too rough for any number of steps.

    Warns:
        SpinlightWarning: log Z hangs on fewer than ten populations.

    Cost:
        populations * members chains for steps * sweeps sweeps, and a quarter of that to choose the steps.

    References:
        Hukushima & Iba, AIP Conf. Proc. 690 (2003) 200; Machta, Phys. Rev. E 82 (2010) 026704 (log Z, weighted averages of
        independent populations); Wang, Machta & Katzgraber, Phys. Rev. E 92 (2015) 063307 (families).

    Example:
        >>> problem = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> known = PopulationAnnealing().draw(problem, 100, seed=0).log_partition  # log(4 cosh 1) = 1.8201
        >>> abs(known.value - 1.8201) < 3 * known.standard_error < 0.05
        True
    """

    law: ClassVar[Law] = "asymptotic"
    divisible: ClassVar[bool] = False
    runs_on_gpu: ClassVar[bool] = True

    beta: float = 1.0
    populations: int = 32
    members: int = 64
    sweeps: int = 10
    effective_share: float = 0.9
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_number("beta", self.beta)
        integer("populations", self.populations, least=16, most=2**20)
        integer("members", self.members, least=2, most=2**24)
        nonnegative_integer("sweeps", self.sweeps)
        if fraction("effective_share", self.effective_share) == 0:
            raise InvalidSettingError("effective_share must lie in (0, 1), got 0")
        thread_count(self.threads)

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` members of the populations per problem, each population in proportion to its Z; see `Sampler.draw`.

        `initial` states are checked and forgotten: at beta = 0, where chains begin, all states are equally likely. A single
        problem's draws have `log_partition`, a lower bound in expectation.
        """
        started = time.perf_counter()
        resolved, count = resolve_seed(seed), positive_integer("count", count)
        members = max(self.members, -(-count // self.populations))
        if initial is not None:
            initial_spins(problem, count, resolved, initial)
        require_beta(require_problem(problem), float(self.beta))
        with progress_bar("Population annealing", self.progress) as report:

            def tell(before: float, share: float, beta: float) -> None:
                if report:
                    report(int(1000 * (before + share * beta / self.beta)), 1000)

            pilot = _Cooling(self, problem, max(2, members // 4), derive_seed(resolved, 1))
            steps = pilot.cool(None, partial(tell, 0.0, 0.2))
            cooling = _Cooling(self, problem, members, resolved)
            cooling.cool(steps, partial(tell, 0.2, 0.8))
        draws = draws_of(
            self,
            problem,
            cooling.chosen(count, derive_seed(resolved, 2)),
            beta=self.beta,
            seed=resolved,
            sweeps=len(steps) * self.sweeps,
            seconds=time.perf_counter() - started,
        )
        info = replace(draws.info, details=cooling.families() | {"steps": len(steps)})
        return replace(draws, info=info, log_partition=cooling.log_partition() if problem.batch is None else None)


class _Cooling:
    """Populations on their way from beta = 0; everything has shape (batch, populations, members, ...), batch 1 for one problem."""

    def __init__(self, sampler: PopulationAnnealing, problem: Ising, members: int, seed: int) -> None:
        self._sampler, self._problem, self._seed = sampler, problem, seed
        self._shape = (problem.batch or 1, sampler.populations, members)
        spins = initial_spins(problem, sampler.populations * members, seed, None)
        self._spins = spins.reshape(*self._shape, problem.sites)
        self._ancestors = torch.arange(members).expand(self._shape)
        self._log_z = torch.full(self._shape[:2], problem.sites * math.log(2), dtype=torch.float64)
        self._steps, self._beta = 0, 0.0

    def cool(self, steps: list[float] | None, tell: Callable[[float], None]) -> list[float]:
        """Go to the sampler's beta by these steps, or by such as leave the wanted share effective; return the steps gone."""
        gone: list[float] = []
        while self._beta < self._sampler.beta:
            energies = self._energies()
            gone.append(self._next(energies) if steps is None else steps[len(gone)])
            if len(gone) > _MOST_STEPS:
                raise InvalidSettingError(
                    f"after {_MOST_STEPS} steps beta is {self._beta:.3g} of {self._sampler.beta:.3g}: scale the problem down, or "
                    "lower effective_share"
                )
            self._resample(-(gone[-1] - self._beta) * energies)
            self._beta = gone[-1]
            self._sweep()
            tell(self._beta)
        return gone

    def _energies(self) -> Tensor:
        return self._problem.energy(self._flat()).cpu().reshape(self._shape)

    def _flat(self) -> Tensor:
        """Return the chains as samplers have them, (chains, sites) or (batch, chains, sites)."""
        flat = self._spins.reshape(self._shape[0], -1, self._problem.sites)
        return flat[0] if self._problem.batch is None else flat

    def _next(self, energies: Tensor) -> float:
        """Return the beta at which the weights, of every problem, leave the wanted share of the chains effective."""
        pooled = energies.flatten(1)

        def effective(beta: float) -> float:
            logs = -(beta - self._beta) * pooled
            share = 2 * torch.logsumexp(logs, 1) - torch.logsumexp(2 * logs, 1) - math.log(pooled.shape[1])
            return float(share.exp().min())

        if effective(self._sampler.beta) >= self._sampler.effective_share:
            return self._sampler.beta
        low, high = self._beta, self._sampler.beta
        for _ in range(60):
            if high - low <= 1e-3 * (high - self._beta):
                break
            middle = 0.5 * (low + high)
            low, high = (middle, high) if effective(middle) >= self._sampler.effective_share else (low, middle)
        return high

    def _resample(self, log_weights: Tensor) -> None:
        """Draw every population anew, systematically: the copies of a chain are its share rounded up or down."""
        batch, populations, members = self._shape
        peak = log_weights.amax(-1, keepdim=True)
        weights = (log_weights - peak).exp()
        self._log_z = self._log_z + weights.mean(-1).log() + peak[..., 0]
        offset = uniform(derive_seed(self._seed, 10 + self._steps), batch, populations, 1)
        chosen = positions_of(weights, (torch.arange(members) + offset) / members)
        self._ancestors = self._ancestors.gather(-1, chosen)
        wide = chosen.unsqueeze(-1).expand(*self._shape, self._problem.sites).to(self._spins.device)
        self._spins = self._spins.gather(-2, wide)

    def _sweep(self) -> None:
        swept = sweep(
            self._problem,
            self._flat(),
            np.full(self._sampler.sweeps, self._beta),
            heat_bath=False,
            seed=self._seed,
            first_sweep=self._steps * self._sampler.sweeps,
            threads=self._sampler.threads,
            progress=False,
            title="",
        )
        self._spins = swept.reshape(*self._shape, self._problem.sites)
        self._steps += 1

    def chosen(self, count: int, seed: int) -> Tensor:
        """Return `count` chains of each problem, systematically in proportion to their population's Z."""
        batch = self._shape[0]
        shares = torch.softmax(self._log_z, 1).unsqueeze(-1).expand(self._shape).reshape(batch, -1)
        chosen = positions_of(shares, (torch.arange(count) + uniform(seed, batch, 1)) / count)
        flat = self._spins.reshape(batch, -1, self._problem.sites)
        picked = flat.gather(1, chosen.unsqueeze(-1).expand(-1, -1, self._problem.sites).to(flat.device))
        return picked[0] if self._problem.batch is None else picked

    def families(self) -> dict[str, Any]:
        """Return how many families there are, and how many of them count: the fewest of any problem."""
        batch = self._shape[0]
        sizes = torch.zeros(self._shape, dtype=torch.float64)
        sizes.scatter_add_(-1, self._ancestors, torch.ones(self._shape, dtype=torch.float64))
        sizes = sizes.reshape(batch, -1)
        effective = sizes.sum(1).square() / sizes.square().sum(1)
        return {"families": int((sizes > 0).sum(1).min()), "effective_families": float(effective.min())}

    def log_partition(self) -> LogPartition:
        """Return log Z of a single problem: the mean of its populations' Z, a lower bound in expectation."""
        _, populations, members = self._shape
        value, error, _ = log_mean_weight(self._log_z[0], "populations", "take more members or sweeps")
        method = f"population annealing, {populations} populations of {members}"
        return LogPartition(value, error, value, math.inf, method)
