"""The range of a machine: fields and couplings that its hardware can hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spinlight._checks import finite_number
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.models.base import AbstractBoltzmannMachine

_ATTEMPTS = 8
"""Each attempt moves a bias by twice as much as the last: one rounding error on the first, a hundred on the last."""


@dataclass(frozen=True)
class Clipped:
    """How many parameters were out of range, and are at its ends now.

    Args:
        fields: biases that moved.
        couplings: weights that moved.
    """

    fields: int
    couplings: int


@torch.no_grad()
def clip_to_range(
    model: AbstractBoltzmannMachine,
    *,
    fields: tuple[float, float] | None = None,
    couplings: tuple[float, float] | None = None,
) -> Clipped:
    """Move a machine's parameters in place until its Ising problem fits a hardware's range; call it after each optimiser step.

    J_ij = W_ij / 4 is clipped first, then h_i = b_i / 2 + sum_j W_ij / 4 of the clipped weights, by moving b_i alone. Parameters
    that fit stay as they are, bit for bit. Clipping is the projection of projected gradient descent: the machine that fits
    is trained, instead of fitting a trained one by scaling, which changes its temperature.

    Ranges are those of this library's Ising problem, E = - h.s - sum J s s, at the temperature at which the hardware samples. D-Wave's
    problems have the opposite signs: `h_range` (lo, hi) is fields=(-hi, -lo) here, `extended_j_range` (-2, 1) is
    couplings=(-1, 2), each divided by the factor between its units and these.

    Args:
        model: any machine over bits.
        fields: smallest and largest h; None leaves the fields as they are.
        couplings: smallest and largest J, with zero between them, which is what units that are not connected have; None
            leaves the couplings as they are.

    Returns:
        How many of each were out of range.

    Raises:
        InvalidSettingError: no machine over bits, a range that is no pair of increasing numbers, couplings without zero, or
            fields in a range too narrow for the parameters' dtype.
        InvalidProblemError: parameters that are NaN or infinite.

    Example:
        >>> from spinlight.models import BoltzmannMachine
        >>> machine = BoltzmannMachine(2)
        >>> _ = torch.nn.init.constant_(machine.pair_weights, 6.0)
        >>> clip_to_range(machine, fields=(-4, 4), couplings=(-1, 1))
        Clipped(fields=0, couplings=1)
        >>> machine.pair_weights.item()
        4.0
    """
    if not isinstance(model, AbstractBoltzmannMachine):
        raise InvalidSettingError(f"model must be a machine over bits, got {type(model).__name__}")
    wanted_fields, wanted_couplings = _range("fields", fields), _range("couplings", couplings)
    if wanted_couplings is not None and not wanted_couplings[0] <= 0 <= wanted_couplings[1]:
        raise InvalidSettingError(f"couplings must contain zero, that of units not connected; got {couplings!r}")
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise InvalidProblemError("the machine's parameters hold NaN or infinity; is the learning rate too high?")
    moved = 0 if wanted_couplings is None else _clip_couplings(model.weight_parameter, *wanted_couplings)
    return Clipped(0 if wanted_fields is None else _clip_fields(model, *wanted_fields), moved)


def _clip_couplings(weights: nn.Parameter, low: float, high: float) -> int:
    exact = weights.to(torch.float64)
    clipped = exact.clamp(4 * low, 4 * high)
    rounded = clipped.to(weights)
    # A limit that the dtype does not hold may be rounded past itself; its neighbour towards zero is inside.
    past = rounded.to(torch.float64) != rounded.to(torch.float64).clamp(4 * low, 4 * high)
    moved = exact != clipped
    inside = torch.where(past, torch.nextafter(rounded, torch.zeros_like(rounded)), rounded)
    weights.copy_(torch.where(moved, inside, weights))
    return int(moved.sum())


def _clip_fields(model: AbstractBoltzmannMachine, low: float, high: float) -> int:
    excess, scale = _excess(model, low, high)
    moved = int(excess.count_nonzero())
    for attempt in range(_ATTEMPTS):
        if not bool(excess.any()):
            return moved
        # What is left after the first attempt is rounding, of the bias or of the sum: a hair more each time is enough.
        hair = 0.5 * 2**attempt * torch.finfo(model.weight_parameter.dtype).eps * scale if attempt else 0.0
        shift = 2 * excess + excess.sign() * hair
        for bias, part in zip(model.bias_parameters, shift.split([len(bias) for bias in model.bias_parameters])):
            bias.copy_(torch.where(part == 0, bias, (bias.to(torch.float64) - part).to(bias)))
        excess, scale = _excess(model, low, high)
    raise InvalidSettingError(
        f"fields cannot be put between {low!r} and {high!r} with {model.weight_parameter.dtype} parameters of this size; widen the "
        "range, or use model.double()"
    )


def _excess(model: AbstractBoltzmannMachine, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return by how much each field is out of range, and the size of the numbers that it is the sum of; float64."""
    fields = model.to_ising().fields
    biases = torch.cat([bias.to(torch.float64) for bias in model.bias_parameters])
    return fields - fields.clamp(low, high), biases.abs() + 2 * fields.abs() + max(abs(low), abs(high))


def _range(name: str, value: tuple[float, float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InvalidSettingError(f"{name} must be a pair, smallest and largest; got {value!r}")
    low, high = (finite_number(name, limit) for limit in value)
    if low >= high:
        raise InvalidSettingError(f"{name} must go from a smaller to a larger number, got {value!r}")
    return low, high
