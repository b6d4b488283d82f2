"""Every error and warning that spinlight raises on purpose.

    SpinlightError
    ├── InvalidProblemError   (ValueError)   fields, couplings or offset that are no Ising problem
    ├── InvalidStateError     (ValueError)   spins, bits or draws of the wrong shape or with impossible values
    ├── InvalidSettingError   (ValueError)   an option outside its domain
    ├── InvalidDataError      (ValueError)   user data that cannot be used as it is
    ├── UnknownNameError      (KeyError)     a column, dataset or sampler that does not exist
    ├── FileFormatError       (ValueError)   a file that does not hold what its format promises
    ├── DownloadError         (OSError)      a public file that no mirror delivers
    ├── ProblemTooLargeError  (ValueError)   an exact method refused because of its cost
    ├── SolverError           (RuntimeError) a foreign sampler or solver that returned too few states or failed midway
    └── MissingExtraError     (ImportError)  an optional dependency that is not installed

    SpinlightWarning          (UserWarning)
    └── UncalibratedWarning                  heuristic draws used where Boltzmann samples are needed

Each error also inherits the builtin that a caller would catch. The message says what was expected, what arrived, and
what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SpinlightError(Exception):
    """The root of every error that spinlight raises on purpose."""


class InvalidProblemError(SpinlightError, ValueError):
    """Fields, couplings or offset that do not describe an Ising problem."""


class InvalidStateError(SpinlightError, ValueError):
    """Spins, bits or draws of the wrong shape or with impossible values."""


class InvalidSettingError(SpinlightError, ValueError):
    """An option outside its domain."""


class InvalidDataError(SpinlightError, ValueError):
    """User data that cannot be used as it is."""


class UnknownNameError(SpinlightError, KeyError):
    """A column, dataset or sampler that does not exist."""

    def __str__(self) -> str:
        """Return the message itself: `KeyError` would show it quoted."""
        return str(self.args[0]) if self.args else ""


class FileFormatError(SpinlightError, ValueError):
    """A file that does not hold what its format promises."""


class DownloadError(SpinlightError, OSError):
    """A public file that no mirror delivers."""


class ProblemTooLargeError(SpinlightError, ValueError):
    """An exact method refused because of its cost."""


class SolverError(SpinlightError, RuntimeError):
    """A foreign sampler or solver returned fewer states than were asked for, or failed midway; `states` are those that did come."""

    def __init__(self, message: str = "", states: Sequence[Any] = ()) -> None:
        """Keep the states beside the message, a tensor of shape (states, sites) per problem: a machine's time is dear."""
        super().__init__(message)
        self.states = list(states)


class MissingExtraError(SpinlightError, ImportError):
    """An optional dependency that is not installed."""


class SpinlightWarning(UserWarning):
    """The root of every warning that spinlight gives."""


class UncalibratedWarning(SpinlightWarning):
    """Heuristic draws were used where samples of a Boltzmann distribution are needed."""
