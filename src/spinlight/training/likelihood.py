"""How likely a model finds data, with the error of log Z beside that of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from spinlight._checks import bits_of
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight.ising import LogPartition, log_partition
from spinlight.models import AbstractBoltzmannMachine
from spinlight.training.row_mean import NormalizedRowMean

MOST_HIDDEN = 28
"""Connected hidden units that are summed out, row by row: 2^28 states take about a second."""

_ROWS = 4096
"""Rows taken at once."""


@runtime_checkable
class SupportsFreeEnergy(Protocol):
    """A model whose hidden units are summed out in closed form, as a restricted Boltzmann machine's."""

    def free_energy(self, visible: Tensor) -> Tensor:
        """Return F(v) = - log sum_h exp(-E(v, h)), shape (rows,)."""
        ...


class LogLikelihood(NormalizedRowMean):
    """The mean log-likelihood of data rows, in nats per row, and its two independent errors.

    Args:
        per_row: log p(v) of each row, float64, shape (rows,). Two models on the same rows are compared by their differences, whose
            spread is smaller.
        log_partition_error: the standard error of log Z. All rows share it, so it does not shrink with their number; NaN where it is
            not known.
        method: where log Z comes from, in words.
    """


@dataclass(frozen=True, eq=False)
class ImportanceWeightedBound(NormalizedRowMean):
    """An importance-weighted lower bound on the mean log-likelihood, in nats per row, and its two independent errors.

    Args:
        per_row: the bound of each row, float64, shape (rows,); `row_error` is of the choice of rows and of their draws.
        log_partition_error: as of `LogLikelihood`.
        method: where log Z comes from, in words.
        draws: K, importance samples for each row.
    """

    draws: int

    def __str__(self) -> str:
        """Show the value with both errors."""
        return f">= {super().__str__()}, {self.draws} draws per row"


def log_likelihood(
    model: AbstractBoltzmannMachine | SupportsFreeEnergy, rows: Tensor, *, partition: LogPartition
) -> LogLikelihood:
    """Return the mean over data rows of log p(v) = log sum_h exp(-E(v, h)) - log Z.

    Hidden units are summed out: in closed form by a model that has `free_energy`, else row by row, by enumeration. An estimate of
    log Z from below, as `AnnealedImportance` gives, makes the likelihood too high in expectation; compare by its `pessimistic` side.

    Args:
        model: a Boltzmann machine, or anything with `free_energy(visible)`.
        rows: data, shape (rows, num_visible); bits, for a Boltzmann machine.
        partition: log Z of the model as it is now, at beta = 1.

    Raises:
        InvalidStateError: rows of the wrong shape, none, or other than bits.
        InvalidSettingError: a partition that is no `LogPartition`.
        ProblemTooLargeError: more than 28 hidden units that are connected to each other.
        InvalidProblemError: neither a Boltzmann machine nor a model with `free_energy`, or one with parameters that are NaN.

    Cost:
        2^num_hidden steps of about 5 ns per row where hidden units are enumerated.

    Example:
        >>> from spinlight.models import BoltzmannMachine
        >>> from spinlight.training import ExactPartition
        >>> machine = BoltzmannMachine(2, initial_scale=0.0)  # four states, all equally likely
        >>> print(log_likelihood(machine, torch.eye(2), partition=ExactPartition().estimate(machine)))
        -1.386 +/- 0.000 (2 rows) +/- 0.000 (log Z by enumeration)
    """
    if not isinstance(partition, LogPartition):
        raise InvalidSettingError(
            f"partition must be a LogPartition, as an estimator's estimate(model) returns it, got {type(partition).__name__}"
        )
    sums = log_sums(model, data_rows(model, rows))
    return LogLikelihood(sums - partition.value, partition.standard_error, partition.method)


def data_rows(model: object, rows: Tensor) -> Tensor:
    """Return data rows, bits where the model is a Boltzmann machine, or refuse what `log_likelihood` would."""
    if not isinstance(model, AbstractBoltzmannMachine | SupportsFreeEnergy):
        raise InvalidProblemError(
            f"a likelihood is that of a Boltzmann machine or of a model with free_energy(visible), got a {type(model).__name__}"
        )
    states = bits_of(rows, model.num_visible) if isinstance(model, AbstractBoltzmannMachine) else torch.as_tensor(rows)
    if states.ndim != 2 or not len(states):
        raise InvalidStateError(
            f"data must have shape (rows, num_visible), at least one row, got {tuple(states.shape)}"
        )
    if not isinstance(model, AbstractBoltzmannMachine) and not bool(torch.isfinite(states).all()):
        raise InvalidStateError("data hold NaN or infinity; remove or fill in those rows")
    if not isinstance(model, SupportsFreeEnergy) and model.num_hidden > MOST_HIDDEN:
        raise ProblemTooLargeError(
            f"the likelihood of a row sums over the 2^{model.num_hidden} states of its hidden units; the limit is {MOST_HIDDEN} where "
            "they are connected to each other. AnnealedImportance().estimate(model.to_ising(clamped=row)) bounds the sum of one row "
            "at any size, and a RestrictedBoltzmannMachine has it in closed form"
        )
    return states


@torch.no_grad()
def log_sums(model: AbstractBoltzmannMachine | SupportsFreeEnergy, rows: Tensor) -> Tensor:
    """Return log sum_h exp(-E(v, h)) of each row, float64, on the CPU."""
    sums = torch.cat([_log_sums(model, part).to("cpu", torch.float64) for part in rows.split(_ROWS)])
    if not bool(sums.isfinite().all()):
        raise InvalidProblemError("energies of the rows are NaN or infinite; is the learning rate too high?")
    return sums


def _log_sums(model: AbstractBoltzmannMachine | SupportsFreeEnergy, rows: Tensor) -> Tensor:
    if isinstance(model, SupportsFreeEnergy):
        return -model.free_energy(rows)
    if model.num_hidden == 0:
        return -model.energy(rows)
    return log_partition(model.to_ising(clamped=rows))
