"""Energy-based models in PyTorch, sampled by Ising machines."""

from spinlight._errors import (
    DownloadError,
    FileFormatError,
    InvalidDataError,
    InvalidProblemError,
    InvalidSettingError,
    InvalidStateError,
    MissingExtraError,
    ProblemTooLargeError,
    SolverError,
    SpinlightError,
    SpinlightWarning,
    UncalibratedWarning,
    UnknownNameError,
)

__version__ = "0.1.0"
"""The version of the package."""

__all__ = [
    "DownloadError",
    "FileFormatError",
    "InvalidDataError",
    "InvalidProblemError",
    "InvalidSettingError",
    "InvalidStateError",
    "MissingExtraError",
    "ProblemTooLargeError",
    "SolverError",
    "SpinlightError",
    "SpinlightWarning",
    "UncalibratedWarning",
    "UnknownNameError",
    "__version__",
]
