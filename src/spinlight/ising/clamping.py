"""Clamping: hold some sites and keep the problem of the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._checks import spins_of
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising.arrays import positions
from spinlight.ising.problem import Ising, require_problem


@dataclass(frozen=True, eq=False)
class Clamped:
    """The conditional problem of the free sites, and the way back to whole states.

    With f the free and c the clamped sites: h'_f = h_f + J_fc s_c and offset' = offset - h_c s_c - s_c J_cc s_c / 2, so that
    `problem.energy(free) == whole.energy(restore(free))` exactly.

    Args:
        problem: the problem of the free sites; batched when the clamped spins are.
        free_sites: their positions in the whole problem, increasing, shape (free,).
        clamped_sites: positions of the held sites, shape (clamped,).
        spins: their values, shape (clamped,) or (batch, clamped), int8.
    """

    problem: Ising
    free_sites: Tensor
    clamped_sites: Tensor
    spins: Tensor

    def restore(self, free: Tensor) -> Tensor:
        """Return whole states.

        Args:
            free: spins of the free sites, shape (..., free), with the leading batch axis where the problem has one.

        Returns:
            Spins of every site, shape (..., sites), int8.

        Raises:
            InvalidStateError: spins other than -1/+1, or of a shape that does not fit.
        """
        state = spins_of(free, len(self.free_sites)).to(torch.int8)
        if self.spins.ndim == 2 and (state.ndim < 2 or state.shape[0] != len(self.spins)):
            raise InvalidStateError(
                f"free spins need the leading axis batch={len(self.spins)} of the clamped ones; got shape {tuple(state.shape)}"
            )
        sites = len(self.free_sites) + len(self.clamped_sites)
        whole = torch.empty(*state.shape[:-1], sites, dtype=torch.int8, device=state.device)
        whole[..., self.free_sites] = state
        held = self.spins
        if held.ndim == 2:
            held = held.view(held.shape[0], *(1,) * (state.ndim - 2), held.shape[1])
        whole[..., self.clamped_sites] = held
        return whole


def clamp(problem: Ising, sites: object, spins: object) -> Clamped:
    """Return the problem of the other sites while `sites` are held at `spins`.

    Args:
        problem: single or batched.
        sites: distinct positions to hold, shape (clamped,).
        spins: their values, shape (clamped,), or (batch, clamped) for one conditional problem per row.

    Raises:
        InvalidProblemError: no Ising problem.
        InvalidSettingError: positions out of range or repeated, or nothing left free.
        InvalidStateError: spins other than -1/+1, or of a shape that does not fit.

    Example:
        >>> problem = Ising([0.0, 0.0], [[0.0, 2.0], [2.0, 0.0]])
        >>> clamp(problem, [0], [-1]).problem.fields.tolist()
        [-2.0]
    """
    held_sites, free_sites = _split(require_problem(problem), sites)
    held = spins_of(spins, len(held_sites)).to(problem.device, torch.float64)
    batches = {size for size in (problem.batch, held.shape[0] if held.ndim == 2 else None) if size is not None}
    if held.ndim > 2 or len(batches) > 1:
        raise InvalidStateError(
            f"clamped spins must have shape (clamped,) or (batch, clamped), the batch that of the problem "
            f"({problem.batch}); got {tuple(held.shape)}"
        )
    couplings = problem.couplings
    rows = held[None] if held.ndim == 1 else held
    if problem.is_sparse:
        onto = torch.sparse.mm(couplings.index_select(1, held_sites), rows.T).T
        rest = couplings.index_select(0, free_sites).index_select(1, free_sites).coalesce()
    else:
        onto = rows @ couplings[held_sites]
        rest = couplings[free_sites][:, free_sites]
    onto = onto.reshape(*held.shape[:-1], problem.sites)
    fields = problem.fields[..., free_sites] + onto[..., free_sites]
    constant = ((problem.fields[..., held_sites] + 0.5 * onto[..., held_sites]) * held).sum(-1)
    conditional = Ising(fields, rest, problem.offset - constant)
    return Clamped(conditional, free_sites, held_sites, held.to(torch.int8))


def _split(problem: Ising, sites: object) -> tuple[Tensor, Tensor]:
    held = positions("sites", sites, problem.sites, InvalidSettingError).to(problem.device)
    free = torch.ones(problem.sites, dtype=torch.bool, device=problem.device)
    free[held] = False
    if int(free.sum()) != problem.sites - held.numel():
        raise InvalidSettingError(f"sites must be distinct, got {held.tolist()}")
    if not bool(free.any()):
        raise InvalidSettingError("every site is clamped; at least one must stay free")
    return held, free.nonzero().squeeze(1)
