"""Train a restricted Boltzmann machine on handwritten digits by persistent contrastive divergence.

Its log-likelihood is computed twice: exactly, by going through the 2^16 states of its hidden units, and by annealed
importance sampling, which works at any size.

    python examples/train_an_rbm.py
"""

from __future__ import annotations

from functools import partial

import torch
from sklearn.datasets import load_digits

from spinlight.models import RestrictedBoltzmannMachine
from spinlight.training import (
    AnnealedImportance,
    Descent,
    ExactPartition,
    PersistentContrastiveDivergence,
    log_likelihood,
)

HIDDEN = 16


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 1,500 training and 297 test images of 8 x 8 bits."""
    images = (torch.from_numpy(load_digits().data) > 7).float()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:1500]], images[order[1500:]]


def train(machine: RestrictedBoltzmannMachine, images: torch.Tensor) -> None:
    """Follow the gradient of the likelihood: data against chains that follow the machine."""
    negatives = PersistentContrastiveDivergence(chains=128, sweeps=5, seed=2)
    steps = Descent(epochs=100, batch_size=100, optimizer=partial(torch.optim.Adam, lr=1e-2))
    steps.minimize(partial(negatives.objective, machine), machine.parameters(), images, seed=3)


def main() -> None:
    torch.manual_seed(1)
    training, test = digits()
    machine = RestrictedBoltzmannMachine(training.shape[1], HIDDEN)
    machine.initialize_biases(training)

    before = log_likelihood(machine, test, partition=ExactPartition().estimate(machine))
    train(machine, training)
    exact = ExactPartition().estimate(machine)
    annealed = AnnealedImportance(chains=256, steps=2000).estimate(machine, seed=3)
    after = log_likelihood(machine, test, partition=exact)
    print(
        f"test log-likelihood per image: {before.value:.2f} nats with independent pixels, {after.value:.2f} after training"
    )
    print(f"log Z: exact {exact.value:.3f}, annealed {annealed.value:.3f} +/- {annealed.standard_error:.3f}")
    assert after.value > before.value + 5
    assert abs(annealed.value - exact.value) < 5 * annealed.standard_error


if __name__ == "__main__":
    main()
