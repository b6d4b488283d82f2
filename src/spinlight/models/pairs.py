"""What machines with one parameter per connected pair of units share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spinlight._errors import InvalidStateError
from spinlight.models.base import AbstractBoltzmannMachine


class AbstractPairwiseMachine(AbstractBoltzmannMachine, ABC):
    """A Boltzmann machine whose weights are listed pair by pair, so that W is symmetric whatever an optimiser does.

    Args:
        num_visible: units that data describe, at least 1.
        num_hidden: units that data leave open.
        hidden: which nodes data leave open, in the order of the nodes, bool, shape (num_nodes,). Part of `state_dict`, to tell machines of
            one size apart.
        pairs: connected units, the smaller number first, int64, shape (2, pairs).
        scale: standard deviation of the initial weights; biases start at zero.
    """

    pairs: Tensor
    hidden_nodes: Tensor

    def __init__(self, num_visible: int, num_hidden: int, hidden: Tensor, pairs: Tensor, scale: float) -> None:
        super().__init__(num_visible, num_hidden)
        self.biases = nn.Parameter(torch.zeros(self.num_nodes))
        self.pair_weights = nn.Parameter(scale * torch.randn(pairs.shape[1]))
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("hidden_nodes", hidden)

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

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        """Refuse what a machine of as many weights would else take for its own."""
        for name, buffer in self.named_buffers(recurse=False):
            saved = state_dict.get(prefix + name)
            if saved is not None and not buffer.is_meta and not torch.equal(saved.to(buffer), buffer):
                raise InvalidStateError(
                    f"the saved weights are of another graph, or of other hidden units, than those of {self!r}; make the machine as it "
                    "was"
                )
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _set_visible_biases(self, values: Tensor) -> None:
        self.biases[: self.num_visible] = values.to(self.biases)
