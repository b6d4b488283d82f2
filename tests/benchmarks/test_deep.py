"""The benchmark of deep belief networks: its rows on tiny work."""

from __future__ import annotations

import pytest
import torch

import deep
import learning
from harness import Settings
from helpers.images import bands
from spinlight.datasets import LabelledImages, Mnist


def test_it_is_a_case_of_the_learning_benchmark() -> None:
    assert "dbn/mnist" in [case.name for case in learning.cases()]


def test_both_rows_count_the_test_images_that_are_wrong(monkeypatch) -> None:
    monkeypatch.setattr(deep, "mnist", lambda: Mnist(bands(2_000, seed=0), bands(300, seed=1)))
    ours, without = deep.cases()[0].measure(Settings(quick=True, seeds=1))
    assert [ours.row, without.row] == ["dbn/mnist/test error", "dbn/mnist/no pre-training"]
    assert (ours.required, ours.sense, without.required) == (1.2, "most", None)
    assert ours.value == ours.peers["seed 0"] == ours.interval[0] == ours.interval[1]
    assert ours.value < 45  # chance would give 90


def test_the_error_is_the_share_of_labels_that_differ() -> None:
    class Guess:
        def score(self, images, labels) -> float:
            return float((labels == 3).mean())

    images = LabelledImages(torch.zeros(8, 2), torch.tensor([3, 3, 3, 1, 1, 1, 1, 1]))
    assert deep._error(Guess(), images) == pytest.approx(62.5)
