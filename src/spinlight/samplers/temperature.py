"""Which inverse temperature draws have: three estimators, each with its standard error."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising
from spinlight.ising.problem import require_problem, require_single

_LARGEST = 1e6
"""Inverse temperatures, in units of the largest local field, beyond which draws are taken for frozen."""


@dataclass(frozen=True)
class EffectiveBeta:
    """The inverse temperature that draws of a problem look as if they had.

    Args:
        value: infinite where every spin follows its local field: frozen draws.
        standard_error: of independent draws; NaN where there is none to be told.
        method: how it was found.
    """

    value: float
    standard_error: float
    method: str


class BetaEstimator(ABC):
    """Estimates the effective inverse temperature of draws."""

    @abstractmethod
    def estimate(self, problem: Ising, draws: Draws, *, seed: Seed = None) -> EffectiveBeta:
        """Return beta with its standard error.

        Args:
            problem: the one that the draws are of, single.
            draws: of any sampler; weights and multiplicities count.
            seed: of what the estimator draws itself, if anything.

        Raises:
            InvalidStateError: draws of another problem's size, or fewer than two.
            InvalidSettingError: a batch of problems.
        """


@dataclass(frozen=True, kw_only=True)
class PseudoLikelihood(BetaEstimator):
    """The beta that makes each spin likeliest given the others.

    beta = argmax sum_draws w sum_i log sigmoid(2 beta s_i f_i),  f_i = h_i + sum_j J_ij s_j

    Exact in the limit for Boltzmann draws. It sees single spins only: draws in local equilibrium look colder than draws of
    the whole law where a landscape is rugged.

    References:
        Besag, "Statistical analysis of non-lattice data", The Statistician 24 (1975) 179. The error is that of independent
        draws (a sandwich: spins of one draw depend on each other).
    """

    def estimate(self, problem: Ising, draws: Draws, *, seed: Seed = None) -> EffectiveBeta:
        """See `BetaEstimator`."""
        spins, fields, weights = _local(problem, draws)

        def score(beta: float) -> Tensor:
            return (fields * (spins - torch.tanh(beta * fields))).sum(-1)

        return _root(score, spins, fields, weights, "maximum pseudo-likelihood")


@dataclass(frozen=True, kw_only=True)
class ConditionalMeans(BetaEstimator):
    """The beta at which spins follow the sign of their local fields as often as they do in the draws.

    sum_draws w sum_i sign(f_i) (s_i - tanh(beta f_i)) = 0

    Each spin counts alike, where `PseudoLikelihood` weighs it with its local field: two different views of the same
    conditional law, which agree for Boltzmann draws and disagree for others.

    References:
        Conditional-expectation matching: Kubo & Goto, arXiv 2512.02323 (2025), as summarised by others.
    """

    def estimate(self, problem: Ising, draws: Draws, *, seed: Seed = None) -> EffectiveBeta:
        """See `BetaEstimator`."""
        spins, fields, weights = _local(problem, draws)

        def score(beta: float) -> Tensor:
            return (fields.sign() * (spins - torch.tanh(beta * fields))).sum(-1)

        return _root(score, spins, fields, weights, "conditional means")


@dataclass(frozen=True, kw_only=True)
class EnergyMoments(BetaEstimator):
    """The beta at which Boltzmann draws have the mean energy of these draws.

    <E>_beta = mean energy of the draws; <E>_beta by enumeration up to 16 sites, else from annealed chains

    It sees the whole state: of draws that are stuck in local minima it tells the temperature of a Boltzmann sample that is as
    high in energy.

    Args:
        chains: reference chains per trial temperature, where the problem is too large to enumerate.
        sweeps: of each.

    References:
        Mean-energy matching, the exponential family's maximum likelihood: E is the statistic that belongs to beta.
    """

    chains: int = 256
    sweeps: int = 1000

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("chains", self.chains)
        positive_integer("sweeps", self.sweeps)

    def estimate(self, problem: Ising, draws: Draws, *, seed: Seed = None) -> EffectiveBeta:
        """See `BetaEstimator`."""
        spins, fields, weights = _local(problem, draws)
        energies = problem.energy(spins)
        mean = float(weights @ energies)
        error = float((weights * (energies - mean)).square().sum().sqrt())
        moments = self._moments(problem, resolve_seed(seed))
        low, high = 0.0, 1.0 / max(float(fields.abs().max()), 1e-300)
        if moments(low)[0] <= mean:
            return EffectiveBeta(0.0, math.nan, "mean energy: no Boltzmann law is as high")
        top = _LARGEST * high
        # Rounding must not tell draws that are all in the ground state from it.
        rounding = 1e-12 * float(energies.abs().max())
        while moments(high)[0] > mean - rounding:
            low, high = high, 2 * high
            if high > top:
                return EffectiveBeta(math.inf, math.nan, "mean energy: as low as the ground state")
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if moments(middle)[0] > mean else (low, middle)
            if high - low < 1e-6 * high:
                break
        value, variance = 0.5 * (low + high), moments(0.5 * (low + high))[1]
        # d<E>/dbeta = -var(E)
        return EffectiveBeta(value, error / variance if variance > 0 else math.nan, "mean energy")

    def _moments(self, problem: Ising, seed: int) -> Callable[[float], tuple[float, float]]:
        """Return the function that gives the mean and the variance of E at a beta."""
        from spinlight.ising.enumeration import all_states
        from spinlight.samplers.annealing import SimulatedAnnealing

        if problem.sites <= 16:
            levels = problem.energy(all_states(problem.sites).to(problem.device))

            def enumerated(beta: float) -> tuple[float, float]:
                probabilities = torch.softmax(-beta * levels, 0)
                mean = probabilities @ levels
                return float(mean), float(probabilities @ (levels - mean).square())

            return enumerated

        def annealed(beta: float) -> tuple[float, float]:
            if beta == 0:
                return float(problem.offset), math.nan
            # One seed for every beta: the mean is then smooth enough in beta to bisect.
            sampler = SimulatedAnnealing(sweeps=self.sweeps, beta=beta, progress=False)
            levels = sampler.draw(problem, self.chains, seed=derive_seed(seed, 0)).energies
            return float(levels.mean()), float(levels.var())

        return annealed


def _local(problem: Ising, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Return spins, local fields and normalised weights of draws, float64."""
    require_single(require_problem(problem))
    if draws.batch is not None or draws.sites != problem.sites or len(draws) < 2:
        raise InvalidStateError(
            f"at least two draws of this problem of {problem.sites} sites are needed, got spins of shape {tuple(draws.spins.shape)}"
        )
    spins = draws.spins.to(problem.device)
    return spins.to(torch.float64), problem.local_fields(spins), draws.weights.to(problem.device)


def _root(
    score: Callable[[float], Tensor], spins: Tensor, fields: Tensor, weights: Tensor, method: str
) -> EffectiveBeta:
    """Return where the weighted mean of a decreasing score is zero, by bisection, with the error of its root."""
    largest = float(fields.abs().max())
    if largest == 0:
        return EffectiveBeta(math.nan, math.nan, f"{method}: no spin feels anything")
    followed = spins * fields
    if bool((followed >= 0).all()) or bool((followed <= 0).all()):
        return EffectiveBeta(math.copysign(math.inf, float(followed.sum())), math.nan, f"{method}: frozen")
    low, high = -1.0 / largest, 1.0 / largest
    while float(weights @ score(high)) > 0:
        low, high = high, 2 * high
    while float(weights @ score(low)) < 0:
        low, high = 2 * low, low
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if float(weights @ score(middle)) > 0 else (low, middle)
    beta, step = 0.5 * (low + high), 1e-4 * max(abs(high), 1 / largest)
    slope = float(weights @ (score(beta - step) - score(beta + step))) / (2 * step)
    spread = float((weights * score(beta)).square().sum().sqrt())
    return EffectiveBeta(beta, spread / slope if slope > 0 else math.nan, method)
