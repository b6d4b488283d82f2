"""Samples of the machines, through a sampler that is exact."""

from __future__ import annotations

import pytest
import torch

from helpers.enumeration import all_bits
from helpers.machines import TableSampler, energies_by_formula, machines, random_machine
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine
from spinlight.samplers import Gibbs

every_machine = pytest.mark.parametrize("machine", machines(), ids=str)


@every_machine
@pytest.mark.parametrize("weighted", [False, True])
def test_samples_follow_the_machine(machine: AbstractBoltzmannMachine, weighted: bool) -> None:
    bits = machine.sample(TableSampler(weighted=weighted), 20_000, seed=1)
    law = torch.softmax(-energies_by_formula(machine, all_bits(machine.num_nodes)).detach(), 0).numpy()
    assert bits.dtype == torch.int8
    assert law_p_value(bits, law) > threshold()


@every_machine
def test_samples_do_not_follow_the_machine_at_another_temperature(machine: AbstractBoltzmannMachine) -> None:
    bits = machine.sample(TableSampler(), 20_000, seed=1)
    colder = torch.softmax(-1.5 * energies_by_formula(machine, all_bits(machine.num_nodes)).detach(), 0).numpy()
    assert law_p_value(bits, colder) < threshold()


@pytest.mark.parametrize("sampler", [None, "gibbs", Gibbs])
def test_what_is_no_sampler_is_refused(sampler: object) -> None:
    with pytest.raises(InvalidSettingError, match="a sampler such as"):
        BoltzmannMachine(3).sample(sampler, 4)  # type: ignore[arg-type]


def test_a_sampler_at_another_temperature_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"beta = 1\.5"):
        BoltzmannMachine(3).sample(TableSampler(beta=1.5), 4)


@pytest.mark.parametrize("weighted", [False, True])
def test_clamped_samples_keep_their_row_and_follow_its_conditional(weighted: bool) -> None:
    machine = random_machine(BoltzmannMachine(6, 2), seed=2)
    visible = all_bits(4)[[3, 9]]
    bits = machine.sample(TableSampler(weighted=weighted), 5_000, clamped=visible, seed=3)
    assert bits.shape == (2, 5_000, 6)
    for row in range(2):
        assert (bits[row, :, :4] == visible[row]).all()
        whole = torch.cat([visible[row].expand(4, -1), all_bits(2)], -1)
        conditional = torch.softmax(-energies_by_formula(machine, whole).detach(), 0).numpy()
        assert law_p_value(bits[row, :, 4:], conditional) > threshold(2)


def test_one_clamped_row_gives_samples_without_a_batch_axis() -> None:
    bits = BoltzmannMachine(6, 2).sample(TableSampler(), 3, clamped=torch.tensor([0, 1, 1, 0]), seed=1)
    assert bits[:, :4].tolist() == 3 * [[0, 1, 1, 0]]


def test_the_same_seed_gives_the_same_samples() -> None:
    machine = random_machine(BoltzmannMachine(6, 2), seed=2)
    first, second, other = (machine.sample(TableSampler(), 50, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="count"):
        BoltzmannMachine(3).sample(TableSampler(), 0)
