"""Classify handwritten digits by a deep belief network, and let it write digits of its own.

Layers of features are learned without labels, one restricted Boltzmann machine after the other; then a softmax layer is put on top, and
all layers follow the labels.

    python examples/classify_digits.py
"""

from __future__ import annotations

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from spinlight.datasets import binarized, digits
from spinlight.samplers import Gibbs
from spinlight.training import AnnealedImportance, DeepBeliefClassifier, DeepBeliefTransformer, likelihood_bound


def independent_pixels(training: torch.Tensor, test: torch.Tensor) -> float:
    """Return the mean log-likelihood of test images if pixels had nothing to do with each other."""
    on = (training.sum(0) + 1) / (len(training) + 2)
    return float((test @ on.log() + (1 - test) @ (1 - on).log()).mean())


def pictures(images: torch.Tensor) -> str:
    """Return 8 x 8 images side by side as text."""
    rows = images.view(-1, 8, 8).transpose(0, 1)
    return "\n".join("   ".join("".join(" #"[bit] for bit in part) for part in row) for row in rows.int().tolist())


def main() -> None:
    data = digits()
    split = train_test_split(data.intensities, data.labels, test_size=500, random_state=0, stratify=data.labels)
    images, test, labels, test_labels = (part.numpy() for part in split)

    features = DeepBeliefTransformer((300, 300), epochs=40, batch_size=50, learning_rate=3e-3)
    classifier = DeepBeliefClassifier(
        features, epochs=60, batch_size=50, learning_rate=3e-3, dropout=0.5, random_state=0
    ).fit(images, labels)
    error = 1 - classifier.score(test, test_labels)
    baseline = 1 - LogisticRegression(max_iter=1000).fit(images, labels).score(test, test_labels)
    print(f"test images classified wrongly: {100 * error:.1f} %, by logistic regression {100 * baseline:.1f} %")

    network = classifier.encoder_.network_  # the model of images, which the labels have not touched
    print("digits of its own:")
    print(pictures(network.sample(Gibbs(sweeps=1000, progress=False), 7, seed=1)))

    log_partition = AnnealedImportance(chains=100, steps=1000).estimate(network.top, seed=2)
    rows = binarized(torch.from_numpy(test), seed=3)
    bound = likelihood_bound(network, rows, partition=log_partition, draws=20, seed=4)
    independent = independent_pixels(torch.from_numpy(images), rows)
    print(f"log-likelihood of a test image: at least {bound}; {independent:.2f} with independent pixels")
    assert error < baseline
    assert bound.pessimistic > independent + 1


if __name__ == "__main__":
    main()
