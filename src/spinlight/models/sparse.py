"""The Boltzmann machine on a graph: a grid, a machine's own wiring, or anything else with edges."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from hashlib import sha256

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number
from spinlight.ising import Ising, clamp, ising_from_bits, spins_from_bits
from spinlight.models.base import unit_values
from spinlight.models.graphs import numbered
from spinlight.models.pairs import AbstractPairwiseMachine


class SparseBoltzmannMachine(AbstractPairwiseMachine):
    """A Boltzmann machine in which only the edges of a graph connect units.

    E(x) = - b.x - sum_edges W_e x_i x_j

    With all pairs as edges it is a `BoltzmannMachine`, on a bipartite graph a `RestrictedBoltzmannMachine` whose hidden units
    are sampled instead of summed out. Energies cost O(edges), and `to_ising` returns a sparse problem.

    A graph does not order its nodes as this library orders units, visible ones first: `nodes` tells which node of the graph
    each unit is, the visible ones in the graph's order, then the hidden ones in the graph's order. Rows of data and of samples
    have their columns in that order.

    Args:
        graph: pairs of node numbers, integers of shape (edges, 2), whose nodes are 0, 1, ... up to the largest; or an object with
            `.nodes` and `.edges`, such as a graph of networkx or of the generators of D-Wave's topologies.
        hidden: the nodes that data leave open; none by default.
        initial_scale: standard deviation of the initial weights; biases start at zero.

    Raises:
        InvalidProblemError: no graph, or edges that are no pairs of its nodes, join a node to itself or occur twice.
        InvalidSettingError: hidden nodes that the graph does not have or that leave no visible one, or a negative scale.
        InvalidStateError: from `load_state_dict`, of another graph, other names of its nodes (by their `repr`), or other hidden nodes.

    Example:
        >>> machine = SparseBoltzmannMachine([(0, 1), (1, 2)], hidden=[1])
        >>> machine.nodes, machine.num_visible, machine.pairs.tolist()
        ((0, 2, 1), 2, [[0, 1], [2, 2]])
    """

    def __init__(self, graph: object, hidden: Iterable[Hashable] = (), *, initial_scale: float = 0.01) -> None:
        scale, found = nonnegative_number("initial_scale", initial_scale), numbered(graph, hidden)
        super().__init__(len(found.nodes) - found.num_hidden, found.num_hidden, found.hidden, found.pairs, scale)
        self.nodes = found.nodes
        # Saved with the weights: which edge a weight belongs to is not known from its size.
        self.register_buffer("pairs", found.pairs)
        # And so is what the nodes are called: the same graph with its nodes in another order has the same pairs.
        self.register_buffer("names", torch.tensor(list(sha256(repr(self.nodes).encode()).digest()), dtype=torch.uint8))

    def energy(self, bits: Tensor) -> Tensor:
        """Return E(x); as `AbstractBoltzmannMachine.energy`, in time and memory of rows times edges."""
        state = unit_values(bits, self.num_nodes, like=self.biases)
        rows, columns = self.pairs
        return -(state @ self.biases) - (state[..., rows] * state[..., columns]) @ self.pair_weights

    def to_ising(self, clamped: Tensor | None = None) -> Ising:
        """Return the sparse Ising problem of all units, or of the hidden ones while the visible ones are held.

        As `AbstractBoltzmannMachine.to_ising`, in O(edges); a weight that is exactly zero is no coupling.
        """
        held = None if clamped is None else spins_from_bits(self._clamped(clamped))
        weights = self.pair_weights.detach()
        both_ways = torch.cat([self.pairs, self.pairs.flip(0)], 1)
        matrix = torch.sparse_coo_tensor(
            both_ways, torch.cat([weights, weights]), 2 * (self.num_nodes,), check_invariants=True
        )
        problem = ising_from_bits(self.biases, matrix)
        return problem if held is None else clamp(problem, torch.arange(self.num_visible), held).problem

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"num_visible={self.num_visible}, num_hidden={self.num_hidden}, edges={len(self.pair_weights)}"
