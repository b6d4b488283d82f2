"""log Z: exact where the states can be enumerated, from annealed chains elsewhere, with its error and its bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number, positive_integer
from spinlight._errors import InvalidProblemError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Ising, LogPartition, log_partition
from spinlight.ising.partition import log_mean_weight
from spinlight.ising.problem import require_single
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import Exact, independent_fields
from spinlight.training.annealing import (
    anneal,
    base_log_partition,
    rounding_error,
    states_of_base,
)
from spinlight.training.smaller_side import SmallerSide


@runtime_checkable
class HasIsing(Protocol):
    """Anything with an Ising problem; every Boltzmann machine has one."""

    def to_ising(self) -> Ising:
        """Return the problem, offset included."""
        ...


Model = Ising | HasIsing


@dataclass(frozen=True, kw_only=True)
class ExactPartition:
    """log Z by going through every state, or through the smaller side of a restricted Boltzmann machine.

    An RBM's other side is summed in closed form: log Z = log sum_h exp(c.h + sum_i softplus(a_i + (W h)_i)).

    Args:
        beta: inverse temperature, at least 0.

    Example:
        >>> print(ExactPartition().estimate(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])))
        1.820 +/- 0.000 (enumeration)
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        nonnegative_number("beta", self.beta)

    def estimate(self, model: Model, *, seed: Seed = None) -> LogPartition:
        """Return log Z with bounds that coincide; the seed is not used.

        Raises:
            ProblemTooLargeError: more than 28 sites, or 24 on the smaller side of an RBM.
            InvalidSettingError: a batch of problems.
            InvalidProblemError: nothing with an Ising problem.
        """
        if isinstance(model, RestrictedBoltzmannMachine):
            value = SmallerSide(model, self.beta).log_partition()
        else:
            value = float(log_partition(_problem(model), self.beta))
        return LogPartition(value, 0.0, value, value, "enumeration")


