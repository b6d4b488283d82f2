"""Replica exchange on the CPU: ladders of chains with different laws that trade places.

p_b(s) ~ exp(-b E(s) + (1 - b) sum_i base_i s_i)

A unit is a few ladders, whose chains fill lanes one after the other: chain `rung + rungs * ladder` of a unit, before any swap.
Chains stay in their lanes; what a swap exchanges is their b. Arrays are laid out as in `kernels.cpu`, with one row
per sixteen lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spinlight.kernels.cpu import (
    METROPOLIS,
    REFRESH,
    Group,
    Target,
    dense_sweep,
    energy_gap,
    field_at,
    local_fields,
    no_flips,
    rank_update,
    sparse_sweep,
    split_counter,
)
from spinlight.kernels.lanes import load, splat, store
from spinlight.kernels.noise import threefry

f32 = np.float32
u32 = np.uint32

_SWAPS, _CLUSTERS = u32(0xFFFFFFFF), u32(0xFFFFFFFE)
"""Where the words of swaps and of cluster moves are counted: beyond the blocks of sites that sweeps count."""


class Unit(NamedTuple):
    """Ladders that one thread works on together.

    Args:
        external: h per lane, (groups or 1, 16 * sites) float32.
        spins: -1/+1 per lane, (groups, 16 * sites) float32, changed in place.
        seed: two words, (2,) uint32.
        chains: number of the chain in each lane, (groups, 16) uint32.
        lane: which lane stands on a rung, (ladders, rungs) int64, changed in place.
        beta: b of each lane, (groups, 16) float32, changed in place.
        keep: 1 - b, the same.
        descending: whether a chain comes from the first rung, (groups * 16,) bool, changed in place.
    """

    external: Any
    spins: Any
    seed: Any
    chains: Any
    lane: Any
    beta: Any
    keep: Any
    descending: Any


class Tally(NamedTuple):
    """What is counted on the way.

    Args:
        chances: sum of the chances of swaps between a rung and the next, (rungs - 1,) float64, added to.
        trips: arrivals on the last rung of chains that come from the first, (ladders,) int64, added to.
        records: states of the last rung, (ladders, records, sites) int8, written.
        gaps: E + sum_i base_i s_i of the chain on every rung, (ladders, records, rungs) float32, written.
    """

    chances: Any
    trips: Any
    records: Any
    gaps: Any


class Plan(NamedTuple):
    """What is to be done.

    Args:
        parts: b of the rungs, increasing, (rungs,) float64.
        base: fields of the independent spins at b = 0, (sites,) float32.
        sweeps: how many.
        first_sweep: number of the first.
        every: sweeps between two records; 0 for none.
        cluster_every: sweeps between two cluster moves; 0 for none.
    """

    parts: Any
    base: Any
    sweeps: Any
    first_sweep: Any
    every: Any
    cluster_every: Any


@njit(nogil=True, inline="always")
def group_of(unit, g):
    """Return sixteen lanes of a unit."""
    return Group(unit.external[g % unit.external.shape[0]], unit.spins[g], unit.seed, unit.chains[g])


@njit(nogil=True)
def unit_words(words, unit, where, sweep):
    """Write one random word per lane, (groups * 16,)."""
    for g in range(unit.chains.shape[0]):
        first, _, _, _ = threefry(unit.seed[0], unit.seed[1], load(unit.chains[g], 0), where, sweep[0], sweep[1])
        store(words, 16 * g, first)


@njit(nogil=True)
def swap_rungs(unit, tally, parts, energies, words, parity):
    """Let chains on the rungs parity, parity + 2, ... trade places with those on the next, each with the chance of its swap.

    min(1, exp((b' - b) (G' - G))) for G = E + sum_i base_i s_i of the chains on rungs of b, b'.
    """
    rungs = parts.shape[0]
    for ladder in range(unit.lane.shape[0]):
        lane = unit.lane[ladder]
        for r in range(parity, rungs - 1, 2):
            here, there = lane[r], lane[r + 1]
            gain = (parts[r + 1] - parts[r]) * (np.float64(energies[there]) - np.float64(energies[here]))
            chance = np.exp(min(gain, 0.0))
            tally.chances[r] += chance
            if (np.float64(words[here]) + 0.5) * 2.0**-32 < chance:
                lane[r], lane[r + 1] = there, here
                unit.beta[there // 16, there % 16] = f32(parts[r])
                unit.beta[here // 16, here % 16] = f32(parts[r + 1])
                unit.keep[there // 16, there % 16] = f32(1.0 - parts[r])
                unit.keep[here // 16, here % 16] = f32(1.0 - parts[r + 1])
        unit.descending[lane[0]] = True
        if unit.descending[lane[rungs - 1]]:
            unit.descending[lane[rungs - 1]] = False
            tally.trips[ladder] += 1


@njit(nogil=True)
def record(unit, tally, index, energies):
    """Write the states of the last rungs, and the energies of all."""
    for ladder in range(unit.lane.shape[0]):
        for r in range(unit.lane.shape[1]):
            tally.gaps[ladder, index, r] = energies[unit.lane[ladder, r]]
        lane = unit.lane[ladder, unit.lane.shape[1] - 1]
        spins = unit.spins[lane // 16]
        for i in range(tally.records.shape[2]):
            tally.records[ladder, index, i] = np.int8(spins[16 * i + lane % 16])


@njit(nogil=True)
def finish_sweep(unit, tally, plan, k, energies, words, sweep):
    """Swap, and record if it is time, after sweep k of a call."""
    unit_words(words, unit, _SWAPS, sweep)
    swap_rungs(unit, tally, plan.parts, energies, words, (plan.first_sweep + k) % 2)
    if plan.every and (k + 1) % plan.every == 0:
        record(unit, tally, (k + 1) // plan.every - 1, energies)


@njit(nogil=True, cache=True)
def dense_exchange(couplings, unit, plan, tally, control, worker):
    """Sweep the ladders of a unit by Metropolis' rule and let neighbours trade places after every sweep."""
    sites, groups = couplings.shape[0], unit.spins.shape[0]
    waiting, base = no_flips(), plan.base
    fields, energies = np.empty((groups, 16 * sites), np.float32), np.empty(16 * groups, np.float32)
    words, swaps, sweep = np.empty(64, np.uint32), np.empty(16 * groups, np.uint32), np.empty(2, np.uint32)
    for k in range(plan.sweeps):
        if control[0] != 0:
            return
        split_counter(plan.first_sweep + k, sweep)
        for g in range(groups):
            group = group_of(unit, g)
            if k % REFRESH == 0:
                local_fields(fields[g], couplings, group, waiting)
            target = Target(unit.beta[g], unit.keep[g], base)
            pending = dense_sweep(METROPOLIS, target, couplings, group, fields[g], waiting, 0, words, sweep)
            if pending:
                rank_update(fields[g], couplings, waiting, pending)
            store(energies, 16 * g, splat(f32(0.0)) - energy_gap(fields[g], group, base))
        finish_sweep(unit, tally, plan, k, energies, swaps, sweep)
        control[1 + worker] += 1


