"""How well a deep belief network classifies MNIST's test digits; cases of `benchmarks/learning.py`.

784-1000-1000. Every machine learns by persistent chains from the grey levels of the 60,000 training images, taken as probabilities; then
all layers and a softmax layer follow the labels with dropout. Images are not shifted or otherwise made more of. Settings were chosen by
training on the first 10,000 training images and looking at the last 10,000; the test images are looked at once, at the end, after as many
epochs as were asked for.

"dbn/mnist/no pre-training" is the same network from random weights, all else equal.
"""

from __future__ import annotations

import statistics
import time

import torch

import harness
from harness import Case, Claim, Settings
from spinlight.datasets import LabelledImages, mnist
from spinlight.training import DeepBeliefClassifier, DeepBeliefTransformer

HIDDEN = (1000, 1000)
PRETRAINING, FINE_TUNING = 30, 60
"""Epochs: of each machine, and of all layers with labels."""

PUBLISHED = {
    "DBN, up-down (Hinton et al. 2006)": 1.25,
    "DBN, dropout (Srivastava et al. 2014)": 0.92,
}


def cases() -> list[Case]:
    """Return every case."""
    return [Case("dbn/mnist", _mnist)]


def _mnist(settings: Settings) -> list[Claim]:
    """Return the share of test images that are classified wrongly, with and without pre-training."""
    torch.set_num_threads(harness.cores())
    data = mnist()
    train = _first(data.train, 2_000) if settings.quick else data.train
    claims = []
    for row, epochs, required in (("test error", PRETRAINING, 1.2), ("no pre-training", 0, None)):
        start = time.perf_counter()
        found = [_error(_trained(train, epochs, seed, settings.quick), data.test) for seed in range(settings.seeds)]
        seconds = time.perf_counter() - start
        known = PUBLISHED | {f"seed {seed}": error for seed, error in enumerate(found)}
        spread = min(found), max(found)
        claims.append(
            Claim(
                f"dbn/mnist/{row}",
                statistics.median(found),
                "% of test images",
                spread,
                required,
                known,
                seconds,
                "most",
            )
        )
    return claims


def _trained(train: LabelledImages, pretraining: int, seed: int, quick: bool) -> DeepBeliefClassifier:
    """Return a classifier of these images."""
    encoder = DeepBeliefTransformer(
        (100, 100) if quick else HIDDEN,
        epochs=min(pretraining, 2) if quick else pretraining,
        batch_size=100,
        learning_rate=3e-3,
    )
    classifier = DeepBeliefClassifier(
        encoder,
        epochs=5 if quick else FINE_TUNING,
        batch_size=100,
        learning_rate=3e-3,
        dropout=0.5,
        input_dropout=0.2,
        random_state=seed,
    )
    return classifier.fit(train.intensities.numpy(), train.labels.numpy())


def _error(classifier: DeepBeliefClassifier, images: LabelledImages) -> float:
    """Return the share of images that are classified wrongly, in per cent."""
    return 100 * (1 - float(classifier.score(images.intensities.numpy(), images.labels.numpy())))


def _first(images: LabelledImages, count: int) -> LabelledImages:
    return LabelledImages(images.intensities[:count], images.labels[:count])
