"""The pieces of annealed importance sampling: the independent base, the path, and the mean of the weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

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


def fitted_base(problem: Ising, spins: Tensor) -> Tensor:
    """Return the fields of independent spins with the mean conditional probabilities of `spins`.

    base_i = log(<sigmoid(2 f_i)> / <sigmoid(-2 f_i)>) / 2 with local fields f_i: less noisy than the spins' own means, never
    infinite, and equal to h for a problem without couplings.

    Args:
        problem: at beta = 1.
        spins: shape (chains, sites).

    Returns:
        float64, shape (sites,), rounded to float32 so that the kernel's base is this one.
    """
    local = 2 * problem.local_fields(spins).cpu()
    up, down = (torch.logsumexp(functional.logsigmoid(sign * local), 0) for sign in (1, -1))
    return (0.5 * (up - down)).to(torch.float32).to(torch.float64)


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
