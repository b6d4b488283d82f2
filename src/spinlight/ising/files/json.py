"""JSON files: a QUBO as a list of terms, or what dimod's `BinaryQuadraticModel.to_serializable` returns.

    {"units": 3, "terms": [[0, 0, -1.0], [0, 1, 2.0]], "offset": 0.5}

means: minimise sum_k q_k x_i x_j + offset over bits, units counted from 0; "offset" may be missing.
"""

from __future__ import annotations

import json
import os
from typing import Any

import torch

from spinlight._checks import positive_integer, require_extra
from spinlight._errors import FileFormatError, SpinlightError
from spinlight.ising.dimod import ising_from_dimod
from spinlight.ising.problem import Ising
from spinlight.ising.qubo import ising_from_qubo


def read_json(path: str | os.PathLike[str]) -> tuple[Ising, bool]:
    """Return the problem of a file, and whether it is stated over bits rather than spins.

    Returns:
        A problem with sparse couplings whose energy is the file's objective; of a dimod model, its variables in their order.

    Raises:
        FileFormatError: the file holds neither form.
        MissingExtraError: it holds a dimod model, and dimod is not installed.
        OSError: the file cannot be opened.
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            stated = json.load(file)
    except ValueError as error:
        raise FileFormatError(f"{name} is no JSON file: {error}") from error
    if not isinstance(stated, dict):
        stated = {}
    if stated.get("type") == "BinaryQuadraticModel":
        return _from_dimod(name, stated)
    if not {"units", "terms"} <= set(stated) <= {"units", "terms", "offset"}:
        raise FileFormatError(
            f'{name} holds neither {{"units": n, "terms": [[i, j, q], ...], "offset": c}} nor a serialised dimod model'
        )
    try:
        return _from_terms(**stated), True
    except (SpinlightError, TypeError, ValueError) as error:
        raise FileFormatError(f"{name} holds no QUBO: {error}") from error


def _from_terms(units: int, terms: list[tuple[int, int, float]], offset: float = 0.0) -> Ising:
    size = positive_integer("units", units)
    linked: dict[tuple[int, int], float] = {}
    for i, j, weight in terms:
        if not all(isinstance(end, int) and 0 <= end < size for end in (i, j)):
            raise FileFormatError(
                f"the units of a term must be whole numbers from 0 to {size - 1}, got {[i, j, weight]}"
            )
        linked[i, j] = linked.get((i, j), 0.0) + weight
    indices = torch.tensor(list(linked), dtype=torch.int64).reshape(-1, 2).T
    values = torch.tensor(list(linked.values()), dtype=torch.float64)
    return ising_from_qubo(torch.sparse_coo_tensor(indices, values, (size, size), check_invariants=True), offset)


def _from_dimod(name: str, stated: dict[str, Any]) -> tuple[Ising, bool]:
    dimod = require_extra("dimod", "dimod")
    try:
        model = dimod.BinaryQuadraticModel.from_serializable(stated)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{name} holds no dimod model that can be read: {error}") from error
    return ising_from_dimod(model), model.vartype is dimod.BINARY
