"""Markov chains on the CPU: sixteen chains advance together, one per lane of a vector register.

Arrays are site-major within a group of sixteen chains, flat float32: entry `16 * site + lane`. Randomness is counter-based:
the words that decide a visit are Threefry-4x32-13 of (seed, chain) and (site, sweep): no stream depends on the number of
threads, and none is used twice when a run is cut into several calls.

Dense problems keep the local fields f = h + J s and postpone their updates: a flip is a row of J and a vector of spin
changes; while fewer than eight are pending, a visit adds them to its own field, and the eighth brings one rank-8 update of
every field. The order of visits and every decision are those of a plain sequential scan (Hirsch & Fye's delayed updates,
applied to spins). Sparse problems recompute each field from the neighbours.

Every function checks `control[0]` at least once a sweep and returns early when it is not zero; `control[1 + worker]` counts
sweeps done.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spinlight.kernels.lanes import any_lane, fma, less, load, maximum, minimum, select, splat, store, to_float
from spinlight.kernels.noise import exp, exponential_noise, logistic_noise, threefry

f32 = np.float32
u32 = np.uint32

PENDING = 8
"""Flips collected before the local fields of a dense problem are brought up to date."""

REFRESH = 128
"""Sweeps between recomputations of the local fields from the spins: keeps float32 rounding from adding up."""

METROPOLIS, HEAT_BATH = 0, 1

LAZY = 7 / 8
"""Metropolis accepts with min(1, exp(-x), LAZY max(1, exp(-x))), x = beta dE: the usual rule, but for moves of almost no
cost, which are refused now and then. A scan that accepted them all would repeat itself for ever: a free spin would
alternate, sweep after sweep. a(x) / a(-x) = exp(-x) for every x, so detailed balance holds."""


class Group(NamedTuple):
    """Sixteen chains and what is theirs alone.

    Args:
        external: h per lane, (16 * sites,) float32.
        spins: -1/+1 per lane, (16 * sites,) float32, changed in place.
        seed: two words, (2,) uint32.
        chains: number of the chain in each lane, (16,) uint32.
    """

    external: Any
    spins: Any
    seed: Any
    chains: Any


class Edges(NamedTuple):
    """Sparse couplings in compressed rows, with the order of visits.

    Args:
        order: sites in the order of visits, (sites,) uint64.
        starts: (sites + 1,) uint64.
        neighbours: (2 * edges,) uint64.
        weights: (2 * edges,) float32.
    """

    order: Any
    starts: Any
    neighbours: Any
    weights: Any


class Target(NamedTuple):
    """p(s) ~ exp(-beta E(s) + keep sum_i base_i s_i): the law that a sweep keeps.

    Args:
        beta: inverse temperature per lane, above 0, (16,) float32.
        keep: per lane, (16,) float32.
        base: (sites,) float32.
    """

    beta: Any
    keep: Any
    base: Any


class Waiting(NamedTuple):
    """Flips that the local fields of a dense problem do not contain yet.

    Args:
        rows: which sites, (8,).
        changes: s' - s per lane, (16 * 8,) float32.
    """

    rows: Any
    changes: Any


@njit(nogil=True, inline="always")
def draw_words(words, seed, lanes, first, sweep):
    """Write the random words of four visits from `first` on, four times sixteen; `sweep` holds the sweep's number."""
    w0, w1, w2, w3 = threefry(seed[0], seed[1], lanes, u32(first // 4), sweep[0], sweep[1])
    store(words, 0, w0)
    store(words, 16, w1)
    store(words, 32, w2)
    store(words, 48, w3)


@njit(nogil=True, inline="always")
def spin_change(rule, f, s, word, scale):
    """Return s' - s in every lane: 0 or -2 s. `scale` is 1 / (2 beta)."""
    zero = splat(f32(0.0))
    if rule == METROPOLIS:
        cost = f * s
        lazy = minimum(cost, zero) + scale * splat(f32(-np.log(LAZY)))
        return select(less(maximum(cost, lazy), exponential_noise(word) * scale), splat(f32(-2.0)) * s, zero)
    up = less(logistic_noise(word) * scale, f)
    return select(up, splat(f32(1.0)), splat(f32(-1.0))) - s


@njit(nogil=True, fastmath={"contract"})
def rank_update(fields, couplings, waiting, count):
    """Add J[:, row] * change to the local fields for eight pending flips; those from `count` on are zero."""
    rows, changes = waiting
    for p in range(count, PENDING):
        rows[p] = rows[0]
        store(changes, 16 * p, splat(f32(0.0)))
    d0, d1, d2, d3 = load(changes, 0), load(changes, 16), load(changes, 32), load(changes, 48)
    d4, d5, d6, d7 = load(changes, 64), load(changes, 80), load(changes, 96), load(changes, 112)
    r0, r1, r2, r3 = couplings[rows[0]], couplings[rows[1]], couplings[rows[2]], couplings[rows[3]]
    r4, r5, r6, r7 = couplings[rows[4]], couplings[rows[5]], couplings[rows[6]], couplings[rows[7]]
    for j in range(couplings.shape[0]):
        f = load(fields, 16 * j)
        f = fma(splat(r0[j]), d0, f)
        f = fma(splat(r1[j]), d1, f)
        f = fma(splat(r2[j]), d2, f)
        f = fma(splat(r3[j]), d3, f)
        f = fma(splat(r4[j]), d4, f)
        f = fma(splat(r5[j]), d5, f)
        f = fma(splat(r6[j]), d6, f)
        f = fma(splat(r7[j]), d7, f)
        store(fields, 16 * j, f)


@njit(nogil=True)
def local_fields(fields, couplings, group, waiting):
    """Set the local fields to h + J s."""
    sites = couplings.shape[0]
    for j in range(sites):
        store(fields, 16 * j, load(group.external, 16 * j))
    for first in range(0, sites, PENDING):
        count = min(PENDING, sites - first)
        for p in range(count):
            waiting.rows[p] = first + p
            store(waiting.changes, 16 * p, load(group.spins, 16 * (first + p)))
        rank_update(fields, couplings, waiting, count)


@njit(nogil=True, fastmath={"contract"})
def dense_sweep(rule, target, couplings, group, fields, waiting, pending, words, sweep):
    """Visit every site once, in order; return the number of pending flips."""
    sites, (rows, changes), (_, spins, seed, chains) = couplings.shape[0], waiting, group
    lanes = load(chains, 0)
    beta = load(target.beta, 0)
    scale, inverse = splat(f32(0.5)) / beta, load(target.keep, 0) / beta
    for first in range(0, sites, 4):
        draw_words(words, seed, lanes, first, sweep)
        for i in range(first, min(first + 4, sites)):
            word = load(words, 16 * (i - first))
            f = load(fields, 16 * i)
            for p in range(pending):
                f = fma(splat(couplings[rows[p], i]), load(changes, 16 * p), f)
            f = fma(inverse, splat(target.base[i]), f)
            change = spin_change(rule, f, load(spins, 16 * i), word, scale)
            if any_lane(less(splat(f32(0.0)), change * change)):
                store(spins, 16 * i, load(spins, 16 * i) + change)
                rows[pending] = i
                store(changes, 16 * pending, change)
                pending += 1
                if pending == PENDING:
                    rank_update(fields, couplings, waiting, pending)
                    pending = 0
    return pending


@njit(nogil=True)
def split_counter(number, words):
    """Write a 64-bit sweep number as two 32-bit words."""
    counter = np.uint64(number)
    words[0] = u32(counter & np.uint64(0xFFFFFFFF))
    words[1] = u32(counter >> np.uint64(32))


@njit(nogil=True)
def everywhere(number):
    """Return one number for every lane."""
    return np.full(16, f32(number))


@njit(nogil=True)
def no_flips():
    """Return room for the pending flips."""
    return Waiting(np.zeros(PENDING, np.uintp), np.empty(16 * PENDING, np.float32))


@njit(nogil=True, cache=True)
def dense_chains(rule, couplings, group, betas, first_sweep, control, worker):
    """Sweep one group of sixteen chains once per entry of `betas`.

    Args:
        rule: METROPOLIS or HEAT_BATH.
        couplings: J, (sites, sites) float32, symmetric with a zero diagonal.
        group: the chains.
        betas: inverse temperature of each sweep, (sweeps,) float64, above 0.
        first_sweep: number of the first sweep.
        control: [stop, sweeps done by worker 0, 1, ...], int64.
        worker: which of them this is.
    """
    sites, waiting, pending = couplings.shape[0], no_flips(), 0
    fields, base = np.empty(16 * sites, np.float32), np.zeros(sites, np.float32)
    words, sweep = np.empty(64, np.uint32), np.empty(2, np.uint32)
    for k in range(betas.shape[0]):
        if control[0] != 0:
            return
        if k % REFRESH == 0:
            local_fields(fields, couplings, group, waiting)
            pending = 0
        split_counter(first_sweep + k, sweep)
        target = Target(everywhere(betas[k]), everywhere(0.0), base)
        pending = dense_sweep(rule, target, couplings, group, fields, waiting, pending, words, sweep)
        control[1 + worker] += 1


@njit(nogil=True, cache=True)
def dense_annealed(couplings, group, base, path, log_weights, control, worker):
    """Walk one group of sixteen chains along p_b(s) ~ exp((1 - b) sum_i base_i s_i - b E(s)) and add up log weights.

    At every step from path[k] to path[k + 1] the weight takes (path[k + 1] - path[k]) (E_base(s) - E(s)) before a heat-bath
    sweep at path[k + 1]; the last sweep is left out, since it changes no weight.

    Args:
        couplings, group, control, worker: as `dense_chains`.
        base: fields of the independent distribution at b = 0, (sites,) float32.
        path: values of b, (steps + 1,) float64.
        log_weights: (16,) float64, added to.
    """
    waiting, fields = no_flips(), np.empty(16 * couplings.shape[0], np.float32)
    words, sweep = np.empty(64, np.uint32), np.empty(2, np.uint32)
    for k in range(path.shape[0] - 1):
        if control[0] != 0:
            return
        if k % REFRESH == 0:
            local_fields(fields, couplings, group, waiting)
        add_weights(log_weights, path[k + 1] - path[k], energy_gap(fields, group, base))
        control[1 + worker] += 1
        if k + 2 == path.shape[0] or path[k + 1] <= 0.0:
            continue
        split_counter(k, sweep)
        target = Target(everywhere(path[k + 1]), everywhere(1.0 - path[k + 1]), base)
        pending = dense_sweep(HEAT_BATH, target, couplings, group, fields, waiting, 0, words, sweep)
        if pending:
            rank_update(fields, couplings, waiting, pending)


@njit(nogil=True)
def add_weights(log_weights, step, gap):
    """Add `step` times a vector to log weights in float64."""
    scratch = np.empty(16, np.float32)
    store(scratch, 0, gap)
    for lane in range(16):
        log_weights[lane] += step * np.float64(scratch[lane])


@njit(nogil=True, fastmath={"contract"})
def energy_gap(fields, group, base):
    """Return E_base(s) - E(s) = sum_i s_i ((f_i + h_i) / 2 - base_i) in every lane."""
    total, half = splat(f32(0.0)), splat(f32(0.5))
    for i in range(base.shape[0]):
        mean = fma(load(fields, 16 * i) + load(group.external, 16 * i), half, splat(f32(0.0) - base[i]))
        total = fma(load(group.spins, 16 * i), mean, total)
    return total


@njit(nogil=True, inline="always")
def field_at(i, starts, neighbours, weights, external, spins):
    """Return h_i + sum_j J_ij s_j in every lane."""
    f = load(external, 16 * i)
    for e in range(starts[i], starts[i + 1]):
        f = fma(splat(weights[e]), load(spins, 16 * neighbours[e]), f)
    return f


@njit(nogil=True, fastmath={"contract"})
def sparse_sweep(rule, target, edges, group, words, sweep):
    """Visit every site once, in the order of the edges."""
    (order, starts, neighbours, weights), (external, spins, seed, chains) = edges, group
    lanes = load(chains, 0)
    sites = order.shape[0]
    double, bias = splat(f32(-2.0)) * load(target.beta, 0), splat(f32(-2.0)) * load(target.keep, 0)
    unit, half, one = splat(f32(2.0**-32)), splat(f32(0.5)), splat(f32(1.0))
    lazy = splat(f32(LAZY))
    for first in range(0, sites, 4):
        draw_words(words, seed, lanes, first, sweep)
        for v in range(first, min(first + 4, sites)):
            i = order[v]
            x = fma(field_at(i, starts, neighbours, weights, external, spins), double, bias * splat(target.base[i]))
            number = to_float(load(words, 16 * (v - first))) + half
            if rule == METROPOLIS:
                s = load(spins, 16 * i)
                gain = exp(x * s)
                accept = less(number * unit, minimum(minimum(gain, one), maximum(gain, one) * lazy))
                store(spins, 16 * i, select(accept, splat(f32(0.0)) - s, s))
            else:
                up = less(fma(number * unit, exp(x), number * unit), one)
                store(spins, 16 * i, select(up, one, splat(f32(-1.0))))


@njit(nogil=True, cache=True)
def sparse_chains(rule, edges, group, betas, first_sweep, control, worker):
    """Sweep one group of sixteen chains once per entry of `betas`, as `dense_chains` does."""
    words, sweep, base = np.empty(64, np.uint32), np.empty(2, np.uint32), np.zeros(edges.order.shape[0], np.float32)
    for k in range(betas.shape[0]):
        if control[0] != 0:
            return
        split_counter(first_sweep + k, sweep)
        sparse_sweep(rule, Target(everywhere(betas[k]), everywhere(0.0), base), edges, group, words, sweep)
        control[1 + worker] += 1


@njit(nogil=True, cache=True)
def sparse_annealed(edges, group, base, path, log_weights, control, worker):
    """Walk one group of sixteen chains as `dense_annealed` does, on compressed rows."""
    order, starts, neighbours, weights = edges
    fields = np.empty(16 * order.shape[0], np.float32)
    words, sweep = np.empty(64, np.uint32), np.empty(2, np.uint32)
    for k in range(path.shape[0] - 1):
        if control[0] != 0:
            return
        for i in range(order.shape[0]):
            store(fields, 16 * i, field_at(i, starts, neighbours, weights, group.external, group.spins))
        add_weights(log_weights, path[k + 1] - path[k], energy_gap(fields, group, base))
        control[1 + worker] += 1
        if k + 2 == path.shape[0] or path[k + 1] <= 0.0:
            continue
        split_counter(k, sweep)
        target = Target(everywhere(path[k + 1]), everywhere(1.0 - path[k + 1]), base)
        sparse_sweep(HEAT_BATH, target, edges, group, words, sweep)
