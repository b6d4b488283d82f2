"""Boltzmann machines on sets of binary rows, beside independent bits, a Chow-Liu tree and a mixture; cases of `benchmarks/learning.py`.

"density" rows: the machine is a restricted one or a fully visible one on the pairs of most mutual information; its kind and size are
picked by validation rows, for the first seed. "rbm-23" rows: 23 hidden units, with log Z by enumeration; validation picks the weight decay.

Every machine takes 40,000 steps of plain gradient descent from persistent chains, a fully visible one 4,000, at a rate that falls to zero,
and ends at the mean of its parameters over the second half. Test rows are looked at once, at the end, and log Z is put two standard
errors higher. One exception: the test rows of nltcs and of mushrooms had been seen once before the decay 1e-4 and the second 20,000 steps
were added, both by validation rows.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

import harness
from densities import BASELINES, SETS, mutual_information
from harness import Case, Claim, Settings
from spinlight.datasets import DensitySet, density_set
from spinlight.ising import LogPartition
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine, SparseBoltzmannMachine
from spinlight.samplers import ParallelTempering
from spinlight.training import (
    AnnealedImportance,
    Descent,
    ExactPartition,
    LogLikelihood,
    PersistentContrastiveDivergence,
    TemperedPartition,
    log_likelihood,
)

STEPS, BATCH, CHAINS, RATE = 40_000, 100, 500, 0.1

HIDDEN = (16, 32, 64, 128)
EDGES = (2, 4)
"""Of a fully visible machine, per variable."""

DECAYS = (1e-4, 1e-3)

DECAYS_OF_23 = (0.0, 1e-3, 1e-2, 3e-2, 1e-1)

PUBLISHED = {"dna": -96.74, "mushrooms": -15.15, "nips": -277.37}
"""RBM with 23 hidden units: Larochelle & Murray (2011), The neural autoregressive distribution estimator, table 1."""

PUBLISHED_ROWS = {"dna": 1_400, "mushrooms": 2_000, "nips": 400}
"""Training rows there, by the loaders of the same authors' mlpython; of dna 1,600 are at hand."""

MOST_ENUMERATED = 23
"""Units of the smaller side of a restricted machine, or of a whole fully visible one, for log Z by enumeration."""


def cases() -> list[Case]:
    """Return every case."""
    published = [Case(f"rbm-23/{name}", partial(_twenty_three, name)) for name in PUBLISHED]
    return published + [Case(f"density/{name}", partial(_density, name)) for name in SETS]


@dataclass(frozen=True)
class Recipe:
    """A kind of machine and how its weights are kept small.

    Args:
        hidden: units, 0 for a fully visible machine.
        edges: of a fully visible machine, per variable.
        decay: of the weights.
    """

    hidden: int
    edges: int = 0
    decay: float = 1e-3

    def __str__(self) -> str:
        kind = f"{self.hidden} hidden" if self.hidden else f"{self.edges} edges per variable"
        return f"{kind}, decay {self.decay:g}"

    def trained(self, train: Tensor, steps: int, seed: int) -> AbstractBoltzmannMachine:
        """Return a machine that has learned these rows."""
        torch.manual_seed(seed)
        machine = self._machine(train)
        negatives = PersistentContrastiveDivergence(chains=CHAINS, seed=seed)
        epochs = math.ceil(steps * BATCH / len(train) / (1 if self.hidden else 10))
        descent = Descent(epochs=epochs, batch_size=BATCH, optimizer=partial(torch.optim.SGD, lr=RATE), averaging=0.5)
        groups = [
            {"params": [machine.weight_parameter], "weight_decay": self.decay},
            {"params": list(machine.bias_parameters)},
        ]
        descent.minimize(partial(negatives.objective, machine), groups, train, seed=seed)
        return machine.requires_grad_(False)

    def _machine(self, train: Tensor) -> RestrictedBoltzmannMachine | SparseBoltzmannMachine:
        machine: RestrictedBoltzmannMachine | SparseBoltzmannMachine
        if self.hidden:
            machine = RestrictedBoltzmannMachine(train.shape[1], self.hidden)
        else:
            machine = SparseBoltzmannMachine(informative_pairs(train, self.edges * train.shape[1]))
        machine.initialize_biases(train)
        return machine


def informative_pairs(rows: Tensor, count: int) -> SimpleNamespace:
    """Return a graph of all variables whose edges are the pairs of most mutual information."""
    variables = rows.shape[1]
    first, second = np.triu_indices(variables, 1)
    order = np.argsort(-mutual_information(rows)[first, second], kind="stable")[:count]
    edges = list(zip(first[order].tolist(), second[order].tolist(), strict=True))
    return SimpleNamespace(nodes=range(variables), edges=edges)


def _density(name: str, settings: Settings) -> list[Claim]:
    """Return how far the machine is above the best of three other densities, test log-likelihood in nats per row."""
    torch.set_num_threads(harness.cores())
    start, data = time.perf_counter(), _floats(density_set(name))
    others = {
        kind: float(fit(data.train, data.valid).log_likelihood(data.test).mean()) for kind, fit in BASELINES.items()
    }
    recipes = [Recipe(hidden, decay=decay) for hidden in HIDDEN for decay in DECAYS]
    recipes += [Recipe(0, edges) for edges in EDGES]
    if settings.quick:
        recipes = recipes[:1] + recipes[-1:]
    recipe, tried = picked(recipes, data, _steps(settings))
    found = tested(recipe, data, _steps(settings), settings.seeds)
    known = others | {"required is the best of these three": max(others.values())}
    return [_claim(f"density/{name}", found, max(others.values()), known | tried, start)]


