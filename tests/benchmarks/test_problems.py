"""Benchmark instances are what their names say."""

from __future__ import annotations

import networkx
import pytest
import torch

import problems


def test_dense_signs_couple_every_pair_by_plus_or_minus_one() -> None:
    couplings = problems.dense_signs(20, 1).couplings
    assert torch.equal(couplings.abs(), 1 - torch.eye(20, dtype=torch.float64))


def test_gaussian_couplings_have_variance_one_over_n() -> None:
    # 4950 values: the relative standard error of a variance is sqrt(2 / 4950) = 2 %; five of them.
    couplings = problems.dense_gaussian(100, 1).couplings
    variance = couplings[torch.triu_indices(100, 100, 1).unbind()].var()
    assert float(variance) == pytest.approx(0.01, rel=0.1)


def test_the_torus_has_four_neighbours_everywhere() -> None:
    rows, columns, weights = problems.torus_signs(6, 1).edges()
    graph = networkx.Graph(zip(rows.tolist(), columns.tolist()))
    assert networkx.is_isomorphic(graph, networkx.grid_2d_graph(6, 6, periodic=True))
    assert set(weights.tolist()) == {-1.0, 1.0}


def test_regular_graphs_are_regular() -> None:
    problem = problems.regular_signs(50, 3, 1)
    assert torch.equal(problem.couplings.to_dense().abs().sum(1), torch.full((50,), 3.0, dtype=torch.float64))


def test_the_stand_in_for_g1_has_its_size(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(tmp_path))
    problem, name = problems.gset_like(1)
    rows, _, weights = problem.edges()
    assert (problem.sites, len(rows), set(weights.tolist())) == (800, 19176, {-0.5})
    assert name == "gset-like"


def test_g1_is_read_where_there_is_real_data(monkeypatch, data_folder) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(data_folder))
    problem, name = problems.gset_like(1)
    assert (problem.sites, len(problem.edges()[0]), name) == (800, 19176, "gset-G1")
