"""The fully connected Boltzmann machine, with or without hidden units."""

from __future__ import annotations

import torch
from torch import Tensor

from spinlight._checks import nonnegative_integer, nonnegative_number, positive_integer
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.ising import Ising
from spinlight.ising.bits import ising_of_pairs
from spinlight.models.base import require_memory, row_shares, unit_values
from spinlight.models.pairs import AbstractPairwiseMachine


class BoltzmannMachine(AbstractPairwiseMachine):
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
        ProblemTooLargeError: more weights than this computer's memory holds.

    Example:
        >>> machine = BoltzmannMachine(3)
        >>> _ = torch.nn.init.constant_(machine.pair_weights, 2.0)
        >>> machine(torch.tensor([[1, 1, 0], [1, 1, 1]])).tolist()
        [-2.0, -6.0]
    """

    def __init__(self, num_nodes: int, num_hidden: int = 0, *, initial_scale: float = 0.01) -> None:
        nodes = positive_integer("num_nodes", num_nodes)
        hidden = nonnegative_integer("num_hidden", num_hidden)
        if hidden >= nodes:
            raise InvalidSettingError(f"num_hidden must leave a visible unit of {nodes}, got {hidden}")
        scale = nonnegative_number("initial_scale", initial_scale)
        require_memory((4 + 16) * nodes * (nodes - 1) // 2)  # a weight, and two numbers of units
        last = torch.arange(nodes) >= nodes - hidden
        super().__init__(nodes - hidden, hidden, last, torch.triu_indices(nodes, nodes, 1), scale)

    def mean_energy(self, bits: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the mean of E over rows; as `AbstractBoltzmannMachine.mean_energy`.

        <E> = - b.<x> - sum_{i<j} W_ij <x_i x_j>: one matrix product makes the means, and the gradient is these means, for nothing.
        """
        state = unit_values(bits, self.num_nodes, like=self.biases)
        shares = row_shares(state, weights)
        rows = state.reshape(-1, self.num_nodes)
        ones = shares @ rows
        first, second = self.pairs
        both = (rows.T @ (shares.unsqueeze(-1) * rows))[first, second]
        return -(self.biases @ ones) - self.pair_weights @ both

    def to_ising(self, clamped: Tensor | None = None) -> Ising:
        """Return the Ising problem of all units, or of the hidden ones while the visible ones are held.

        As `AbstractBoltzmannMachine.to_ising`; weights that are listed pair by pair need no check of symmetry.
        """
        if clamped is not None:
            return super().to_ising(clamped)
        return ising_of_pairs(self.biases, self.pairs, self.pair_weights)

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
