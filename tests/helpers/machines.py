"""Boltzmann machines with known parameters, and their likelihood by the defining sums: nothing here samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from helpers.enumeration import all_bits, all_spins, log_partition
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import DrawInfo, Draws, Ising, Law, LogPartition
from spinlight.models import (
    AbstractBoltzmannMachine,
    BoltzmannMachine,
    RestrictedBoltzmannMachine,
    SparseBoltzmannMachine,
    grid_edges,
)


def random_machine(machine: AbstractBoltzmannMachine, seed: int, scale: float = 0.7) -> AbstractBoltzmannMachine:
    """Return the machine in float64 with normal parameters of standard deviation `scale`."""
    generator = torch.Generator().manual_seed(seed)
    machine = machine.double()
    for parameter in machine.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return machine


def machines() -> list[AbstractBoltzmannMachine]:
    """Return one small machine of every kind."""
    kinds = (
        BoltzmannMachine(1),
        BoltzmannMachine(5),
        BoltzmannMachine(6, 2),
        RestrictedBoltzmannMachine(4, 3),
        SparseBoltzmannMachine(grid_edges(2, 3)),
        SparseBoltzmannMachine(grid_edges(2, 3), hidden=[1, 2]),
    )
    return [random_machine(machine, seed) for seed, machine in enumerate(kinds)]


def energies_by_formula(machine: AbstractBoltzmannMachine, bits: Tensor) -> Tensor:
    """Return - sum_i b_i x_i - sum_{i<j} W_ij x_i x_j, each pair taken once; shape (states,)."""
    biases, weights = machine.biases_and_weights()
    state = bits.to(biases)
    energy = -(state * biases).sum(-1)
    for i, j in combinations(range(machine.num_nodes), 2):
        energy = energy - weights[i, j] * state[..., i] * state[..., j]
    return energy


def exact_negative_log_likelihood(machine: AbstractBoltzmannMachine, visible: Tensor) -> Tensor:
    """Return - mean log p(v) by summing over all hidden states and all states; differentiable."""
    hidden = all_bits(machine.num_hidden)
    rows = torch.cat(
        [
            visible[:, None].expand(-1, len(hidden), -1),
            hidden[None].expand(len(visible), -1, -1).to(visible),
        ],
        -1,
    )
    log_z = torch.logsumexp(-energies_by_formula(machine, all_bits(machine.num_nodes)), 0)
    return log_z - torch.logsumexp(-energies_by_formula(machine, rows), -1).mean()


def all_states_weighted(problem: Ising, beta: float = 1.0) -> Draws:
    """Return every state of a problem once, with log weight -beta E: expectations over it are exact."""
    spins = all_spins(problem.sites)
    spins = spins if problem.batch is None else spins.expand(problem.batch, *spins.shape)
    energies = problem.energy(spins)
    return Draws(spins, energies, _info("exact", beta), log_weights=-beta * energies)


def exact_positive(machine: AbstractBoltzmannMachine, visible: Tensor) -> Tensor | Draws:
    """Return the data rows, completed by all hidden states with their weights where the machine needs them."""
    if not machine.needs_hidden:
        return visible
    hidden = all_states_weighted(machine.to_ising(clamped=visible))
    held = (2 * visible - 1).to(torch.int8)[:, None].expand(-1, len(hidden), -1)
    return Draws(torch.cat([held, hidden.spins], -1), hidden.energies, hidden.info, log_weights=hidden.log_weights)


@dataclass(frozen=True, kw_only=True)
class TableSampler:
    """Independent draws from the enumerated distribution; with `weighted`, every state once with its weight."""

    beta: float = 1.0
    weighted: bool = False
    law: ClassVar[Law] = "exact"

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        table = all_states_weighted(problem, self.beta)
        if self.weighted:
            return table
        generator = torch.Generator().manual_seed(derive_seed(resolve_seed(seed), 0))
        picks = torch.multinomial(table.weights, count, replacement=True, generator=generator)
        spins = table.spins.gather(-2, picks.unsqueeze(-1).expand(*picks.shape, problem.sites))
        return Draws(spins, problem.energy(spins), _info("exact", self.beta))


@dataclass(frozen=True, kw_only=True)
class CoolingSampler(TableSampler):
    """The same draws from a sampler that claims nothing."""

    law: ClassVar[Law] = "heuristic"


@dataclass(frozen=True)
class Enumeration:
    """log Z by summing over all states; `error` is what it claims as standard error."""

    error: float = 0.0

    def estimate(self, model: Ising | AbstractBoltzmannMachine, *, seed: Seed = None) -> LogPartition:
        value = log_partition(model if isinstance(model, Ising) else model.to_ising())
        return LogPartition(value, self.error, value, value, "enumeration")


def _info(law: Law, beta: float) -> DrawInfo:
    return DrawInfo("TableSampler", law, beta, 0, None, 0.0, "cpu", "0")
