"""The checks that public functions share: each returns the value it was given, or raises a named error."""

from __future__ import annotations

import importlib
import math
import operator
import sys
from numbers import Real
from types import ModuleType
from typing import TypeVar

import torch
from torch import Tensor

from spinlight._errors import InvalidSettingError, InvalidStateError, MissingExtraError

Kind = TypeVar("Kind")

MOST = 2**31 - 1
"""The largest size or number of anything: more sites, chains or sweeps than this are a slip of the keyboard."""


def positive_integer(name: str, value: object) -> int:
    """Return `value` if it is an integer of at least one and of a size that a machine can hold."""
    return integer(name, value, least=1, most=MOST)


def nonnegative_integer(name: str, value: object) -> int:
    """Return `value` if it is an integer of at least zero and of a size that a machine can hold."""
    return integer(name, value, least=0, most=MOST)


def integer(name: str, value: object, *, least: int, most: int) -> int:
    """Return `value` as an int if it is an integer (NumPy's included, booleans not) in [least, most]."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if type(value).__name__ in {"bool", "bool_"} or number < least:
        raise InvalidSettingError(f"{name} must be an integer of at least {least}, got {value!r}")
    if number > most:
        raise InvalidSettingError(f"{name} must be at most {most}, got {value!r}")
    return number


def finite_number(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not -_LARGEST <= float_or_nan(value) <= _LARGEST:
        raise InvalidSettingError(f"{name} must be a finite number, got {value!r}")
    return float(value)


_LARGEST = sys.float_info.max


def float_or_nan(value: Real) -> float:
    """Return a number as a float, NaN where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.nan


def nonnegative_number(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number of at least zero."""
    number = finite_number(name, value)
    if number < 0:
        raise InvalidSettingError(f"{name} must not be negative, got {value!r}")
    return number


def positive_number(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number above zero."""
    number = finite_number(name, value)
    if number <= 0:
        raise InvalidSettingError(f"{name} must be above 0, got {value!r}")
    return number


def fraction(name: str, value: object) -> float:
    """Return `value` as a float if it is a number of at least zero and below one."""
    number = nonnegative_number(name, value)
    if number >= 1:
        raise InvalidSettingError(f"{name} must be below 1, got {value!r}")
    return number


def flag(name: str, value: object) -> bool:
    """Return True or False; words would all count as true."""
    if not isinstance(value, bool):
        raise InvalidSettingError(f"{name} must be True or False, got {value!r}")
    return value


def instance(name: str, value: Kind, kind: type, description: str) -> Kind:
    """Return `value` if it is of a kind, described as in "a torch module"."""
    if not isinstance(value, kind):
        raise InvalidSettingError(f"{name} must be {description}, got {value!r}")
    return value


def thread_count(threads: int | None) -> int:
    """Return the wanted number of threads: by default torch's, which is 1 in a data loader's worker."""
    return torch.get_num_threads() if threads is None else positive_integer("threads", threads)


def spins_of(value: object, sites: int | None = None) -> Tensor:
    """Return `value` as a tensor if its last axis has `sites` entries (None: any number), all of them -1 or +1."""
    spins = _real_tensor("spins", value)
    if spins.ndim == 0 or (sites is not None and spins.shape[-1] != sites):
        raise InvalidStateError(
            f"spins need {sites or 'some'} entries on their last axis, one per site; got shape {tuple(spins.shape)}"
        )
    if not bool(((spins == 1) | (spins == -1)).all()):
        raise InvalidStateError("spins must be -1 or +1; for bits in {0, 1} use spinlight.ising.spins_from_bits")
    return spins


def bits_of(value: object, units: int | None = None) -> Tensor:
    """Return `value` as a tensor if its last axis has `units` entries (None: any number), all of them 0 or 1."""
    bits = _real_tensor("bits", value)
    if bits.ndim == 0 or (units is not None and bits.shape[-1] != units):
        raise InvalidStateError(
            f"bits need {units or 'some'} entries on their last axis, one per unit; got shape {tuple(bits.shape)}"
        )
    if not bool(((bits == 0) | (bits == 1)).all()):
        raise InvalidStateError("bits must be 0 or 1; for spins in {-1, +1} use spinlight.ising.bits_from_spins")
    return bits


def _real_tensor(name: str, value: object) -> Tensor:
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidStateError(f"{name} must be an array of numbers: {error}") from error
    if tensor.is_complex():
        raise InvalidStateError(f"{name} must be real, got {tensor.dtype}")
    if tensor.layout != torch.strided:
        raise InvalidStateError(f"{name} must be a dense array, got layout {tensor.layout}")
    # torch finds an unsigned 255 equal to -1, and computes with 255
    return tensor.to(torch.int64) if tensor.dtype in _UNSIGNED else tensor


_UNSIGNED = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)


def require_extra(module: str, extra: str) -> ModuleType:
    """Import and return an optional dependency, or say which extra of spinlight installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is needed here and could not be imported ({error}); install it by: pip install 'spinlight[{extra}]'"
        ) from error
