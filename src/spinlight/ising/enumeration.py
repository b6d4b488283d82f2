"""Exact answers by going through every state: log Z, moments, ground states, the histogram of energies, probabilities.

State number x has site i up where bit i of x is set: site 0 is the least significant bit. States are taken in blocks that
a few threads share; blocks are combined in their own order, so the answers do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number, positive_integer
from spinlight._errors import InvalidProblemError, ProblemTooLargeError
from spinlight.ising._walk import Walk
from spinlight.ising.problem import Ising, require_problem, require_single

MOST_SITES = 28
"""The largest problem that is enumerated: 2.7e8 states, about a second."""

MOST_TABLED_SITES = 24
"""The largest problem whose states are all kept at once: 128 MiB of probabilities, 384 MiB of spins."""


def log_partition(problem: Ising, beta: float = 1.0) -> Tensor:
    """Return log Z = log sum_s exp(-beta E(s)), offset included.

    Args:
        problem: up to 28 sites, single or batched.
        beta: inverse temperature, at least 0.

    Returns:
        float64, shape (), or (batch,) for a batch. Accurate to about 1e-12 of the energies' scale.

    Raises:
        ProblemTooLargeError: more than 28 sites.
        InvalidProblemError: energies beyond float64.

    Cost:
        2^sites steps of about 5 ns on one core: 5 ms at 20 sites, a second at 28.

    Example:
        >>> log_partition(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])).item()  # log(2 e + 2 / e)
        1.820...
    """
    beta = nonnegative_number("beta", beta)
    return _per_problem(problem, beta, lambda walk: walk.log_partition(beta))


def exact_moments(problem: Ising, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the means <s_i> and the pair moments <s_i s_j> of p(s) proportional to exp(-beta E(s)).

    Args:
        problem: up to 28 sites, single or batched.
        beta: inverse temperature, at least 0.

    Returns:
        Means, shape (sites,), and pair moments with a diagonal of ones, shape (sites, sites); a leading batch axis for a
        batch; float64.

    Raises:
        ProblemTooLargeError: more than 28 sites.
        InvalidProblemError: energies beyond float64.

    Cost:
        2^sites steps of about 10 ns on one core.
    """
    beta = nonnegative_number("beta", beta)
    pairs = _per_problem(problem, beta, lambda walk: walk.moments(beta))
    return pairs[..., -1, :-1], pairs[..., :-1, :-1]


def ground_states(problem: Ising, limit: int = 1000) -> tuple[Tensor, Tensor]:
    """Return the lowest energy and the states that have it.

    Args:
        problem: a single problem of up to 28 sites.
        limit: the most states to return; of more, the first in number order (`energy_histogram` counts them all).

    Returns:
        Energy, float64, shape (); spins, int8, shape (states, sites).

    Raises:
        ProblemTooLargeError: more than 28 sites.
        InvalidProblemError: energies beyond float64.
        InvalidSettingError: a batch, or a limit below 1.

    Example:
        >>> energy, spins = ground_states(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]]))
        >>> energy.item(), spins.tolist()
        (-1.0, [[-1, -1], [1, 1]])
    """
    require_single(problem)
    limit = positive_integer("limit", limit)
    _refuse_above(MOST_SITES, problem.sites)
    _require_finite(problem)
    numbers = Walk(problem).ground_states(limit)
    spins = spins_of_numbers(torch.from_numpy(numbers), problem.sites).to(problem.device)
    return problem.energy(spins).min(), spins


@dataclass(frozen=True, eq=False)
class EnergyHistogram:
    """How many states have which energy.

    Args:
        levels: energies that occur, increasing, float64, shape (levels,); the centres of the bins when binned.
        degeneracies: states at each of them, int64, shape (levels,); they add up to 2^sites.
        width: 0.0 when the levels are exact, else the width of the bins.
    """

    levels: Tensor
    degeneracies: Tensor
    width: float


