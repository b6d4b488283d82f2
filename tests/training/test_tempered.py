"""Tempered negatives: swaps and sweeps leave the law of every rung as it is, and rows cross between groups far apart."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import random_machine
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import derive_seed, uniform
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.training import PersistentContrastiveDivergence, TemperedContrastiveDivergence

LADDERS = 20_000


def machine_of(scale: float = 1.5) -> RestrictedBoltzmannMachine:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), 4, scale)
    assert isinstance(machine, RestrictedBoltzmannMachine)
    return machine


def rung_law(machine: RestrictedBoltzmannMachine, b: float, reference: Tensor) -> Tensor:
    """Return p_b(v) of every visible state, hidden units summed out one by one."""
    visible, hidden = all_bits(4).double(), all_bits(3).double()
    rows = torch.cat([visible.repeat_interleave(8, 0), hidden.repeat(16, 1)], 1)
    energies = machine.energy(rows).detach().reshape(16, 8)
    return torch.softmax(torch.logsumexp(-b * energies, 1) + (1 - b) * (visible @ reference), 0)


def drawn_from(law: Tensor, seed: int) -> Tensor:
    picks = torch.searchsorted(law.cumsum(0), uniform(seed, LADDERS).double()).clamp(max=15)
    return all_bits(4).double()[picks]


@pytest.mark.parametrize("sweeps", [1, 2])
def test_a_call_leaves_the_law_of_every_rung_as_it_is(sweeps: int) -> None:
    machine, batch = machine_of(), all_bits(4)[[1, 3, 7, 9, 13]].double()
    phase = TemperedContrastiveDivergence(ladders=LADDERS, rungs=3, sweeps=sweeps, seed=5)
    phase.negative(machine, batch)
    state = phase.state_dict()
    reference = torch.logit((batch.sum(0) + 0.5) / 6)
    laws = [rung_law(machine, b, reference) for b in (0.0, 0.5, 1.0)]
    state["visible"] = torch.stack([drawn_from(law, derive_seed(8, rung)) for rung, law in enumerate(laws)])
    phase.load_state_dict(state)
    for _ in range(2):  # even and odd pairs of rungs
        phase.negative(machine, batch)
    for rung, rows in enumerate(phase.state_dict()["visible"]):
        assert law_p_value(2 * rows - 1, laws[rung].numpy()) > threshold()
        assert law_p_value(2 * rows - 1, laws[(rung + 1) % 3].numpy()) < threshold()


def test_negatives_reach_the_law_of_the_model_while_the_rungs_move() -> None:
    machine = machine_of(scale=2.0)
    phase = TemperedContrastiveDivergence(ladders=LADDERS, rungs=4, seed=7)
    for _ in range(60):
        rows = phase.negative(machine, torch.zeros(1, 4))
    assert rows.shape == (LADDERS, 4)
    law = torch.softmax(-machine.free_energy(all_bits(4)).detach(), 0)
    assert law_p_value(2 * rows - 1, law.numpy()) > threshold()
    assert law_p_value(2 * rows - 1, law.pow(1.2).div(law.pow(1.2).sum()).numpy()) < threshold()
    betas = phase.state_dict()["betas"]
    assert not torch.allclose(betas, torch.linspace(0, 1, 4, dtype=torch.float64), atol=0.01)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert all(0 < rate <= 1 for rate in phase.swap_rates)


def two_groups() -> RestrictedBoltzmannMachine:
    """Eight units that are all on or all off, both equally likely: F(v) = F(1 - v)."""
    machine = RestrictedBoltzmannMachine(8, 1).double()
    with torch.no_grad():
        machine.weight.fill_(8.0)
        machine.visible_bias.fill_(-4.0)
        machine.hidden_bias.fill_(-32.0)
    return machine


def test_rows_cross_to_a_group_that_single_chains_do_not_find() -> None:
    machine, start = two_groups(), torch.zeros(1, 8).double()
    tempered = TemperedContrastiveDivergence(ladders=400, rungs=10, seed=1)
    single = PersistentContrastiveDivergence(chains=400, seed=1)
    for _ in range(150):
        crossed, stayed = (phase.negative(machine, start).mean() for phase in (tempered, single))
    assert abs(float(crossed) - 0.5) < 0.12  # 400 rows of one bit: 5 standard errors
    assert float(stayed) < 0.2


def test_a_saved_phase_goes_on_as_it_would_have() -> None:
    machine, batch = machine_of(), all_bits(4).double()
    phase = TemperedContrastiveDivergence(ladders=5, rungs=3, seed=2)
    for _ in range(49):
        phase.negative(machine, batch)
    file = io.BytesIO()
    torch.save(phase.state_dict(), file)
    file.seek(0)
    other = TemperedContrastiveDivergence(ladders=5, rungs=3, seed=9)
    other.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(3):  # the rungs are spaced anew on the way
        assert torch.equal(phase.negative(machine, batch), other.negative(machine, batch))
    assert torch.equal(phase.state_dict()["betas"], other.state_dict()["betas"])


def test_other_machines_sizes_and_states_are_refused() -> None:
    phase = TemperedContrastiveDivergence(ladders=2, rungs=2, seed=0)
    with pytest.raises(InvalidSettingError, match="IndependentDraws"):
        phase.negative(BoltzmannMachine(4), torch.zeros(1, 4))
    phase.negative(machine_of(), torch.zeros(1, 4))
    with pytest.raises(InvalidStateError, match="new TemperedContrastiveDivergence"):
        phase.negative(RestrictedBoltzmannMachine(5, 2), torch.zeros(1, 5))
    with pytest.raises(InvalidStateError, match="rungs=2, ladders=2"):
        TemperedContrastiveDivergence(ladders=3, rungs=2).load_state_dict(phase.state_dict())
    with pytest.raises(InvalidStateError, match="rungs=2"):
        TemperedContrastiveDivergence(ladders=2, rungs=3).load_state_dict(phase.state_dict())


@pytest.mark.parametrize("settings", [{"ladders": 0}, {"rungs": 1}, {"rungs": 5000}, {"sweeps": 0}])
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InvalidSettingError):
        TemperedContrastiveDivergence(**settings)
