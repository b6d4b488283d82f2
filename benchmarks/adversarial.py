"""An adversarial network on MNIST with codes from a Boltzmann machine, and with independent bits; a case of `benchmarks/learning.py`.

Generated and real images are compared by the Frechet distance of their features in a small convolutional classifier. The distance of finite
samples is biased upwards, by an amount that falls as 1 / samples and depends on the law: all sets have as many images as there are test
images, and the distance of as many training images is the floor.

All networks of a seed start alike and see the same batches; their codes are fair coins until the prior begins to learn. From there on the
couplings and biases of a machine follow, or the biases alone, or nothing: the gain is over the better of these two controls.

Settings were chosen by the distance to the last 10,000 training images, which no network sees. A prior that learns from the first step on
switches bits off and falls behind fair coins, so it waits. The wait and the prior's own rate were looked for on seed 0; the other rates,
bits and layers were searched neither for the machine nor for the controls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import harness
from harness import Case, Claim, Settings
from spinlight.datasets import LabelledImages, mnist
from spinlight.latent import QGAN, independent_bits
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import Batches, PersistentContrastiveDivergence

BITS, CHANNELS, HIDDEN = 32, 8, 64
TRAINED = 50_000
STEPS = 6_000

PRIORS: dict[str, Callable[[], AbstractBoltzmannMachine]] = {
    "QGAN": partial(BoltzmannMachine, BITS, initial_scale=0.0),
    "independent bits": partial(independent_bits, BITS),
    "fair coins": partial(independent_bits, BITS, learned=False),
}


def cases() -> list[Case]:
    """Return the case."""
    return [Case("qgan/mnist", _qgan)]


def _qgan(settings: Settings) -> list[Claim]:
    """Return how good the classifier is, and by how much the machine's images are nearer to test images than the better control's."""
    torch.set_num_threads(harness.cores())
    start, data = time.perf_counter(), mnist()
    train, steps, generated = _first(data.train, TRAINED), STEPS, len(data.test.labels)
    if settings.quick:
        train, steps, generated = _first(train, 1_000), 50, 200
    network = classifier(train, 50 if settings.quick else 1_500)
    features, accuracy = network[0], _accuracy(network, data.test)
    real = features_of(features, data.test.intensities)
    found: dict[str, list[float]] = {name: [] for name in PRIORS}
    for seed in range(1, settings.seeds + 1):  # settings were looked for on seed 0
        for name, prior in PRIORS.items():
            qgan = trained(prior(), train.intensities, steps, seed)
            images = qgan.generate(generated, seed=seed)
            found[name].append(frechet_distance(features_of(features, images), real))
    gains = [min(controls) - machine for machine, *controls in zip(*found.values(), strict=True)]
    known = {f"{name}, seed {seed}": value for name, values in found.items() for seed, value in enumerate(values, 1)}
    known["training images"] = frechet_distance(features_of(features, train.intensities[:generated]), real)
    seconds = time.perf_counter() - start
    return [
        Claim("qgan/mnist/classifier", accuracy, "% of test images", (accuracy, accuracy), 98.5, {}, seconds),
        Claim("qgan/mnist/gain", min(gains), "", (min(gains), max(gains)), 0.0, known, seconds),
    ]


def classifier(images: LabelledImages, steps: int) -> nn.Sequential:
    """Return a convolutional classifier; its first part gives the 64 features that images are compared by."""
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 49, 64),
        nn.ReLU(),
    )
    network = nn.Sequential(features, nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    picks = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(images.labels), (100,), generator=picks)
        _descend(optimizer, functional.cross_entropy(network(images.intensities[rows]), images.labels[rows]))
        schedule.step()
    return network.requires_grad_(False)


def features_of(features: nn.Module, images: Tensor) -> Tensor:
    """Return the features of images, shape (images, 64)."""
    with torch.no_grad():
        return torch.cat([features(part) for part in images.split(1_000)])


def untrained(prior: AbstractBoltzmannMachine, seed: int) -> QGAN:
    """Return a network whose parts, the prior aside, are fixed by the seed."""
    torch.manual_seed(seed)
    width = 2 * CHANNELS * 49
    return QGAN(
        generator=nn.Sequential(
            nn.Linear(BITS, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 784),
            nn.Sigmoid(),
        ),
        features=nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, CHANNELS, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(CHANNELS, 2 * CHANNELS, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        ),
        head=nn.Sequential(nn.Linear(width, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)),
        prior=prior,
        readout=nn.Linear(width, BITS),
        smoothing=_spins,
    )


def trained(prior: AbstractBoltzmannMachine, images: Tensor, steps: int, seed: int) -> QGAN:
    """Return a network after so many batches; rates fall to zero over the second half, and the prior waits for the first sixth."""

    def rate(step: int) -> float:
        return min(1.0, 2 * (1 - step / steps))

    def waiting(step: int) -> float:
        return rate(step) if step >= steps // 6 else 0.0

    qgan = untrained(prior, seed)
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=256, sweeps=3, seed=seed)
    adam = partial(torch.optim.Adam, lr=2e-3, betas=(0.0, 0.99))
    groups = [{"params": qgan.readout.parameters()}, {"params": qgan.prior.parameters()}]
    optimizers = (
        adam(qgan.discriminator_parameters()),
        adam(qgan.generator.parameters()),
        torch.optim.Adam(groups, lr=2e-3),
    )
    rates = rate, rate, [rate, waiting]
    schedules = [torch.optim.lr_scheduler.LambdaLR(*pair) for pair in zip(optimizers, rates, strict=True)]
    batches, number = Batches(images, 64, seed=seed), 0
    while number < steps:
        for rows in batches:
            step = qgan.step(rows, negatives)
            penalised = partial(step.discriminator_loss, 0.0 if number % 4 else 20.0)
            for optimizer, loss in zip(
                optimizers, (penalised, step.generator_loss, step.associative_loss), strict=True
            ):
                _descend(optimizer, loss())
            for schedule in schedules:
                schedule.step()
            number += 1
            if number == steps:
                break
    return qgan


def _spins(bits: Tensor, noise: Tensor) -> Tensor:
    """Return bits as -1 and 1, which a layer takes better to than 0 and 1."""
    return 2 * bits - 1


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _accuracy(network: nn.Module, images: LabelledImages) -> float:
    """Return the share of images that a classifier names rightly, in per cent."""
    return 100 * float((features_of(network, images.intensities).argmax(1) == images.labels).float().mean())


def _first(images: LabelledImages, count: int) -> LabelledImages:
    return LabelledImages(images.intensities[:count], images.labels[:count])


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared Frechet distance of two Gaussians that have the means and covariances of two sets of rows.

    |m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)

    Args:
        first: shape (rows, features), at least two rows.
        second: shape (rows, features).

    References:
        Dowson & Landau (1982); Heusel et al. (2017), GANs trained by a two time-scale update rule (features of a classifier); Chong &
        Forsyth (2020), Effectively unbiased FID (the bias of finite samples).
    """
    rows = [part.detach().to(torch.float64).numpy() for part in (first, second)]
    means, covariances = [part.mean(0) for part in rows], [np.atleast_2d(np.cov(part, rowvar=False)) for part in rows]
    root = _root(covariances[0])
    overlap = np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)
    spread = sum(np.trace(covariance) for covariance in covariances) - 2 * np.sqrt(overlap).sum()
    return float(((means[0] - means[1]) ** 2).sum() + spread)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric root; eigenvalues that rounding has made negative count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
