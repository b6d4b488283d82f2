"""The instances that benchmarks run on, each from a seed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import scipy.sparse

from spinlight.ising import Ising


def dense_signs(sites: int, seed: int) -> Ising:
    """Return +/-J on the complete graph: every J_ij is -1 or +1."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(sites, sites))
    return _dense(signs)


def dense_gaussian(sites: int, seed: int) -> Ising:
    """Return the Sherrington-Kirkpatrick model: J_ij from N(0, 1/n)."""
    return _dense(np.random.default_rng(seed).normal(0.0, sites**-0.5, size=(sites, sites)))


def torus_signs(side: int, seed: int) -> Ising:
    """Return +/-J on the periodic square lattice of side x side spins, numbered row by row."""
    site = np.arange(side * side).reshape(side, side)
    rows = np.concatenate([site.ravel(), site.ravel()])
    columns = np.concatenate([np.roll(site, -1, 0).ravel(), np.roll(site, -1, 1).ravel()])
    return _sparse(rows, columns, side * side, seed)


def regular_signs(sites: int, degree: int, seed: int) -> Ising:
    """Return +/-J on a random regular graph."""
    import networkx

    graph = networkx.random_regular_graph(degree, sites, seed=seed)
    rows, columns = np.array(graph.edges).T
    return _sparse(rows, columns, sites, seed)


def gset_like(seed: int) -> tuple[Ising, str]:
    """Return the Max-Cut problem G1 (800 spins, mean degree 48, J = -1) with its name; a random graph of its size if absent.

    G1 itself is read from the folder `SPINLIGHT_DATA`, or ../shared/data. Helmberg & Rendl's generator rudy made it as a
    random graph of density 6 %: 19,176 edges.
    """
    path = Path(os.environ.get("SPINLIGHT_DATA", "../shared/data")) / "ising" / "gset" / "G1.txt.gz"
    if path.is_file():
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        (sites, _), *edges = [tuple(map(int, line.split()[:2])) for line in lines if line.strip()]
        rows, columns = np.array(edges).T - 1
        return _edges(rows, columns, -np.ones(len(rows)), sites), "G1"
    rows, columns = np.triu_indices(800, 1)
    kept = np.random.default_rng(seed).choice(len(rows), 19176, replace=False)
    return _edges(rows[kept], columns[kept], -np.ones(19176), 800), "random graph of G1's size"


def _dense(weights: np.ndarray) -> Ising:
    upper = np.triu(weights, 1)
    return Ising(np.zeros(len(upper)), upper + upper.T)


def _sparse(rows: np.ndarray, columns: np.ndarray, sites: int, seed: int) -> Ising:
    return _edges(rows, columns, np.random.default_rng(seed).choice([-1.0, 1.0], size=len(rows)), sites)


def _edges(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, sites: int) -> Ising:
    upper = scipy.sparse.coo_matrix((weights, (rows, columns)), shape=(sites, sites))
    return Ising(np.zeros(sites), upper + upper.T)
