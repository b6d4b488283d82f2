"""The pieces of annealed importance sampling: the independent base, the path, and the mean of the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from spinlight._checks import thread_count
from spinlight._progress import progress_bar
from spinlight._random import uniform
from spinlight.ising import Ising
from spinlight.ising.packing import kernel_couplings, kernel_fields


def anneal(problem: Ising, base: Tensor, spins: Tensor, path: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
    """Walk chains along p_b(s) ~ exp((1 - b) base.s - b E(s)) without E's offset, one heat-bath sweep per value of b.

    Args:
        problem: E, at beta = 1.
        base: fields of the independent distribution at b = 0, shape (sites,).
        spins: states drawn from p at path[0], shape (chains, sites).
        path: values of b, shape (steps + 1,).
        seed: names the random streams.

    Returns:
        The chains at the end, int8, and log weights, float64, shape (chains,), whose exponentials average to
        Z(path[-1]) / Z(path[0]).
    """
    from spinlight.kernels import run

    with progress_bar("Annealed importance sampling") as report:
        end, log_weights = run.annealed_weights(
            kernel_couplings(problem),
            kernel_fields(problem),
            base.to("cpu", torch.float32).numpy(),
            spins.to("cpu", torch.int8).numpy(),
            path.numpy(),
            seed=seed,
            threads=thread_count(None),
            progress=report,
        )
    return torch.from_numpy(end), torch.from_numpy(log_weights)


def rounding_error(problem: Ising) -> float:
    """Return a bound on what float32 arithmetic adds to log weights: 2^-24 of the largest energy, sum |h| + sum |J|."""
    weights = problem.couplings.values() if problem.is_sparse else problem.couplings
    return 2.0**-24 * float(problem.fields.abs().sum() + weights.abs().sum() / 2)


def base_log_partition(base: Tensor) -> float:
    """Return log Z of independent spins, sum_i log(2 cosh base_i)."""
    return float(torch.logaddexp(base, -base).sum())


def states_of_base(base: Tensor, chains: int, seed: int) -> Tensor:
    """Return independent spins, p(s_i = +1) = sigmoid(2 base_i), int8, shape (chains, sites)."""
    up = uniform(seed, chains, len(base)) < torch.sigmoid(2 * base)
    return 2 * up.to(torch.int8) - 1
