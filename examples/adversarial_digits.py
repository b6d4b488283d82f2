"""Generate handwritten digits by two adversarial networks: codes from a Boltzmann machine in one, independent bits in the other.

The generator is one layer, so that most codes give no digit. The machine learns which codes the discriminator's features find in the data,
and hands out those. Everything else is alike. Generated and real digits are compared by the Frechet distance of their features in a small
classifier.

    python examples/adversarial_digits.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

from spinlight.datasets import digits
from spinlight.latent import QGAN, independent_bits
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import Batches, PersistentContrastiveDivergence

BITS, EPOCHS, RATE, PIXELS = 32, 70, 4e-3, 64


def network(prior: AbstractBoltzmannMachine) -> QGAN:
    """Return an untrained network; everything but the prior starts alike."""
    torch.manual_seed(0)
    return QGAN(
        generator=nn.Sequential(nn.Linear(BITS, PIXELS), nn.Sigmoid()),
        features=nn.Sequential(nn.Linear(PIXELS, 64), nn.LeakyReLU(0.2)),
        head=nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)),
        prior=prior,
        readout=nn.Linear(64, BITS),
    )


def train(qgan: QGAN, images: Tensor) -> QGAN:
    """Let discriminator, generator and prior take turns; the prior waits for the first images, and all rates fall to zero."""
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=256, seed=0)
    adam = partial(torch.optim.Adam, lr=RATE, betas=(0.0, 0.99))
    discriminator, generator = adam(qgan.discriminator_parameters()), adam(qgan.generator.parameters())
    readout, prior = (torch.optim.Adam(part.parameters(), lr=RATE) for part in (qgan.readout, qgan.prior))
    batches, number = Batches(images, 64, seed=0), 0
    for _ in range(EPOCHS):
        for rows in batches:
            number += 1
            done = number / EPOCHS / len(batches)
            step = qgan.step(rows, negatives)
            descend(step.discriminator_loss(0.0 if number % 4 else 4.0), discriminator)
            descend(step.generator_loss(), generator)
            descend(step.associative_loss(), readout, *([prior] if done > 0.1 else []))
            for optimizer in (discriminator, generator, readout, prior):
                optimizer.param_groups[0]["lr"] = RATE * min(1.0, 2 * (1 - done))
    return qgan


def descend(loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
    """Take one step down a loss."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return |m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), of means m, n and covariances A, B of two sets of rows."""
    a, b = np.cov(first.T), np.cov(second.T)
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(0)).sum()
    return float(((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a + b) - 2 * overlap)


def sheet(images: Tensor, path: Path) -> None:
    """Write a hundred 8 x 8 pictures as one PNG, ten rows of ten, every pixel six wide."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    tiles = torch.nn.functional.pad(images.reshape(10, 10, 8, 8), (1, 1, 1, 1)).permute(0, 2, 1, 3).reshape(100, 100)
    plt.imsave(path, np.kron(tiles.numpy(), np.ones((6, 6))), cmap="gray", vmin=0, vmax=1)


def main(folder: Path) -> None:
    data = digits()
    images = data.intensities
    classifier = MLPClassifier((64, 32), learning_rate_init=3e-3, random_state=0).fit(
        images.numpy(), data.labels.numpy()
    )

    def features(rows: Tensor) -> np.ndarray:
        found = rows.double().numpy()
        for weights, biases in zip(classifier.coefs_[:2], classifier.intercepts_[:2]):
            found = (found @ weights + biases).clip(0)
        return found

    halves = features(images)[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    print(f"two halves of the real digits: Frechet distance {frechet_distance(halves[::2], halves[1::2]):.2f}")
    found = {}
    priors = {"machine": BoltzmannMachine(BITS, initial_scale=0.0), "independent": independent_bits(BITS)}
    for name, prior in priors.items():
        generated = train(network(prior), images).generate(len(images), seed=1)
        found[name] = frechet_distance(features(generated), features(images))
        sheet(generated[:100], folder / f"{name}.png")
        print(f"codes of the {name} prior: {found[name]:.2f}")
    print(f"sheets of generated digits: {folder}")
    assert found["machine"] < 0.9 * found["independent"]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
