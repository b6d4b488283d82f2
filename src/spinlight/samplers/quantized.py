"""Problems as a machine with few bits per coupling sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from spinlight._checks import integer
from spinlight._random import Seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.problem import require_problem
from spinlight.samplers.base import Sampler, require_sampler, wrapped


@dataclass(frozen=True, kw_only=True)
class Quantized(Sampler):
    """Hands another sampler the problem with its fields and couplings rounded to whole multiples of one unit.

    w -> unit * round(w / unit),  unit = max |w| / (2^(bits - 1) - 1): signed integers of `bits` bits, as machines take them (8:
    from -127 to 127). The draws' energies are those of the problem that was asked for.

    Args:
        sampler: any.
        bits: of each weight, sign included, 2 to 24.

    Law:
        Heuristic: the law is that of another problem. `info.details` says by how much: the unit, and the largest and the mean
        squared error of a weight.

    Raises:
        InvalidSettingError: no sampler, or a number of bits outside its domain.

    Example:
        >>> from spinlight.samplers import Exact
        >>> problem = Ising([0.0, 0.03], [[0.0, 1.0], [1.0, 0.0]])
        >>> Quantized(sampler=Exact(), bits=4).draw(problem, 10, seed=0).info.details["largest_error"]
        0.03
    """

    law: ClassVar[Law] = "heuristic"

    sampler: Sampler
    bits: int = 8

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)
        integer("bits", self.bits, least=2, most=24)

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return draws of the rounded problem with the energies of the true one; see `Sampler.draw`."""
        rounded, lost = quantize(require_problem(problem), self.bits)
        draws = self.sampler.draw(rounded, count, seed=seed, initial=initial)
        info = replace(draws.info, details={**draws.info.details, **lost})
        return wrapped(self, replace(draws, energies=problem.energy(draws.spins), log_partition=None, info=info))


def quantize(problem: Ising, bits: int) -> tuple[Ising, Mapping[str, float]]:
    """Return the problem with rounded weights, and what was lost: `unit`, `largest_error`, `mean_square_error`."""
    values = problem.couplings.values() if problem.is_sparse else problem.couplings
    largest = max(float(values.abs().max()) if values.numel() else 0.0, float(problem.fields.abs().max()))
    unit = largest / (2 ** (bits - 1) - 1) or 1.0
    couplings = torch.round(values / unit) * unit
    fields = torch.round(problem.fields / unit) * unit
    errors = torch.cat([(couplings - values).abs().flatten(), (fields - problem.fields).abs().flatten()])
    matrix = couplings
    if problem.is_sparse:
        matrix = torch.sparse_coo_tensor(
            problem.couplings.indices(), couplings, problem.couplings.shape, check_invariants=True
        )
    lost = {
        "unit": unit,
        "largest_error": float(errors.max()),
        "mean_square_error": float(errors.square().mean()),
    }
    return Ising(fields, matrix, problem.offset), lost
