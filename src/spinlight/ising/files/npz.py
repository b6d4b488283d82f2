"""npz files: an Ising problem as it is, dense or sparse, single or batched, exact to the last bit."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from spinlight._errors import FileFormatError, SpinlightError
from spinlight._files import atomic_file, load_arrays
from spinlight.ising.edges import ising_from_edges
from spinlight.ising.problem import Ising, require_problem

_DENSE = {"fields", "offset", "couplings"}
_SPARSE = {"fields", "offset", "rows", "columns", "weights"}


def write_npz(problem: Ising, path: str | os.PathLike[str]) -> None:
    """Write a compressed npz file, atomically and without pickle; `read_npz` reads it back.

    It holds `fields`, `offset`, and either `couplings` (sites, sites) or, of a sparse problem, `rows`, `columns` and
    `weights` with each edge once.
    """
    parts = {"fields": require_problem(problem).fields, "offset": problem.offset}
    if problem.is_sparse:
        parts |= dict(zip(("rows", "columns", "weights"), problem.edges()))
    else:
        parts["couplings"] = problem.couplings
    with atomic_file(path) as file:
        np.savez_compressed(file, **{name: part.cpu().numpy() for name, part in parts.items()})  # type: ignore[arg-type]


def read_npz(path: str | os.PathLike[str]) -> Ising:
    """Return the problem that `write_npz` wrote.

    Raises:
        FileFormatError: the file holds no Ising problem.
        OSError: the file cannot be opened.
    """
    arrays = load_arrays(path)
    if set(arrays) not in (_DENSE, _SPARSE):
        raise FileFormatError(
            f"{os.fspath(path)} holds no problem that write_npz wrote: it has the arrays {sorted(arrays)}"
        )
    try:
        return _problem(**arrays)
    except SpinlightError as error:
        raise FileFormatError(f"{os.fspath(path)} holds no Ising problem: {error}") from error


def _problem(fields: NDArray[np.float64], offset: NDArray[np.float64], **couplings: NDArray[np.generic]) -> Ising:
    if "couplings" in couplings:
        return Ising(fields, couplings["couplings"], offset)
    sites = fields.shape[-1] if fields.ndim else 0
    return ising_from_edges(sites, fields=fields, offset=offset, **couplings)
