"""Paths of annealing: from independent units to a model, the chains that walk along them, and their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from spinlight._checks import thread_count
from spinlight._errors import InvalidProblemError
from spinlight._progress import progress_bar
from spinlight._random import bernoulli, derive_seed, positions_of, uniform
from spinlight.ising import Ising
from spinlight.ising.packing import LARGEST_FIELD, kernel_couplings, kernel_fields
from spinlight.ising.partition import FEWEST_EFFECTIVE
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import independent_fields
from spinlight.training.flattening import flattening_power

_EFFECTIVE_SHARE = 1 / 8
"""Part of a pilot run that its weights, tempered, leave effective. Most chains may end where Z is not: with plain averages a
machine of 784 by 500 units came out 17 nats too low."""

_EVENLY = 1 / 4
"""Part of a base that is fitted to all pilot chains alike. Weights alone can pick one of two wells, and a base that leaves the other
out makes estimates too low with errors that do not show it (seen on 9 spins)."""


class Annealing(ABC):
    """A path of laws from independent units, the base, at b = 0 to a model at b = 1, and how chains walk along it."""

    @property
    @abstractmethod
    def base_log_partition(self) -> float:
        """The log of Z at b = 0, in which whatever is the same along the whole path counts too."""

    @property
    @abstractmethod
    def rounding_error(self) -> float:
        """A bound on what float32 arithmetic adds to log weights: 2^-24 of the largest energy."""

    @abstractmethod
    def draw_base(self, chains: int, seed: int) -> Tensor:
        """Return independent states at b = 0."""

    @abstractmethod
    def walk(self, states: Tensor, path: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
        """Walk chains along the path: at each step they are weighed, then moved at its end; the last are not moved.

        Args:
            states: drawn at path[0].
            path: values of b, float64, shape (steps + 1,).
            seed: names the random streams.

        Returns:
            The chains at the end, and log weights, float64, shape (chains,), whose exponentials average to
            Z(path[-1]) / Z(path[0]).
        """

    @abstractmethod
    def part(self, spins: Tensor) -> Tensor:
        """Return what the chains of this path keep of states of all units."""

    @abstractmethod
    def fitted(self, states: Tensor, seed: int) -> Self:
        """Return the path from the independent units whose means are the mean conditional ones of some states."""

    def piloted(self, chains: int, steps: int, seed: int) -> Self:
        """Return the path from a base fitted to a run along this one, in which chains with large weights count more."""
        start = self.draw_base(chains, derive_seed(seed, 0))
        states, log_weights = self.walk(start, increasing(steps), seed=derive_seed(seed, 1))
        return self.fitted(resampled(states, log_weights, derive_seed(seed, 2)), derive_seed(seed, 3))


def resampled(states: Tensor, log_weights: Tensor, seed: int) -> Tensor:
    """Return as many of the states, a quarter of them taken evenly and the rest by their tempered weights."""
    chains = len(states)
    weights = tempered(log_weights, max(_EFFECTIVE_SHARE, min(1.0, FEWEST_EFFECTIVE / chains)))
    targets = (torch.arange(chains) + uniform(seed, 1)) / chains
    return states[positions_of((1 - _EVENLY) * weights + _EVENLY / chains, targets)]


def increasing(steps: int) -> Tensor:
    """Return b from 0 to 1 in equal steps, float64, shape (steps + 1,)."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def tempered(log_weights: Tensor, share: float) -> Tensor:
    """Return weights w^t, normalised, with the largest t in [0, 1] that leaves a share of them effective, (sum w)^2 / sum w^2."""
    power = flattening_power(torch.zeros_like(log_weights), log_weights, share * len(log_weights))
    return torch.softmax(power * log_weights, 0)


