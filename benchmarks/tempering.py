"""Parallel tempering against plain Gibbs sampling where single chains are stuck; cases of `benchmarks/sampling.py`."""

from __future__ import annotations

import gzip
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

import harness
import problems
from harness import Case, Claim, Settings
from spinlight._files import data_folder
from spinlight.ising import Ising, spins_from_bits
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import (
    ChainState,
    Gibbs,
    Mixing,
    ParallelTempering,
    SimulatedAnnealing,
    independent_fields,
    mixing,
)
from spinlight.training import PersistentContrastiveDivergence

Functions = Mapping[str, Callable[[Tensor], Tensor]]
"""Of spins, float32, (..., sites), to (...): what is watched besides the energy."""


@dataclass(frozen=True)
class Watch:
    """A function along chains: how they mix, its mean, and the standard error of that."""

    mixing: Mixing
    mean: float
    error: float


Watched = Mapping[str, Watch]


def cases() -> list[Case]:
    """Return every case, the short ones first."""
    return [
        Case("tempering/glass-3d-warm", partial(_glass, 1.5, None)),
        Case("tempering/glass-3d", partial(_glass, 2.5, 5.0)),
        Case("tempering/rbm-784x500", _machine),
    ]


def _glass(beta: float, required: float | None, settings: Settings) -> list[Claim]:
    """Return the rows of +/-J on a cube of side 6, whose transition is at beta = 0.9.

    At beta = 1.5 single chains still move from valley to valley, at 2.5 they do not. Watched besides the energy: the size of the
    overlap with a state of low energy.
    """
    problem, short = problems.cube_signs(6, 1), settings.quick
    low = SimulatedAnnealing(sweeps=2000, beta=10.0, progress=False).draw(problem, 64, seed=9).top(1).spins[0]
    watched = {"overlap": lambda spins: (spins @ low.to(spins)).abs() / problem.sites}
    tempering = ParallelTempering(beta=beta, ladders=4, burn_in=1000, sweeps_between=10, progress=False)
    row = "tempering/glass-3d" if required else "tempering/glass-3d-warm"
    sizes = Sizes(4000, 2_000, 1_000) if short else Sizes(80_000, 20_000, 400_000, 10_000)
    return compared(row, problem, watched, tempering, sizes, required)


def _machine(settings: Settings) -> list[Claim]:
    """Return the rows of a restricted Boltzmann machine of 784 visible and 500 hidden units, trained on MNIST.

    Watched besides the energy: the visible units' first three principal components in the data.
    """
    images = _images()
    machine = trained(images, 20 if settings.quick else 1000)
    problem = machine.to_ising()
    components = torch.pca_lowrank(images[:5000], q=3, niter=4)[2]
    watched = {f"component {k + 1}": lambda spins, k=k: (spins[..., :784] + 1) / 2 @ components[:, k] for k in range(3)}
    # Hidden units given data, and back: the fields of independent spins that look like data.
    rows = torch.cat([spins_from_bits(images[:512]), -torch.ones(512, 500)], 1).to(torch.int8)
    near_data = Gibbs(progress=False).step(problem, ChainState(rows, 1), 3).spins
    reference = independent_fields(problem, near_data)
    tempering = ParallelTempering(
        rungs=32, reference=reference, ladders=4, burn_in=1000, sweeps_between=10, progress=False
    )
    sizes = Sizes(400, 100, 200) if settings.quick else Sizes(8000, 2_000, 50_000)
    return compared("tempering/rbm-784x500", problem, watched, tempering, sizes, 5.0)


