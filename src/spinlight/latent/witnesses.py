"""States that follow how log Z of a machine changes while it is trained, and have no part in its gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spinlight._random import derive_seed, uniform
from spinlight.ising import Ising
from spinlight.ising.partition import FEWEST_EFFECTIVE
from spinlight.samplers import ChainState, Gibbs


@dataclass(frozen=True)
class PartitionRatio:
    """How log Z of a problem differs from that of another one.

    Args:
        value: log Z' - log Z.
        error: its standard error; NaN where fewer than ten states carry the mean: the spread of such ratios says nothing about it.
        effective: share of the states that carry it, 1 for all alike.
    """

    value: float
    error: float
    effective: float


UNCHANGED = PartitionRatio(0.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Witnesses:
    """States of one problem, which count alike, and their energies there.

    Args:
        spins: -1/+1, int8, shape (chains, sites), on the CPU.
        energies: E(s) of the problem that `ratio` starts from; float64, shape (chains,).
        seed: names the random streams.
        sweeps: Gibbs sweeps done so far.
    """

    spins: Tensor
    energies: Tensor
    seed: int
    sweeps: int

    @staticmethod
    def of(problem: Ising, count: int, seed: int) -> Witnesses:
        """Return chains after 100 Gibbs sweeps from random states."""
        state = _GIBBS.step(problem, _GIBBS.init(problem, count, seed=seed), _FIRST_SWEEPS)
        return Witnesses(state.spins, problem.energy(state.spins), state.seed, state.sweeps)

    def ratio(self, problem: Ising) -> PartitionRatio:
        """Return log Z' - log Z of a problem near the one the states were drawn from.

        log Z' - log Z = log (1/n) sum_i exp(E(s_i) - E'(s_i))

        Law:
            asymptotic in the number of states, which must not have had a part in choosing E': parameters that were
            fitted to these very states have raised their energies in particular.
        """
        change = self.energies - problem.energy(self.spins)
        peak = float(change.max())
        ratios = (change - peak).exp()
        mean, square, count = float(ratios.mean()), float(ratios.square().mean()), len(ratios)
        effective = count * mean * mean / square
        spread = math.sqrt(max(0.0, square / (mean * mean) - 1))
        error = spread / math.sqrt(count) if effective >= FEWEST_EFFECTIVE else math.nan
        return PartitionRatio(math.log(mean) + peak, error, effective / count)

    def carried(self, problem: Ising) -> Witnesses:
        """Return the states resampled in proportion to exp(E(s_i) - E'(s_i)): they belong to `problem`.

        Systematic resampling: state i is kept n times its share, rounded up or down by one random offset.
        """
        there = problem.energy(self.spins)
        edges = torch.cumsum(torch.softmax(self.energies - there, 0), 0)
        count = len(edges)
        points = (torch.arange(count) + uniform(derive_seed(self.seed, self.sweeps))) / count
        kept = torch.searchsorted(edges, points).clamp_max(count - 1)
        return replace(self, spins=self.spins[kept], energies=there[kept])

    def walked(self, problem: Ising, sweeps: int) -> Witnesses:
        """Return the states after some more Gibbs sweeps in `problem`, to which they belong."""
        state = _GIBBS.step(problem, ChainState(self.spins, self.seed, self.sweeps), sweeps)
        return replace(self, spins=state.spins, energies=problem.energy(state.spins), sweeps=state.sweeps)

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, which `torch.load(weights_only=True)` reads."""
        return dict(vars(self))

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Witnesses:
        """Return what `state` described."""
        tensors = {name: state[name].cpu() for name in ("spins", "energies")}
        return Witnesses(**tensors, seed=state["seed"], sweeps=state["sweeps"])


_GIBBS = Gibbs(progress=False)
_FIRST_SWEEPS = 100
