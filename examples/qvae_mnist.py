"""Learn handwritten digits by an autoencoder whose latent bits follow a Boltzmann machine; let it write some, and classify by its bits.

Grey levels are probabilities: every pass sees new bits. Digits come from the prior alone, by parallel tempering. Labels are seen by the
logistic regressions only: on latent bits, on those of the same encoder before training, and on pixels.

    python examples/qvae_mnist.py [FOLDER] [--steps 6000]

Eight hundred steps by default, for a first look within seconds; 6,000 take a minute or two and make better digits.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from spinlight.datasets import LabelledImages, binarized, mnist
from spinlight.latent import QVAE, BoltzmannPrior, StraightThrough
from spinlight.models import BoltzmannMachine
from spinlight.samplers import ParallelTempering
from spinlight.training import Batches, PersistentContrastiveDivergence

BITS, WIDTH, LABELLED = 64, 400, 3000


def autoencoder() -> QVAE:
    """Return one of 64 latent bits, every pair of which the prior couples; normalised logits keep all of them in use."""
    encoder = nn.Sequential(nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, BITS), nn.BatchNorm1d(BITS))
    decoder = nn.Sequential(nn.Linear(BITS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 784))
    prior = BoltzmannPrior(BoltzmannMachine(BITS), negatives=PersistentContrastiveDivergence(chains=128, seed=0))
    return QVAE(encoder, decoder, prior, relaxation=StraightThrough())


def train(qvae: QVAE, images: Tensor, steps: int) -> None:
    """Let the divergence count by and by, and the learning rates fall to zero over the second half."""
    networks = [*qvae.encoder.parameters(), *qvae.decoder.parameters()]
    optimizer = torch.optim.Adam([{"params": networks, "lr": 5e-3}, {"params": qvae.prior.parameters(), "lr": 1e-2}])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    batches = Batches(images, 128, draw=binarized, seed=1)
    step = 0
    while step < steps:
        for batch in batches:
            loss = qvae.training_loss(batch, kl_weight=min(1.0, step / (0.3 * steps)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step == steps:
                break


def sheet(pictures: Tensor, path: Path) -> None:
    """Write fifty 28 x 28 pictures as one PNG, five rows of ten, every pixel three by three."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    tiles = nn.functional.pad(pictures.reshape(5, 10, 28, 28), (1, 1, 1, 1), value=0.3)
    whole = tiles.permute(0, 2, 1, 3).reshape(150, 300).repeat_interleave(3, 0).repeat_interleave(3, 1)
    plt.imsave(path, whole.numpy(), cmap="gray", vmin=0, vmax=1)


def accuracy(features: Callable[[Tensor], Tensor], train: LabelledImages, test: LabelledImages) -> float:
    """Return the share of test images that logistic regression on these features gets right, in per cent."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    classifier.fit(features(train.intensities).numpy(), train.labels.numpy())
    return 100 * float(classifier.score(features(test.intensities).numpy(), test.labels.numpy()))


def main(folder: Path, steps: int) -> None:
    torch.manual_seed(0)
    data = mnist()
    qvae = autoencoder()
    untrained = copy.deepcopy(qvae)
    train(qvae, data.train.intensities, steps)

    known = qvae.prior.estimate()
    bound = qvae.importance_weighted_bound(binarized(data.test.intensities[:500], seed=2), draws=100, seed=3)
    print(f"log Z of the prior: {known}")
    print(f"per test digit: {bound}")

    tempering = ParallelTempering(rungs=16, ladders=10, burn_in=1000, sweeps_between=100, progress=False)
    sheet(qvae.generate(50, sampler=tempering, seed=4), folder / "digits.png")
    print(f"digits from the prior: {folder / 'digits.png'}")

    labelled = LabelledImages(data.train.intensities[:LABELLED], data.train.labels[:LABELLED])
    features = {
        "64 latent probabilities": qvae.represent,
        "their log odds": partial(qvae.represent, representation="logits"),
        "those of an untrained encoder": partial(untrained.represent, representation="logits"),
        "784 pixels": torch.clone,
    }
    found = {name: accuracy(feature, labelled, data.test) for name, feature in features.items()}
    print(f"test digits classified by {LABELLED:,} labels and", ", ".join(f"{n}: {v:.1f} %" for n, v in found.items()))
    assert bound.pessimistic > -130  # independent pixels: -206
    assert found["their log odds"] > found["those of an untrained encoder"] + 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(given.folder or Path(temporary), given.steps)
