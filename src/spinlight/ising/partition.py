"""The one result type of every log Z estimator."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinlight._errors import InvalidProblemError, SpinlightWarning

FEWEST_EFFECTIVE = 10.0
"""Effective weights below which their spread says nothing about their mean."""

_LEAST_SHARE = 1 / 8
"""Share of all weights that must be effective: the tail of very uneven ones has not been seen yet, however many there are."""


@dataclass(frozen=True)
class LogPartition:
    """An estimate of log Z = log sum_s exp(-beta E(s)), offset included.

    Args:
        value: the estimate.
        standard_error: its standard error; 0 when exact, NaN where none can be given.
        lower: a lower bound on log Z in expectation, or -inf.
        upper: an upper bound in expectation, or +inf.
        method: what produced it, in words.

    A bound is one "in expectation" when the expectation of what is reported lies on the right side of log Z; a test against
    the exact value therefore allows `standard_error` of slack.
    """

    value: float
    standard_error: float
    lower: float
    upper: float
    method: str

    def __str__(self) -> str:
        """Show the value with its error."""
        return f"{self.value:.3f} +/- {self.standard_error:.3f} ({self.method})"


def log_mean_weight(log_weights: Tensor, what: str, remedy: str) -> tuple[float, float, float]:
    """Return log <w>, its standard error by the delta method, and the effective number of weights (sum w)^2 / sum w^2.

    Args:
        log_weights: float64, shape (count,).
        what: whose weights they are, in the plural, for messages.
        remedy: what to do when too few of them count, for the warning.

    Raises:
        InvalidProblemError: weights that are no numbers.

    Warns:
        SpinlightWarning: fewer than ten effective weights, or than an eighth of all; the standard error is NaN.
    """
    count = len(log_weights)
    if not bool(log_weights.isfinite().all()):
        raise InvalidProblemError(
            f"the weights of {int((~log_weights.isfinite()).sum())} of {count} {what} are NaN or infinite: the kernels work in "
            "float32, which fields or couplings this large overflow; scale them down"
        )
    value = float(torch.logsumexp(log_weights, 0)) - math.log(count)
    weights = np.exp(log_weights.numpy() - value)
    effective = count / float(np.mean(weights**2))
    if not effective >= max(FEWEST_EFFECTIVE, _LEAST_SHARE * count):
        warnings.warn(
            f"the mean weight hangs on {effective:.1f} of {count} {what}, so its error cannot be told; {remedy}",
            SpinlightWarning,
            stacklevel=3,
        )
        return value, math.nan, effective
    return value, float(weights.std(ddof=1)) / math.sqrt(count), effective
