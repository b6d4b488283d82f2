"""Random words on a GPU, and what is made of them: those of `kernels.noise`, word for word (Triton).

Counter-based: the words are a function of a key (seed and chain) and a counter, and nothing is carried from one to the next.

References:
    Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Threefry; 13 rounds pass BigCrush);
    Box & Muller, "A note on the generation of random normal deviates", Ann. Math. Stat. 29 (1958) 610.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def threefry(seed, chains, site, counter, stream: tl.constexpr):
    """Return four tensors of random words: Threefry-4x32 with 13 rounds.

    Args:
        seed: uint64 scalar.
        chains: number of each chain, uint32.
        site: number of each site or block of four visits, uint32; it broadcasts against `chains`.
        counter: number of the sweep or step, uint64 scalar.
        stream: what takes the place of the counter's high word, if it is not negative.
    """
    zero = (chains ^ chains) ^ (site ^ site)
    k0, k1, k2, k3 = zero + seed.to(tl.uint32), zero + (seed >> 32).to(tl.uint32), zero + chains, zero
    k4 = k0 ^ k1 ^ k2 ^ 0x1BD11BDA
    high = (counter >> 32).to(tl.uint32) if stream < 0 else zero + stream
    x0, x1, x2, x3 = site + k0, k1 + counter.to(tl.uint32), k2 + high, k3
    x0, x1, x2, x3 = _four_rounds(x0, x1, x2, x3, 10, 26, 11, 21, 13, 27, 23, 5)
    x0, x1, x2, x3 = x0 + k1, x1 + k2, x2 + k3, x3 + k4 + 1
    x0, x1, x2, x3 = _four_rounds(x0, x1, x2, x3, 6, 20, 17, 11, 25, 10, 18, 20)
    x0, x1, x2, x3 = x0 + k2, x1 + k3, x2 + k4, x3 + k0 + 2
    x0, x1, x2, x3 = _four_rounds(x0, x1, x2, x3, 10, 26, 11, 21, 13, 27, 23, 5)
    x0, x1, x2, x3 = x0 + k3, x1 + k4, x2 + k0, x3 + k1 + 3
    x0, x2 = x0 + x1, x2 + x3
    return x0, _rotated(x1, 6) ^ x0, x2, _rotated(x3, 20) ^ x2


@triton.jit
def _four_rounds(
    x0,
    x1,
    x2,
    x3,
    a: tl.constexpr,
    b: tl.constexpr,
    c: tl.constexpr,
    d: tl.constexpr,
    e: tl.constexpr,
    f: tl.constexpr,
    g: tl.constexpr,
    h: tl.constexpr,
):
    x0, x2 = x0 + x1, x2 + x3
    x1, x3 = _rotated(x1, a) ^ x0, _rotated(x3, b) ^ x2
    x0, x2 = x0 + x3, x2 + x1
    x3, x1 = _rotated(x3, c) ^ x0, _rotated(x1, d) ^ x2
    x0, x2 = x0 + x1, x2 + x3
    x1, x3 = _rotated(x1, e) ^ x0, _rotated(x3, f) ^ x2
    x0, x2 = x0 + x3, x2 + x1
    x3, x1 = _rotated(x3, g) ^ x0, _rotated(x1, h) ^ x2
    return x0, x1, x2, x3


@triton.jit
def _rotated(words, bits: tl.constexpr):
    return (words << bits) | (words >> (32 - bits))


@triton.jit
def exponential_noise(words):
    """Return -log(u) for u = (word + 1/2) / 2^32."""
    return 22.1807098 - tl.log(words.to(tl.float32) + 0.5)


@triton.jit
def logistic_noise(words):
    """Return log(u / (1 - u)) for u = (word + 1/2) / 2^32, exactly antisymmetric about u = 1/2 but for the logarithm."""
    return tl.log((words.to(tl.float32) + 0.5) / ((words ^ 0xFFFFFFFF).to(tl.float32) + 0.5))


@triton.jit
def normal_pair(first, second):
    """Return two standard normal numbers for two words: r cos(a) and r sin(a), r = sqrt(-2 log u), a uniform."""
    r = tl.sqrt(2.0 * exponential_noise(first))
    angle = second.to(tl.int32, bitcast=True).to(tl.float32) * 1.46291807927e-9  # 2 pi / 2^32
    return r * tl.cos(angle), r * tl.sin(angle)