def _twenty_three(name: str, settings: Settings) -> list[Claim]:
    """Return the test log-likelihood of a machine with 23 hidden units, log Z by enumeration."""
    torch.set_num_threads(harness.cores())
    start, data = time.perf_counter(), published_parts(_floats(density_set(name)), PUBLISHED_ROWS[name])
    steps = _steps(settings)
    recipe, tried = picked([Recipe(23, decay=decay) for decay in DECAYS_OF_23], data, steps)
    found = tested(recipe, data, steps, settings.seeds)
    return [_claim(f"rbm-23/{name}", found, PUBLISHED[name], tried, start)]


def published_parts(data: DensitySet, count: int) -> DensitySet:
    """Return the rows with so many of them to train on, the others of the training rows being valid ones."""
    train, spare = data.train.split([count, len(data.train) - count])
    return DensitySet(data.name, {**data.parts, "train": train, "valid": torch.cat([spare, data.valid])})


def _claim(row: str, tested: Tested, required: float, known: Mapping[str, float], start: float) -> Claim:
    values = [each.pessimistic for each in tested.found]
    middle = tested.found[values.index(statistics.median_low(values))]
    errors = {
        "mean": middle.value,
        "error of log Z": middle.log_partition_error,
        "error of the rows": middle.row_error,
    }
    if tested.differences:
        errors["log Z by annealing less that by tempering"] = max(tested.differences, key=abs)
    spread, seconds = (min(values), max(values)), time.perf_counter() - start
    return Claim(row, statistics.median_low(values), "nats", spread, required, errors | dict(known), seconds)


def picked(recipes: list[Recipe], data: DensitySet, steps: int) -> tuple[Recipe, dict[str, float]]:
    """Return the recipe of the best validation log-likelihood, and that of all."""
    tried = {}
    for recipe in recipes:
        machine = recipe.trained(data.train, steps, seed=0)
        known = highest(partitions(machine, data.train, effort=1))
        value = log_likelihood(machine, data.valid, partition=known).pessimistic
        tried[recipe] = -math.inf if math.isnan(value) else value
    best = max(tried, key=tried.__getitem__)
    return best, {f"valid, {recipe}{' (taken)' * (recipe == best)}": value for recipe, value in tried.items()}


@dataclass(frozen=True)
class Tested:
    """Test log-likelihoods of machines of several seeds.

    Args:
        found: of each seed.
        differences: log Z by annealing less that by tempering, of each seed; none where it is enumerated.
    """

    found: list[LogLikelihood]
    differences: list[float]


def tested(recipe: Recipe, data: DensitySet, steps: int, seeds: int) -> Tested:
    """Return the test log-likelihoods of machines of several seeds."""
    result = Tested([], [])
    for seed in range(seeds):
        machine = recipe.trained(data.train, steps, seed)
        estimates = partitions(machine, data.train, effort=10)
        result.found.append(log_likelihood(machine, data.test, partition=highest(estimates)))
        if len(estimates) > 1:
            result.differences.append(estimates[0].value - estimates[1].value)
    return result


def partitions(machine: AbstractBoltzmannMachine, rows: Tensor, effort: int) -> list[LogPartition]:
    """Return log Z by enumeration where that is possible, else by annealing from the data and by tempering without them."""
    if _enumerable(machine):
        return [ExactPartition().estimate(machine)]
    annealed = AnnealedImportance(chains=250, steps=1_000 * effort, base_rows=rows)
    sampler = ParallelTempering(rungs=16, ladders=16, burn_in=500 * effort, progress=False)
    tempered = TemperedPartition(sampler=sampler, records=50 * effort)
    return [annealed.estimate(machine, seed=1), tempered.estimate(machine, seed=2)]


def highest(estimates: list[LogPartition]) -> LogPartition:
    """Return the highest one with two errors added.

    Estimates fall short where no chain finds the place where Z is, so the highest one is the safest. One that has no error, for want
    of effective chains, and is higher than all that have one is taken with its distance to them as its error.
    """
    known = [each for each in estimates if not math.isnan(each.standard_error)]
    if not known:
        return max(estimates, key=lambda each: each.value)
    top = max(known, key=lambda each: each.value + 2 * each.standard_error)
    above = max(estimates, key=lambda each: each.value)
    if above.value <= top.value + 2 * top.standard_error:
        return top
    return replace(above, standard_error=above.value - top.value)


def _enumerable(machine: AbstractBoltzmannMachine) -> bool:
    units = machine.num_nodes
    if isinstance(machine, RestrictedBoltzmannMachine):
        units = min(machine.num_visible, machine.num_hidden)
    return units <= MOST_ENUMERATED


def _steps(settings: Settings) -> int:
    """Return how long each machine learns."""
    return 200 if settings.quick else STEPS


def _floats(data: DensitySet) -> DensitySet:
    """Return the rows as float32."""
    return DensitySet(data.name, {part: rows.float() for part, rows in data.parts.items()})
