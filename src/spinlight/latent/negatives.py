"""The negative samples of a prior, and the log Z that is known where they were drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from spinlight._random import derive_seed
from spinlight.ising import Ising, LogPartition, SupportsDraw
from spinlight.samplers import ChainState, MarkovChain


@dataclass(frozen=True, eq=False)
class Negatives:
    """Weighted states drawn from one problem, their energies there, and log Z of that problem.

    Args:
        spins: -1/+1, int8, shape (draws, sites), on the CPU.
        weights: they sum to one; float64, shape (draws,).
        energies: E(s) under the parameters at which `log_partition` holds; float64, shape (draws,).
        log_partition: of those parameters.
        seed: names the random streams.
        steps: sweeps done (Markov chains) or draws taken (other samplers) so far.
    """

    spins: Tensor
    weights: Tensor
    energies: Tensor
    log_partition: LogPartition
    seed: int
    steps: int

    def follow(self, problem: Ising) -> LogPartition:
        """Return log Z of a problem near the one the states were drawn from.

        log Z' = log Z + log sum_i w_i exp(E(s_i) - E'(s_i))

        Law:
            asymptotic in the number of states; the longer the way, the fewer states carry the sum. The standard error of
            the ratio is added to the one before, an upper bound on that of the sum.
        """
        change = self.energies - problem.energy(self.spins)
        if not bool(change.any()):
            return self.log_partition
        peak = change.max()
        ratios = (change - peak).exp()
        mean = (self.weights * ratios).sum()
        error = (self.weights * (ratios - mean)).square().sum().sqrt() / mean
        return LogPartition(
            value=self.log_partition.value + float(mean.log() + peak),
            standard_error=self.log_partition.standard_error + float(error),
            lower=-math.inf,
            upper=math.inf,
            method=self.log_partition.method.removesuffix(_FOLLOWED) + _FOLLOWED,
        )

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, which `torch.load(weights_only=True)` reads."""
        return {**vars(self), "log_partition": asdict(self.log_partition)}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Negatives:
        """Return what `state` described."""
        tensors = {name: value.cpu() for name, value in state.items() if isinstance(value, Tensor)}
        return Negatives(**{**state, **tensors, "log_partition": LogPartition(**state["log_partition"])})


_FOLLOWED = ", followed by importance ratios"


def first_negatives(
    sampler: SupportsDraw, problem: Ising, count: int, log_partition: LogPartition, seed: int
) -> Negatives:
    """Return a first set: the starting states of a Markov chain, or the first draws of another sampler."""
    if not isinstance(sampler, MarkovChain):
        return _drawn(sampler, problem, count, log_partition, seed, 0)
    spins = sampler.init(problem, count, seed=seed).spins
    return Negatives(spins, _uniform(count), problem.energy(spins), log_partition, seed, 0)


def next_negatives(sampler: SupportsDraw, problem: Ising, before: Negatives, sweeps: int) -> Negatives:
    """Return the negatives of `problem`: chains that go on from `before`, or fresh draws; log Z follows the parameters."""
    log_partition = before.follow(problem)
    if not isinstance(sampler, MarkovChain):
        return _drawn(sampler, problem, len(before.spins), log_partition, before.seed, before.steps + 1)
    state = sampler.step(problem, ChainState(before.spins, before.seed, before.steps), sweeps)
    energies = problem.energy(state.spins)
    return Negatives(state.spins, before.weights, energies, log_partition, state.seed, state.sweeps)


def _drawn(sampler: SupportsDraw, problem: Ising, count: int, known: LogPartition, seed: int, step: int) -> Negatives:
    draws = sampler.draw(problem, count, seed=derive_seed(seed, step))
    return Negatives(draws.spins, draws.weights, draws.energies, known, seed, step)


def _uniform(count: int) -> Tensor:
    return torch.full((count,), 1 / count, dtype=torch.float64)
