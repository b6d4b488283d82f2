"""The same chains and machines as the kernels, in plain NumPy: slow, short, and what every kernel is tested against.

Random words, order of visits and rules are those of `kernels.cpu`; arithmetic is float64, so that spins agree wherever a
decision does not hang on the last digits.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spinlight.kernels.oscillators import Drive, Optics
    from spinlight.kernels.sides import Bipartite

Words = NDArray[np.uint32]

_ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))
_LAZY = 7 / 8


def threefry(key: Words, counter: Words, rounds: int = 13) -> Words:
    """Return Threefry-4x32 of counters under keys (Salmon et al. 2011).

    Args:
        key: (..., 4) uint32.
        counter: (..., 4) uint32.
        rounds: 13 in this library.

    Returns:
        Random words, (..., 4) uint32.
    """
    words = [key[..., i] for i in range(4)]
    words.append(words[0] ^ words[1] ^ words[2] ^ words[3] ^ np.uint32(0x1BD11BDA))
    x = [counter[..., i] + words[i] for i in range(4)]
    for turn in range(rounds):
        first, second = (1, 3) if turn % 2 == 0 else (3, 1)
        left, right = _ROTATIONS[turn % 8]
        x[0], x[2] = x[0] + x[first], x[2] + x[second]
        x[first], x[second] = _rotated(x[first], left) ^ x[0], _rotated(x[second], right) ^ x[2]
        if turn % 4 == 3:
            injection = turn // 4 + 1
            x = [x[i] + words[(injection + i) % 5] for i in range(4)]
            x[3] = x[3] + np.uint32(injection)
    return np.stack(np.broadcast_arrays(*x), -1)


def _rotated(words: Words, bits: int) -> Words:
    return (words << np.uint32(bits)) | (words >> np.uint32(32 - bits))


def visit_words(seed: int, chains: int, sites: int, sweep: int) -> Words:
    """Return the random word of every visit of one sweep, (chains, sites)."""
    blocks = -(-sites // 4)
    counter = np.zeros((1, blocks, 4), np.uint32)
    counter[0, :, 0] = np.arange(blocks)
    counter[..., 1], counter[..., 2] = sweep & 0xFFFFFFFF, sweep >> 32
    return threefry(_keys(seed, chains), counter).reshape(chains, -1)[:, :sites]


def _keys(seed: int, chains: int) -> Words:
    """Return the key of every chain, (chains, 1, 4)."""
    key = np.zeros((chains, 1, 4), np.uint32)
    key[..., 0], key[..., 1] = seed & 0xFFFFFFFF, seed >> 32
    key[:, 0, 2] = np.arange(chains)
    return key


def sweep_chains(
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    spins: NDArray[np.int8],
    betas: NDArray[np.float64],
    *,
    heat_bath: bool,
    seed: int,
    order: NDArray[np.int64] | None = None,
    first_sweep: int = 0,
) -> NDArray[np.int8]:
    """Return the chains after one sequential sweep per entry of `betas`.

    Args:
        couplings: J, (sites, sites).
        fields: h, (sites,) or (chains, sites).
        spins: -1/+1, (chains, sites).
        betas: inverse temperature of each sweep.
        heat_bath: the heat-bath rule, or else lazy Metropolis.
        seed, first_sweep: as `kernels.run.sweep_chains`.
        order: sites in the order of visits.
    """
    chains, sites = spins.shape
    s = spins.astype(np.float64)
    order = np.arange(sites) if order is None else order
    for k, beta in enumerate(betas):
        u = (visit_words(seed, chains, sites, first_sweep + k) + 0.5) / 2.0**32
        for visit, i in enumerate(order):
            gap = 2 * beta * (np.broadcast_to(fields, s.shape)[:, i] + s @ couplings[i])
            if heat_bath:
                s[:, i] = np.where(np.log(u[:, visit] / (1 - u[:, visit])) < gap, 1, -1)
            else:
                gain = np.exp(-gap * s[:, i])
                accept = u[:, visit] < np.minimum(np.minimum(1, gain), _LAZY * np.maximum(1, gain))
                s[:, i] = np.where(accept, -s[:, i], s[:, i])
    return s.astype(np.int8)


def annealed_weights(
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    base: NDArray[np.float64],
    spins: NDArray[np.int8],
    path: NDArray[np.float64],
    *,
    seed: int,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return chains and log weights along p_b(s) ~ exp((1 - b) base.s - b E(s)); see `kernels.run.annealed_weights`."""
    log_weights = np.zeros(len(spins))
    for k, (here, there) in enumerate(pairwise(path)):
        s = spins.astype(np.float64)
        gap = s @ fields + 0.5 * ((s @ couplings) * s).sum(1) - s @ base
        log_weights += (there - here) * gap
        if k + 2 < len(path) and there > 0:
            mixed = there * fields + (1 - there) * base
            one = np.ones(1)
            spins = sweep_chains(there * couplings, mixed, spins, one, heat_bath=True, seed=seed, first_sweep=k)
    return spins, log_weights