@dataclass(frozen=True, kw_only=True)
class AnnealedImportance:
    """log Z by annealed importance sampling, from independent spins to the model.

    p_b(s) ~ exp(-(1 - b) E_base(s) - b beta E(s)),  Z / Z_base = <w>,  log w = sum_k (b_{k+1} - b_k) (E_base - beta E)(s_k)

    with one heat-bath sweep per step. E_base has only fields, fitted to a short pilot run so that the path starts near the
    model. The weights are unbiased for Z whatever the mixing; the log of their mean is therefore below log Z in expectation.

    Args:
        chains: independent runs; the standard error shrinks with their square root.
        steps: intermediate distributions; the spread of log w shrinks with them.
        beta: inverse temperature, at least 0.

    References:
        Neal (2001), Annealed importance sampling; Salakhutdinov & Murray (2008), On the quantitative analysis of deep belief
        networks (whose base rates are fitted to data; ours to a pilot run, so that no data are needed).
    """

    chains: int = 256
    steps: int = 1000
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.chains, self.steps, self.beta)

    def estimate(self, model: Model, *, seed: Seed = None) -> LogPartition:
        """Return the log of the mean weight as value and lower bound.

        The standard error is the delta method's, sd(w) / (mean(w) sqrt(chains)). It is NaN, with a warning, where fewer than
        ten chains carry the mean: the spread of such weights says nothing about their mean.

        Raises:
            InvalidSettingError: a batch of problems, or an impossible seed.
            InvalidProblemError: fields or couplings beyond float32, or nothing with an Ising problem.

        Warns:
            SpinlightWarning: the mean hangs on fewer than ten chains.

        Cost:
            chains * steps sweeps, and a tenth of that for the pilot run.
        """
        problem, resolved = _problem(model).scaled(self.beta), resolve_seed(seed)
        base = self._pilot(problem, resolved)
        start = states_of_base(base, self.chains, derive_seed(resolved, 1))
        path = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        _, log_weights = anneal(problem, base, start, path, seed=derive_seed(resolved, 2))
        ratio, error, size = log_mean_weight(log_weights, "annealed chains", "take more steps or chains")
        error = math.hypot(error, rounding_error(problem))
        value = base_log_partition(base) + ratio - float(problem.offset)
        method = f"annealed importance sampling, {self.chains} chains of {self.steps} steps, {size:.0f} effective"
        return LogPartition(value, error, value, math.inf, method)

    def _pilot(self, problem: Ising, seed: int) -> Tensor:
        """Return base fields fitted to chains annealed from uniform states in a tenth of the steps."""
        uniform = torch.zeros(problem.sites, dtype=torch.float64)
        start = states_of_base(uniform, self.chains, derive_seed(seed, 3))
        path = torch.linspace(0, 1, max(self.steps // 10, 2) + 1, dtype=torch.float64)
        spins, _ = anneal(problem, uniform, start, path, seed=derive_seed(seed, 4))
        return independent_fields(problem, spins)


@dataclass(frozen=True, kw_only=True)
class ReverseAnnealed:
    """log Z by annealing exact draws of the model back to independent spins.

    Z_base / Z = <w> along the path of `AnnealedImportance` walked backwards from exact draws. The log of a mean is too low in
    expectation, so log Z_base - log <w> is an upper bound on log Z: together the two bracket it.

    Args:
        chains: independent runs.
        steps: intermediate distributions.
        beta: inverse temperature, at least 0.

    References:
        Burda, Grosse & Salakhutdinov (2015), Accurate and conservative estimates of MRF log-likelihood using reverse
        annealing; Grosse, Ghahramani & Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo.
    """

    chains: int = 256
    steps: int = 1000
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.chains, self.steps, self.beta)

    def estimate(self, model: Model, *, seed: Seed = None) -> LogPartition:
        """Return log Z_base minus the log of the mean weight as value and upper bound.

        The standard error is that of `AnnealedImportance`. The base is fitted to draws other than those that are annealed.

        Raises:
            ProblemTooLargeError: the model cannot be drawn from exactly: more than 24 sites, or 20 on the smaller side of an RBM.
            InvalidSettingError: a batch of problems, or an impossible seed.
            InvalidProblemError: fields or couplings beyond float32, or nothing with an Ising problem.

        Warns:
            SpinlightWarning: the mean hangs on fewer than ten chains.
        """
        problem, resolved = _problem(model).scaled(self.beta), resolve_seed(seed)
        fitting, start = self._exact_draws(model, problem, derive_seed(resolved, 1)).split(self.chains)
        base = independent_fields(problem, fitting)
        path = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        _, log_weights = anneal(problem, base, start, path, seed=derive_seed(resolved, 2))
        ratio, error, size = log_mean_weight(log_weights, "annealed chains", "take more steps or chains")
        error = math.hypot(error, rounding_error(problem))
        value = base_log_partition(base) - ratio - float(problem.offset)
        method = f"reverse annealing of exact draws, {self.chains} chains of {self.steps} steps, {size:.0f} effective"
        return LogPartition(value, error, -math.inf, value, method)

    def _exact_draws(self, model: Model, problem: Ising, seed: int) -> Tensor:
        """Return twice as many independent draws as there are chains."""
        if isinstance(model, RestrictedBoltzmannMachine):
            return SmallerSide(model, self.beta).draw(2 * self.chains, seed)
        return Exact().draw(problem, 2 * self.chains, seed=seed).spins


def _check(chains: int, steps: int, beta: float) -> None:
    positive_integer("chains", chains)
    positive_integer("steps", steps)
    nonnegative_number("beta", beta)


def _problem(model: Model) -> Ising:
    if not isinstance(model, Ising | HasIsing):
        raise InvalidProblemError(
            f"log Z is that of an Ising problem, or of a model with to_ising(); got a {type(model).__name__}"
        )
    problem = model if isinstance(model, Ising) else model.to_ising()
    require_single(problem)
    return problem
