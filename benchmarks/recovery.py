"""Machines small enough to be checked by enumeration; cases of `benchmarks/learning.py`.

Bars and stripes: KL(data, machine) of a fully connected machine with hidden units. Recovery: the root mean squared error of the
couplings of a spin glass, learned from its samples, over the Cramer-Rao bound, below which no unbiased estimate comes.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from harness import Case, Claim, Settings
from spinlight.datasets import bars_and_stripes
from spinlight.ising import Ising, all_states, log_partition
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine
from spinlight.samplers import Exact, Gibbs
from spinlight.training import PersistentContrastiveDivergence, complete, linear_decay

SPINS, BETA, SAMPLES = 20, 0.5, 50_000
"""The glass that is recovered: couplings from N(0, 1 / SPINS), no fields."""


def cases() -> list[Case]:
    """Return every case, the short ones first."""
    return [Case("bars-and-stripes", _bars_and_stripes), Case("recovery", _recovery)]


def descended(
    machine: AbstractBoltzmannMachine, loss: Callable[[int], Tensor], *, steps: int, rate: float
) -> AbstractBoltzmannMachine:
    """Return the machine after steps of Adam whose rate falls on a straight line to zero."""
    optimizer = torch.optim.Adam(machine.parameters(), lr=rate)
    schedule = linear_decay(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        schedule.step()
    return machine


def _bars_and_stripes(settings: Settings) -> list[Claim]:
    """Return the divergence of a machine of nine visible and eight hidden units, the median of the seeds."""
    images, start = bars_and_stripes(3, 3), time.perf_counter()
    steps = 50 if settings.quick else 12_000
    found = [divergence(stripes_machine(images, steps, seed), images) for seed in range(settings.seeds)]
    return [
        Claim(
            "bars-and-stripes/KL",
            statistics.median(found),
            "nats",
            (min(found), max(found)),
            0.02,
            {"images": len(images), "uniform machine": 9 * math.log(2) - math.log(len(images))},
            time.perf_counter() - start,
            "most",
        )
    ]


def stripes_machine(images: Tensor, steps: int, seed: int) -> BoltzmannMachine:
    """Return a machine trained on the images by persistent chains, hidden units given the data by Gibbs sampling."""
    torch.manual_seed(seed)
    machine = BoltzmannMachine(images.shape[1] + 8, 8, initial_scale=0.1)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=2_000, sweeps=10, seed=seed)

    def loss(step: int) -> Tensor:
        positive = complete(machine, images, Gibbs(sweeps=10, progress=False), count=30, seed=seed * steps + step)
        return negatives.objective(machine, images, positive)

    descended(machine, loss, steps=steps, rate=0.05)
    return machine


def divergence(machine: BoltzmannMachine, images: Tensor) -> float:
    """Return KL(data, machine) in nats, the data being the images, each as often as the others; all sums are exact."""
    of_rows = log_partition(machine.to_ising(clamped=images)) - log_partition(machine.to_ising())
    return -math.log(len(images)) - float(of_rows.mean())


def _recovery(settings: Settings) -> list[Claim]:
    """Return the error of the couplings over the bound, the median of the seeds."""
    start, found = time.perf_counter(), []
    steps, sites = (50, 10) if settings.quick else (2_000, SPINS)
    bound = math.nan
    for seed in range(settings.seeds):
        glass = spin_glass(sites, seed)
        error, bound = recovered(glass, steps, seed), cramer_rao(glass, SAMPLES)
        found.append(error / bound)
    return [
        Claim(
            "recovery/couplings",
            statistics.median(found),
            "x the Cramer-Rao bound",
            (min(found), max(found)),
            1.5,
            {"bound of J": bound, "size of J": BETA / sites**0.5, "samples": SAMPLES},
            time.perf_counter() - start,
            "most",
        )
    ]


def spin_glass(sites: int, seed: int) -> Ising:
    """Return a Sherrington-Kirkpatrick problem with beta inside: couplings from N(0, beta^2 / sites)."""
    upper = torch.randn(sites, sites, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).triu(1)
    return Ising(torch.zeros(sites), BETA * (upper + upper.T) / sites**0.5)


def recovered(glass: Ising, steps: int, seed: int) -> float:
    """Return the root mean squared error of couplings learned from exact samples of a glass."""
    return coupling_error(learned(glass, steps, seed), glass)


def learned(glass: Ising, steps: int, seed: int) -> BoltzmannMachine:
    """Return a machine that has learned from exact samples of a glass."""
    draws = Exact().draw(glass, SAMPLES, seed=seed)
    machine = BoltzmannMachine(glass.sites, initial_scale=0.0)
    machine.initialize_biases(draws.bits)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=4_096, sweeps=2, seed=seed)
    data = draws.unique()
    descended(machine, lambda _: negatives.objective(machine, draws.bits[:1], data), steps=steps, rate=0.02)
    return machine


def coupling_error(machine: BoltzmannMachine, glass: Ising) -> float:
    """Return the root mean squared difference of a machine's couplings from those of a glass."""
    difference = machine.to_ising().couplings - glass.couplings
    upper = torch.triu_indices(glass.sites, glass.sites, 1)
    return float(difference[upper[0], upper[1]].square().mean().sqrt())


def cramer_rao(glass: Ising, samples: int) -> float:
    """Return the root of the mean variance of the couplings' best unbiased estimates: diagonal of the inverse Fisher information.

    The information of fields and couplings together is the covariance of spins and of their products, summed over all states.
    """
    rows, columns = torch.triu_indices(glass.sites, glass.sites, 1)
    features = glass.sites + len(rows)
    first, second, total = torch.zeros(features).double(), torch.zeros(features, features).double(), 0.0
    for spins in all_states(glass.sites).split(1 << 14):
        weights = (-glass.energy(spins)).exp()
        state = spins.double()
        values = torch.cat([state, state[:, rows] * state[:, columns]], 1)
        first += weights @ values
        second += values.T @ (weights[:, None] * values)
        total += float(weights.sum())
    information = second / total - torch.outer(first, first) / total**2
    return float((torch.linalg.inv(information).diagonal()[glass.sites :].mean() / samples).sqrt())
