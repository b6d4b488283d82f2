"""Updates of machines on a GPU (Triton): those of `kernels.oscillators`, one site of one tile of runs per program.

Vectors are site-major, (sites, runs); random words are functions of (seed, run, site, step). `kernels.gpu_machines` launches
them, after a product with the couplings.
"""

from __future__ import annotations

import triton
import triton.language as tl

from spinlight.kernels.gpu_noise import normal_pair, threefry


@triton.jit(do_not_specialize=["seed", "step"])
def optical_updates(
    amplitudes,
    errors,
    variances,
    readings,
    feedback,
    fields,
    schedule,
    scale,
    pull,
    quantum,
    measured,
    seed: tl.uint64,
    step: tl.uint64,
    steps,
    runs,
    site_stride,
    run_stride,
    CONTROL: tl.constexpr,
    NOISE: tl.constexpr,
    LANES: tl.constexpr,
):
    """Update one site of one tile of runs: `kernels.oscillators.optical_step` and its noise."""
    site = tl.program_id(0)
    run = tl.program_id(1) * LANES + tl.arange(0, LANES)
    here = site.to(tl.int64) * runs + run
    inside = run < runs
    now = schedule + step
    pump, target, rate = tl.load(now), tl.load(now + steps), tl.load(now + 2 * steps)
    gain, field, dt = tl.load(now + 3 * steps), tl.load(now + 4 * steps), tl.load(now + 5 * steps)
    h = tl.load(fields + site.to(tl.int64) * site_stride + run * run_stride, inside, 0.0)
    old, e = tl.load(amplitudes + here, inside, 0.0), tl.load(errors + here, inside, 0.0)
    z = scale * (tl.load(feedback + here, inside, 0.0) + field * h)
    x, e = _optical_step(old, e, z, dt, pump, target, rate, gain, pull, CONTROL)
    off = tl.zeros_like(x)
    if NOISE > 0:
        first, second, third = _normals(seed, run, site, step, 1)
        root = tl.sqrt(dt)
        if NOISE == 1:
            x += quantum * root * tl.sqrt(old * old + 0.5) * first
            e += quantum * root * 0.70710678 * third
            off = quantum * tl.sqrt((1 - measured) / (4 * measured)) / root * second
        else:
            v = tl.load(variances + here, inside, 0.0)
            x += quantum * root * tl.sqrt(measured) * (v - 0.5) * first
            off = quantum / (root * tl.sqrt(4 * measured)) * first
            half = (pump - 1 - 3 * old * old) * v + old * old - measured * (v - 0.5) * (v - 0.5)
            tl.store(variances + here, tl.maximum(v + dt * (2 * half + 1), 0.0), inside)
    if CONTROL < 2:
        widest = 1.5 * tl.sqrt(target)
        x = tl.minimum(tl.maximum(x, -widest), widest)
        e = tl.minimum(tl.maximum(e, 0.01), 1e6)
    tl.store(amplitudes + here, x, inside)
    tl.store(errors + here, e, inside)
    tl.store(readings + here, x + off, inside)


@triton.jit
def _optical_step(x, e, z, dt, pump, target, rate, gain, pull, CONTROL: tl.constexpr):
    own = x * (pump - 1 - x * x)
    if CONTROL == 0:
        x += dt * (own + e * z)
        e += dt * rate * e * (target - x * x)
    elif CONTROL == 1:
        z = e * z
        x += dt * (own + z)
        e += dt * rate * e * (target - z * z)
    else:
        z = -z
        twice = tl.exp(tl.minimum(2 * gain * z, 80.0))
        x += dt * (own - (1 - 2 / (twice + 1)) - pull * (z - e))
        e += dt * rate * (z - e)
    return x, e


@triton.jit
def _normals(seed, run, site, step, stream: tl.constexpr):
    """Return three standard normal numbers per run."""
    sites = (run * 0 + site).to(tl.uint32)
    w0, w1, w2, w3 = threefry(seed.to(tl.uint64), run.to(tl.uint32), sites, step.to(tl.uint64), stream)
    first, second = normal_pair(w0, w1)
    third, _ = normal_pair(w2, w3)
    return first, second, third


@triton.jit(do_not_specialize=["seed", "step"])
def threshold_updates(
    spins,
    pull,
    fields,
    force,
    spread,
    seed: tl.uint64,
    step: tl.uint64,
    runs,
    site_stride,
    run_stride,
    LANES: tl.constexpr,
):
    """Update one site of one tile of runs: s <- sign(s + force (J s + h) + spread n)."""
    site = tl.program_id(0)
    run = tl.program_id(1) * LANES + tl.arange(0, LANES)
    here = site.to(tl.int64) * runs + run
    inside = run < runs
    h = tl.load(fields + site.to(tl.int64) * site_stride + run * run_stride, inside, 0.0)
    noise, _, _ = _normals(seed, run, site, step, 2)
    field = tl.load(spins + here, inside, 0.0) + force * (tl.load(pull + here, inside, 0.0) + h) + spread * noise
    tl.store(spins + here, tl.where(field < 0, -1.0, 1.0), inside)
