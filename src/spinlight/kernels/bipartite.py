"""Annealing of one side of a bipartite machine on the CPU, its other side summed out: sixteen chains per vector.

p_b(x) ~ exp(f_b.x) prod_j (1 + exp(g_b + b x W)_j),  f_b = (1 - b) f_0 + b f_1,  g_b = (1 - b) g_0 + b g_1,  x in {0, 1}

A step is block Gibbs: y ~ p_b(y | x), then x' ~ p_b(x' | y), each after one matrix product. Layout, random words and `control`
are those of `kernels.cpu`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spinlight.kernels.cpu import add_weights, draw_words, split_counter
from spinlight.kernels.lanes import fma, less, load, maximum, select, splat, store, to_float
from spinlight.kernels.noise import exp, log
from spinlight.kernels.products import COLUMNS, dense_product

f32 = np.float32


class Sides(NamedTuple):
    """A machine between both ends of a path.

    Args:
        forth: W in panels of summed units, (panels, kept, 8) float32.
        back: W transposed, in panels of kept units, (panels, summed, 8) float32.
        kept: f_0 and f_1, (2, kept) float32.
        summed: g_0 and g_1, (2, summed) float32.
    """

    forth: Any
    back: Any
    kept: Any
    summed: Any


@njit(nogil=True, inline="always")
def drawn(y, small, word):
    """Return a bit that is 1 with probability sigmoid(y); `small` is exp(-|y|)."""
    one = splat(f32(1.0))
    number = (to_float(word) + splat(f32(0.5))) * splat(f32(2.0**-32))
    limit = select(less(splat(f32(0.0)), y), one, small)
    return select(less(fma(number, small, number), limit), one, splat(f32(0.0)))


@njit(nogil=True, inline="always")
def towards_zero(y):
    """Return exp(-|y|)."""
    return exp(splat(f32(0.0)) - maximum(y, splat(f32(0.0)) - y))


@njit(nogil=True, fastmath={"contract"})
def weigh_and_draw(inputs, ends, before, after, seed, chains, words, sweep, offset):
    """Return sum_j softplus(y_j) at b = `after` minus that at `before`, and replace the inputs (x W)_j by draws at `after`."""
    units, lanes, zero, one = ends.shape[1], load(chains, 0), splat(f32(0.0)), splat(f32(1.0))
    old, new = splat(f32(before)), splat(f32(after))
    keep_old, keep_new = splat(f32(1.0 - before)), splat(f32(1.0 - after))
    total = zero
    for first in range(0, units, 4):
        draw_words(words, seed, lanes, offset + first, sweep)
        above, below = one, one
        for j in range(first, min(first + 4, units)):
            x, start = load(inputs, 16 * j) + splat(ends[1, j]), splat(ends[0, j])
            y, z = fma(old, x, keep_old * start), fma(new, x, keep_new * start)
            small = towards_zero(z)
            above = fma(above, small, above)
            below = fma(below, towards_zero(y), below)
            total = total + (maximum(z, zero) - maximum(y, zero))
            store(inputs, 16 * j, drawn(z, small, load(words, 16 * (j - first))))
        total = total + log(above / below)
    return total


@njit(nogil=True, fastmath={"contract"})
def draw_kept(bits, inputs, ends, part, seed, chains, words, sweep):
    """Draw every kept unit given its inputs (W y)_i at b = `part`."""
    units, lanes = ends.shape[1], load(chains, 0)
    b, keep = splat(f32(part)), splat(f32(1.0 - part))
    for first in range(0, units, 4):
        draw_words(words, seed, lanes, first, sweep)
        for i in range(first, min(first + 4, units)):
            z = fma(b, load(inputs, 16 * i) + splat(ends[1, i]), keep * splat(ends[0, i]))
            store(bits, 16 * i, drawn(z, towards_zero(z), load(words, 16 * (i - first))))


@njit(nogil=True, fastmath={"contract"})
def field_gap(bits, ends):
    """Return (f_1 - f_0).x in every lane."""
    total = splat(f32(0.0))
    for i in range(ends.shape[1]):
        total = fma(load(bits, 16 * i), splat(ends[1, i] - ends[0, i]), total)
    return total


@njit(nogil=True, cache=True)
def side_annealed(sides, bits, seed, chains, path, log_weights, control, worker):
    """Walk one group of sixteen chains along p_b and add up log weights.

    At every step from path[k] to path[k + 1] the weight takes log p_{path[k + 1]}(x) - log p_{path[k]}(x), neither normalised,
    before block Gibbs at path[k + 1]; the last of these is left out, since it changes no weight.

    Args:
        sides: the machine.
        bits: 0/1 per lane, (16 * kept,) float32, changed in place.
        seed, chains: as in `kernels.cpu.Group`.
        path: values of b, (steps + 1,) float64.
        log_weights: (16,) float64, added to.
        control, worker: as `kernels.cpu.dense_chains`.
    """
    kept = sides.kept.shape[1]
    inputs = np.empty(16 * COLUMNS * sides.forth.shape[0], np.float32)
    fields = np.empty(16 * COLUMNS * sides.back.shape[0], np.float32)
    words, sweep, offset = np.empty(64, np.uint32), np.empty(2, np.uint32), 4 * (-(-kept // 4))
    for k in range(path.shape[0] - 1):
        if control[0] != 0:
            return
        split_counter(k, sweep)
        before, after = path[k], path[k + 1]
        dense_product(inputs, sides.forth, bits)
        gain = weigh_and_draw(inputs, sides.summed, before, after, seed, chains, words, sweep, offset)
        add_weights(log_weights, 1.0, fma(splat(f32(after - before)), field_gap(bits, sides.kept), gain))
        control[1 + worker] += 1
        if k + 2 < path.shape[0]:
            dense_product(fields, sides.back, inputs)
            draw_kept(bits, fields, sides.kept, after, seed, chains, words, sweep)
