"""Learning recovers a mixture of two Gaussians from its rows, within the error that their number allows."""

from __future__ import annotations

import copy

import torch
from scipy import stats
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from helpers.machines import TableSampler
from helpers.statistics import threshold
from spinlight.models import GaussianBernoulliRBM

ROWS, CHAINS, STEPS, AVERAGED = 5_000, 1_024, 1_200, 800


def mixture() -> GaussianBernoulliRBM:
    """Return the density of two Gaussians on a plane, two to three deviations apart."""
    machine = GaussianBernoulliRBM(2, 1).double()
    values = {
        "weight": [[2.3], [-1.2]],
        "visible_bias": [-1.0, 0.5],
        "hidden_bias": [-1.0],
        "log_variances": [0.2, -0.4],
    }
    machine.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()})
    return machine


def parameters(machine: GaussianBernoulliRBM) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in machine.parameters()])


def fisher_information(machine: GaussianBernoulliRBM) -> Tensor:
    """Return the covariance of log p's gradient, by central differences and quadrature over the plane."""
    line = torch.arange(-12, 12, 0.2, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    steps = 1e-5 * torch.eye(len(parameters(machine)), dtype=torch.float64)
    scores = torch.stack([free_energies(machine, grid, s) - free_energies(machine, grid, -s) for s in steps], 1) / 2e-5
    law = torch.softmax(-machine.free_energy(grid).detach(), 0)
    centred = scores - law @ scores
    return centred.T @ (law[:, None] * centred)


def free_energies(machine: GaussianBernoulliRBM, rows: Tensor, step: Tensor) -> Tensor:
    """Return F with every parameter moved by its entry of `step`."""
    moved = copy.deepcopy(machine)
    vector_to_parameters(parameters(machine) + step, moved.parameters())
    return moved.free_energy(rows).detach()


def learned_parameters(data: Tensor) -> Tensor:
    """Return parameters averaged over the last steps of gradient descent on chains of block Gibbs."""
    machine = mixture()
    machine.initialize_from_data(data)
    machine.weight.data *= 0.2  # from the truth's side: its mirror image, with 1 - h for h, is as likely
    machine.hidden_bias.data.zero_()
    chains, generator = data[:CHAINS], torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(machine.parameters(), momentum=0.9)
    total = torch.zeros_like(parameters(machine))
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.1 if step < STEPS - AVERAGED else 0.02
        optimizer.zero_grad()
        for _ in range(5):
            chains = machine.gibbs_step(chains, generator)
        machine.objective(data, chains).backward()
        optimizer.step()
        total += parameters(machine) if step >= STEPS - AVERAGED else 0.0
    return total / AVERAGED


def test_block_gibbs_chains_recover_a_mixture_of_gaussians() -> None:
    truth = mixture()
    data = truth.sample(TableSampler(), ROWS, seed=2)
    learned, information = learned_parameters(data), fisher_information(truth)

    def p_value(candidate: Tensor) -> float:
        """Return the p-value of the maximum-likelihood estimate's law, N(candidate, information^-1 / rows)."""
        # The chains' own noise adds their share: independent rows for every two or so of the averaged steps.
        variance = 1 / ROWS + 2 / (CHAINS * AVERAGED)
        error = learned - candidate
        return float(stats.chi2.sf(float(error @ information @ error) / variance, len(error)))

    assert p_value(parameters(truth)) > threshold()
    assert p_value(1.1 * parameters(truth)) < threshold()
