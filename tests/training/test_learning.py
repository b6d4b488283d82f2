"""Learning recovers the parameters that made the data, within the error that the number of data rows allows."""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from helpers.enumeration import all_bits
from helpers.machines import TableSampler, energies_by_formula, random_machine
from helpers.statistics import threshold
from spinlight.ising import Draws
from spinlight.models import BoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import PersistentContrastiveDivergence

UNITS, ROWS, CHAINS, STEPS, AVERAGED = 6, 5_000, 1_024, 1_200, 800


def parameters(machine: BoltzmannMachine) -> Tensor:
    return torch.cat([machine.biases, machine.pair_weights]).detach()


def fisher_information(machine: BoltzmannMachine) -> Tensor:
    """Return the covariance of the units and their products, by enumeration: that of log p's gradient."""
    bits = all_bits(UNITS).double()
    rows, columns = torch.triu_indices(UNITS, UNITS, 1)
    statistics = torch.cat([bits, bits[:, rows] * bits[:, columns]], 1)
    law = torch.softmax(-energies_by_formula(machine, all_bits(UNITS)).detach(), 0)
    centred = statistics - law @ statistics
    return centred.T @ (law[:, None] * centred)


def learned_parameters(data: Draws) -> Tensor:
    """Return parameters averaged over the last steps of gradient descent on persistent chains."""
    machine = BoltzmannMachine(UNITS, initial_scale=0.0).double()
    phase = PersistentContrastiveDivergence(Gibbs(), chains=CHAINS, sweeps=2, seed=1)
    optimizer = torch.optim.SGD(machine.parameters(), lr=1.0, momentum=0.9)
    total = torch.zeros_like(parameters(machine))
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 1.0 if step < STEPS - AVERAGED else 0.2
        optimizer.zero_grad()
        machine.objective(data, phase.negative(machine, data.bits)).backward()
        optimizer.step()
        total += parameters(machine) if step >= STEPS - AVERAGED else 0.0
    return total / AVERAGED


def test_persistent_contrastive_divergence_recovers_the_parameters_of_its_data() -> None:
    truth = random_machine(BoltzmannMachine(UNITS), seed=3, scale=0.8)
    data = TableSampler().draw(truth.to_ising(), ROWS, seed=4).unique()
    learned, information = learned_parameters(data), fisher_information(truth)

    def p_value(candidate: Tensor) -> float:
        """Return the p-value of the maximum-likelihood estimate's law, N(candidate, information^-1 / rows)."""
        # The chains' own noise adds their share: independent rows for every two or so of the averaged sweeps.
        variance = 1 / ROWS + 2 / (CHAINS * AVERAGED)
        error = learned - candidate
        return float(stats.chi2.sf(float(error @ information @ error) / variance, len(error)))

    assert p_value(parameters(truth)) > threshold()
    assert p_value(1.1 * parameters(truth)) < threshold()
