"""Machines that update all sites together: networks of optical oscillators and of bifurcating ones, sixteen runs at a time.

Vectors are site-major within a group of sixteen runs: entry `16 * site + lane`. A step is one product with the couplings and
one update of every site; random words are functions of (seed, run, site, step). Every function checks `control[0]` once a
step and returns early when it is not zero; `control[1 + worker]` counts steps done.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spinlight.kernels.lanes import fma, less, load, maximum, minimum, select, splat, square_root, store
from spinlight.kernels.noise import exp, normal_pair, threefry
from spinlight.kernels.products import product

f32 = np.float32
u32 = np.uint32

AMPLITUDE_CONTROL, FEEDBACK_CONTROL, SEPARATED = 0, 1, 2
"""How the error variables of an optical machine act."""

NOISELESS, WIGNER, GAUSSIAN = 0, 1, 2
"""Which quantum noise it has: none, that of the truncated Wigner function, or that of Gaussian states."""

LEAST_ERROR, LARGEST_ERROR = f32(0.01), f32(1e6)
"""Bounds of the error variables: the lower one allows larger time steps, the upper one holds a site that nothing couples to."""

WIDEST = f32(1.5)
"""Bound of the amplitudes in units of the wanted one; it allows larger time steps."""


class Runs(NamedTuple):
    """Sixteen runs.

    Args:
        external: h per lane, (16 * sites,) float32.
        amplitudes: x per lane, (16 * padded sites,) float32, changed in place.
        seed: two words, (2,) uint32.
        numbers: number of the run in each lane, (16,) uint32.
        best: lowest energy seen, (16,) float32, without the offset; infinite at first.
        spins: the state that had it, or, where energies are not looked at, the last one; (16 * sites,) float32, written.
    """

    external: Any
    amplitudes: Any
    seed: Any
    numbers: Any
    best: Any
    spins: Any


class Drive(NamedTuple):
    """What changes from step to step, each (steps,) float32.

    Args:
        pump: p.
        target: a, the wanted square of the amplitudes or of the feedback.
        rate: b, of the error variables.
        gain: c, inside the hyperbolic tangent of separated feedback.
        field: the amplitude that stands for a spin in the field term.
        step: dt.
    """

    pump: Any
    target: Any
    rate: Any
    gain: Any
    field: Any
    step: Any


class Optics(NamedTuple):
    """What stays.

    Args:
        control: AMPLITUDE_CONTROL, FEEDBACK_CONTROL or SEPARATED.
        noise: NOISELESS, WIGNER or GAUSSIAN.
        scale: xi, of the feedback.
        pull: k, of separated feedback.
        quantum: g, the amplitude that stands for one photon.
        measured: R of the Wigner noise, the reflectivity of the beam splitter, or j of the Gaussian one, the share of the loss
            that is measured.
    """

    control: Any
    noise: Any
    scale: Any
    pull: Any
    quantum: Any
    measured: Any


@njit(nogil=True, inline="always")
def sign(x):
    """Return -1 or +1, +1 for zero."""
    return select(less(x, splat(f32(0.0))), splat(f32(-1.0)), splat(f32(1.0)))


@njit(nogil=True, inline="always")
def tanh(x):
    """Return the hyperbolic tangent, to 3e-7."""
    one, two = splat(f32(1.0)), splat(f32(2.0))
    return one - two / (exp(two * x) + one)


@njit(nogil=True, inline="always")
def clamp(x, limit):
    """Return x, within -limit and +limit."""
    return minimum(maximum(x, splat(f32(0.0)) - limit), limit)


@njit(nogil=True, inline="always")
def optical_step(optics, x, e, z, dt, pump, target, rate, gain):
    """Return x and e after a time dt, without noise, for a feedback z = xi (sum_j J_ij x_j + field).

    The error variables of amplitude control see the new amplitude: the chaotic motion then stays stable at larger steps.
    """
    own = x * ((pump - splat(f32(1.0))) - x * x)
    if optics.control == AMPLITUDE_CONTROL:
        x = fma(dt, fma(e, z, own), x)
        return x, fma(dt, rate * e * (target - x * x), e)
    if optics.control == FEEDBACK_CONTROL:
        z = e * z
        return fma(dt, own + z, x), fma(dt, rate * e * (target - z * z), e)
    z = splat(f32(0.0)) - z
    return fma(dt, own - tanh(gain * z) - splat(optics.pull) * (z - e), x), fma(dt, rate * (z - e), e)


@njit(nogil=True, inline="always")
def wigner_noise(optics, root, x, first, second, third):
    """Return what noise adds to x, to e and to a reading of x; `root` is the square root of the time step."""
    spread = square_root(fma(x, x, splat(f32(0.5))))
    reading = f32(np.sqrt((1 - optics.measured) / (4 * optics.measured))) / root
    g = optics.quantum
    return splat(g * root) * spread * first, splat(g * root * f32(np.sqrt(0.5))) * third, splat(g * reading) * second


@njit(nogil=True, inline="always")
def gaussian_noise(optics, root, variance, first):
    """Return what a measurement adds to the mean x of a Gaussian state, and to its reading: both from one number."""
    g, j = optics.quantum, optics.measured
    mean = splat(g * root * f32(np.sqrt(j))) * (variance - splat(f32(0.5))) * first
    return mean, splat(g / (root * f32(np.sqrt(4 * j)))) * first


@njit(nogil=True, inline="always")
def variance_change(optics, x, variance, pump):
    """Return d variance / dt = 2 (p - 1 - 3 x^2) v - 2 j (v - 1/2)^2 + 1 + 2 x^2, in units of the vacuum's 1/2."""
    narrowing = variance - splat(f32(0.5))
    growth = pump - splat(f32(1.0)) - splat(f32(3.0)) * x * x
    half = fma(growth, variance, x * x) - splat(optics.measured) * narrowing * narrowing
    return fma(splat(f32(2.0)), half, splat(f32(1.0)))


