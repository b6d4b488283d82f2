"""Scores tell mixed batches from separate ones."""

from __future__ import annotations

import numpy as np
import pytest

from spinlight.cells.evaluation import Separation, neighbour_graph, separation

pytest.importorskip("scib_metrics")
pytest.importorskip("scanpy")


def scores(distance: float, count: int = 200) -> Separation:
    """Return the scores of two batches of one normal law, moved apart by a distance."""
    batches = np.arange(count) % 2
    positions = np.random.default_rng(0).normal(size=(count, 3)) + distance * batches[:, None]
    return separation(neighbour_graph(positions.astype(np.float32)), batches=batches.astype(str))


@pytest.mark.parametrize("count", [200, 60])
def test_batches_of_one_law_are_mixed(count: int) -> None:
    # With perplexity 30, LISI of two equally likely batches is about 1 / (1/2 + 1/(2 * 30)) = 1.94; fewer cells, less.
    mixed = scores(0.0, count)
    assert mixed.batch_ilisi is not None
    assert 0.8 < mixed.batch_ilisi <= 1
    assert mixed.batch_silhouette == pytest.approx(0, abs=0.03)


def test_batches_far_apart_are_not_mixed() -> None:
    apart = scores(30.0)
    assert apart.batch_ilisi == pytest.approx(0, abs=1e-3)
    assert apart.batch_silhouette is not None
    assert apart.batch_silhouette > 0.9


def test_one_batch_alone_has_no_score() -> None:
    graph = neighbour_graph(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))
    alone = separation(graph, batches=np.zeros(40).astype(str))
    assert (alone.batch_ilisi, alone.batch_silhouette) == (None, None)
