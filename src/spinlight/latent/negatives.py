"""Samples that a prior keeps of its machine while the machine changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spinlight._random import derive_seed, uniform
from spinlight.ising import Ising, SupportsDraw
from spinlight.ising.partition import FEWEST_EFFECTIVE
from spinlight.samplers import ChainState, MarkovChain


@dataclass(frozen=True, eq=False)
class Negatives:
    """Weighted states of one problem, and their energies there.

    Args:
        spins: -1/+1, int8, shape (draws, sites), on the CPU.
        weights: they sum to one; float64, shape (draws,).
        energies: E(s) of the problem that `log_ratio` starts from; float64, shape (draws,).
        seed: names the random streams.
        steps: sweeps done (Markov chains) or draws taken (other samplers) so far.
    """

    spins: Tensor
    weights: Tensor
    energies: Tensor
    seed: int
    steps: int

    def log_ratio(self, problem: Ising) -> tuple[float, float]:
        """Return log Z' - log Z of a problem near the one the states were drawn from, and its standard error.

        log Z' - log Z = log sum_i w_i exp(E(s_i) - E'(s_i))

        The error is NaN where fewer than ten states carry the mean: the spread of such ratios says nothing about it.

        Law:
            asymptotic in the number of states, which must not have had a part in choosing E': parameters that were
            fitted to these very states have raised their energies in particular.
        """
        change = self.energies - problem.energy(self.spins)
        if not bool(change.any()):
            return 0.0, 0.0
        peak = change.max()
        ratios = (change - peak).exp()
        shares = self.weights * ratios
        mean = shares.sum()
        if mean.square() < FEWEST_EFFECTIVE * shares.square().sum():
            return float(mean.log() + peak), math.nan
        error = (self.weights * (ratios - mean)).square().sum().sqrt() / mean
        return float(mean.log() + peak), float(error)

    def at(self, problem: Ising) -> Negatives:
        """Return the same states with their energies in another problem."""
        return replace(self, energies=problem.energy(self.spins))

    def carried(self, problem: Ising) -> Negatives:
        """Return the states resampled in proportion to w_i exp(E(s_i) - E'(s_i)): weighted alike, they belong to `problem`.

        Systematic resampling: state i is kept n w_i times, rounded up or down by one random offset.
        """
        there = problem.energy(self.spins)
        edges = torch.cumsum(torch.softmax(self.weights.log() + self.energies - there, 0), 0)
        count = len(edges)
        points = (torch.arange(count) + uniform(derive_seed(self.seed, self.steps))) / count
        kept = torch.searchsorted(edges, points).clamp_max(count - 1)
        return replace(self, spins=self.spins[kept], weights=_alike(count), energies=there[kept])

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, which `torch.load(weights_only=True)` reads."""
        return dict(vars(self))

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Negatives:
        """Return what `state` described."""
        tensors = {name: state[name].cpu() for name in ("spins", "weights", "energies")}
        return Negatives(**tensors, seed=state["seed"], steps=state["steps"])


def first_negatives(sampler: SupportsDraw, problem: Ising, count: int, seed: int) -> Negatives:
    """Return a first set: the sampler's own draws, which for a Markov chain are `sampler.sweeps` sweeps from random states."""
    if not isinstance(sampler, MarkovChain):
        return _drawn(sampler, problem, count, seed, 0)
    state = sampler.step(problem, sampler.init(problem, count, seed=seed), sampler.sweeps)
    return Negatives(state.spins, _alike(count), problem.energy(state.spins), state.seed, state.sweeps)


def next_negatives(sampler: SupportsDraw, problem: Ising, before: Negatives, sweeps: int) -> Negatives:
    """Return the negatives of `problem`: chains that go on from `before`, or fresh draws."""
    if not isinstance(sampler, MarkovChain):
        return _drawn(sampler, problem, len(before.spins), before.seed, before.steps + 1)
    state = sampler.step(problem, ChainState(before.spins, before.seed, before.steps), sweeps)
    return Negatives(state.spins, before.weights, problem.energy(state.spins), state.seed, state.sweeps)


def _drawn(sampler: SupportsDraw, problem: Ising, count: int, seed: int, step: int) -> Negatives:
    draws = sampler.draw(problem, count, seed=derive_seed(seed, step))
    return Negatives(draws.spins, draws.weights, draws.energies, seed, step)


def _alike(count: int) -> Tensor:
    return torch.full((count,), 1 / count, dtype=torch.float64)
