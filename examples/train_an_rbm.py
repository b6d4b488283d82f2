"""Train a restricted Boltzmann machine on handwritten digits by persistent contrastive divergence.

Its log-likelihood is computed twice: exactly, by going through the 2^16 states of its hidden units, and by annealed
importance sampling, which works at any size.

    python examples/train_an_rbm.py
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import AnnealedImportance, ExactPartition, PersistentContrastiveDivergence

HIDDEN, EPOCHS, BATCH = 16, 60, 100


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 1,500 training and 297 test images of 8 x 8 bits."""
    images = (torch.from_numpy(load_digits().data) > 7).float()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:1500]], images[order[1500:]]


def train(machine: RestrictedBoltzmannMachine, images: torch.Tensor) -> None:
    """Follow the gradient of the likelihood: data against chains that follow the machine."""
    negatives = PersistentContrastiveDivergence(Gibbs(), chains=128, sweeps=5, seed=2)
    optimizer = torch.optim.Adam(machine.parameters(), lr=5e-3)
    for _ in range(EPOCHS):
        for batch in images[torch.randperm(len(images))].split(BATCH):
            loss = machine.objective(batch, negatives.negative(machine, batch))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    torch.manual_seed(1)
    training, test = digits()
    machine = RestrictedBoltzmannMachine(training.shape[1], HIDDEN)
    machine.initialize_biases(training)

    def log_likelihood(log_partition: float) -> float:
        return -float(machine.free_energy(test).mean().detach()) - log_partition

    before = log_likelihood(ExactPartition().estimate(machine).value)
    train(machine, training)
    exact = ExactPartition().estimate(machine)
    annealed = AnnealedImportance(chains=256, steps=2000).estimate(machine, seed=3)
    after = log_likelihood(exact.value)
    print(f"test log-likelihood per image: {before:.2f} nats with independent pixels, {after:.2f} after training")
    print(f"log Z: exact {exact.value:.3f}, annealed {annealed.value:.3f} +/- {annealed.standard_error:.3f}")
    assert after > before + 5
    assert abs(annealed.value - exact.value) < 5 * annealed.standard_error


if __name__ == "__main__":
    main()