@njit(nogil=True, cache=True)
def sparse_exchange(edges, unit, plan, tally, control, worker):
    """Sweep and swap as `dense_exchange` does, on compressed rows, with cluster moves between pairs of ladders."""
    order, starts, neighbours, weights = edges
    sites, groups = order.shape[0], unit.spins.shape[0]
    base, stack = plan.base, np.empty(sites, np.int64)
    fields, energies = np.empty(16 * sites, np.float32), np.empty(16 * groups, np.float32)
    words, swaps, sweep = np.empty(64, np.uint32), np.empty(16 * groups, np.uint32), np.empty(2, np.uint32)
    for k in range(plan.sweeps):
        if control[0] != 0:
            return
        split_counter(plan.first_sweep + k, sweep)
        for g in range(groups):
            target = Target(unit.beta[g], unit.keep[g], base)
            sparse_sweep(METROPOLIS, target, edges, group_of(unit, g), words, sweep)
        if plan.cluster_every and (plan.first_sweep + k + 1) % plan.cluster_every == 0:
            unit_words(swaps, unit, _CLUSTERS, sweep)
            move_clusters(edges, unit, swaps, stack)
        for g in range(groups):
            group = group_of(unit, g)
            for i in range(sites):
                store(fields, 16 * i, field_at(i, starts, neighbours, weights, group.external, group.spins))
            store(energies, 16 * g, splat(f32(0.0)) - energy_gap(fields, group, base))
        finish_sweep(unit, tally, plan, k, energies, swaps, sweep)
        control[1 + worker] += 1


@njit(nogil=True)
def move_clusters(edges, unit, words, stack):
    """Exchange one cluster of differing spins between the chains of two ladders on every rung.

    The cluster is connected, and outside it, next to it, the chains agree: the sum of their energies stays.
    """
    for pair in range(0, unit.lane.shape[0] - 1, 2):
        for r in range(unit.lane.shape[1]):
            here, there = unit.lane[pair, r], unit.lane[pair + 1, r]
            exchange_cluster(edges, unit, here, there, words[here], stack)


@njit(nogil=True)
def exchange_cluster(edges, unit, here, there, word, stack):
    """Exchange the cluster that holds the first differing spin from a random site on.

    Which spins differ does not change by it, so that the way back has the same chance.
    """
    _, starts, neighbours, _ = edges
    sites = stack.shape[0]
    first, second, a, b = unit.spins[here // 16], unit.spins[there // 16], here % 16, there % 16
    start = np.int64((np.uint64(word) * np.uint64(sites)) >> np.uint64(32))
    for offset in range(sites):
        i = (start + offset) % sites
        if first[16 * i + a] != second[16 * i + b]:
            break
    else:
        return
    # Exchanged spins differ still: what was done is marked by 2 until all of it is found.
    stack[0], size, done = i, 1, 0
    first[16 * i + a] *= f32(2.0)
    while done < size:
        i = stack[done]
        done += 1
        for e in range(starts[i], starts[i + 1]):
            j = np.int64(neighbours[e])
            if first[16 * j + a] + second[16 * j + b] == f32(0.0):
                first[16 * j + a] *= f32(2.0)
                stack[size] = j
                size += 1
    for k in range(size):
        i = stack[k]
        first[16 * i + a], second[16 * i + b] = second[16 * i + b], -second[16 * i + b]
