"""Batches: every row once per pass, the same order again from the same seed, and a place that can be gone on from."""

from __future__ import annotations

import pytest
import torch

from helpers.statistics import mean_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.datasets import binarized
from spinlight.training import Batches

ROWS = torch.arange(23.0).reshape(-1, 1)


def passes(batches: Batches, number: int) -> list[list[float]]:
    return [torch.cat(list(batches)).flatten().tolist() for _ in range(number)]


def test_a_pass_holds_every_row_once_in_another_order_than_the_one_before() -> None:
    first, second = passes(Batches(ROWS, 5, seed=1), 2)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    assert first != sorted(first)


def test_the_seed_fixes_the_order() -> None:
    assert passes(Batches(ROWS, 5, seed=1), 2) == passes(Batches(ROWS, 5, seed=1), 2)
    assert passes(Batches(ROWS, 5, seed=1), 1) != passes(Batches(ROWS, 5, seed=2), 1)


def test_the_length_is_that_of_a_pass() -> None:
    batches = Batches(ROWS, 5, seed=1)
    assert len(batches) == len(list(batches)) == 5
    assert len(Batches(ROWS, 23)) == 1


@pytest.mark.parametrize("draw", [None, lambda rows, seed: binarized(rows / 23, seed)])
def test_a_saved_place_is_gone_on_from_in_mid_pass(draw) -> None:
    whole = Batches(ROWS, 5, draw=draw, seed=1)
    list(whole)
    iterator = iter(whole)
    next(iterator), next(iterator)
    resumed = Batches(ROWS, 5, draw=draw, seed=2)
    resumed.load_state_dict(whole.state_dict())
    rest, found = list(iterator), list(resumed)
    assert len(found) == 3
    assert all(torch.equal(one, other) for one, other in zip(rest, found, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_a_trainer_that_fetches_ahead_says_what_is_done() -> None:
    ahead = Batches(ROWS, 5, seed=1)
    iterator = iter(ahead)
    batches = [next(iterator) for _ in range(3)]
    ahead.mark(2)
    resumed = Batches(ROWS, 5)
    resumed.load_state_dict(ahead.state_dict())
    assert torch.equal(next(iter(resumed)), batches[2])


def test_grey_levels_become_bits_with_these_probabilities() -> None:
    levels = torch.tensor([[0.0, 0.2, 0.5, 0.9, 1.0]])
    batches = Batches(levels.expand(4_000, -1), 1_000, draw=binarized, seed=3)
    bits = torch.cat([batch for _ in range(5) for batch in batches])
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert mean_p_value(bits[:, 1:4], levels[0, 1:4]) > threshold()
    assert mean_p_value(bits[:, 1:4], 0.95 * levels[0, 1:4]) < threshold()
    assert bits[:, 0].max() == 0
    assert bits[:, 4].min() == 1


def test_grey_levels_are_drawn_anew_at_every_pass_and_in_every_batch() -> None:
    batches = Batches(torch.full((200, 64), 0.5), 100, draw=binarized, seed=3)
    first, second = ([batch.clone() for batch in batches] for _ in range(2))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("rows", [torch.zeros(0, 3), torch.zeros(3), torch.zeros(2, 2, 2)])
def test_what_is_no_table_of_rows_is_refused(rows: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError, match=r"\(count, features\)"):
        Batches(rows, 2)


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="batch_size"):
        Batches(ROWS, 0)
