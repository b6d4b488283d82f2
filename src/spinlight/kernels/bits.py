"""Independent bits of given log odds: what block Gibbs sampling draws between two matrix products.

A pass over memory, sixteen entries at a time. The words are Threefry-4x32-13 of the seed and the position, so that an entry does
not depend on how the work is divided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spinlight.kernels.lanes import fma, less, load, minimum, select, splat, store, to_float
from spinlight.kernels.noise import exp, threefry

f32 = np.float32
u32 = np.uint32

BLOCK = 64
"""Entries that one call of the generator serves: four words in sixteen lanes."""

_LANES = np.arange(16, dtype=np.uint32)


def bits_of_logits(logits: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return bits that are 1 with probability 1 / (1 + exp(-logit)): 0/1 float32, the shape of `logits`.

    Args:
        logits: contiguous; left as they are. Infinite ones give certain bits.
        seed: names the random stream, in [0, 2^64).
    """
    return _bits(_fill_from_logits, logits, seed)


def bits_of_probabilities(probabilities: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return bits that are 1 with these probabilities, in [0, 1]; as `bits_of_logits`. Both give the same bits up to rounding."""
    return _bits(_fill_from_probabilities, probabilities, seed)


def _bits(fill: Any, numbers: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    flat, key = numbers.reshape(-1), np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
    bits = np.empty(flat.shape, np.float32)
    whole = len(flat) // BLOCK * BLOCK
    fill(flat[:whole], key, _LANES, 0, bits[:whole])
    if whole < len(flat):
        rest = np.zeros(BLOCK, np.float32)
        rest[: len(flat) - whole] = flat[whole:]
        fill(rest.copy(), key, _LANES, whole // BLOCK, rest)
        bits[whole:] = rest[: len(flat) - whole]
    return bits.reshape(numbers.shape)


@njit(nogil=True, cache=True, fastmath={"contract"})
def _fill_from_logits(logits, seed, chains, first, bits):
    lanes = load(chains, 0)
    one, zero = splat(f32(1.0)), splat(f32(0.0))
    for k in range(len(logits) // 64):
        words = threefry(seed[0], seed[1], lanes, u32(first + k), u32(0), u32(0))
        for w in range(4):
            start = 64 * k + 16 * w
            number = _uniform(words[w])
            up = less(fma(number, exp(zero - load(logits, start)), number), one)
            store(bits, start, select(up, one, zero))


@njit(nogil=True, cache=True)
def _fill_from_probabilities(probabilities, seed, chains, first, bits):
    lanes = load(chains, 0)
    for k in range(len(probabilities) // 64):
        words = threefry(seed[0], seed[1], lanes, u32(first + k), u32(0), u32(0))
        for w in range(4):
            start = 64 * k + 16 * w
            up = less(_uniform(words[w]), load(probabilities, start))
            store(bits, start, select(up, splat(f32(1.0)), splat(f32(0.0))))


@njit(nogil=True, inline="always")
def _uniform(word):
    """Return u = (word + 1/2) / 2^32, kept below 1: bits that are certain stay certain."""
    return minimum((to_float(word) + splat(f32(0.5))) * splat(f32(2.0**-32)), splat(f32(1 - 2.0**-24)))
