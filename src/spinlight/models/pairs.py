"""What machines with one parameter per connected pair of units share."""

from __future__ import annotations

from abc import ABC

import torch
from torch import Tensor, nn

from spinlight.models.base import AbstractBoltzmannMachine


class PairwiseMachine(AbstractBoltzmannMachine, ABC):
    """A Boltzmann machine whose weights are listed pair by pair, so that W is symmetric whatever an optimiser does.

    Args:
        num_visible: units that data describe.
        num_hidden: units that data leave open, the last ones.
        pairs: connected units, the smaller number first, int64, shape (2, pairs).
        scale: standard deviation of the initial weights; biases start at zero.
        saved: whether the pairs are part of `state_dict`.
    """

    pairs: Tensor

    def __init__(self, num_visible: int, num_hidden: int, pairs: Tensor, scale: float, *, saved: bool) -> None:
        super().__init__(num_visible, num_hidden)
        self.biases = nn.Parameter(torch.zeros(self.num_nodes))
        self.pair_weights = nn.Parameter(scale * torch.randn(pairs.shape[1]))
        self.register_buffer("pairs", pairs, persistent=saved)

    @property
    def needs_hidden(self) -> bool:
        """True where there are hidden units: they may be connected to each other, and are sampled."""
        return self.num_hidden > 0

    @property
    def weight_parameter(self) -> nn.Parameter:
        """`pair_weights`."""
        return self.pair_weights

    @property
    def bias_parameters(self) -> tuple[nn.Parameter, ...]:
        """`biases`."""
        return (self.biases,)

    def biases_and_weights(self) -> tuple[Tensor, Tensor]:
        """Return b, shape (num_nodes,), and W, symmetric with a zero diagonal, dense, shape (num_nodes, num_nodes)."""
        rows, columns = self.pairs
        upper = self.pair_weights.new_zeros(self.num_nodes, self.num_nodes)
        upper = upper.index_put((rows, columns), self.pair_weights)
        return self.biases, upper + upper.T

    def _set_visible_biases(self, values: Tensor) -> None:
        self.biases[: self.num_visible] = values.to(self.biases)
