"""Numbers that a caller passes: checked once and copied to float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinlight._errors import InvalidProblemError, SpinlightError


def real_tensor(name: str, value: object) -> Tensor:
    """Return a detached float64 copy of a dense array, finite and real.

    Raises:
        InvalidProblemError: anything but numbers, or NaN, infinite or complex ones.
    """
    tensor = value if isinstance(value, Tensor) else _from_array(name, value)
    if tensor.is_complex() or tensor.layout != torch.strided:
        raise InvalidProblemError(f"{name} must be a dense real array, got {tensor.dtype} with layout {tensor.layout}")
    copy = tensor.detach().to(torch.float64, copy=True)
    if not bool(copy.isfinite().all()):
        raise InvalidProblemError(f"{name} hold NaN or infinity; every weight must be finite")
    return copy


def square_matrix(name: str, value: Any) -> Tensor:
    """Return a float64 copy of a square matrix, finite and real; sparse (coalesced COO) where `value` is.

    Args:
        name: what an error calls it.
        value: a dense array or tensor, a torch sparse tensor or a SciPy sparse matrix; entries listed twice add up.

    Raises:
        InvalidProblemError: not square, empty, or as `real_tensor`.
    """
    sparse = isinstance(value, Tensor) and value.layout != torch.strided
    if not sparse and not hasattr(value, "tocoo"):
        dense = real_tensor(name, value)
        _require_square(name, tuple(dense.shape))
        return dense
    _require_square(name, tuple(value.shape))
    indices, values = _coo_of_torch(name, value) if sparse else _coo_of_scipy(value)
    weights = real_tensor(name, values)
    matrix = torch.sparse_coo_tensor(indices.to(weights.device), weights, tuple(value.shape), check_invariants=True)
    return matrix.coalesce()


def positions(name: str, value: object, sites: int, error: type[SpinlightError] = InvalidProblemError) -> Tensor:
    """Return a list of integers in [0, sites) as int64, shape (entries,).

    Raises:
        InvalidProblemError: no list of integers, or one outside [0, sites); another named error where `error` says so.
    """
    try:
        array = value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    except ValueError as ragged:
        raise error(f"{name} must be a list of integers: {ragged}") from ragged
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise error(f"{name} must be a list of integers, got {array.dtype} of shape {array.shape}")
    if array.size and not (array.min() >= 0 and array.max() < sites):
        raise error(f"{name} must lie in [0, {sites}); they go from {array.min()} to {array.max()}")
    return torch.from_numpy(array.astype(np.int64))


def _coo_of_torch(name: str, matrix: Tensor) -> tuple[Tensor, Tensor]:
    coo = matrix.detach().to_sparse_coo().coalesce()
    if coo.sparse_dim() != 2:
        raise InvalidProblemError(f"sparse {name} must have two sparse axes, got {coo.sparse_dim()}")
    return coo.indices(), coo.values()


def _coo_of_scipy(matrix: Any) -> tuple[Tensor, Any]:
    coo = matrix.tocoo()
    return torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64)), coo.data


def _from_array(name: str, value: object) -> Tensor:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidProblemError(f"{name} must be numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InvalidProblemError(f"{name} must be a dense real array, got {array.dtype} from {type(value).__name__}")
    # astype copies: torch takes no read-only, reversed or byte-swapped arrays
    return torch.from_numpy(array.astype(np.float64, order="C"))


def _require_square(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise InvalidProblemError(f"{name} must be a square matrix (sites, sites), got shape {shape}")
    if shape[0] == 0:
        raise InvalidProblemError("the problem is empty; an Ising problem needs at least one site")
