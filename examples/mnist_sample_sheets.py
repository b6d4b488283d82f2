"""Train a restricted Boltzmann machine on handwritten digits; draw a sheet of its samples and one of its filters.

Grey levels are probabilities: every pass sees new bits. Samples come from parallel tempering, which does not stay in the digit that it
starts from. A few epochs only, so that it runs in half a minute; the benchmark `mnist/rbm-784x500` trains for longer.

    python examples/mnist_sample_sheets.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from spinlight.datasets import binarized, mnist
from spinlight.ising import bits_from_spins
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import ParallelTempering, independent_fields
from spinlight.training import (
    AnnealedImportance,
    Descent,
    PersistentContrastiveDivergence,
    log_likelihood,
)

HIDDEN, EPOCHS, IMAGES = 100, 12, 20_000


def train(images: Tensor) -> RestrictedBoltzmannMachine:
    """Return a machine after some epochs of plain gradient descent, whose rate falls to zero."""
    machine = RestrictedBoltzmannMachine(images.shape[1], HIDDEN)
    machine.initialize_biases(binarized(images, 1))
    negatives = PersistentContrastiveDivergence(chains=100, seed=2)
    steps = Descent(epochs=EPOCHS, batch_size=100, optimizer=partial(torch.optim.SGD, lr=0.2))
    steps.minimize(partial(negatives.objective, machine), machine.parameters(), images, draw=binarized, seed=3)
    return machine.requires_grad_(False)


def samples(machine: RestrictedBoltzmannMachine, images: Tensor) -> Tensor:
    """Return the grey levels of 50 samples: the probabilities of their pixels given their hidden units."""
    problem = machine.to_ising()
    hidden = torch.bernoulli(machine.hidden_probabilities(binarized(images[:500], 4)))
    rows = torch.cat([binarized(images[:500], 4), hidden], 1)
    reference = independent_fields(problem, (2 * rows - 1).to(torch.int8))
    tempering = ParallelTempering(
        rungs=16, reference=reference, ladders=10, burn_in=500, sweeps_between=50, progress=False
    )
    bits = bits_from_spins(tempering.draw(problem, 50, seed=5).spins)
    return machine.visible_probabilities(bits[:, machine.num_visible :].float())


def sheet(pictures: Tensor, path: Path, *, centred: bool = False) -> None:
    """Write fifty 28 x 28 pictures as one PNG, five rows of ten; centred: zero is grey."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    tiles = torch.nn.functional.pad(pictures.reshape(5, 10, 28, 28), (1, 1, 1, 1))
    limit = float(pictures.abs().max()) if centred else 1.0
    plt.imsave(
        path, tiles.permute(0, 2, 1, 3).reshape(150, 300).numpy(), cmap="gray", vmin=-limit * centred, vmax=limit
    )


def main(folder: Path) -> None:
    torch.manual_seed(0)
    data = mnist()
    images = data.train.intensities[:IMAGES]
    machine = train(images)
    sheet(samples(machine, images), folder / "samples.png")
    sheet(machine.weight.T[:50], folder / "filters.png", centred=True)
    estimator = AnnealedImportance(chains=128, steps=8_000, base_rows=binarized(images[:2_000], 6))
    rows = binarized(data.test.intensities, 7)
    found = log_likelihood(machine, rows, partition=estimator.estimate(machine, seed=8))
    print(f"test log-likelihood per digit: {found}")
    print(f"sheets of samples and filters: {folder}")
    assert found.pessimistic > -125  # independent pixels: -206


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
