"""The fully connected Boltzmann machine, with or without hidden units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spinlight._checks import nonnegative_integer, nonnegative_number, positive_integer
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.ising import Ising
from spinlight.models.base import AbstractBoltzmannMachine


class BoltzmannMachine(AbstractBoltzmannMachine):
    """A Boltzmann machine in which every pair of units is connected.

    E(x) = - b.x - sum_{i<j} W_ij x_i x_j

    Each pair's weight is one entry of `pair_weights`, so W is symmetric with a zero diagonal whatever an optimiser does; `pairs`,
    shape (2, pairs), says of which units.

    Args:
        num_nodes: all units.
        num_hidden: how many of them, the last ones, are hidden.
        initial_scale: standard deviation of the initial weights; biases start at zero.

    Raises:
        InvalidSettingError: sizes that leave no visible unit, or a negative scale.

    Example:
        >>> machine = BoltzmannMachine(3)
        >>> _ = torch.nn.init.constant_(machine.pair_weights, 2.0)
        >>> machine(torch.tensor([[1, 1, 0], [1, 1, 1]])).tolist()
        [-2.0, -6.0]
    """

    pairs: Tensor

    def __init__(self, num_nodes: int, num_hidden: int = 0, *, initial_scale: float = 0.01) -> None:
        nodes = positive_integer("num_nodes", num_nodes)
        hidden = nonnegative_integer("num_hidden", num_hidden)
        if hidden >= nodes:
            raise InvalidSettingError(f"num_hidden must leave a visible unit of {nodes}, got {hidden}")
        scale = nonnegative_number("initial_scale", initial_scale)
        super().__init__(nodes - hidden, hidden)
        self.biases = nn.Parameter(torch.zeros(nodes))
        self.pair_weights = nn.Parameter(scale * torch.randn(nodes * (nodes - 1) // 2))
        self.register_buffer("pairs", torch.triu_indices(nodes, nodes, 1), persistent=False)

    @property
    def needs_hidden(self) -> bool:
        """True where there are hidden units: connected to each other, they can only be sampled."""
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
        """Return b, shape (num_nodes,), and W, symmetric with a zero diagonal, shape (num_nodes, num_nodes)."""
        rows, columns = self.pairs
        upper = self.pair_weights.new_zeros(self.num_nodes, self.num_nodes)
        upper = upper.index_put((rows, columns), self.pair_weights)
        return self.biases, upper + upper.T

    @torch.no_grad()
    def set_weights(self, biases: Tensor, weights: Tensor) -> None:
        """Overwrite the parameters in place by b and a symmetric W with a zero diagonal, as `biases_and_weights` returns them.

        Raises:
            InvalidProblemError: wrong shapes, NaN, asymmetry, self-couplings.
        """
        problem = Ising(biases, weights)
        rows, columns = self.pairs
        if problem.fields.shape != self.biases.shape:
            raise InvalidProblemError(f"{self.num_nodes} units need as many biases, got {tuple(problem.fields.shape)}")
        self.biases.copy_(problem.fields)
        self.pair_weights.copy_(problem.to_dense().couplings[rows, columns])

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"num_nodes={self.num_nodes}, num_hidden={self.num_hidden}"

    def _set_visible_biases(self, values: Tensor) -> None:
        self.biases[: self.num_visible] = values.to(self.biases)