def annealed_side(
    machine: Bipartite,
    base_kept: NDArray[np.float64],
    base_summed: NDArray[np.float64],
    bits: NDArray[np.int8],
    path: NDArray[np.float64],
    *,
    seed: int,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return chains and log weights of one side of a bipartite machine; see `kernels.sides.annealed_side`."""
    weight, kept, summed = (np.asarray(part, np.float64) for part in (machine.weight, machine.kept, machine.summed))
    x, log_weights, offset = bits.astype(np.float64), np.zeros(len(bits)), 4 * -(-len(kept) // 4)
    for k, (here, there) in enumerate(pairwise(path)):
        old, new = ((1 - b) * base_summed + b * (summed + x @ weight) for b in (here, there))
        log_weights += (there - here) * (x @ (kept - base_kept)) + (np.logaddexp(0, new) - np.logaddexp(0, old)).sum(1)
        if k + 2 < len(path):
            words = visit_words(seed, len(x), offset + len(summed), k)
            y = _bits(new, words[:, offset:])
            x = _bits((1 - there) * base_kept + there * (kept + y @ weight.T), words[:, : len(kept)])
    return x.astype(np.int8), log_weights


def _bits(logits: NDArray[np.float64], words: Words) -> NDArray[np.float64]:
    """Return bits that are 1 with probability sigmoid(logits): where u < p, u = (word + 1/2) / 2^32."""
    return np.asarray((words + 0.5) / 2.0**32 < 1 / (1 + np.exp(-logits)), np.float64)


def step_normals(seed: int, runs: int, sites: int, step: int, stream: int = 1) -> NDArray[np.float64]:
    """Return the standard normal numbers of one step of a machine, (runs, sites, 3), by Box and Muller's method."""
    counter = np.zeros((1, sites, 4), np.uint32)
    counter[0, :, 0], counter[..., 1], counter[..., 2] = np.arange(sites), step, stream
    words = threefry(_keys(seed, runs), counter)
    radius = np.sqrt(-2 * np.log((words[..., ::2] + 0.5) / 2.0**32))
    angle = 2 * np.pi * words[..., 1::2].astype(np.int32) / 2.0**32
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return pairs.reshape(runs, sites, 4)[..., :3]


def optical_amplitudes(
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    amplitudes: NDArray[np.float64],
    drive: Drive,
    optics: Optics,
    *,
    seed: int,
) -> NDArray[np.float64]:
    """Return the amplitudes after each step of an optical machine, (steps, runs, sites).

    Args:
        couplings: J, (sites, sites).
        fields: h, (sites,) or (runs, sites).
        amplitudes: at the start, (runs, sites).
        drive, optics, seed: as `kernels.machines.run_optical`.
    """
    x, reading, history = amplitudes.copy(), amplitudes.copy(), []
    e = np.zeros_like(x) if optics.control == 2 else np.ones_like(x)
    v = np.full_like(x, 0.5)
    g, measured = float(optics.quantum), float(optics.measured)
    for k, (p, a, b, c, field, dt) in enumerate(zip(*drive)):
        z = float(optics.scale) * (reading @ couplings + field * fields)
        own = x * (p - 1 - x**2)
        if optics.control == 0:
            dx = own + e * z
            de = b * e * (a - (x + dt * dx) ** 2)
        elif optics.control == 1:
            dx, de = own + e * z, b * e * (a - (e * z) ** 2)
        else:
            dx, de = own - np.tanh(-c * z) - float(optics.pull) * (-z - e), b * (-z - e)
        n = step_normals(seed, len(x), x.shape[1], k)
        new, e, off = x + dt * dx, e + dt * de, 0.0
        if optics.noise == 1:
            new = new + g * np.sqrt(dt * (0.5 + x**2)) * n[..., 0]
            e = e + g * np.sqrt(dt / 2) * n[..., 2]
            off = g * np.sqrt((1 - measured) / (4 * measured * dt)) * n[..., 1]
        elif optics.noise == 2:
            new = new + g * np.sqrt(measured * dt) * (v - 0.5) * n[..., 0]
            off = g / np.sqrt(4 * measured * dt) * n[..., 0]
            v = v + dt * (2 * (p - 1 - 3 * x**2) * v - 2 * measured * (v - 0.5) ** 2 + 1 + 2 * x**2)
            v = np.maximum(v, 0)
        if optics.control != 2:
            new, e = np.clip(new, -1.5 * a**0.5, 1.5 * a**0.5), np.clip(e, 0.01, 1e6)
        x, reading = new, new + off
        history.append(x)
    return np.stack(history)


def bifurcated_positions(
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    positions: NDArray[np.float64],
    momenta: NDArray[np.float64],
    pressure: NDArray[np.float64],
    *,
    discrete: bool,
    dt: float,
    scale: float,
) -> NDArray[np.float64]:
    """Return the positions of bifurcation machines at the end, (runs, sites); see `kernels.machines.run_bifurcation`."""
    x, y = positions, momenta
    for a in pressure:
        source = np.where(x < 0, -1.0, 1.0) if discrete else x
        y = y + dt * ((a - 1) * x + scale * (source @ couplings + fields))
        x = x + dt * y
        outside = np.abs(x) >= 1
        x, y = np.where(outside, np.sign(x), x), np.where(outside, 0.0, y)
    return x


def threshold_spins(
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    spins: NDArray[np.float64],
    *,
    steps: int,
    step: float,
    spread: float,
    seed: int,
) -> NDArray[np.float64]:
    """Return the spins of noisy thresholds after some steps, (runs, sites); see `kernels.machines.run_thresholds`."""
    for k in range(steps):
        noise = step_normals(seed, len(spins), spins.shape[1], k, stream=2)[..., 0]
        field = spins + step * (spins @ couplings + fields) + spread * noise
        spins = np.where(field < 0, -1.0, 1.0)
    return spins
