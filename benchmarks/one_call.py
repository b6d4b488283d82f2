"""Training with one call of an Ising machine per epoch, beside persistent chains at every step; a case of `benchmarks/learning.py`.

The machine is a simulated coherent one at a fixed gain, asked for 2,000 draws per epoch and for nothing else: it starts uncalibrated, and
the draws of each call correct the factor of the next. All ways take the same machine of 64 hidden units through the same batches with the
same optimiser; log Z by annealed importance sampling, two standard errors higher for ours and as it is for the chains. Rate, epochs and
hidden units are defaults of `spinlight fit` or round numbers, and were looked for by nothing; the optical machine is that of
docs/calibration.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import harness
import problems
from harness import Case, Claim, Settings
from spinlight.datasets import binarized, digits
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import Calibrated, PseudoLikelihood
from spinlight.training import (
    AnnealedImportance,
    Descent,
    LogLikelihood,
    NegativePhase,
    PersistentContrastiveDivergence,
    ReusedDraws,
    log_likelihood,
)

HIDDEN, EPOCHS, BATCH, DRAWS = 64, 100, 100, 2_000
HELD_OUT = 297
SWEEPS = (0, 10)
"""Gibbs sweeps after the machine's draws."""

CHAINS = {"100 chains, 1 sweep a step": (100, 1), "1,000 chains, 5 sweeps a step": (1_000, 5)}
"""What one call per epoch is set against, for each seed the better of them."""


def cases() -> list[Case]:
    """Return the case."""
    return [Case("one-call/digits", _digits)]


def _digits(settings: Settings) -> list[Claim]:
    """Return how many nats one call per epoch costs, without and with sweeps after the draws."""
    torch.set_num_threads(harness.cores())
    images = digits().intensities
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    train, test = images[HELD_OUT:], binarized(images[:HELD_OUT], 2026)
    epochs = 2 if settings.quick else EPOCHS
    ways = {
        name: [_learned(train, test, epochs, seed, partial(_persistent, *sizes)) for seed in range(settings.seeds)]
        for name, sizes in CHAINS.items()
    }
    best = [max(found, key=lambda each: each.value) for found in zip(*ways.values(), strict=True)]
    claims = []
    for sweeps in SWEEPS:
        start = time.perf_counter()
        calls = [
            _learned(train, test, epochs, seed, partial(_one_call, train, sweeps)) for seed in range(settings.seeds)
        ]
        lost = [chain.value - call.pessimistic for chain, call in zip(best, calls, strict=True)]
        known = {
            **{name: statistics.median(each.value for each in found) for name, found in ways.items()},
            "one call per epoch": statistics.median(each.value for each in calls),
            "error of log Z": max(each.log_partition_error for found in (calls, *ways.values()) for each in found),
        }
        claims.append(
            Claim(
                f"one-call/digits/{sweeps} sweeps",
                statistics.median(lost),
                "nats lost",
                (min(lost), max(lost)),
                2.0,
                known,
                time.perf_counter() - start,
                "most",
            )
        )
    return claims


def _persistent(chains: int, sweeps: int, seed: int) -> NegativePhase:
    return PersistentContrastiveDivergence(chains=chains, sweeps=sweeps, seed=seed)


def _one_call(train: Tensor, sweeps: int, seed: int) -> NegativePhase:
    machine = Calibrated(sampler=problems.optical_machine(), estimator=PseudoLikelihood(), factor=1.0)
    return ReusedDraws(machine, count=DRAWS, steps=-(-len(train) // BATCH), sweeps=sweeps, seed=seed)


def _learned(
    train: Tensor, test: Tensor, epochs: int, seed: int, make: Callable[[int], NegativePhase]
) -> LogLikelihood:
    """Return the test log-likelihood of a machine that learned from these negatives."""
    torch.manual_seed(seed)
    machine, base = RestrictedBoltzmannMachine(train.shape[1], HIDDEN), binarized(train, seed)
    machine.initialize_biases(base)
    descent = Descent(epochs=epochs, batch_size=BATCH, optimizer=partial(torch.optim.Adam, lr=5e-3))
    loss = partial(make(seed).objective, machine)
    descent.minimize(loss, machine.parameters(), train, draw=binarized, seed=seed)
    machine.requires_grad_(False)
    known = AnnealedImportance(chains=256, steps=2_000, base_rows=base).estimate(machine, seed=seed)
    return log_likelihood(machine, test, partition=known)
