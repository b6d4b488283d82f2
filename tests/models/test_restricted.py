"""The closed forms of a restricted machine against sums over all hidden or visible states."""

from __future__ import annotations

import torch

from helpers.enumeration import all_bits
from helpers.machines import energies_by_formula, random_machine
from helpers.statistics import counts_p_value, threshold
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
        visible = MACHINE.gibbs_step(visible, generator)
    return torch.bincount((visible.long() << torch.arange(4)).sum(-1), minlength=16)


def test_a_gibbs_step_leaves_the_exact_law_as_it_is() -> None:
    assert counts_p_value(visible_counts(steps=2).numpy(), TABLE.sum(0).numpy()) > threshold()


def test_a_gibbs_step_does_not_leave_another_law_as_it_is() -> None:
    sharper = torch.softmax(-1.1 * MACHINE.free_energy(all_bits(4)), 0).detach()
    assert counts_p_value(visible_counts(steps=2).numpy(), sharper.numpy()) < threshold()
