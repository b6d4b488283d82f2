"""log Z: exact where the states can be enumerated, from annealed chains elsewhere, with its error and its bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from spinlight._checks import bits_of, nonnegative_number, positive_integer
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Ising, LogPartition, log_partition, spins_from_bits
from spinlight.ising.partition import log_mean_weight
from spinlight.ising.problem import require_single
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Exact, Gibbs
from spinlight.training.annealing import AllUnits, Annealing, OneSide, increasing
from spinlight.training.phases import hidden_spins
from spinlight.training.smaller_side import SmallerSide


@runtime_checkable
class SupportsIsing(Protocol):
    """Anything with an Ising problem; every Boltzmann machine has one."""

    def to_ising(self) -> Ising:
        """Return the problem, offset included."""
        ...


Model = Ising | SupportsIsing


class PartitionEstimator(Protocol):
    """Anything that estimates log Z; `AnnealedImportance` is one, as are the others of this package."""

    def estimate(self, model: Any, *, seed: Seed = None) -> LogPartition:
        """Return log Z of an Ising problem or of a machine, its standard error and its bounds."""
        ...


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
            value = float(log_partition(problem_of(model), self.beta))
        return LogPartition(value, 0.0, value, value, "enumeration")


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnealedImportance:
    """log Z by annealed importance sampling, from independent units to the model.

    p_b(x) ~ p_base(x)^(1 - b) exp(-b beta E(x)),  Z / Z_base = <w>,  log w = sum_k log p_{b_{k+1}}(x_k) - log p_{b_k}(x_k)

    with p_b not normalised, and one heat-bath sweep of all units per step. Of a restricted Boltzmann machine the larger side is summed
    out exactly and chains of the smaller one walk by block Gibbs: less variance in less time. The base has only fields,
    fitted to a short pilot run so that the path starts near the model. The weights are unbiased for Z whatever the mixing; the log
    of their mean is therefore below log Z in expectation.

    Args:
        chains: independent runs; the standard error shrinks with their square root.
        steps: intermediate distributions; the spread of log w shrinks with them.
        beta: inverse temperature, at least 0.
        base_rows: visible bits to fit the base to instead of a pilot run, shape (rows, num_visible): data, where a machine has
            learned them. Some hundreds are enough.

    References:
        Neal (2001), Annealed importance sampling; Salakhutdinov & Murray (2008), On the quantitative analysis of deep belief
        networks (whose base has fields on the visible side only; ours on both); Yasuda & Takahashi (2022), Free energy evaluation
        using marginalized annealed importance sampling.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from spinlight.models import RestrictedBoltzmannMachine
        >>> machine = RestrictedBoltzmannMachine(12, 6, initial_scale=1.0)
        >>> found, exact = AnnealedImportance().estimate(machine, seed=0), ExactPartition().estimate(machine)
        >>> abs(found.value - exact.value) < 5 * found.standard_error
        True
    """

    chains: int = 256
    steps: int = 1000
    beta: float = 1.0
    base_rows: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.chains, self.steps, self.beta)
        object.__setattr__(self, "base_rows", kept_rows(self.base_rows))

    def estimate(self, model: Model, *, seed: Seed = None) -> LogPartition:
        """Return the log of the mean weight as value and lower bound.

        The standard error is the delta method's, sd(w) / (mean(w) sqrt(chains)). It is NaN, with a warning, where fewer than
        ten chains carry the mean: the spread of such weights says nothing about their mean.

        Raises:
            InvalidSettingError: a batch of problems, an impossible seed, or base rows for what has no visible units.
            InvalidStateError: base rows of another width than the model's visible units.
            InvalidProblemError: fields or couplings beyond float32, or nothing with an Ising problem.

        Warns:
            SpinlightWarning: the mean hangs on fewer than ten chains.

        Cost:
            chains * steps sweeps, and a tenth of that for the pilot run.
        """
        annealing, resolved = annealing_of(model, self.beta), resolve_seed(seed)
        annealing = with_base(annealing, model, self.base_rows, self.chains, self.steps, derive_seed(resolved, 3))
        start = annealing.draw_base(self.chains, derive_seed(resolved, 1))
        _, log_weights = annealing.walk(start, increasing(self.steps), seed=derive_seed(resolved, 2))
        ratio, error, size = log_mean_weight(log_weights, "annealed chains", "take more steps or chains")
        value, error = annealing.base_log_partition + ratio, math.hypot(error, annealing.rounding_error)
        method = f"annealed importance sampling, {self.chains} chains of {self.steps} steps, {size:.0f} effective"
        return LogPartition(value, error, value, math.inf, method)


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

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from spinlight.models import BoltzmannMachine
        >>> machine = BoltzmannMachine(8, initial_scale=1.0)
        >>> above, below = ReverseAnnealed().estimate(machine, seed=0), AnnealedImportance().estimate(machine, seed=1)
        >>> below.value - 5 * below.standard_error < above.value + 5 * above.standard_error
        True
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
        annealing, resolved = annealing_of(model, self.beta), resolve_seed(seed)
        fitting, start = annealing.part(self._exact_draws(model, derive_seed(resolved, 1))).split(self.chains)
        annealing = annealing.fitted(fitting, derive_seed(resolved, 3))
        _, log_weights = annealing.walk(start, increasing(self.steps).flip(0), seed=derive_seed(resolved, 2))
        ratio, error, size = log_mean_weight(log_weights, "annealed chains", "take more steps or chains")
        value, error = annealing.base_log_partition - ratio, math.hypot(error, annealing.rounding_error)
        method = f"reverse annealing of exact draws, {self.chains} chains of {self.steps} steps, {size:.0f} effective"
        return LogPartition(value, error, -math.inf, value, method)

    def _exact_draws(self, model: Model, seed: int) -> Tensor:
        """Return twice as many independent draws as there are chains."""
        if isinstance(model, RestrictedBoltzmannMachine):
            return SmallerSide(model, self.beta).draw(2 * self.chains, seed)
        return Exact(beta=self.beta).draw(problem_of(model), 2 * self.chains, seed=seed).spins


def annealing_of(model: Model, beta: float) -> Annealing:
    """Return the path from the uniform law to a model: of the smaller side of a restricted machine, else of all units."""
    if isinstance(model, RestrictedBoltzmannMachine):
        return OneSide.of(model, beta, visible_kept=model.num_visible <= model.num_hidden)
    problem = problem_of(model).scaled(beta)
    return AllUnits(problem, torch.zeros(problem.sites, dtype=torch.float64))


def with_base(annealing: Annealing, model: Model, rows: Tensor | None, chains: int, steps: int, seed: int) -> Annealing:
    """Return the path with its base fitted to data, hidden units being drawn, or to a pilot run of a tenth of the steps."""
    if rows is None:
        return annealing.piloted(chains, max(steps // 10, 2), seed)
    if not isinstance(model, AbstractBoltzmannMachine):
        raise InvalidSettingError(
            f"base_rows are bits of the visible units of a machine over bits; leave them out for a {type(model).__name__}"
        )
    visible = bits_of(rows, model.num_visible)
    hidden = hidden_spins(model, visible, Gibbs(sweeps=30, progress=False), derive_seed(seed, 0))
    states = torch.cat([spins_from_bits(visible).to(hidden), hidden], -1)
    return annealing.fitted(annealing.part(states), derive_seed(seed, 1))


def kept_rows(rows: object) -> Tensor | None:
    """Return rows of bits as a copy of their own, int8, or refuse them."""
    if rows is None:
        return None
    bits = bits_of(rows)
    if bits.ndim != 2 or not len(bits):
        raise InvalidStateError(f"base_rows must have shape (rows, num_visible), at least one, got {tuple(bits.shape)}")
    return bits.detach().to("cpu", torch.int8, copy=True)


def _check(chains: int, steps: int, beta: float) -> None:
    positive_integer("chains", chains)
    positive_integer("steps", steps)
    nonnegative_number("beta", beta)


def problem_of(model: Model) -> Ising:
    """Return a single Ising problem, or the one of a model."""
    if not isinstance(model, Ising | SupportsIsing):
        raise InvalidProblemError(
            f"log Z is that of an Ising problem, or of a model with to_ising(); got a {type(model).__name__}"
        )
    problem = model if isinstance(model, Ising) else model.to_ising()
    require_single(problem)
    return problem
