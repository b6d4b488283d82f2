"""Likelihoods of rows against the sums over all hidden and all other states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import exact_negative_log_likelihood, machines, random_machine
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight.ising import LogPartition
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.training import ExactPartition, LogLikelihood, log_likelihood

every_machine = pytest.mark.parametrize("machine", machines(), ids=str)
ZERO = LogPartition(0.0, 0.25, 0.0, math.inf, "hand")


@every_machine
def test_the_mean_is_that_of_the_defining_sums(machine: AbstractBoltzmannMachine) -> None:
    rows = all_bits(machine.num_visible)[:7]
    found = log_likelihood(machine, rows, partition=ExactPartition().estimate(machine))
    assert found.value == pytest.approx(-exact_negative_log_likelihood(machine, rows).item(), abs=1e-10)
    assert found.rows == len(rows)
    assert found.log_partition_error == 0.0


@every_machine
def test_the_probabilities_of_all_rows_add_up_to_one(machine: AbstractBoltzmannMachine) -> None:
    known = ExactPartition().estimate(machine)
    logs = [log_likelihood(machine, row[None], partition=known).value for row in all_bits(machine.num_visible)]
    assert np.exp(logs).sum() == pytest.approx(1.0, abs=1e-10)


def test_the_error_of_the_rows_is_that_of_their_mean() -> None:
    machine, rows = random_machine(RestrictedBoltzmannMachine(5, 3), seed=1), all_bits(5)[3:20]
    found = log_likelihood(machine, rows, partition=ZERO)
    singles = [log_likelihood(machine, row[None], partition=ZERO).value for row in rows]
    assert found.value == pytest.approx(np.mean(singles))
    assert found.row_error == pytest.approx(np.std(singles, ddof=1) / math.sqrt(17))
    assert math.isnan(log_likelihood(machine, rows[:1], partition=ZERO).row_error)


def test_the_pessimistic_side_takes_log_z_two_errors_higher() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 2), seed=2)
    found = log_likelihood(machine, all_bits(4), partition=ZERO)
    higher = log_likelihood(machine, all_bits(4), partition=LogPartition(0.5, 0.25, 0.0, math.inf, "hand"))
    assert found.pessimistic == pytest.approx(higher.value)
    assert found.log_partition_error == 0.25


def test_both_errors_are_shown() -> None:
    shown = str(LogLikelihood(torch.tensor([-85.3421, -87.3421]), 0.0498, "annealing"))
    assert shown == "-86.342 +/- 1.000 (2 rows) +/- 0.050 (log Z by annealing)"


def test_any_model_with_a_free_energy_will_do() -> None:
    class Normal:
        def free_energy(self, visible: Tensor) -> Tensor:
            return 0.5 * visible.square().sum(-1)

    normaliser = LogPartition(math.log(2 * math.pi), 0.0, -math.inf, math.inf, "hand")
    rows = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    found = log_likelihood(Normal(), rows, partition=normaliser)
    assert found.value == pytest.approx(-math.log(2 * math.pi) - 0.5)


def test_rows_beyond_one_block_all_count() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(3, 2), seed=3)
    once = log_likelihood(machine, all_bits(3), partition=ZERO)
    often = log_likelihood(machine, all_bits(3).repeat(1500, 1), partition=ZERO)
    assert often.value == pytest.approx(once.value)
    assert often.rows == 12_000


def test_no_gradient_is_kept() -> None:
    machine = random_machine(BoltzmannMachine(5, 2), seed=4)
    log_likelihood(machine, all_bits(3), partition=ZERO)
    assert all(parameter.grad is None for parameter in machine.parameters())


@pytest.mark.parametrize(
    "rows", [torch.zeros(3), torch.zeros(2, 3), torch.zeros(0, 4), torch.full((2, 4), 0.5), torch.zeros(2, 2, 4)]
)
@pytest.mark.parametrize("machine", [RestrictedBoltzmannMachine(4, 2), BoltzmannMachine(6, 2)], ids=str)
def test_rows_that_are_no_rows_of_bits_are_refused(machine: AbstractBoltzmannMachine, rows: Tensor) -> None:
    with pytest.raises(InvalidStateError):
        log_likelihood(machine, rows, partition=ZERO)


def test_too_many_connected_hidden_units_are_refused_with_an_alternative() -> None:
    with pytest.raises(ProblemTooLargeError, match="clamped=row"):
        log_likelihood(BoltzmannMachine(31, 29), torch.zeros(1, 2), partition=ZERO)


def test_what_has_no_energy_is_refused() -> None:
    with pytest.raises(InvalidProblemError, match="got a str"):
        log_likelihood("x", torch.zeros(1, 2), partition=ZERO)  # type: ignore[arg-type]


def test_a_number_is_no_partition() -> None:
    with pytest.raises(InvalidSettingError, match="LogPartition"):
        log_likelihood(RestrictedBoltzmannMachine(2, 2), torch.zeros(1, 2), partition=1.0)  # type: ignore[arg-type]


def test_parameters_that_are_no_numbers_are_refused() -> None:
    machine = RestrictedBoltzmannMachine(2, 2)
    machine.visible_bias.data.fill_(math.nan)
    with pytest.raises(InvalidProblemError, match="learning rate"):
        log_likelihood(machine, torch.ones(1, 2), partition=ZERO)
