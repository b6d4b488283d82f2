"""Reverse annealing of data against the annealing model's own distribution, by products of transition matrices."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import energies_by_formula, exact_negative_log_likelihood, machines, random_machine
from helpers.statistics import mean_p_value, threshold
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.training import ReverseAnnealedBound, ReverseAnnealedLikelihood
from spinlight.training.annealing import AllUnits, Annealing, OneSide
from spinlight.training.reverse_likelihood import log_means, reverse_log_weights, visible_path

MACHINES = [
    random_machine(RestrictedBoltzmannMachine(4, 3), seed=1, scale=1.5),
    random_machine(RestrictedBoltzmannMachine(2, 5), seed=2, scale=1.5),
    random_machine(BoltzmannMachine(4), seed=3, scale=1.5),
    random_machine(BoltzmannMachine(6, 2), seed=4, scale=1.5),
]
EVERY_MACHINE = pytest.mark.parametrize("machine", MACHINES, ids=str)


def uneven(machine: AbstractBoltzmannMachine) -> Annealing:
    """Return the path from a base that is not uniform."""
    path = visible_path(machine)
    if isinstance(path, OneSide):
        return replace(path, base=(torch.linspace(-0.5, 1, len(path.kept)), torch.linspace(1, -1, len(path.summed))))
    assert isinstance(path, AllUnits)
    return replace(path, base=torch.linspace(-0.5, 1, machine.num_nodes).double())


def annealing_model(path: Annealing, machine: AbstractBoltzmannMachine, parts: list[float]) -> np.ndarray:
    """Return p_ann of every visible state: the base, moved by one transition at each of some values of b."""
    return (side_model if isinstance(path, OneSide) else units_model)(path, machine, parts)


def side_model(path: OneSide, machine: AbstractBoltzmannMachine, parts: list[float]) -> np.ndarray:
    """Moves visible states by way of all hidden ones."""
    v, h = (all_bits(units).double() for units in (machine.num_visible, machine.num_hidden))

    def given(bits: Tensor, logits: Tensor) -> Tensor:
        """Return the probability of each state of independent bits, shape (logits, states)."""
        p = torch.sigmoid(logits)
        return torch.where(bits.bool()[None], p[:, None], 1 - p[:, None]).prod(-1)

    law = given(v, path.base[0].double()[None])
    for b in parts:
        hidden = (1 - b) * path.base[1] + b * (path.summed + v @ path.weight)
        visible = (1 - b) * path.base[0] + b * (path.kept + h @ path.weight.T)
        law = law @ given(h, hidden) @ given(v, visible)
    return law[0].numpy()


def units_model(path: AllUnits, machine: AbstractBoltzmannMachine, parts: list[float]) -> np.ndarray:
    """Moves all units one by one, the last first, by their conditional probabilities under p_b."""
    bits = all_bits(machine.num_nodes).double()
    base = (2 * bits - 1) @ path.base
    law = torch.softmax(base, 0)
    for b in parts:
        weights = torch.exp((1 - b) * base - b * energies_by_formula(machine, bits).detach())
        for unit in reversed(range(machine.num_nodes)):
            other = torch.arange(len(bits)) ^ (1 << unit)
            law = (law + law[other]) * weights / (weights + weights[other])
    return law.reshape(-1, 2**machine.num_visible).sum(0).numpy()


@EVERY_MACHINE
@pytest.mark.parametrize("steps", [1, 3])
def test_weights_average_to_the_probability_under_the_annealing_model(
    machine: AbstractBoltzmannMachine, steps: int
) -> None:
    path, rows = uneven(machine), all_bits(machine.num_visible)
    weights = reverse_log_weights(path, machine, rows, 20_000, steps, seed=5).exp()
    parts = [k / steps for k in range(1, steps + 1)]
    assert mean_p_value(weights.T, annealing_model(path, machine, parts)) > threshold()
    assert mean_p_value(weights.T, annealing_model(path, machine, parts[:-1])) < threshold()


@EVERY_MACHINE
def test_the_annealing_model_is_a_distribution_and_nears_the_machine(machine: AbstractBoltzmannMachine) -> None:
    path, rows = uneven(machine), all_bits(machine.num_visible)
    likely = np.exp([-exact_negative_log_likelihood(machine, row[None]).item() for row in rows])
    near, far = (annealing_model(path, machine, [k / n for k in range(1, n + 1)]) for n in (200, 1))
    assert near.sum() == pytest.approx(1.0)
    assert np.abs(near - likely).sum() < 0.1 * np.abs(far - likely).sum()


@pytest.mark.parametrize("machine", machines(), ids=str)
def test_many_steps_give_the_likelihood_of_the_machine(machine: AbstractBoltzmannMachine) -> None:
    rows = all_bits(machine.num_visible)[:8].repeat(8, 1)
    found = ReverseAnnealedLikelihood(chains=32, steps=500).estimate(machine, rows, seed=6)
    exact = -exact_negative_log_likelihood(machine, rows).item()
    assert found.value == pytest.approx(exact, abs=6 * found.chain_error + 1e-3)
    assert found.chain_error < 0.02
    assert found.rows == len(rows)


def test_few_chains_make_the_bound_lower_in_expectation() -> None:
    machine = MACHINES[0]
    path, rows = uneven(machine), all_bits(4)
    logs = reverse_log_weights(path, machine, rows, 4000, 2, seed=7).mean(1)
    exact = np.log(annealing_model(path, machine, [0.5, 1.0]))
    assert float(logs.mean()) < exact.mean() - 0.05


def test_the_error_of_the_chains_is_the_spread_over_seeds() -> None:
    machine, rows = MACHINES[0], all_bits(4)[:6]
    estimator = ReverseAnnealedLikelihood(chains=64, steps=20, base_rows=all_bits(4))
    runs = [estimator.estimate(machine, rows, seed=seed) for seed in range(200)]
    spread = np.std([run.value for run in runs], ddof=1)
    assert 0.75 < spread / np.sqrt(np.mean([run.chain_error**2 for run in runs])) < 1.33


def test_rows_in_several_batches_all_count(monkeypatch) -> None:
    machine, rows = MACHINES[3], all_bits(4)
    whole = ReverseAnnealedLikelihood(chains=16, steps=200).estimate(machine, rows, seed=8)
    monkeypatch.setattr("spinlight.training.reverse_likelihood._CHAINS", 48)
    parted = ReverseAnnealedLikelihood(chains=16, steps=200).estimate(machine, rows, seed=8)
    assert parted.rows == whole.rows == 16
    assert parted.value == pytest.approx(whole.value, abs=6 * math.hypot(parted.chain_error, whole.chain_error))


def test_errors_of_rows_and_chains_are_those_of_their_formulas() -> None:
    weights = torch.tensor([[1.0, 3.0], [2.0, 2.0]], dtype=torch.float64)
    logs, error = log_means(weights.log())
    np.testing.assert_allclose(logs.exp(), [2.0, 2.0])
    assert error == pytest.approx(math.sqrt(2.0 / 4 / 2) / 2)  # variance of 1/2 and 3/2, over two chains, over two rows
    assert math.isnan(log_means(weights[:, :1].log())[1])


def test_one_row_and_one_chain_have_no_errors() -> None:
    found = ReverseAnnealedLikelihood(chains=1, steps=3).estimate(MACHINES[0], all_bits(4)[:1], seed=1)
    assert math.isnan(found.row_error)
    assert math.isnan(found.chain_error)


def test_both_errors_are_shown() -> None:
    shown = str(ReverseAnnealedBound(torch.tensor([-87.0671, -89.0671]), 0.0742, "reverse annealing"))
    assert shown == "-88.067 +/- 1.000 (2 rows), of which 0.074 by the chains (reverse annealing)"


def test_the_same_seed_gives_the_same_bound_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second, other = (
        ReverseAnnealedLikelihood(chains=4, steps=5).estimate(MACHINES[0], all_bits(4), seed=seed).value
        for seed in (1, 1, 2)
    )
    assert first == second != other
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_that_are_no_bits_are_refused() -> None:
    for rows in (torch.zeros(4), torch.zeros(2, 3), torch.zeros(0, 4), torch.full((2, 4), 0.5)):
        with pytest.raises(InvalidStateError):
            ReverseAnnealedLikelihood().estimate(MACHINES[0], rows)


def test_what_is_no_machine_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="got a str"):
        ReverseAnnealedLikelihood().estimate("x", all_bits(4))  # type: ignore[arg-type]


def test_too_many_connected_hidden_units_are_refused_before_any_walk() -> None:
    with pytest.raises(ProblemTooLargeError, match="RestrictedBoltzmannMachine"):
        ReverseAnnealedLikelihood(chains=1, steps=2).estimate(BoltzmannMachine(27, 25), torch.zeros(1, 2))


def test_parameters_beyond_float32_are_refused() -> None:
    machine = random_machine(RestrictedBoltzmannMachine(2, 2), seed=1)
    machine.weight.data.fill_(1e39)
    with pytest.raises(InvalidProblemError, match="float32"):
        ReverseAnnealedLikelihood().estimate(machine, all_bits(2))


@pytest.mark.parametrize("settings", [{"chains": 0}, {"steps": 0}])
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InvalidSettingError):
        ReverseAnnealedLikelihood(**settings)


@pytest.mark.parametrize("rows", [torch.zeros(4), torch.zeros(0, 4), torch.full((1, 4), 0.5)])
def test_base_rows_that_are_no_rows_of_bits_are_refused(rows: Tensor) -> None:
    with pytest.raises(InvalidStateError):
        ReverseAnnealedLikelihood(base_rows=rows)
