"""The closed forms of a restricted machine against sums over all hidden or visible states."""

from __future__ import annotations

import pytest
import torch

from helpers.enumeration import all_bits
from helpers.machines import energies_by_formula, random_machine
from helpers.statistics import counts_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.models import RestrictedBoltzmannMachine

MACHINE = random_machine(RestrictedBoltzmannMachine(4, 3), seed=4)
TABLE = torch.softmax(-energies_by_formula(MACHINE, all_bits(7)).detach(), 0).reshape(8, 16)
"""p(v, h) as a matrix: hidden states down, visible states across (the visible units are the low bits)."""


def test_free_energy_sums_the_hidden_units_out() -> None:
    summed = torch.logsumexp(-energies_by_formula(MACHINE, all_bits(7)).reshape(8, 16), 0)
    torch.testing.assert_close(-MACHINE.free_energy(all_bits(4)), summed)


def test_hidden_probabilities_are_the_conditional_means() -> None:
    given_visible = TABLE / TABLE.sum(0)
    torch.testing.assert_close(MACHINE.hidden_probabilities(all_bits(4)), given_visible.T @ all_bits(3).double())


def test_visible_probabilities_are_the_conditional_means() -> None:
    given_hidden = TABLE / TABLE.sum(1, keepdim=True)
    torch.testing.assert_close(MACHINE.visible_probabilities(all_bits(3)), given_hidden @ all_bits(4).double())


def visible_counts(steps: int) -> torch.Tensor:
    """Return how often each visible state occurs in independent chains started from exact draws."""
    generator = torch.Generator().manual_seed(6)
    numbers = torch.multinomial(TABLE.sum(0), 40_000, replacement=True, generator=generator)
    visible = all_bits(4)[numbers]
    for _ in range(steps):
        visible = MACHINE.gibbs_step(visible, seed=generator)
    return torch.bincount((visible.long() << torch.arange(4)).sum(-1), minlength=16)


def test_a_gibbs_step_leaves_the_exact_law_as_it_is() -> None:
    assert counts_p_value(visible_counts(steps=2).numpy(), TABLE.sum(0).numpy()) > threshold()


def test_a_gibbs_step_does_not_leave_another_law_as_it_is() -> None:
    sharper = torch.softmax(-1.1 * MACHINE.free_energy(all_bits(4)), 0).detach()
    assert counts_p_value(visible_counts(steps=2).numpy(), sharper.numpy()) < threshold()


def test_the_same_seed_gives_the_same_step_whatever_torchs_global_state() -> None:
    start = all_bits(4)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (MACHINE.gibbs_step(start, seed=seed) for seed in (1, 1, 2))
    fresh, fresher = (MACHINE.gibbs_step(start.repeat(8, 1)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first, MACHINE.gibbs_step(start, seed=1 + 2**32))
    assert not torch.equal(fresh, fresher)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gibbs_step_refuses_an_impossible_seed() -> None:
    with pytest.raises(InvalidSettingError, match="seed"):
        MACHINE.gibbs_step(all_bits(4), seed=-1)


@pytest.mark.parametrize("rows", [torch.zeros(2, 3), torch.full((2, 4), 0.5), torch.full((2, 4), -1)])
def test_a_gibbs_step_refuses_rows_that_are_no_bits(rows: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError):
        MACHINE.gibbs_step(rows, seed=1)


@pytest.mark.parametrize("closed_form", [MACHINE.hidden_probabilities, MACHINE.visible_probabilities])
@pytest.mark.parametrize("rows", [torch.zeros(2, 5), torch.full((2, 4), 1.5), torch.full((2, 3), torch.nan)])
def test_probabilities_refuse_rows_that_are_no_units(closed_form, rows: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError):
        closed_form(rows)
