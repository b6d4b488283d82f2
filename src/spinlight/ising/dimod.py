"""dimod models, the form that D-Wave's software takes: E(s) = + sum_i h_i s_i + sum_{i<j} J_ij s_i s_j + offset."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from spinlight._checks import require_extra
from spinlight._errors import InvalidProblemError
from spinlight.ising.edges import ising_from_edges
from spinlight.ising.problem import Ising, require_single


def ising_from_dimod(model: Any) -> Ising:
    """Return the Ising problem of a `dimod.BinaryQuadraticModel`, its signs turned round.

    J = - quadratic,  h = - linear,  offset' = offset, of the model over spins; one over bits is converted first

    Args:
        model: a model with at least one variable; its variables become the sites, in `model.variables` order.

    Returns:
        A problem with `energy(s)` equal to dimod's own; its couplings are sparse.

    Raises:
        InvalidProblemError: no such model, no variables, or biases that are NaN or infinite.
    """
    if not hasattr(model, "to_numpy_vectors"):
        raise InvalidProblemError(f"a dimod.BinaryQuadraticModel is needed, got {type(model).__name__}")
    if not model.num_variables:
        raise InvalidProblemError("the dimod model is empty; an Ising problem needs at least one site")
    linear, (rows, columns, quadratic), offset = model.spin.to_numpy_vectors(variable_order=list(model.variables))
    return ising_from_edges(len(linear), rows, columns, -quadratic, fields=-linear, offset=offset)


def dimod_from_ising(problem: Ising, labels: Sequence[Hashable] | None = None) -> Any:
    """Return the `dimod.BinaryQuadraticModel` over spins with the same energy, offset included.

    Args:
        problem: a single problem.
        labels: the variables' names, one per site, distinct; None for 0, 1, ...

    Raises:
        InvalidSettingError: a batch of problems.
        InvalidProblemError: labels that are not one per site, or repeated.
        MissingExtraError: dimod is not installed.
    """
    require_single(problem)
    names = list(range(problem.sites) if labels is None else labels)
    if len(names) != problem.sites or len(set(names)) != problem.sites:
        raise InvalidProblemError(f"labels must be {problem.sites} distinct names, one per site; got {len(names)}")
    dimod = require_extra("dimod", "dimod")
    rows, columns, couplings = (part.cpu().numpy() for part in problem.edges())
    fields, offset = problem.fields.cpu().numpy(), float(problem.offset)
    return dimod.BinaryQuadraticModel.from_numpy_vectors(
        -fields, (rows, columns, -couplings), offset, "SPIN", variable_order=names
    )
