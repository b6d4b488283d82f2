"""Deep belief networks with known parameters, and their laws by the defining sums: nothing here samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from helpers.enumeration import all_bits
from helpers.machines import energies_by_formula
from spinlight.models import DeepBeliefNetwork


def random_network(sizes: Sequence[int], seed: int, scale: float = 0.8) -> DeepBeliefNetwork:
    """Return a network in float64 whose ways up and down have normal parameters that know nothing of each other."""
    generator = torch.Generator().manual_seed(seed)
    network = DeepBeliefNetwork(sizes).double()
    for parameter in network.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network


def all_layers(network: DeepBeliefNetwork, visible: Tensor) -> list[Tensor]:
    """Return every state of all layers below the topmost for every visible row; each of shape (rows, states, units)."""
    hidden = network.sizes[1:-1]
    states = all_bits(sum(hidden)).double()
    split = list(states.split(list(hidden), -1)) if hidden else []
    layers = [visible.double()[:, None].expand(-1, len(states), -1)]
    return layers + [layer[None].expand(len(visible), -1, -1) for layer in split]


def log_top(network: DeepBeliefNetwork, bits: Tensor) -> Tensor:
    """Return log p_top(h_{L-1}) of rows, by summing the top machine's hidden units and all its states."""
    hidden = all_bits(network.top.num_hidden).double()
    rows = torch.cat(
        [
            bits[..., None, :].expand(*bits.shape[:-1], len(hidden), -1),
            hidden.expand(*bits.shape[:-1], *hidden.shape),
        ],
        -1,
    )
    whole = torch.logsumexp(-energies_by_formula(network.top, all_bits(network.top.num_nodes)), 0)
    return torch.logsumexp(-energies_by_formula(network.top, rows), -1) - whole


def log_conditionals(layers: nn.ModuleList, given: Sequence[Tensor], drawn: Sequence[Tensor]) -> Tensor:
    """Return the sum over layers of the log probability of bits, unit by unit; shape (rows, states)."""
    total = torch.zeros(())
    for layer, condition, bits in zip(layers, given, drawn, strict=True):
        up = torch.sigmoid(condition @ layer.weight.T + layer.bias)
        total = total + torch.where(bits == 1, up, 1 - up).log().sum(-1)
    return total


def log_joint(network: DeepBeliefNetwork, layers: Sequence[Tensor]) -> Tensor:
    """Return log p(v, h_1, ..., h_{L-1})."""
    return log_top(network, layers[-1]) + log_conditionals(network.generative, layers[1:], layers[:-1])


def log_posterior(network: DeepBeliefNetwork, layers: Sequence[Tensor]) -> Tensor:
    """Return log q(h_1, ..., h_{L-1} | v)."""
    return log_conditionals(network.recognition, layers[:-1], layers[1:]) * torch.ones(layers[0].shape[:-1])


def exact_log_likelihood(network: DeepBeliefNetwork, visible: Tensor) -> Tensor:
    """Return log p(v) of each row; differentiable."""
    return torch.logsumexp(log_joint(network, all_layers(network, visible)), -1)


def exact_bound(network: DeepBeliefNetwork, visible: Tensor) -> Tensor:
    """Return E_q[log p(v, h) - log q(h | v)] of each row; differentiable."""
    layers = all_layers(network, visible)
    log_q = log_posterior(network, layers)
    return (log_q.exp() * (log_joint(network, layers) - log_q)).sum(-1)