def energy_histogram(problem: Ising, bins: int = 1000) -> EnergyHistogram:
    """Return the density of states g(E), with Z(beta) = sum_E g(E) exp(-beta E).

    Weights that are whole multiples of a common unit (integers, halves, cents, ... down to 1/10,000) give exact levels, of
    which at most 65,536. Otherwise there are about as many levels as states, and energies are counted in bins of equal width
    between the lowest and the highest.

    Args:
        problem: a single problem of up to 28 sites.
        bins: how many bins, where the levels are not exact.

    Raises:
        ProblemTooLargeError: more than 28 sites.
        InvalidProblemError: energies beyond float64.
        InvalidSettingError: a batch, or fewer than one bin.

    Example:
        >>> histogram = energy_histogram(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]]))
        >>> histogram.levels.tolist(), histogram.degeneracies.tolist()
        ([-1.0, 1.0], [2, 2])
    """
    require_single(problem)
    bins = positive_integer("bins", bins)
    _refuse_above(MOST_SITES, problem.sites)
    _require_finite(problem)
    return EnergyHistogram(*Walk(problem).histogram(bins))


def exact_probabilities(problem: Ising, beta: float = 1.0) -> Tensor:
    """Return p(s) = exp(-beta E(s)) / Z of every state, in the order of `all_states`.

    Args:
        problem: up to 24 sites, single or batched.
        beta: inverse temperature, at least 0.

    Returns:
        float64, shape (2^sites,), or (batch, 2^sites) for a batch.

    Raises:
        ProblemTooLargeError: more than 24 sites.
        InvalidProblemError: energies beyond float64.
    """
    beta = nonnegative_number("beta", beta)
    _refuse_tables_above(MOST_TABLED_SITES, require_problem(problem).sites)
    return _per_problem(problem, beta, lambda walk: torch.softmax(-beta * torch.from_numpy(walk.energies()), 0))


def all_states(sites: int) -> Tensor:
    """Return every state of `sites` spins: int8, shape (2^sites, sites), site 0 the fastest.

    Raises:
        ProblemTooLargeError: more than 24 sites.

    Example:
        >>> all_states(2).tolist()
        [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    """
    _refuse_tables_above(MOST_TABLED_SITES, positive_integer("sites", sites))
    return spins_of_numbers(torch.arange(2**sites), sites)


def spins_of_numbers(numbers: Tensor, sites: int) -> Tensor:
    """Return the states with these numbers: int8, shape (*numbers.shape, sites), site i up where bit i is set."""
    spins = torch.empty(*numbers.shape, sites, dtype=torch.int8, device=numbers.device)
    for site in range(sites):
        spins[..., site] = 2 * ((numbers >> site) & 1) - 1
    return spins


def _per_problem(problem: Ising, beta: float, answer: Callable[[Walk], Tensor]) -> Tensor:
    """Return the answer for a problem, or one per row of a batch, on the problem's device."""
    _refuse_above(MOST_SITES, require_problem(problem).sites)
    _require_finite(problem, beta)
    if problem.batch is None:
        return answer(Walk(problem)).to(problem.device)
    return torch.stack([answer(Walk(problem[row])) for row in range(problem.batch)]).to(problem.device)


_LARGEST = 1e300


def _require_finite(problem: Ising, beta: float = 1.0) -> None:
    """Refuse weights that add up to more than float64 holds, by themselves or times beta."""
    couplings = problem.couplings.values() if problem.is_sparse else problem.couplings
    largest = float(problem.fields.abs().sum(-1).max() + couplings.abs().sum() + problem.offset.abs().max())
    if not largest * max(1.0, beta) <= _LARGEST:
        raise InvalidProblemError(
            f"energies of up to {largest:.3g} at beta={beta:.3g} are too large for float64; divide the problem by a constant "
            "and multiply beta by it"
        )


def _refuse_above(limit: int, sites: int) -> None:
    if sites > limit:
        raise ProblemTooLargeError(
            f"{sites} sites have 2^{sites} states, too many to go through; the limit "
            f"is {limit} sites. spinlight.training.AnnealedImportance bounds log Z, and spinlight.samplers.Gibbs draws states, at "
            "any size"
        )


def _refuse_tables_above(limit: int, sites: int) -> None:
    if sites > limit:
        raise ProblemTooLargeError(
            f"a table of the 2^{sites} states of {sites} sites is too large; the limit is {limit} sites. log_partition, "
            f"exact_moments and ground_states need no table and take {MOST_SITES}"
        )