def trained(images: Tensor, steps: int) -> RestrictedBoltzmannMachine:
    """Return a machine after some steps of persistent contrastive divergence on batches of 128 images."""
    torch.manual_seed(0)
    machine = RestrictedBoltzmannMachine(784, 500)
    machine.initialize_biases(images)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=128, sweeps=1, seed=2)
    optimizer = torch.optim.Adam(machine.parameters(), lr=1e-3)
    for step in range(steps):
        batch = images[torch.randint(len(images), (128,), generator=torch.Generator().manual_seed(step))]
        loss = machine.objective(batch, negatives.negative(machine, batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return machine.requires_grad_(False)


def _images() -> Tensor:
    with gzip.open(data_folder() / "mnist" / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16)
    return torch.from_numpy(pixels.reshape(-1, 784) > 127).to(torch.float32)


@dataclass(frozen=True)
class Sizes:
    """How much is drawn: states by tempering; of plain chains, sweeps that are left out, sweeps that follow, and looks at those."""

    draws: int
    burn_in: int
    sweeps: int
    records: int = 1000


_PLAIN = 32
"""Plain chains, sixteen per core on two: fewer and longer ones tell better how slowly they move."""


def compared(
    row: str, problem: Ising, watched: Functions, tempering: ParallelTempering, sizes: Sizes, required: float | None
) -> list[Claim]:
    """Return the ratio of effective draws per second, of the slowest watched function, and the check of the energy.

    Both use all cores; the clock of tempering runs through its burn-in, that of Gibbs does not. Where the chains of Gibbs
    disagree with each other its effective draws are an upper bound on their worth: all may be stuck.

    Args:
        row: name.
        problem: at the beta of `tempering`.
        watched: functions besides the energy.
        tempering: the sampler.
        sizes: how much is drawn.
        required: bound on the ratio.
    """
    torch.set_num_threads(harness.cores())
    tempered, seconds, info = _tempered(problem, watched, tempering, sizes.draws, 1)
    other = replace(tempering, rungs=2 * tempering.rungs)
    check, more_seconds, _ = _tempered(problem, watched, other, sizes.draws, 2)
    plain, plain_seconds = _walked(problem, watched, float(tempering.beta), sizes)
    worth = {
        name: _slowest(found) / taken
        for name, found, taken in (("tempering", tempered, seconds), ("Gibbs", plain, plain_seconds))
    }
    difference, error = _difference(tempered["energy"], check["energy"])
    stuck, _ = _difference(plain["energy"], check["energy"])
    ratio = worth["tempering"] / worth["Gibbs"]
    known = {f"{name} effective/s": value for name, value in worth.items()}
    known |= {"trips": float(info["trips"]), "lowest swap rate": min(info["swap_rates"])}
    known |= {"R-hat": max(found.mixing.split_r_hat for found in tempered.values())}
    known |= {"R-hat of Gibbs": max(found.mixing.split_r_hat for found in plain.values())}
    score = abs(difference) / error
    energies = {"energy": tempered["energy"].mean, "long run": check["energy"].mean, "Gibbs": plain["energy"].mean}
    energies |= {"standard error": error, "Gibbs off by, in it": abs(stuck) / error}
    return [
        Claim(f"{row}/Gibbs", ratio, "x", (ratio, ratio), required, known, seconds + plain_seconds),
        Claim(f"{row}/energy", score, "errors", (score, score), 3.0, energies, more_seconds, "most"),
    ]


def _tempered(
    problem: Ising, watched: Functions, sampler: ParallelTempering, draws: int, seed: int
) -> tuple[Watched, float, Mapping[str, object]]:
    sampler.draw(problem, sampler.ladders, seed=seed)
    start = time.perf_counter()
    found = sampler.draw(problem, draws, seed=seed)
    seconds = time.perf_counter() - start
    spins = found.spins.reshape(-1, sampler.ladders, problem.sites)
    return _watched(found.energies.reshape(-1, sampler.ladders), spins, watched), seconds, found.info.details


def _walked(problem: Ising, watched: Functions, beta: float, sizes: Sizes) -> tuple[Watched, float]:
    """Return what plain chains show, and the seconds of their sweeps alone."""
    sampler, stride = Gibbs(beta=beta, progress=False), max(1, sizes.sweeps // sizes.records)
    state = sampler.step(problem, sampler.init(problem, _PLAIN, seed=3), sizes.burn_in)
    start = time.perf_counter()
    sampler.step(problem, state, sizes.sweeps)
    seconds = time.perf_counter() - start
    looks = sizes.sweeps // stride
    # Room for all of it first: small tensors kept between large ones that are freed leave glibc (before 2.38) holes that it
    # never fills, a megabyte per look.
    energies = torch.empty(looks, _PLAIN, dtype=torch.float64)
    values = torch.empty(len(watched), looks, _PLAIN, dtype=torch.float64)
    for look in range(looks):
        state = sampler.step(problem, state, stride)
        energies[look] = problem.energy(state.spins)
        for function, value in zip(watched.values(), values, strict=True):
            value[look] = function(state.spins.float())
    table = {"energy": energies, **dict(zip(watched, values, strict=True))}
    return {name: watch(each) for name, each in table.items()}, seconds


def _watched(energies: Tensor, spins: Tensor, functions: Functions) -> Watched:
    values = {"energy": energies} | {name: function(spins.float()).double() for name, function in functions.items()}
    return {name: watch(each) for name, each in values.items()}


def watch(values: Tensor) -> Watch:
    """Return what values of shape (time, chains) say."""
    found = mixing(values)
    return Watch(
        found, float(values.mean()), float(values.std()) * math.sqrt(found.autocorrelation_time / values.numel())
    )


def _slowest(found: Watched) -> float:
    """Return the effective draws of the function that is known worst."""
    return min(each.mixing.bulk_effective_draws for each in found.values())


def _difference(one: Watch, other: Watch) -> tuple[float, float]:
    """Return the difference of two means and its standard error."""
    return one.mean - other.mean, math.hypot(one.error, other.error)
