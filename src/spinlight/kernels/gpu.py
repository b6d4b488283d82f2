"""Markov chains on a GPU (Triton): the chains of `kernels.cpu`, word for word and visit for visit.

Dense problems: a program owns a tile of chains and takes it through many sweeps, block of sites by block of sites. For a
block it first computes the local fields h + J s of all its chains as one matrix product on the tensor cores; then it visits
the sites of the block in order, each change being added to the fields of the block at once. The order of visits and every
decision are those of a plain sequential scan. No fields are carried along, so that no rounding adds up.

Sparse problems: sites that share no coupling are visited at once, one program per site and tile of chains, each gathering its
neighbours' spins; one launch per such set.

`kernels.gpu_run` launches them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from spinlight.kernels.gpu_noise import exponential_noise, logistic_noise, threefry

_LAZY = tl.constexpr(0.133531392624522623)
"""-log(7 / 8): see `kernels.cpu.LAZY`."""


@triton.jit
def thermal_noise(words, scale, HEATED: tl.constexpr):
    """Return what `spin_change` compares fields with; `scale` is 1 / (2 beta)."""
    return (logistic_noise(words) if HEATED else exponential_noise(words)) * scale


@triton.jit
def spin_change(f, s, noise, scale, HEATED: tl.constexpr):
    """Return s' - s, which is 0 or -2 s, for local fields f."""
    if HEATED:
        change = tl.where(noise < f, 1.0, -1.0) - s
    else:
        cost = f * s
        lazy = tl.minimum(cost, 0.0) + scale * _LAZY
        change = tl.where(tl.maximum(cost, lazy) < noise, -2.0 * s, 0.0)
    return change


@triton.jit(do_not_specialize=["seed", "first_sweep"])
def dense_sweeps(
    spins,
    fields,
    parts,
    units,
    blocks,
    scales,
    seed: tl.uint64,
    first_sweep: tl.uint64,
    sweeps,
    sites,
    field_stride,
    HEATED: tl.constexpr,
    PARTS: tl.constexpr,
    CHAINS: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Take one tile of chains through some sweeps; every size is padded, so that nothing is masked."""
    chains = tl.program_id(0) * CHAINS + tl.arange(0, CHAINS)
    columns, depths = tl.arange(0, BLOCK), tl.arange(0, DEPTH)
    rows = spins + chains.to(tl.int64)[:, None] * sites
    external = fields + chains.to(tl.int64)[:, None] * field_stride
    names = chains.to(tl.uint32)[:, None]
    for k in range(sweeps):
        scale = tl.load(scales + k)
        counter = first_sweep.to(tl.uint64) + k
        for first in range(0, sites, BLOCK):
            here = first + columns
            f = tl.zeros((CHAINS, BLOCK), tl.float32)
            for j in range(0, sites, DEPTH):
                s = tl.load(rows + (j + depths)[None, :]).to(tl.float16)
                for p in tl.static_range(PARTS):
                    at = (p * sites + here).to(tl.int64)[:, None] * sites + (j + depths)[None, :]
                    f = tl.dot(s, tl.trans(tl.load(parts + at)), f)
            f = f * tl.load(units + here)[None, :] + tl.load(external + here[None, :])
            visits = (first // 4 + tl.arange(0, BLOCK // 4)).to(tl.uint32)[None, :]
            w0, w1, w2, w3 = threefry(seed.to(tl.uint64), names, visits, counter, -1)
            noise = thermal_noise(tl.interleave(tl.interleave(w0, w2), tl.interleave(w1, w3)), scale, HEATED)
            s = tl.load(rows + here[None, :]).to(tl.float32)
            change = _visited(f, s, noise, scale, blocks + first * BLOCK, HEATED, BLOCK)
            tl.store(rows + here[None, :], (s + change).to(tl.int8))
            tl.debug_barrier()  # the next product reads these spins


@triton.jit
def _visited(f, s, noise, scale, block, HEATED: tl.constexpr, BLOCK: tl.constexpr):
    """Return the changes of a block's spins, (chains, BLOCK), its sites being visited one after the other.

    Each step decides for the whole block and keeps the column whose turn it is: cheaper than taking that column out first.
    """
    columns = tl.arange(0, BLOCK)[None, :]
    change, row = tl.zeros_like(f), tl.load(block + columns)
    for i in range(BLOCK):
        # The next row is fetched a step ahead of its use, since the cache answers late.
        following = tl.load(block + tl.minimum(i + 1, BLOCK - 1) * BLOCK + columns)
        turn = columns == i
        flip = tl.sum(tl.where(turn, spin_change(f, s, noise, scale, HEATED), 0.0), 1)[:, None]
        change = tl.where(turn, flip, change)
        f += flip * row
        row = following
    return change


@triton.jit(do_not_specialize=["seed", "sweep", "begin"])
def sparse_visits(
    spins,
    fields,
    order,
    starts,
    neighbours,
    weights,
    scale,
    seed: tl.uint64,
    sweep: tl.uint64,
    begin,
    chain_count,
    site_stride,
    chain_stride,
    HEATED: tl.constexpr,
    LANES: tl.constexpr,
):
    """Visit one site of a run in one tile of chains; spins are site-major, (sites, chain_count)."""
    visit = begin + tl.program_id(0)
    chains = tl.program_id(1) * LANES + tl.arange(0, LANES)
    site = tl.load(order + visit)
    f = tl.load(fields + site * site_stride + chains * chain_stride)
    for e in range(tl.load(starts + site), tl.load(starts + site + 1)):
        f += tl.load(weights + e) * tl.load(spins + tl.load(neighbours + e) * chain_count + chains).to(tl.float32)
    block = (chains * 0 + visit // 4).to(tl.uint32)
    w0, w1, w2, w3 = threefry(seed.to(tl.uint64), chains.to(tl.uint32), block, sweep.to(tl.uint64), -1)
    turn = visit % 4
    words = tl.where(turn < 2, tl.where(turn == 0, w0, w1), tl.where(turn == 2, w2, w3))
    own = spins + site * chain_count + chains
    s = tl.load(own).to(tl.float32)
    tl.store(own, (s + spin_change(f, s, thermal_noise(words, scale, HEATED), scale, HEATED)).to(tl.int8))
