"""The one result type of every log Z estimator."""

from __future__ import annotations

from dataclasses import dataclass


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
