"""Random words and what is made of them, sixteen lanes at a time.

Counter-based: the words are a function of a key (seed and chain) and a counter, and nothing is carried from one to the next.

References:
    Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Threefry; 13 rounds pass BigCrush);
    Box & Muller, "A note on the generation of random normal deviates", Ann. Math. Stat. 29 (1958) 610.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from spinlight.kernels.lanes import (
    as_float,
    as_word,
    fma,
    maximum,
    minimum,
    rotate,
    round_,
    signed_to_float,
    splat,
    square_root,
    to_float,
    to_word,
)

f32 = np.float32
u32 = np.uint32


@njit(nogil=True, inline="always")
def threefry(seed_low, seed_high, chains, site, sweep_low, sweep_high):
    """Return four vectors of random words for sixteen chains: Threefry-4x32 with 13 rounds."""
    k0, k1, k2, k3 = splat(seed_low), splat(seed_high), chains, splat(u32(0))
    k4 = k0 ^ k1 ^ k2 ^ k3 ^ splat(u32(0x1BD11BDA))
    x0, x1, x2, x3 = splat(site) + k0, splat(sweep_low) + k1, splat(sweep_high) + k2, k3
    x0, x1, x2, x3 = _four_rounds(x0, x1, x2, x3, 10, 26, 11, 21, 13, 27, 23, 5)
    x0, x1, x2, x3 = x0 + k1, x1 + k2, x2 + k3, x3 + k4 + splat(u32(1))
    x0, x1, x2, x3 = _four_rounds(x0, x1, x2, x3, 6, 20, 17, 11, 25, 10, 18, 20)
    x0, x1, x2, x3 = x0 + k2, x1 + k3, x2 + k4, x3 + k0 + splat(u32(2))
    x0, x1, x2, x3 = _four_rounds(x0, x1, x2, x3, 10, 26, 11, 21, 13, 27, 23, 5)
    x0, x1, x2, x3 = x0 + k3, x1 + k4, x2 + k0, x3 + k1 + splat(u32(3))
    x0 = x0 + x1
    x2 = x2 + x3
    return x0, rotate(x1, 6) ^ x0, x2, rotate(x3, 20) ^ x2


@njit(nogil=True, inline="always")
def _four_rounds(x0, x1, x2, x3, a, b, c, d, e, f, g, h):
    x0, x2 = x0 + x1, x2 + x3
    x1, x3 = rotate(x1, a) ^ x0, rotate(x3, b) ^ x2
    x0, x2 = x0 + x3, x2 + x1
    x3, x1 = rotate(x3, c) ^ x0, rotate(x1, d) ^ x2
    x0, x2 = x0 + x1, x2 + x3
    x1, x3 = rotate(x1, e) ^ x0, rotate(x3, f) ^ x2
    x0, x2 = x0 + x3, x2 + x1
    x3, x1 = rotate(x3, g) ^ x0, rotate(x1, h) ^ x2
    return x0, x1, x2, x3


@njit(nogil=True, inline="always")
def log(x):
    """Return the natural logarithm of positive normal numbers, to 3e-7 of its size or of 1 (minimax, degree 8)."""
    bits = as_word(x) + splat(u32(0x3F800000 - 0x3F3504F3))
    exponent = signed_to_float(bits >> 23) - splat(f32(127.0))
    m = as_float((bits & splat(u32(0x7FFFFF))) + splat(u32(0x3F3504F3))) - splat(f32(1.0))
    p = fma(m, splat(f32(-0.103787066)), splat(f32(0.163381421)))
    p = fma(m, p, splat(f32(-0.172124276)))
    p = fma(m, p, splat(f32(0.19884236)))
    p = fma(m, p, splat(f32(-0.249715602)))
    p = fma(m, p, splat(f32(0.333356079)))
    p = fma(m, p, splat(f32(-0.500003443)))
    p = fma(m, p, splat(f32(0.999999918)))
    return fma(exponent, splat(f32(0.693147181)), m * p)


@njit(nogil=True, inline="always")
def exp(x):
    """Return e to the power x, to 2e-7 of its size near 0 and 2e-6 at 40, where x itself is rounded; within 2^-126 and 2^126."""
    y = minimum(maximum(x * splat(f32(1.44269504)), splat(f32(-126.0))), splat(f32(126.0)))
    whole = round_(y)
    r = y - whole
    p = fma(r, splat(f32(0.00134100049)), splat(f32(0.00967603636)))
    p = fma(r, p, splat(f32(0.055502973)))
    p = fma(r, p, splat(f32(0.240221074)))
    p = fma(r, p, splat(f32(0.693147225)))
    p = fma(r, p, splat(f32(1.00000008)))
    return as_float(as_word(p) + (to_word(whole) << 23))


@njit(nogil=True, inline="always")
def sine_and_cosine(turns):
    """Return sin and cos of 2 pi times a number in [-1/2, 1/2], to 5e-7 (Chebyshev interpolation, degree 6 in its square)."""
    t = turns * turns
    s = fma(t, splat(f32(3.23778009)), splat(f32(-14.8995781)))
    s = fma(t, s, splat(f32(42.0258522)))
    s = fma(t, s, splat(f32(-76.7030029)))
    s = fma(t, s, splat(f32(81.6051331)))
    s = fma(t, s, splat(f32(-41.3417015)))
    s = fma(t, s, splat(f32(6.28318548)))
    c = fma(t, splat(f32(6.52770615)), splat(f32(-25.9668846)))
    c = fma(t, c, splat(f32(60.1674309)))
    c = fma(t, c, splat(f32(-85.4501114)))
    c = fma(t, c, splat(f32(64.9391174)))
    c = fma(t, c, splat(f32(-19.7392044)))
    c = fma(t, c, splat(f32(1.0)))
    return turns * s, c


@njit(nogil=True, inline="always")
def normal_pair(first, second):
    """Return two standard normal numbers for two words: r cos(a) and r sin(a), r = sqrt(-2 log u), a uniform."""
    r = square_root(splat(f32(2.0)) * exponential_noise(first))
    sine, cosine = sine_and_cosine(signed_to_float(second) * splat(f32(2.0**-32)))
    return r * cosine, r * sine


@njit(nogil=True, inline="always")
def logistic_noise(words):
    """Return log(u / (1 - u)) for u = (word + 1/2) / 2^32, exactly antisymmetric about u = 1/2."""
    half = splat(f32(0.5))
    return log((to_float(words) + half) / (to_float(words ^ splat(u32(0xFFFFFFFF))) + half))


@njit(nogil=True, inline="always")
def exponential_noise(words):
    """Return -log(u) for u = (word + 1/2) / 2^32."""
    return splat(f32(22.1807098)) - log(to_float(words) + splat(f32(0.5)))
