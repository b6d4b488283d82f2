"""Learn grey-level faces with a Gaussian-Bernoulli restricted Boltzmann machine.

Visible units are real numbers, each with a variance that is learned; hidden units are bits. With the visible ones integrated out, the
hidden units are a Boltzmann machine of their own, so that log Z, and with it the likelihood, comes from the same estimators as for
bits. The control is one normal distribution per pixel.

    python examples/faces_by_gaussian_rbm.py
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from spinlight.datasets import frey_faces
from spinlight.models import GaussianBernoulliRBM
from spinlight.training import (
    AnnealedImportance,
    Descent,
    PersistentContrastiveDivergence,
    log_likelihood,
)

HIDDEN, EPOCHS = 24, 200


def faces() -> tuple[Tensor, Tensor]:
    """Return 1,700 faces to learn from and the 265 after them, every pixel scaled to mean 0 and variance 1 over the former.

    They are frames of one film, and neighbours are alike: others drawn at random would be near copies.
    """
    film = frey_faces()
    learned, others = film[:1700], film[1700:]
    mean, scale = learned.mean(0), learned.std(0)
    return (learned - mean) / scale, (others - mean) / scale


def normal_log_likelihood(learned: Tensor, others: Tensor) -> float:
    """Return the mean log-likelihood per face of one normal distribution per pixel."""
    mean, variance = learned.double().mean(0), learned.double().var(0, correction=0)
    terms = (others.double() - mean).square() / variance + variance.log() + math.log(2 * math.pi)
    return float(-0.5 * terms.sum(1).mean())


def train(machine: GaussianBernoulliRBM, images: Tensor) -> None:
    """Follow the gradient of the likelihood: data against chains that follow the machine, in matrix products."""
    negatives = PersistentContrastiveDivergence(chains=200, seed=1)
    steps = Descent(epochs=EPOCHS, batch_size=100, optimizer=partial(torch.optim.Adam, lr=3e-3))
    steps.minimize(partial(negatives.objective, machine), machine.parameters(), images, seed=2)


def main() -> None:
    torch.manual_seed(0)
    learned, others = faces()
    machine = GaussianBernoulliRBM(learned.shape[1], HIDDEN)
    machine.initialize_from_data(learned)
    train(machine, learned)
    found = log_likelihood(
        machine, others, partition=AnnealedImportance(chains=256, steps=3_000).estimate(machine, seed=3)
    )
    control = normal_log_likelihood(learned, others)
    noise = machine.log_variances.detach().exp().sqrt().mean()
    print(f"log-likelihood per held-out face: {found}")
    print(f"one normal distribution per pixel: {control:.1f}")
    print(f"what the hidden units leave unexplained: {noise:.2f} of a pixel's standard deviation")
    assert found.pessimistic > control + 50


if __name__ == "__main__":
    main()
