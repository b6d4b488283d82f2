"""The Ising problem: fields, couplings, an offset, and the energy they define."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import finite_number, integer, spins_of
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising.arrays import real_tensor, square_matrix

_ROUNDING = 1e-6
"""Asymmetry, relative to the largest coupling, that is taken for rounding and averaged away."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Ising:
    """An Ising problem over spins s in {-1, +1}.

    E(s) = - sum_i h_i s_i - sum_{i<j} J_ij s_i s_j + offset,  p(s) proportional to exp(-beta E(s))

    Each pair counts once; beta is never inside E. Fields may carry a leading batch axis: many problems that share their
    couplings, sampled in one call (one conditional per data row, say). Everything is kept in float64, so that energies of
    integer problems are exact; samplers compute in float32.

    Args:
        fields: h, shape (sites,) or (batch, sites).
        couplings: J, symmetric with a zero diagonal, shape (sites, sites): a dense array or tensor, a torch sparse tensor
            or a SciPy sparse matrix. Sparse input stays sparse. Asymmetry within rounding (1e-6 of the largest coupling)
            is averaged away.
        offset: scalar, or shape (batch,) beside batched fields.

    Raises:
        InvalidProblemError: wrong shapes, no sites, NaN or infinite numbers, asymmetric couplings, self-couplings.

    Cost:
        O(sites^2) memory dense, O(edges) sparse.

    Example:
        >>> import torch
        >>> problem = Ising(fields=[0.5, 0.0], couplings=[[0.0, 1.0], [1.0, 0.0]])
        >>> problem.energy(torch.tensor([[1, 1], [1, -1]])).tolist()
        [-1.5, 0.5]
    """

    fields: Tensor
    couplings: Tensor
    offset: Tensor

    def __init__(self, fields: object, couplings: object, offset: object = 0.0) -> None:
        """Check and store the problem; the caller's arrays are copied, never kept."""
        matrix = _couplings(couplings)
        field = real_tensor("fields", fields).to(matrix.device)
        constant = real_tensor("offset", offset).to(matrix.device)
        sites = matrix.shape[0]
        if field.ndim not in (1, 2) or field.shape[-1] != sites or field.shape[0] == 0:
            raise InvalidProblemError(
                f"fields must have shape (sites,) or (batch, sites) with {sites} sites, as the couplings have; "
                f"got {tuple(field.shape)}"
            )
        if constant.ndim and constant.shape != field.shape[:-1]:
            raise InvalidProblemError(
                f"offset must be a scalar or have the batch shape of the fields, {tuple(field.shape[:-1])}; "
                f"got {tuple(constant.shape)}"
            )
        object.__setattr__(self, "fields", field)
        object.__setattr__(self, "couplings", matrix)
        object.__setattr__(self, "offset", constant)

    @property
    def sites(self) -> int:
        """The number of spins."""
        return self.couplings.shape[0]

    @property
    def batch(self) -> int | None:
        """The number of problems that share the couplings, or None for a single problem."""
        return self.fields.shape[0] if self.fields.ndim == 2 else None

    @property
    def is_sparse(self) -> bool:
        """Whether the couplings are stored as a list of edges."""
        return self.couplings.is_sparse

    @property
    def device(self) -> torch.device:
        """Where the problem's tensors are."""
        return self.couplings.device

    def energy(self, spins: Tensor) -> Tensor:
        """Return E(s), offset included.

        Args:
            spins: -1/+1, shape (..., sites) for a single problem, (batch, ..., sites) for a batched one.

        Returns:
            Energies, float64, shape `spins.shape[:-1]`; exact for integer problems.

        Raises:
            InvalidStateError: spins of the wrong shape or other than -1/+1.
        """
        state = self._state(spins)
        along_batch = (-1,) + (1,) * (state.ndim - 2)
        fields = self.fields if self.batch is None else self.fields.view((*along_batch, self.sites))
        offset = self.offset.view(along_batch) if self.offset.ndim else self.offset
        return offset - ((fields + 0.5 * self._neighbours(state)) * state).sum(-1)

    def local_fields(self, spins: Tensor) -> Tensor:
        """Return h_i + sum_j J_ij s_j: flipping s_i changes the energy by twice s_i times it.

        Args:
            spins: -1/+1, shape (..., sites) for a single problem, (batch, ..., sites) for a batched one.

        Returns:
            Local fields, float64, the shape of `spins`.

        Raises:
            InvalidStateError: spins of the wrong shape or other than -1/+1.
        """
        state = self._state(spins)
        fields = (
            self.fields if self.batch is None else self.fields.view((-1,) + (1,) * (state.ndim - 2) + (self.sites,))
        )
        return fields + self._neighbours(state)

    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the non-zero couplings once each: rows i, columns j > i (int64) and J_ij (float64), in row order."""
        if self.is_sparse:
            (rows, columns), weights = self.couplings.indices(), self.couplings.values()
            upper = (rows < columns) & (weights != 0)
            return rows[upper], columns[upper], weights[upper]
        rows, columns = torch.triu(self.couplings, 1).nonzero(as_tuple=True)
        return rows, columns, self.couplings[rows, columns]

    def scaled(self, factor: float) -> Ising:
        """Return the problem whose energies are `factor` times this one's.

        Raises:
            InvalidSettingError: a factor that is not a finite number.
        """
        factor = finite_number("factor", factor)
        scaled = self._trusted(self.fields * factor, self.couplings * factor, self.offset * factor)
        weights = scaled.couplings.values() if scaled.is_sparse else scaled.couplings
        if not all(bool(part.isfinite().all()) for part in (scaled.fields, weights, scaled.offset)):
            raise InvalidSettingError(f"a factor of {factor:.3g} makes weights of this problem infinite")
        return scaled

    def to(self, device: torch.device | str) -> Ising:
        """Return the problem on another device."""
        return self._trusted(self.fields.to(device), self.couplings.to(device), self.offset.to(device))

    def to_dense(self) -> Ising:
        """Return the same problem with a dense coupling matrix."""
        return self._trusted(self.fields, self.couplings.to_dense(), self.offset) if self.is_sparse else self

    def to_sparse(self) -> Ising:
        """Return the same problem with its non-zero couplings as a list of edges."""
        return (
            self if self.is_sparse else self._trusted(self.fields, self.couplings.to_sparse().coalesce(), self.offset)
        )

    def __getitem__(self, index: int) -> Ising:
        """Return one problem of a batch; an index that is none raises InvalidSettingError."""
        if self.batch is None:
            raise InvalidProblemError("this problem has no batch axis to index")
        index = integer("index", index, least=-self.batch, most=self.batch - 1)
        offset = self.offset[index] if self.offset.ndim else self.offset
        return self._trusted(self.fields[index], self.couplings, offset)

    def __repr__(self) -> str:
        """Show the sizes, never the numbers."""
        batch = "" if self.batch is None else f", batch={self.batch}"
        kind = "sparse" if self.is_sparse else "dense"
        return f"Ising(sites={self.sites}{batch}, {kind}, device={self.device})"

    def _state(self, spins: Tensor) -> Tensor:
        state = spins_of(spins, self.sites).to(self.device, torch.float64)
        if self.batch is not None and (state.ndim < 2 or state.shape[0] != self.batch):
            raise InvalidStateError(
                f"spins of a batched problem need the leading axis batch={self.batch}; got shape {tuple(state.shape)}"
            )
        return state

    def _neighbours(self, state: Tensor) -> Tensor:
        if not self.is_sparse:
            return state @ self.couplings
        flat = state.reshape(-1, self.sites)
        return torch.sparse.mm(self.couplings, flat.T).T.reshape(state.shape)

    @staticmethod
    def _trusted(fields: Tensor, couplings: Tensor, offset: Tensor) -> Ising:
        """Return a problem of tensors that are known to be right, without a copy."""
        other = object.__new__(Ising)
        couplings = couplings.coalesce() if couplings.is_sparse else couplings
        for name, value in (("fields", fields), ("couplings", couplings), ("offset", offset)):
            object.__setattr__(other, name, value)
        return other


def _couplings(value: object) -> Tensor:
    """Return symmetric float64 couplings, dense or coalesced sparse COO."""
    matrix = square_matrix("couplings", value)
    return _symmetric_sparse(matrix) if matrix.is_sparse else _symmetric_dense(matrix)


_SELF_COUPLING = "couplings have a non-zero diagonal; s_i s_i = 1 is a constant: set the diagonal to zero and put its sum in the offset"


def _symmetric_dense(matrix: Tensor) -> Tensor:
    if bool(matrix.diagonal().any()):
        raise InvalidProblemError(_SELF_COUPLING)
    _require_symmetric(float((matrix - matrix.T).abs().max()), float(matrix.abs().max()))
    return 0.5 * matrix + 0.5 * matrix.T


def _symmetric_sparse(matrix: Tensor) -> Tensor:
    (rows, columns), values = matrix.indices(), matrix.values()
    if bool(values[rows == columns].any()):
        raise InvalidProblemError(_SELF_COUPLING)
    difference = (matrix - matrix.T.coalesce()).coalesce().values()
    largest = float(values.abs().max()) if values.numel() else 0.0
    _require_symmetric(float(difference.abs().max()) if difference.numel() else 0.0, largest)
    mean = (0.5 * matrix + 0.5 * matrix.T).coalesce()
    kept = mean.values() != 0
    return torch.sparse_coo_tensor(
        mean.indices()[:, kept], mean.values()[kept], matrix.shape, is_coalesced=True, check_invariants=True
    )


def _require_symmetric(difference: float, largest: float) -> None:
    if difference > _ROUNDING * largest:
        raise InvalidProblemError(
            f"couplings are not symmetric (largest difference {difference:.3g}); E counts each pair once, with J symmetric: "
            "from an upper triangle U pass U + U.T"
        )


def require_problem(problem: object) -> Ising:
    """Return an Ising problem, or refuse what is none."""
    if not isinstance(problem, Ising):
        raise InvalidProblemError(
            f"an Ising problem is needed, got {type(problem).__name__}; make one by Ising(fields, couplings), ising_from_qubo, "
            "ising_from_dimod, ising_from_edges or read_problem"
        )
    return problem


def require_single(problem: Ising) -> None:
    """Refuse a batched problem where one problem is needed."""
    if require_problem(problem).batch is not None:
        raise InvalidSettingError("one problem is needed here, not a batch; pick one by problem[i]")