@dataclass(frozen=True, eq=False)
class AllUnits(Annealing):
    """p_b(s) ~ exp((1 - b) base.s - b E(s)), one heat-bath sweep of all spins, first to last, per step.

    Args:
        problem: E, the wanted inverse temperature multiplied in.
        base: fields at b = 0, float64, shape (sites,).
    """

    problem: Ising
    base: Tensor

    @property
    def base_log_partition(self) -> float:
        """The sum of log(2 cosh base_i), less the offset of E, which the weights leave out."""
        return float(torch.logaddexp(self.base, -self.base).sum() - self.problem.offset)

    @property
    def rounding_error(self) -> float:
        """2^-24 of sum |h| + sum |J|."""
        problem = self.problem
        weights = problem.couplings.values() if problem.is_sparse else problem.couplings
        return 2.0**-24 * float(problem.fields.abs().sum() + weights.abs().sum() / 2)

    def draw_base(self, chains: int, seed: int) -> Tensor:
        """Return spins, p(s_i = +1) = sigmoid(2 base_i), int8, shape (chains, sites)."""
        up = uniform(seed, chains, len(self.base)) < torch.sigmoid(2 * self.base)
        return 2 * up.to(torch.int8) - 1

    def walk(self, states: Tensor, path: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
        """Walk on the kernels; see `Annealing.walk`."""
        from spinlight.kernels import run

        with progress_bar("Annealed importance sampling") as report:
            end, log_weights = run.annealed_weights(
                kernel_couplings(self.problem),
                kernel_fields(self.problem),
                self.base.to("cpu", torch.float32).numpy(),
                states.to("cpu", torch.int8).numpy(),
                path.numpy(),
                seed=seed,
                threads=thread_count(None),
                progress=report,
            )
        return torch.from_numpy(end), torch.from_numpy(log_weights)

    def part(self, spins: Tensor) -> Tensor:
        """Return all of it."""
        return spins

    def fitted(self, states: Tensor, seed: int) -> Self:
        """Return the path from the independent spins that `independent_fields` finds."""
        return replace(self, base=independent_fields(self.problem, states))


@dataclass(frozen=True, eq=False)
class OneSide(Annealing):
    """One side x of a restricted machine, the other summed out, by block Gibbs.

    p_b(x) ~ exp(f_b.x) prod_j (1 + exp(g_b + b x W)_j),  f_b = (1 - b) f_0 + b f,  g_b = (1 - b) g_0 + b g

    The base f_0, g_0 has fields on both sides: without those of the side that is summed out (g_0 = 0, or g_0 = g) the path from the
    same f_0 ended 1 to 28 nats lower on two machines of 784 by 500 units.

    Args:
        weight: W, shape (kept, summed), the wanted inverse temperature multiplied in.
        kept: f, shape (kept,).
        summed: g, shape (summed,).
        visible_kept: whether x is the visible side.
        base: f_0 and g_0.
    """

    weight: Tensor
    kept: Tensor
    summed: Tensor
    visible_kept: bool
    base: tuple[Tensor, Tensor]

    @staticmethod
    def of(machine: RestrictedBoltzmannMachine, beta: float, visible_kept: bool) -> OneSide:
        """Return the path from the uniform law.

        Raises:
            InvalidProblemError: parameters that are NaN or infinite, or too large for float32.
        """
        sides = machine.visible_bias, machine.hidden_bias
        parts = (machine.weight, *sides) if visible_kept else (machine.weight.T, *reversed(sides))
        weight, kept, summed = (beta * part.detach().to("cpu", torch.float64) for part in parts)
        _require_float32(weight, kept, summed)
        return OneSide(weight, kept, summed, visible_kept, (torch.zeros_like(kept), torch.zeros_like(summed)))

    @property
    def base_log_partition(self) -> float:
        """The sum of softplus over f_0 and g_0."""
        return sum(float(functional.softplus(part).sum()) for part in self.base)

    @property
    def rounding_error(self) -> float:
        """2^-24 of sum |f| + sum |g| + sum |W|."""
        return 2.0**-24 * float(sum(part.abs().sum() for part in (self.weight, self.kept, self.summed)))

    def draw_base(self, chains: int, seed: int) -> Tensor:
        """Return bits, p(x_i = 1) = sigmoid(f_0)_i, int8, shape (chains, kept)."""
        return bernoulli(torch.sigmoid(self.base[0]).expand(chains, -1), seed).to(torch.int8)

    def walk(self, states: Tensor, path: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
        """Walk on the kernels; see `Annealing.walk`."""
        from spinlight.kernels import sides

        weight, kept, summed, base_kept, base_summed = (
            part.to(torch.float32).numpy() for part in (self.weight, self.kept, self.summed, *self.base)
        )
        with progress_bar("Annealed importance sampling") as report:
            end, log_weights = sides.annealed_side(
                sides.Bipartite(weight, kept, summed),
                base_kept,
                base_summed,
                states.to("cpu", torch.int8).numpy(),
                path.numpy(),
                seed=seed,
                threads=thread_count(None),
                progress=report,
            )
        return torch.from_numpy(end), torch.from_numpy(log_weights)

    def part(self, spins: Tensor) -> Tensor:
        """Return the bits of the kept side."""
        units = len(self.kept)
        return (spins[..., :units] if self.visible_kept else spins[..., -units:]) > 0

    def fitted(self, states: Tensor, seed: int) -> Self:
        """Return the path from the mean conditional log odds of y given the states, and of x given draws of y."""
        forth = self.summed + states.to(self.weight) @ self.weight
        back = self.kept + bernoulli(torch.sigmoid(forth), seed) @ self.weight.T
        return replace(self, base=(_log_odds(back), _log_odds(forth)))


def _log_odds(logits: Tensor) -> Tensor:
    """Return log(<p> / <1 - p>) over rows of p = sigmoid(logits), rounded to float32, in which the kernels work."""
    up, down = (torch.logsumexp(functional.logsigmoid(sign * logits), 0) for sign in (1, -1))
    return (up - down).to(torch.float32).to(torch.float64)


def _require_float32(weight: Tensor, kept: Tensor, summed: Tensor) -> None:
    if not all(bool(part.isfinite().all()) for part in (weight, kept, summed)):
        raise InvalidProblemError("the machine's parameters hold NaN or infinity; is the learning rate too high?")
    largest = max(float((kept.abs() + weight.abs().sum(1)).max()), float((summed.abs() + weight.abs().sum(0)).max()))
    if largest > LARGEST_FIELD:
        raise InvalidProblemError(
            f"a unit's weights add up to {largest:.3g}, too much for float32 arithmetic (the limit is 1e30); scale them down"
        )