@njit(nogil=True, cache=True, fastmath={"contract"})
def optical_runs(couplings, runs, drive, optics, every, records, gap, control, worker):
    """Run one group of sixteen optical machines.

    Args:
        couplings: panels or `Edges`.
        runs: where they are.
        drive: the schedule.
        optics: the constants.
        every: steps between two looks at the energy, the last step included; 0 for none.
        records: amplitudes every `gap` steps, (records, 16 * sites) float32; without rows for none.
        gap: steps between two records.
        control, worker: as `dense_chains`.
    """
    external, x, seed, numbers = runs.external, runs.amplitudes, runs.seed, runs.numbers
    sites, steps = external.shape[0] // 16, drive.pump.shape[0]
    readings, feedback, scratch = x.copy(), np.empty_like(x), np.zeros_like(x)
    errors = np.full_like(x, f32(0.0) if optics.control == SEPARATED else f32(1.0))
    variances = np.full_like(x, f32(0.5))
    lanes, scale = load(numbers, 0), splat(optics.scale)
    for k in range(steps):
        if control[0] != 0:
            return
        product(feedback, couplings, readings)
        dt, root = splat(drive.step[k]), f32(np.sqrt(drive.step[k]))
        pump, target, rate = splat(drive.pump[k]), splat(drive.target[k]), splat(drive.rate[k])
        gain, field, widest = (
            splat(drive.gain[k]),
            splat(drive.field[k]),
            splat(WIDEST * f32(np.sqrt(drive.target[k]))),
        )
        for i in range(sites):
            old, e = load(x, 16 * i), load(errors, 16 * i)
            z = scale * fma(field, load(external, 16 * i), load(feedback, 16 * i))
            new, e = optical_step(optics, old, e, z, dt, pump, target, rate, gain)
            off = splat(f32(0.0))
            if optics.noise != NOISELESS:
                w0, w1, w2, w3 = threefry(seed[0], seed[1], lanes, u32(i), u32(k), u32(1))
                first, second = normal_pair(w0, w1)
                if optics.noise == WIGNER:
                    third, _ = normal_pair(w2, w3)
                    kick, shift, off = wigner_noise(optics, root, old, first, second, third)
                    new, e = new + kick, e + shift
                else:
                    v = load(variances, 16 * i)
                    kick, off = gaussian_noise(optics, root, v, first)
                    store(
                        variances, 16 * i, maximum(fma(dt, variance_change(optics, old, v, pump), v), splat(f32(0.0)))
                    )
                    new = new + kick
            if optics.control != SEPARATED:
                new, e = clamp(new, widest), minimum(maximum(e, splat(LEAST_ERROR)), splat(LARGEST_ERROR))
            store(x, 16 * i, new)
            store(errors, 16 * i, e)
            store(readings, 16 * i, new + off)
        if records.shape[0] and (k + 1) % gap == 0:
            records[(k + 1) // gap - 1] = x[: 16 * sites]
        if every and ((k + 1) % every == 0 or k + 1 == steps):
            keep_best(couplings, runs, scratch, feedback)
        control[1 + worker] += 1
    if not every:
        keep_last(runs)


@njit(nogil=True, fastmath={"contract"})
def keep_best(couplings, runs, signs, feedback):
    """Keep the signs of the amplitudes in the lanes where their energy is the lowest so far."""
    sites = runs.external.shape[0] // 16
    for i in range(sites):
        store(signs, 16 * i, sign(load(runs.amplitudes, 16 * i)))
    product(feedback, couplings, signs)
    gain, half = splat(f32(0.0)), splat(f32(0.5))
    for i in range(sites):
        gain = fma(load(signs, 16 * i), fma(half, load(feedback, 16 * i), load(runs.external, 16 * i)), gain)
    energy, lowest = splat(f32(0.0)) - gain, load(runs.best, 0)
    lower = less(energy, lowest)
    store(runs.best, 0, select(lower, energy, lowest))
    for i in range(sites):
        store(runs.spins, 16 * i, select(lower, load(signs, 16 * i), load(runs.spins, 16 * i)))


BALLISTIC, DISCRETE = 0, 1
"""Whether forces come from the positions or from their signs."""


@njit(nogil=True, cache=True, fastmath={"contract"})
def bifurcation_runs(couplings, runs, momenta, rule, pressure, dt, scale, every, control, worker):
    """Run one group of sixteen bifurcation machines: x' = y, y' = -(1 - a) x + c (J x + h), walls at -1 and +1.

    Args:
        couplings: panels or `Edges`.
        runs: where they are.
        momenta: y, (16 * padded sites,) float32, changed in place.
        rule: BALLISTIC or DISCRETE.
        pressure: a of each step, (steps,) float32, rising to one.
        dt: time step, float32.
        scale: c, float32.
        every, control, worker: as `optical_runs`.
    """
    external, x = runs.external, runs.amplitudes
    sites, steps, one = external.shape[0] // 16, pressure.shape[0], splat(f32(1.0))
    pull, sources, signs = np.empty_like(x), np.zeros_like(x), np.zeros_like(x)
    time, force = splat(dt), splat(scale)
    for i in range(sites):
        store(sources, 16 * i, sign(load(x, 16 * i)) if rule == DISCRETE else load(x, 16 * i))
    for k in range(steps):
        if control[0] != 0:
            return
        product(pull, couplings, sources)
        stiffness = splat(pressure[k] - f32(1.0))
        for i in range(sites):
            old = load(x, 16 * i)
            push = fma(stiffness, old, force * (load(pull, 16 * i) + load(external, 16 * i)))
            y = fma(time, push, load(momenta, 16 * i))
            new = fma(time, y, old)
            inside = less(new * new, one)
            new = select(inside, new, sign(new))
            store(momenta, 16 * i, select(inside, y, splat(f32(0.0))))
            store(x, 16 * i, new)
            store(sources, 16 * i, sign(new) if rule == DISCRETE else new)
        if every and ((k + 1) % every == 0 or k + 1 == steps):
            keep_best(couplings, runs, signs, pull)
        control[1 + worker] += 1
    if not every:
        keep_last(runs)


@njit(nogil=True, cache=True, fastmath={"contract"})
def threshold_runs(couplings, runs, steps, step, spread, every, control, worker):
    """Run one group of sixteen: s <- sign(s + step (J s + h) + spread n), every site at once, n standard normal.

    Args:
        couplings: panels or `Edges`.
        runs: where they are; only the signs of their amplitudes count.
        steps: how many.
        step: of the force, float32.
        spread: of the noise, float32.
        every, control, worker: as `optical_runs`.
    """
    external, x, seed, numbers = runs.external, runs.amplitudes, runs.seed, runs.numbers
    sites, lanes = external.shape[0] // 16, load(numbers, 0)
    pull, signs, force, noise = np.empty_like(x), np.zeros_like(x), splat(step), splat(spread)
    for i in range(sites):
        store(x, 16 * i, sign(load(x, 16 * i)))
    for k in range(steps):
        if control[0] != 0:
            return
        product(pull, couplings, x)
        for i in range(sites):
            w0, w1, _, _ = threefry(seed[0], seed[1], lanes, u32(i), u32(k), u32(2))
            kick, _ = normal_pair(w0, w1)
            field = fma(force, load(pull, 16 * i) + load(external, 16 * i), load(x, 16 * i))
            store(x, 16 * i, sign(fma(noise, kick, field)))
        if every and ((k + 1) % every == 0 or k + 1 == steps):
            keep_best(couplings, runs, signs, pull)
        control[1 + worker] += 1
    if not every:
        keep_last(runs)


@njit(nogil=True)
def keep_last(runs):
    """Keep the signs of the amplitudes as they are."""
    for i in range(runs.external.shape[0] // 16):
        store(runs.spins, 16 * i, sign(load(runs.amplitudes, 16 * i)))
