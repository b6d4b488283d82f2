"""Bits of given log odds: their law, the words they are made of, and the ends where they are certain."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.statistics import mean_p_value, threshold
from spinlight.kernels import reference
from spinlight.kernels.bits import bits_of_logits, bits_of_probabilities

LOGITS = np.linspace(-6, 6, 70, dtype=np.float32)
PROBABILITIES = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))


def draws_of(sample, values: np.ndarray) -> np.ndarray:
    return np.stack([sample(values, seed) for seed in range(4_000)])


def test_bits_have_the_wanted_means_and_pairs_of_them_are_independent() -> None:
    bits = draws_of(bits_of_logits, LOGITS)
    products = bits[:, 1:] * bits[:, :-1]
    assert mean_p_value(bits[:, 10:60], PROBABILITIES[10:60]) > threshold()
    assert mean_p_value(products[:, 20:60], (PROBABILITIES[1:] * PROBABILITIES[:-1])[20:60]) > threshold()
    assert mean_p_value(bits[:, 10:60], PROBABILITIES[10:60] ** 1.1) < threshold()


def test_log_odds_and_probabilities_give_the_same_bits() -> None:
    probabilities = PROBABILITIES.astype(np.float32)
    differing = (draws_of(bits_of_logits, LOGITS) != draws_of(bits_of_probabilities, probabilities)).mean()
    assert differing < 1e-6 * 10  # numbers that fall between two roundings of one probability


def test_bits_are_made_of_the_words_of_the_reference() -> None:
    seed = 0x123456789ABCDEF
    place = np.arange(192)
    key = np.zeros((192, 4), np.uint32)
    key[:, 0], key[:, 1], key[:, 2] = seed & 0xFFFFFFFF, seed >> 32, place % 16
    counter = np.zeros((192, 4), np.uint32)
    counter[:, 0] = place // 64
    words = reference.threefry(key, counter)[place, place // 16 % 4]
    expected = (words + 0.5) / 2**32 < 0.3
    np.testing.assert_array_equal(bits_of_probabilities(np.full(192, 0.3, np.float32), seed), expected)


def test_an_entry_does_not_depend_on_how_many_follow() -> None:
    values = np.random.default_rng(0).normal(size=300).astype(np.float32)
    whole = bits_of_logits(values, 5)
    for length in (1, 63, 64, 65, 200):
        np.testing.assert_array_equal(bits_of_logits(values[:length], 5), whole[:length])
    np.testing.assert_array_equal(bits_of_logits(values.reshape(3, 100), 5), whole.reshape(3, 100))


@pytest.mark.parametrize("bit", [0.0, 1.0])
def test_certain_bits_are_certain(bit: float) -> None:
    many = np.full(2**24, bit, np.float32)
    assert (bits_of_probabilities(many, 1) == bit).all()
    assert (bits_of_logits(np.where(many > 0, np.float32(np.inf), np.float32(-np.inf)), 1) == bit).all()


def test_another_seed_gives_other_bits() -> None:
    values = np.zeros(256, np.float32)
    assert not np.array_equal(bits_of_logits(values, 1), bits_of_logits(values, 2))
    assert not np.array_equal(bits_of_logits(values, 1), bits_of_logits(values, 1 + 2**32))
