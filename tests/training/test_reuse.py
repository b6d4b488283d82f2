"""One call of a sampler for many steps: the weights are right, the calls are counted, and a run can be gone on with."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from helpers.enumeration import all_bits
from helpers.machines import CoolingSampler, TableSampler, exact_negative_log_likelihood, random_machine
from spinlight._errors import InvalidSettingError, SpinlightWarning, UncalibratedWarning
from spinlight.ising import Draws, Ising
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Calibrated, Exact
from spinlight.training import ReusedDraws

MACHINES = pytest.mark.parametrize(
    "make",
    [lambda: RestrictedBoltzmannMachine(4, 3), lambda: BoltzmannMachine(5), lambda: BoltzmannMachine(6, 2)],
    ids=str,
)


@dataclass(frozen=True)
class Counted:
    """Exact draws, every state once with its weight, and a list that grows by each call."""

    weighted: bool = True
    calls: list[int] = field(default_factory=list)
    law: str = "exact"

    def draw(self, problem: Ising, count: int, *, seed: Any = None, initial: Any = None) -> Draws:
        self.calls.append(count)
        return TableSampler(weighted=self.weighted).draw(problem, count, seed=seed)


def moved(machine: AbstractBoltzmannMachine, by: float) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in machine.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


@pytest.mark.parametrize("make", [lambda: RestrictedBoltzmannMachine(4, 3), lambda: BoltzmannMachine(5)])
def test_reused_draws_give_the_gradient_of_the_machine_as_it_has_become(make) -> None:
    machine = random_machine(make(), seed=1)
    phase = ReusedDraws(Counted(), count=8, steps=10, least_share=0.0)
    data = all_bits(machine.num_visible)[1:3]
    phase.negative(machine, data)
    moved(machine, by=0.3)
    parameters = list(machine.parameters())
    found = torch.autograd.grad(phase.objective(machine, data), parameters)
    expected = torch.autograd.grad(exact_negative_log_likelihood(machine, data), parameters)
    torch.testing.assert_close(found, expected)


@MACHINES
def test_without_weights_the_gradient_would_be_that_of_the_old_machine(make) -> None:
    machine = random_machine(make(), seed=1)
    phase = ReusedDraws(Counted(), count=8, steps=10, least_share=0.0)
    before = phase.negative(machine, torch.zeros(1, machine.num_visible))
    moved(machine, by=0.3)
    after = phase.negative(machine, torch.zeros(1, machine.num_visible))
    assert torch.equal(before.spins, after.spins)
    assert float((before.weights - after.weights).abs().sum()) > 0.05


def test_one_call_serves_the_wanted_number_of_steps() -> None:
    machine, sampler = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1), Counted()
    phase = ReusedDraws(sampler, count=8, steps=3, least_share=0.0)
    for _ in range(7):
        phase.negative(machine, torch.zeros(1, 4))
    assert sampler.calls == [8, 8, 8]


def test_effective_draws_fall_as_the_machine_moves_and_are_all_where_it_stands() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    phase = ReusedDraws(TableSampler(), count=1_000, steps=10, seed=2)
    phase.negative(machine, torch.zeros(1, 4))
    assert phase.effective == pytest.approx(1_000)
    moved(machine, by=0.2)
    phase.negative(machine, torch.zeros(1, 4))
    near = phase.effective
    moved(machine, by=0.4)
    phase.negative(machine, torch.zeros(1, 4))
    assert 1_000 > near > phase.effective


def test_weights_that_few_draws_carry_are_flattened_and_said_so_once() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    phase = ReusedDraws(TableSampler(), count=1_000, steps=10, least_share=0.5, seed=2)
    phase.negative(machine, torch.zeros(1, 4))
    moved(machine, by=3.0)
    with pytest.warns(SpinlightWarning, match="flattened"):
        phase.negative(machine, torch.zeros(1, 4))
    weights = phase.negative(machine, torch.zeros(1, 4)).weights  # a second warning would be an error
    assert 1 / float(weights.square().sum()) == pytest.approx(500, rel=1e-3)
    assert phase.effective < 500


def test_weights_of_the_sampler_itself_are_never_flattened() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1, scale=3.0)
    phase = ReusedDraws(Counted(), count=128, steps=10, least_share=0.5)
    first = phase.negative(machine, torch.zeros(1, 4))  # a warning would be an error
    law = torch.softmax(-first.energies, 0)
    assert 1 / float(law.square().sum()) < 64  # all states with their weights: few of them count
    torch.testing.assert_close(first.weights, law)
    moved(machine, by=10.0)
    with pytest.warns(SpinlightWarning, match="flattened"):
        after = phase.negative(machine, torch.zeros(1, 4))
    found, before = (1 / float(weights.square().sum()) for weights in (after.weights, law))
    assert found >= 0.499 * before


def test_sweeps_after_the_draws_mend_a_sampler_that_is_wrong() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    law = torch.softmax(-machine.free_energy(all_bits(4)).detach(), 0)

    def error(sweeps: int) -> float:
        with pytest.warns(UncalibratedWarning):
            phase = ReusedDraws(AllUp(), count=20_000, steps=1, sweeps=sweeps, seed=2)
        bits = phase.negative(machine, torch.zeros(1, 4)).bits[:, :4].long()
        shares = torch.bincount((bits << torch.arange(4)).sum(-1), minlength=16) / 20_000
        return float((shares - law).abs().sum() / 2)

    assert error(0) > 0.5
    assert error(50) < 0.02


@dataclass(frozen=True)
class AllUp:
    """A machine that knows one state."""

    law: str = "heuristic"

    def draw(self, problem: Ising, count: int, *, seed: Any = None, initial: Any = None) -> Draws:
        spins = torch.ones(count, problem.sites, dtype=torch.int8)
        return Draws(spins, problem.energy(spins), TableSampler().draw(problem, 1, seed=0).info)


def test_a_saved_phase_goes_on_without_another_call() -> None:
    machine, sampler, file = (
        random_machine(RestrictedBoltzmannMachine(4, 3), seed=1),
        Counted(weighted=False),
        io.BytesIO(),
    )
    whole = ReusedDraws(sampler, count=50, steps=3, seed=2)
    whole.negative(machine, torch.zeros(1, 4))
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed = ReusedDraws(sampler, count=50, steps=3, seed=4)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    moved(machine, by=0.1)
    for _ in range(3):
        one, other = (phase.negative(machine, torch.zeros(1, 4)) for phase in (whole, resumed))
        assert torch.equal(one.spins, other.spins)
        assert torch.equal(one.weights, other.weights)
    assert len(sampler.calls) == 3


def test_the_factor_of_a_calibrated_sampler_follows_the_machine_and_is_saved() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    phase = ReusedDraws(Calibrated(sampler=Exact(beta=2.0), factor=1.0), count=2_000, steps=1, seed=2)
    data = torch.zeros(1, 4)
    factors = []
    for _ in range(4):
        phase.negative(machine, data)
        factors.append(phase.state_dict()["factor"])
    assert abs(factors[-1] - 0.5) < 0.1  # the first call was at beta = 2
    other = ReusedDraws(Calibrated(sampler=Exact(beta=2.0), factor=1.0), count=2_000, steps=1, seed=2)
    other.load_state_dict(phase.state_dict())
    assert torch.equal(phase.negative(machine, data).spins, other.negative(machine, data).spins)


def test_a_sampler_that_calibrates_itself_at_every_call_is_left_alone() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(4, 3), seed=1)
    phase = ReusedDraws(Calibrated(sampler=Exact(beta=2.0)), count=100, steps=1, seed=2)
    phase.negative(machine, torch.zeros(1, 4))
    assert phase.state_dict()["factor"] is None


@pytest.mark.parametrize("settings", [{"count": 0}, {"steps": 0}, {"sweeps": -1}, {"least_share": 1.0}])
def test_impossible_settings_are_refused(settings) -> None:
    with pytest.raises(InvalidSettingError):
        ReusedDraws(TableSampler(), **({"count": 4, "steps": 2} | settings))


def test_a_heuristic_is_warned_of_and_a_machine_of_other_units_refused() -> None:
    with pytest.warns(UncalibratedWarning):
        phase = ReusedDraws(CoolingSampler(), count=4, steps=2)
    with pytest.raises(InvalidSettingError, match="got Linear"):
        phase.negative(torch.nn.Linear(2, 2), torch.zeros(1, 2))
