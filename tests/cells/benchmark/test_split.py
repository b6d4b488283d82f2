"""The split is the same for every model, and no mini-batch has one cell."""

from __future__ import annotations

import numpy as np

from spinlight.cells.benchmark.chosen import BATCH_SIZE
from spinlight.cells.benchmark.models.split import split_cells


def test_every_cell_is_on_one_side() -> None:
    split = split_cells(1000, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.training, split.held_out])), np.arange(1000))
    assert len(split.held_out) == 100


def test_a_seed_gives_the_same_split_and_another_one_another() -> None:
    np.testing.assert_array_equal(split_cells(500, 3).held_out, split_cells(500, 3).held_out)
    assert not np.array_equal(split_cells(500, 3).held_out, split_cells(500, 4).held_out)


def test_no_last_batch_has_one_or_two_cells() -> None:
    splits = {count: split_cells(count, 0) for count in range(20, 900)}
    for count, split in splits.items():
        assert len(split.training) % BATCH_SIZE not in (1, 2)
        assert len(split.training) + len(split.held_out) == count
        assert len(split.held_out) >= 1
    assert any(len(split.held_out) > round(count / 10) for count, split in splits.items())  # some needed it
