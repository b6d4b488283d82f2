"""RAISE: the likelihood of data under an annealing model, bounded from below by walking back from the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError, ProblemTooLargeError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import spins_from_bits
from spinlight.ising.enumeration import MOST_TABLED_SITES
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Exact
from spinlight.training.annealing import Annealing, OneSide, increasing
from spinlight.training.likelihood import data_rows, log_sums
from spinlight.training.partition import annealing_of, kept_rows, with_base
from spinlight.training.row_mean import RowMean

_CHAINS = 4096
"""Chains that walk at once: 13 MB of float32 at 784 units."""


@dataclass(frozen=True, eq=False)
class ReverseAnnealedBound(RowMean):
    """A lower bound, in expectation, on the mean log-likelihood of data rows under the annealing model, in nats per row.

    Args:
        per_row: log(mean weight of the row's chains), float64, shape (rows,).
        chain_error: the part of `row_error` that other chains for the same rows would change; NaN for one chain per row.
        method: how it was found, in words.
    """

    chain_error: float
    method: str

    def __str__(self) -> str:
        """Show the value with both errors."""
        return (
            f"{self.value:.3f} +/- {self.row_error:.3f} ({self.rows} rows), of which {self.chain_error:.3f} by the chains "
            f"({self.method})"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ReverseAnnealedLikelihood:
    """The likelihood of data under the annealing model, bounded from below by reverse annealing (RAISE).

    The annealing model draws x_0 from a base of independent units and moves it by T_1, ..., T_steps, each of which keeps one of the
    laws p_b on the path of `AnnealedImportance`, the last the machine's own, b = 1; its visible units are an approximate draw of the
    machine. Its probability of a row is, for any number of steps, the mean over chains that walk back from the row,

    p_ann(v) = <w>,  log w = log f_1(v) - log Z_base + sum_k log f_{b_{k-1}}(x_{k-1}) - log f_{b_k}(x_{k-1}),  x_steps = v,

    f_b being p_b not normalised. The log of a mean over some chains lies below log p_ann(v) in expectation. So this is an honest
    likelihood of something that can be sampled, where AIS makes that of the machine too high if anything goes wrong. It does not bound
    the machine's own likelihood: p_ann may find rows likelier than p does, as where both start at the data and neither finds a place,
    far from them, where the machine has most of its mass.

    Args:
        chains: per row; more make the bound tighter, slowly.
        steps: transitions of the annealing model; more make it more like the machine.
        base_rows: visible bits to fit the base to instead of a pilot run, shape (rows, num_visible): training data, never those
            that are tested.

    References:
        Burda, Grosse & Salakhutdinov (2015), Accurate and conservative estimates of MRF log-likelihood using reverse annealing
        (which draws the hidden units of every state; those of a restricted machine are summed out here).
    """

    chains: int = 16
    steps: int = 1000
    base_rows: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the settings."""
        positive_integer("chains", self.chains)
        positive_integer("steps", self.steps)
        object.__setattr__(self, "base_rows", kept_rows(self.base_rows))

    def estimate(self, model: AbstractBoltzmannMachine, rows: Tensor, *, seed: Seed = None) -> ReverseAnnealedBound:
        """Return the mean over data rows of log(mean weight).

        A restricted machine moves by block Gibbs of its visible units. Any other moves by heat-bath sweeps, of all units from the last
        to the first; its hidden units start from exact draws given the row.

        Raises:
            InvalidSettingError: no Boltzmann machine, or an impossible seed.
            InvalidStateError: rows of the wrong shape, none, or other than bits.
            InvalidProblemError: parameters beyond float32.
            ProblemTooLargeError: more than 24 hidden units that are connected to each other.

        Cost:
            rows * chains * steps sweeps; for hidden units that are connected, 2^num_hidden states per row beside.
        """
        _require_startable(model)
        visible, resolved = data_rows(model, rows).to("cpu"), resolve_seed(seed)
        annealing = with_base(visible_path(model), model, self.base_rows, 256, self.steps, derive_seed(resolved, 0))
        logs, error = log_means(
            torch.cat(
                [
                    reverse_log_weights(
                        annealing, model, part, self.chains, self.steps, seed=derive_seed(resolved, 1 + k)
                    )
                    for k, part in enumerate(visible.split(max(1, _CHAINS // self.chains)))
                ]
            )
        )
        method = f"reverse annealing of data, {self.chains} chains of {self.steps} steps each"
        return ReverseAnnealedBound(logs, error, method)


def reverse_log_weights(
    annealing: Annealing, model: AbstractBoltzmannMachine, rows: Tensor, chains: int, steps: int, *, seed: int
) -> Tensor:
    """Return log w of chains that walk back from each row, shape (rows, chains): each w has the mean p_ann(row)."""
    # The first step has no length: it moves the row by the machine's own transition, and weighs nothing.
    path = torch.cat([torch.ones(1, dtype=torch.float64), increasing(steps).flip(0)])
    start = annealing.part(_started(model, rows, chains, derive_seed(seed, 0)))
    _, log_weights = annealing.walk(start, path, seed=derive_seed(seed, 1))
    return (log_sums(model, rows) - annealing.base_log_partition)[:, None] + log_weights.reshape(len(rows), chains)


def log_means(log_weights: Tensor) -> tuple[Tensor, float]:
    """Return log <w> of each row's weights, shape (rows,), and the standard error of the mean of these, by the delta method."""
    chains = log_weights.shape[1]
    means = torch.logsumexp(log_weights, 1) - math.log(chains)
    if chains == 1:
        return means, math.nan
    variances = (log_weights - means[:, None]).exp().var(1) / chains
    return means, float(variances.sum().sqrt()) / len(means)


def _require_startable(model: object) -> None:
    if not isinstance(model, AbstractBoltzmannMachine):
        raise InvalidSettingError(f"reverse annealing needs a Boltzmann machine, got a {type(model).__name__}")
    if model.needs_hidden and model.num_hidden > MOST_TABLED_SITES:
        raise ProblemTooLargeError(
            f"reverse annealing starts from exact draws of the {model.num_hidden} hidden units given each row; the limit is "
            f"{MOST_TABLED_SITES} where they are connected to each other. Those of a RestrictedBoltzmannMachine are summed out at any size"
        )


def visible_path(model: AbstractBoltzmannMachine) -> Annealing:
    """Return the path of a restricted machine's visible side, or of all units of any other."""
    if isinstance(model, RestrictedBoltzmannMachine):
        return OneSide.of(model, 1.0, visible_kept=True)
    return annealing_of(model, 1.0)


def _started(model: AbstractBoltzmannMachine, rows: Tensor, chains: int, seed: int) -> Tensor:
    """Return each row `chains` times, as spins of all units with exact draws of hidden units that are not summed out, int8."""
    held = spins_from_bits(rows.to(torch.int8)).repeat_interleave(chains, 0)
    if not model.needs_hidden:
        return held
    hidden = Exact().draw(model.to_ising(clamped=rows).to("cpu"), chains, seed=seed).spins
    return torch.cat([held, hidden.reshape(len(held), model.num_hidden)], -1)
