"""Seeds: one 63-bit integer names every random stream of a call."""

from __future__ import annotations

import operator
import secrets

import numpy as np
import torch
from torch import Tensor

from spinlight._errors import InvalidSettingError

Seed = int | torch.Generator | None
"""What every random function accepts: an integer in [0, 2^63), a generator to draw one from, or None for fresh entropy."""


def resolve_seed(seed: Seed) -> int:
    """Return the integer that names the random streams of one call.

    None asks the operating system, never torch's or NumPy's global state: a forked worker cannot repeat its parent.

    Raises:
        InvalidSettingError: `seed` is neither None, a generator, nor an integer in [0, 2^63).
    """
    if seed is None:
        return secrets.randbits(63)
    if isinstance(seed, torch.Generator):
        return int(torch.randint(0, 2**63 - 1, (), generator=seed, device=seed.device, dtype=torch.int64))
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if type(seed).__name__ in {"bool", "bool_"} or not 0 <= number < 2**63:
        raise InvalidSettingError(f"seed must be None, a torch.Generator or an integer in [0, 2**63), got {seed!r}")
    return number


def derive_seed(seed: int, stream: int) -> int:
    """Return the seed of an independent stream, by one SplitMix64 step (Steele, Lea & Flood 2014)."""
    mask = (1 << 64) - 1
    word = (seed + (stream + 1) * 0x9E3779B97F4A7C15) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    return (word ^ (word >> 31)) >> 1


def uniform(seed: int, *shape: int) -> Tensor:
    """Return uniform numbers in [0, 1), float64: PCG64 of the whole seed (torch's CPU generator reads 32 bits of it)."""
    return torch.from_numpy(np.asarray(np.random.Generator(np.random.PCG64(seed)).random(shape)))


def normal(seed: int, *shape: int) -> Tensor:
    """Return standard normal numbers, float64, of the whole seed."""
    return torch.from_numpy(np.asarray(np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)))


def bernoulli(probabilities: Tensor, seed: int) -> Tensor:
    """Return independent bits that are 1 with these probabilities, in their dtype and on their device."""
    if probabilities.device.type != "cpu":
        return torch.bernoulli(probabilities, generator=torch.Generator(probabilities.device).manual_seed(seed))
    return (uniform(seed, *probabilities.shape) < probabilities).to(probabilities)


def gaussian(means: Tensor, deviations: Tensor, seed: int) -> Tensor:
    """Return independent normal numbers with these means and standard deviations, in their dtype and on their device."""
    if means.device.type != "cpu":
        noise = torch.randn(means.shape, generator=torch.Generator(means.device).manual_seed(seed), device=means.device)
        return means + deviations * noise.to(means)
    return means + deviations * normal(seed, *means.shape).to(means)


def positions_of(weights: Tensor, targets: Tensor) -> Tensor:
    """Return where the cumulated weights pass each target, a fraction in [0, 1) of their sum: draws in proportion to the weights.

    Args:
        weights: at least 0, shape (..., entries).
        targets: shape (..., count).

    Returns:
        int64, the shape of `targets`.
    """
    cumulative = weights.to(torch.float64).cumsum(-1)
    found = torch.searchsorted(cumulative, cumulative[..., -1:] * targets.to(cumulative), right=True)
    return found.clamp(max=weights.shape[-1] - 1)
