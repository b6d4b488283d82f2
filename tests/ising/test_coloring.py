from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from helpers.enumeration import random_ising
from spinlight.ising import Ising, color_sites, ising_from_edges


def graph(sites: int, edges: list[tuple[int, int]] | np.ndarray) -> Ising:
    ends = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    return ising_from_edges(sites, ends[:, 0], ends[:, 1], np.ones(len(ends)))


def grid(*lengths: int, periodic: bool = False) -> Ising:
    numbers = np.arange(np.prod(lengths)).reshape(lengths)
    edges = []
    for axis, length in enumerate(lengths):
        ahead = np.roll(numbers, -1, axis)
        kept = np.arange(length if periodic else length - 1)
        edges.append(np.stack([numbers.take(kept, axis).ravel(), ahead.take(kept, axis).ravel()], 1))
    return graph(numbers.size, np.concatenate(edges))


def is_proper(problem: Ising, colors: np.ndarray) -> bool:
    rows, columns, _ = problem.edges()
    return not np.any(colors[rows] == colors[columns])


def chromatic_number(problem: Ising) -> int:
    """Return the smallest number of colours, by trying all assignments."""
    for colors in range(1, problem.sites + 1):
        if any(is_proper(problem, np.array(tried)) for tried in product(range(colors), repeat=problem.sites)):
            return colors
    raise AssertionError


@pytest.mark.parametrize("density", [0.02, 0.2, 0.6, 1.0])
def test_no_coupling_joins_two_sites_of_one_colour(density: float) -> None:
    for seed in range(5):
        problem = random_ising(60, seed=seed, density=density)
        colors = color_sites(problem)
        assert is_proper(problem, colors)
        assert colors.dtype == np.int64
        assert set(colors) == set(range(colors.max() + 1))


def test_one_shared_colour_is_noticed() -> None:
    problem = grid(4, 4)
    colors = color_sites(problem)
    colors[0] = colors[1]
    assert not is_proper(problem, colors)


@pytest.mark.parametrize(
    "problem",
    [
        grid(7, 9),
        grid(5, 5, 5),
        grid(8, 6, periodic=True),
        grid(10, periodic=True),
        graph(9, [(0, i) for i in range(1, 9)]),
        graph(12, list(product(range(5), range(5, 12)))),
    ],
    ids=["square lattice", "cubic lattice", "even torus", "even ring", "star", "complete bipartite"],
)
def test_bipartite_graphs_get_two_colours(problem: Ising) -> None:
    colors = color_sites(problem)
    assert is_proper(problem, colors)
    assert colors.max() == 1


def test_random_bipartite_graphs_of_many_parts_get_two_colours() -> None:
    for seed in range(30):
        generator = np.random.default_rng(seed)
        side = generator.random(200) < 0.5
        pairs = generator.integers(0, 200, (250, 2))
        pairs = pairs[side[pairs[:, 0]] != side[pairs[:, 1]]]
        assert color_sites(graph(200, pairs)).max() == 1


@pytest.mark.parametrize(("length", "colors"), [(5, 3), (6, 2), (9, 3)])
def test_rings_get_the_colours_they_need(length: int, colors: int) -> None:
    assert color_sites(grid(length, periodic=True)).max() + 1 == colors


def test_complete_graphs_get_a_colour_per_site() -> None:
    assert sorted(color_sites(random_ising(8, seed=1))) == list(range(8))


def test_small_graphs_get_almost_as_few_colours_as_any() -> None:
    """At most one more than the least on graphs of seven sites, and mostly the least."""
    excess = []
    for seed in range(25):
        problem = random_ising(7, seed=seed, density=0.5)
        excess.append(color_sites(problem).max() + 1 - chromatic_number(problem))
    assert max(excess) <= 1
    assert np.mean(excess) < 0.2


def test_a_graph_never_needs_more_than_its_degree_and_one() -> None:
    for seed in range(10):
        problem = random_ising(40, seed=seed, density=0.3)
        degree = int((problem.couplings != 0).sum(1).max())
        assert color_sites(problem).max() <= degree


def test_sites_without_couplings_share_one_colour() -> None:
    assert color_sites(Ising(torch.zeros(4), torch.zeros(4, 4))).tolist() == [0, 0, 0, 0]


def test_colours_do_not_depend_on_the_form_or_the_call() -> None:
    problem = random_ising(50, seed=2, density=0.2)
    first = color_sites(problem)
    assert np.array_equal(first, color_sites(problem.to_sparse()))
    assert np.array_equal(first, color_sites(problem))


def test_the_compiled_loop_does_what_its_python_does() -> None:
    from spinlight.kernels.coloring import dsatur

    problem = random_ising(30, seed=3, density=0.3).to_sparse()
    rows, neighbours = problem.couplings.indices().numpy()
    starts = np.searchsorted(rows, np.arange(31))
    assert np.array_equal(dsatur.py_func(starts, neighbours), color_sites(problem))


def test_a_hundred_thousand_edges_are_coloured() -> None:
    problem = grid(224, 224, periodic=True)
    colors = color_sites(problem)
    assert len(problem.edges()[0]) > 100_000
    assert is_proper(problem, colors)
    assert colors.max() == 1
