"""Machines on graphs: which unit is which node, and the same energies, problems and gradients as the dense machines."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import combinations
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.enumeration import all_bits, all_spins
from helpers.machines import all_states_weighted, random_machine
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine, SparseBoltzmannMachine, grid_edges
from spinlight.samplers import Exact, Gibbs

MACHINE = random_machine(SparseBoltzmannMachine(grid_edges(2, 4), hidden=[5, 2]), seed=1)


class Graph:
    """What is asked of a graph: nodes and edges, of any labels."""

    def __init__(self, nodes: list, edges: list) -> None:
        self.nodes, self.edges = nodes, edges


def dense_twin(machine: SparseBoltzmannMachine) -> BoltzmannMachine:
    """Return the fully connected machine whose absent weights are zero."""
    twin = BoltzmannMachine(machine.num_nodes, machine.num_hidden).double()
    twin.set_weights(*(part.detach() for part in machine.biases_and_weights()))
    return twin


def restricted_twin(num_visible: int, num_hidden: int) -> tuple[SparseBoltzmannMachine, RestrictedBoltzmannMachine]:
    """Return an RBM as a machine on a bipartite graph, and as itself."""
    restricted = random_machine(RestrictedBoltzmannMachine(num_visible, num_hidden), seed=4)
    hidden = range(num_visible, num_visible + num_hidden)
    edges = [(i, j) for i in range(num_visible) for j in hidden]
    sparse = SparseBoltzmannMachine(edges, hidden).double()
    sparse.biases.data = torch.cat([bias.data for bias in restricted.bias_parameters])
    sparse.pair_weights.data = restricted.weight.data.flatten()  # both in row order
    return sparse, restricted


def test_energies_and_problems_are_those_of_the_dense_machine_whose_absent_weights_are_zero() -> None:
    twin = dense_twin(MACHINE)
    torch.testing.assert_close(MACHINE(all_bits(8)), twin(all_bits(8)))
    assert MACHINE.to_ising().is_sparse
    torch.testing.assert_close(MACHINE.to_ising().energy(all_spins(8)), twin.to_ising().energy(all_spins(8)))
    held = all_bits(6)
    spins = all_spins(2).expand(len(held), -1, -1)
    assert MACHINE.to_ising(clamped=held).is_sparse
    clamped = (machine.to_ising(clamped=held).energy(spins) for machine in (MACHINE, twin))
    torch.testing.assert_close(*clamped)


def test_a_weight_of_another_edge_gives_other_energies() -> None:
    other = random_machine(SparseBoltzmannMachine([(0, 2), (1, 2)]), seed=1)
    twin = random_machine(SparseBoltzmannMachine([(0, 1), (1, 2)]), seed=1)
    assert not torch.allclose(other(all_bits(3)), twin(all_bits(3)))


def test_draws_are_those_of_the_dense_machine() -> None:
    draws = [Exact().draw(machine.to_ising(), 500, seed=2) for machine in (MACHINE, dense_twin(MACHINE))]
    assert torch.equal(draws[0].spins, draws[1].spins)
    torch.testing.assert_close(draws[0].energies, draws[1].energies)


def test_the_gradient_is_that_of_the_dense_machine_on_the_edges() -> None:
    twin, (rows, columns) = dense_twin(MACHINE), MACHINE.pairs
    data, model = all_bits(8)[[3, 77, 200]], all_states_weighted(MACHINE.to_ising())
    for machine in (MACHINE, twin):
        machine.zero_grad()
        machine.objective(data, model).backward()
    _, slopes = gradient_matrix(twin)
    torch.testing.assert_close(MACHINE.biases.grad, twin.biases.grad)
    torch.testing.assert_close(MACHINE.pair_weights.grad, slopes[rows, columns])


def gradient_matrix(machine: BoltzmannMachine) -> tuple[Tensor | None, Tensor]:
    matrix = torch.zeros(machine.num_nodes, machine.num_nodes, dtype=torch.float64)
    matrix[tuple(machine.pairs)] = machine.pair_weights.grad
    return machine.biases.grad, matrix


def test_a_bipartite_graph_makes_a_restricted_machine() -> None:
    sparse, restricted = restricted_twin(4, 3)
    torch.testing.assert_close(sparse(all_bits(7)), restricted(all_bits(7)))
    problems = (machine.to_ising(clamped=all_bits(4)) for machine in (sparse, restricted))
    spins = all_spins(3).expand(16, -1, -1)
    torch.testing.assert_close(*(problem.energy(spins) for problem in problems))
    data = all_bits(4)[[2, 7, 7]]
    held = data[:, None].expand(-1, 8, -1)
    hidden = all_bits(3).expand(3, -1, -1)
    law = torch.softmax(-sparse(torch.cat([held, hidden], -1)), -1).detach()
    mean_energy = (law * sparse(torch.cat([held, hidden], -1))).sum(-1).mean()
    slope = torch.autograd.grad(mean_energy, sparse.pair_weights)[0]
    expected = torch.autograd.grad(restricted.free_energy(data).mean(), restricted.weight)[0]
    torch.testing.assert_close(slope, expected.flatten())


def test_units_are_the_visible_nodes_then_the_hidden_ones_in_the_order_of_the_graph() -> None:
    graph = Graph(["d", "a", "c", "b"], [("a", "b"), ("c", "d"), ("b", "c")])
    machine = SparseBoltzmannMachine(graph, hidden=["b", "d"])
    assert machine.nodes == ("a", "c", "d", "b")
    assert (machine.num_visible, machine.num_hidden) == (2, 2)
    assert machine.pairs.tolist() == [[0, 1, 1], [3, 2, 3]]  # a-b, c-d, c-b


def test_edges_may_come_as_any_array_in_any_order_and_direction() -> None:
    pairs = [[2, 0], [1, 2]]
    for edges in (pairs, np.array(pairs), torch.tensor(pairs), torch.tensor(pairs[::-1], dtype=torch.int32)):
        assert SparseBoltzmannMachine(edges).pairs.tolist() == [[0, 1], [2, 2]]
    for hidden in ([2], np.array([2]), torch.tensor([2]), range(2, 3)):
        assert SparseBoltzmannMachine(pairs, hidden).nodes == (0, 1, 2)


def test_nodes_without_an_edge_are_units() -> None:
    machine = random_machine(SparseBoltzmannMachine(Graph([0, 1, 2], [])), seed=1)
    assert machine.pairs.shape == (2, 0)
    assert machine.sample(Gibbs(), 5, seed=1).shape == (5, 3)
    torch.testing.assert_close(machine(all_bits(3)), -all_bits(3).double() @ machine.biases)


@pytest.mark.parametrize("name", ["zephyr_graph", "pegasus_graph", "chimera_graph"])
def test_the_graphs_of_annealers_are_graphs(name: str) -> None:
    topologies = pytest.importorskip("dwave.graphs")
    graph = getattr(topologies, name)(2)
    machine = random_machine(SparseBoltzmannMachine(graph, hidden=list(graph.nodes)[::3]), seed=1)
    assert {frozenset(edge) for edge in graph.edges} == {
        frozenset((machine.nodes[i], machine.nodes[j])) for i, j in machine.pairs.T.tolist()
    }
    bits = torch.randint(0, 2, (9, machine.num_nodes), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(machine(bits), machine.to_ising().energy(2 * bits - 1))


def test_networkx_graphs_are_graphs() -> None:
    networkx = pytest.importorskip("networkx")
    machine = SparseBoltzmannMachine(networkx.grid_2d_graph(2, 3))
    assert machine.nodes == tuple(networkx.grid_2d_graph(2, 3).nodes)
    with pytest.raises(InvalidProblemError, match="two different nodes"):
        SparseBoltzmannMachine(networkx.MultiGraph([(0, 1)]))  # its edges are triples


def neighbours(rows: int, columns: int, joined: Callable[[int, int, int], bool]) -> set[tuple[int, int]]:
    """Return the pairs of nodes that differ by one step along one axis."""
    nodes = [(r, c) for r in range(rows) for c in range(columns)]
    return {
        (r * columns + c, p * columns + q)
        for (r, c), (p, q) in combinations(nodes, 2)
        if (r == p and joined(c, q, columns)) or (c == q and joined(r, p, rows))
    }


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 4), (5, 3)])
def test_a_grid_joins_neighbours(shape: tuple[int, int]) -> None:
    open_ends = {tuple(sorted(edge)) for edge in grid_edges(*shape).tolist()}
    closed = {tuple(sorted(edge)) for edge in grid_edges(*shape, periodic=True).tolist()}
    assert open_ends == neighbours(*shape, lambda a, b, _: abs(a - b) == 1)
    assert closed == neighbours(*shape, lambda a, b, size: abs(a - b) in (1, size - 1))
    assert len(closed) == len(grid_edges(*shape, periodic=True))


NO_GRAPHS = {
    "at least one unit": torch.zeros(0, 2, dtype=torch.int64),
    "shape (edges, 2)": torch.tensor([0, 1]),
    "of float": torch.tensor([[0.0, 1.0]]),
    "from 0": [(-1, 0)],
    "pairs of node numbers": [(0, 1), (2,)],
    "an array of node numbers": "grid",
    "two different nodes": [(0, 1), (2, 2)],
    "does not": Graph([0, 1], [(0, 5)]),
    "listed more than once": [(0, 1), (1, 0)],
}


@pytest.mark.parametrize("message", NO_GRAPHS)
def test_what_is_no_graph_is_refused(message: str) -> None:
    with pytest.raises(InvalidProblemError) as caught:
        SparseBoltzmannMachine(NO_GRAPHS[message])
    assert message in str(caught.value)


@pytest.mark.parametrize("hidden", [[9], [1, 1], ["a"], 1, [[0, 1]]])
def test_hidden_nodes_that_are_none_are_refused(hidden) -> None:
    with pytest.raises(InvalidSettingError, match=r"hidden must .* nodes of the graph"):
        SparseBoltzmannMachine([(0, 1), (1, 2)], hidden)


def test_a_machine_without_a_visible_unit_or_with_a_negative_scale_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="num_visible"):
        SparseBoltzmannMachine([(0, 1)], hidden=[0, 1])
    with pytest.raises(InvalidSettingError, match="initial_scale"):
        SparseBoltzmannMachine([(0, 1)], initial_scale=-1.0)
    with pytest.raises(InvalidSettingError, match="rows"):
        grid_edges(0, 3)


def test_what_is_clamped_is_checked() -> None:
    with pytest.raises(InvalidStateError, match="6 entries"):
        MACHINE.to_ising(clamped=torch.zeros(5))
    with pytest.raises(InvalidSettingError, match="every unit of this machine is visible"):
        SparseBoltzmannMachine([(0, 1)]).to_ising(clamped=torch.zeros(2))


@pytest.mark.parametrize("other", [[(0, 1), (1, 3), (2, 3)], [(0, 1), (1, 2)]], ids=["other edges", "fewer edges"])
def test_weights_of_another_graph_are_refused_and_nothing_is_taken_over(other: list[tuple[int, int]]) -> None:
    machine = SparseBoltzmannMachine([(0, 1), (1, 2), (2, 3)])
    before = machine.pair_weights.detach().clone()
    with pytest.raises(InvalidStateError, match="of another graph"):
        machine.load_state_dict(SparseBoltzmannMachine(other).state_dict())
    assert torch.equal(machine.pair_weights, before)
    twin = SparseBoltzmannMachine([(2, 3), (1, 0), (2, 1)])  # the same graph, its edges listed in another order
    twin.load_state_dict(machine.state_dict())
    assert torch.equal(twin.pair_weights, before)


@pytest.mark.parametrize(
    ("saved", "made"),
    [
        (SparseBoltzmannMachine([(0, 1), (1, 2)], hidden=[2]), SparseBoltzmannMachine([(0, 1), (1, 2)])),
        (SparseBoltzmannMachine([(0, 1)], hidden=[0]), SparseBoltzmannMachine([(0, 1)], hidden=[1])),
        (BoltzmannMachine(6), BoltzmannMachine(6, 2)),
    ],
    ids=["hidden or not", "another one", "full"],
)
def test_hidden_units_are_part_of_what_weights_belong_to(saved: nn.Module, made: nn.Module) -> None:
    assert torch.equal(saved.pairs, made.pairs)
    with pytest.raises(InvalidStateError, match="other hidden units"):
        made.load_state_dict(saved.state_dict())
    copy.deepcopy(saved).load_state_dict(saved.state_dict())


def test_what_nodes_are_called_is_part_of_what_weights_belong_to() -> None:
    class Path:
        edges: ClassVar = [("a", "b"), ("b", "c")]

        def __init__(self, nodes: str) -> None:
            self.nodes = list(nodes)

    one, other = SparseBoltzmannMachine(Path("abc")), SparseBoltzmannMachine(Path("cba"))
    assert torch.equal(one.pairs, other.pairs)
    with pytest.raises(InvalidStateError, match="of another graph"):
        other.load_state_dict(one.state_dict())
    SparseBoltzmannMachine(Path("abc")).load_state_dict(one.state_dict())


def test_weights_are_loaded_in_place_of_a_machine_that_has_none_yet() -> None:
    with torch.device("meta"):
        machine = SparseBoltzmannMachine([(0, 1), (1, 2)])
    saved = SparseBoltzmannMachine([(0, 1), (1, 2)])
    machine.load_state_dict(saved.state_dict(), assign=True)
    assert torch.equal(machine.pair_weights, saved.pair_weights)
