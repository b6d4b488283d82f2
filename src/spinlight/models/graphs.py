"""Graphs that say which units of a machine are connected."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidProblemError, InvalidSettingError


def grid_edges(rows: int, columns: int, *, periodic: bool = False) -> Tensor:
    """Return the edges of a square grid, whose node in row r and column c has the number r * columns + c.

    Args:
        rows: at least 1.
        columns: at least 1.
        periodic: join the ends of rows and columns too, where that is a new edge: on sides of at least three.

    Returns:
        int64, shape (edges, 2).

    Raises:
        InvalidSettingError: fewer than one row or column.

    Example:
        >>> grid_edges(2, 2).tolist()
        [[0, 1], [2, 3], [0, 2], [1, 3]]
    """
    numbers = torch.arange(positive_integer("rows", rows) * positive_integer("columns", columns)).reshape(rows, columns)
    return torch.cat([_neighbours(numbers, periodic), _neighbours(numbers.T, periodic)])


def _neighbours(lines: Tensor, periodic: bool) -> Tensor:
    """Return the pairs of neighbours along each line."""
    pairs = torch.stack([lines[:, :-1], lines[:, 1:]], -1).reshape(-1, 2)
    if not periodic or lines.shape[1] < 3:
        return pairs
    return torch.cat([pairs, lines[:, [-1, 0]]])


@dataclass(frozen=True)
class Numbered:
    """A graph whose nodes are numbered 0, 1, ..., the visible ones first.

    Args:
        nodes: what the graph calls them, in the order of their numbers.
        num_hidden: how many of them, the last ones, are hidden.
        hidden: which nodes are hidden, in the graph's own order, bool, shape (nodes,).
        pairs: each edge once, the smaller number first, in increasing order; int64, shape (2, edges).
    """

    nodes: tuple[Hashable, ...]
    num_hidden: int
    hidden: Tensor
    pairs: Tensor


def numbered(graph: object, hidden: object) -> Numbered:
    """Number the nodes of a graph, those of `hidden` last, both groups in the graph's own order.

    Raises:
        InvalidProblemError: no graph, or edges that are no pairs of its nodes, join a node to itself or occur twice.
        InvalidSettingError: hidden nodes that the graph does not have, or that are listed twice.
    """
    nodes, edges = _nodes_and_edges(graph)
    last = _chosen(hidden, nodes)
    ordered = (*(node for node in nodes if node not in last), *(node for node in nodes if node in last))
    return Numbered(ordered, len(last), torch.tensor([node in last for node in nodes]), _pairs(ordered, edges))


def _chosen(hidden: object, nodes: list[Hashable]) -> set[Hashable]:
    try:
        listed = hidden.tolist() if isinstance(hidden, Tensor | np.ndarray) else list(hidden)  # type: ignore[call-overload]
        chosen = set(listed)
    except TypeError as error:
        raise InvalidSettingError(f"hidden must list nodes of the graph, such as [{nodes[-1]!r}]: {error}") from error
    if not chosen <= set(nodes) or len(chosen) < len(listed):
        raise InvalidSettingError(
            f"hidden must be distinct nodes of the graph, such as {nodes[-1]!r}; got {len(listed)}, of which "
            f"{len(chosen & set(nodes))} are"
        )
    return chosen


def _nodes_and_edges(graph: object) -> tuple[list[Hashable], list[tuple[Hashable, ...]]]:
    """Return the nodes and the edges of a networkx-like graph, or of a list of pairs of numbers."""
    if hasattr(graph, "nodes") and hasattr(graph, "edges"):
        nodes, edges = list(graph.nodes), [tuple(edge) for edge in graph.edges]
    else:
        array = _integers(graph)
        nodes, edges = list(range(int(array.max(initial=-1)) + 1)), [tuple(edge) for edge in array.tolist()]
    if not nodes:
        raise InvalidProblemError("the graph is empty; a machine needs at least one unit")
    return nodes, edges


def _integers(graph: object) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    try:
        array = graph.cpu().numpy() if isinstance(graph, Tensor) else np.asarray(graph)
    except ValueError as ragged:
        raise InvalidProblemError(f"edges must be pairs of node numbers: {ragged}") from ragged
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise InvalidProblemError(
            "a graph is an array of node numbers from 0, shape (edges, 2), or an object with .nodes and .edges such as one of "
            f"networkx; got {type(graph).__name__} of {array.dtype}, shape {array.shape}"
        )
    return array.astype(np.int64)


def _pairs(nodes: tuple[Hashable, ...], edges: list[tuple[Hashable, ...]]) -> Tensor:
    """Return the edges as sorted pairs of the nodes' numbers, shape (2, edges)."""
    number = {node: k for k, node in enumerate(nodes)}
    wrong = [edge for edge in edges if len(edge) != 2 or edge[0] == edge[1] or not set(edge) <= number.keys()]
    if wrong:
        raise InvalidProblemError(f"an edge joins two different nodes of the graph; {wrong[0]} does not")
    found = sorted({(min(a, b), max(a, b)) for a, b in ((number[a], number[b]) for a, b in edges)})
    if len(found) < len(edges):
        raise InvalidProblemError(
            f"{len(edges) - len(found)} edges are listed more than once, perhaps once each way; each pair has one weight"
        )
    return torch.tensor(found, dtype=torch.int64).reshape(-1, 2).T.contiguous()
