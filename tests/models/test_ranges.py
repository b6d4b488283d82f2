"""Clipping to a hardware's range: the problem fits exactly, and what fitted before has not moved."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from helpers.machines import machines, random_machine
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.models import (
    AbstractBoltzmannMachine,
    BoltzmannMachine,
    Clipped,
    GaussianBernoulliRBM,
    RestrictedBoltzmannMachine,
    SparseBoltzmannMachine,
    clip_to_range,
    grid_edges,
)

LARGE = [
    BoltzmannMachine(40, 7),
    RestrictedBoltzmannMachine(30, 20),
    SparseBoltzmannMachine(grid_edges(8, 8), hidden=range(5)),
]
every_machine = pytest.mark.parametrize("machine", [*machines(), *LARGE], ids=str)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

# Ends that no binary number holds, ends that one does, and a range on one side of zero.
every_range = pytest.mark.parametrize(
    ("fields", "couplings"), [((-0.3, 0.1), (-0.1, 0.07)), ((-0.5, 0.25), (-0.125, 0.25)), ((0.1, 0.7), (0, 1 / 3))]
)


def prepared(machine: AbstractBoltzmannMachine, dtype: torch.dtype) -> AbstractBoltzmannMachine:
    return random_machine(copy.deepcopy(machine), seed=6, scale=1.5).to(dtype)


def fields_of(machine: AbstractBoltzmannMachine) -> Tensor:
    return machine.to_ising().fields


def couplings_of(machine: AbstractBoltzmannMachine) -> Tensor:
    return machine.weight_parameter.detach().double().flatten() / 4


def outside(values: Tensor, limits: tuple[float, float]) -> Tensor:
    return (values < limits[0]) | (values > limits[1])


def biases_of(machine: AbstractBoltzmannMachine) -> Tensor:
    return torch.cat([bias.detach() for bias in machine.bias_parameters])


@every_machine
@every_dtype
@every_range
def test_the_clipped_problem_lies_in_the_range_exactly(
    machine: AbstractBoltzmannMachine, dtype: torch.dtype, fields: tuple[float, float], couplings: tuple[float, float]
) -> None:
    clipped = prepared(machine, dtype)
    assert outside(fields_of(clipped), fields).any()
    report = clip_to_range(clipped, fields=fields, couplings=couplings)
    assert report.fields > 0
    assert not outside(fields_of(clipped), fields).any()
    weights = clipped.to_ising().edges()[2]
    assert not outside(weights, couplings).any()
    assert clip_to_range(clipped, fields=fields, couplings=couplings) == Clipped(0, 0)


@every_machine
@every_dtype
@every_range
def test_what_was_in_range_has_not_moved_and_the_rest_is_at_an_end(
    machine: AbstractBoltzmannMachine, dtype: torch.dtype, fields: tuple[float, float], couplings: tuple[float, float]
) -> None:
    clipped = prepared(machine, dtype)
    before = couplings_of(clipped)
    report = clip_to_range(clipped, couplings=couplings)
    moved, after = outside(before, couplings), couplings_of(clipped)
    assert report == Clipped(0, int(moved.sum()))
    assert torch.equal(after[~moved], before[~moved])
    assert torch.equal(biases_of(clipped), biases_of(prepared(machine, dtype)))
    rounding = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(after, before.clamp(*couplings), rtol=rounding, atol=0.0)

    held, before, biases = copy.deepcopy(clipped.weight_parameter), fields_of(clipped), biases_of(clipped)
    report = clip_to_range(clipped, fields=fields)
    moved = outside(before, fields)
    assert report == Clipped(int(moved.sum()), 0)
    assert torch.equal(clipped.weight_parameter, held)
    assert torch.equal(biases_of(clipped)[~moved], biases[~moved])
    assert (biases_of(clipped)[moved] != biases[moved]).all()
    sums = float(biases.abs().max() + before.abs().max())
    torch.testing.assert_close(fields_of(clipped), before.clamp(*fields), rtol=0.0, atol=rounding * sums)


def test_projected_gradients_keep_a_machine_in_range_while_it_learns() -> None:
    machine = random_machine(BoltzmannMachine(5), seed=2)
    optimizer = torch.optim.SGD(machine.parameters(), lr=5.0)
    for _ in range(3):
        optimizer.zero_grad()
        machine.objective(torch.ones(1, 5), torch.zeros(1, 5)).backward()
        optimizer.step()
        assert clip_to_range(machine, fields=(-4, 4), couplings=(-1, 1)).couplings > 0
    assert couplings_of(machine).tolist() == [1.0] * 10
    assert fields_of(machine).abs().max() <= 4


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"fields": (1.0, 1.0)}, "fields must go from"),
        ({"couplings": (1, -1)}, "couplings must go from"),
        ({"couplings": (0.5, 1)}, "contain zero"),
        ({"fields": 4.0}, "fields must be a pair"),
        ({"couplings": (-1, 0, 1)}, "couplings must be a pair"),
        ({"fields": (-math.inf, 1.0)}, "finite"),
    ],
)
def test_what_is_no_range_is_refused(limits: dict, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        clip_to_range(BoltzmannMachine(3), **limits)


def test_a_range_below_the_resolution_of_the_parameters_is_refused() -> None:
    machine = random_machine(BoltzmannMachine(20), seed=1).float()
    with pytest.raises(InvalidSettingError, match="double"):
        clip_to_range(machine, fields=(0.1, 0.1 + 1e-12))


def test_only_machines_over_bits_with_finite_parameters_have_a_range() -> None:
    with pytest.raises(InvalidSettingError, match="machine over bits"):
        clip_to_range(GaussianBernoulliRBM(2, 2), fields=(-1, 1))  # type: ignore[arg-type]
    machine = BoltzmannMachine(3)
    machine.pair_weights.data[0] = math.nan
    with pytest.raises(InvalidProblemError, match="NaN"):
        clip_to_range(machine, couplings=(-1, 1))
