"""The instances that benchmarks run on, each from a seed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from spinlight._files import data_folder
from spinlight.ising import Ising, ising_from_bits, ising_from_edges, read_rudy
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.samplers import CoherentIsingMachine, Exact, TruncatedWigner, UncorrectedFeedback
from spinlight.training import IndependentDraws

ROOT = Path(__file__).parents[1]


def dense_signs(sites: int, seed: int) -> Ising:
    """Return +/-J on the complete graph: every J_ij is -1 or +1."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(sites, sites))
    return _dense(signs)


def dense_gaussian(sites: int, seed: int) -> Ising:
    """Return the Sherrington-Kirkpatrick model: J_ij from N(0, 1/n)."""
    return _dense(np.random.default_rng(seed).normal(0.0, sites**-0.5, size=(sites, sites)))


def dense_machine(units: int, scale: float, seed: int) -> Ising:
    """Return a dense Boltzmann machine: weights from N(0, scale^2 / n) and biases from N(0, scale^2), on bits."""
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.normal(0.0, scale * units**-0.5, size=(units, units)), 1)
    biases = torch.from_numpy(generator.normal(0.0, scale, size=units))
    return ising_from_bits(biases, torch.from_numpy(upper + upper.T))


def ferromagnet(sites: int) -> Ising:
    """Return the complete graph with J = 2 / n, below its transition, and a weak field: two wells of unequal depth."""
    couplings = np.full((sites, sites), 2.0 / sites)
    np.fill_diagonal(couplings, 0.0)
    return Ising(np.full(sites, 0.05), couplings)


def planted(sites: int, seed: int) -> Ising:
    """Return random couplings that favour one state t and its mirror image: J_ij = 2 t_i t_j / n + N(0, 1 / n)."""
    generator = np.random.default_rng(seed)
    state = generator.choice([-1.0, 1.0], size=sites)
    noise = generator.normal(0.0, sites**-0.5, size=(sites, sites))
    return _dense(2 * np.outer(state, state) / sites + noise)


@cache
def trained_machine() -> Ising:
    """Return a restricted Boltzmann machine of nine visible and three hidden units, trained on bars and stripes."""
    lines = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    bars = lines.unsqueeze(1).expand(8, 3, 3)
    images = torch.cat([bars, bars.transpose(1, 2)]).reshape(16, 9)
    torch.manual_seed(0)
    machine = RestrictedBoltzmannMachine(9, 3)
    machine.initialize_biases(images)
    negatives = IndependentDraws(Exact(), count=1000, seed=1)
    optimizer = torch.optim.Adam(machine.parameters(), lr=0.03)
    for _ in range(400):
        loss = machine.objective(images, negatives.negative(machine, images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return machine.requires_grad_(False).to_ising()


def cube_signs(side: int, seed: int) -> Ising:
    """Return +/-J on the periodic cubic lattice of side^3 spins."""
    site = np.arange(side**3).reshape(side, side, side)
    rows = np.tile(site.ravel(), 3)
    columns = np.concatenate([np.roll(site, -1, axis).ravel() for axis in range(3)])
    return _sparse(rows, columns, side**3, seed)


def strong_fields(sites: int, seed: int) -> Ising:
    """Return a dense problem that its fields dominate: h_i from N(0, 9), J_ij from N(0, 1/4)."""
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.normal(0.0, 0.5, size=(sites, sites)), 1)
    return Ising(3 * generator.normal(size=sites), upper + upper.T)


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
    """Return the Ising problem of the Max-Cut graph G1 (800 spins, mean degree 48, J = -1/2) with its name.

    G1 is read from the folder `SPINLIGHT_DATA`, or ../shared/data; without it, a random graph of its 19,176 edges stands in
    (rudy made G1 as a random graph of density 6 %). The offset is dropped: energies are compared relative to their size.
    """
    path = data_folder() / "ising" / "gset" / "G1.txt.gz"
    if path.is_file():
        graph = read_rudy(path)
        return Ising(graph.fields, graph.couplings), "gset-G1"
    rows, columns = np.triu_indices(800, 1)
    kept = np.random.default_rng(seed).choice(len(rows), 19176, replace=False)
    return ising_from_edges(800, rows[kept], columns[kept], np.full(19176, -0.5)), "gset-like"


def _dense(weights: np.ndarray) -> Ising:
    upper = np.triu(weights, 1)
    return Ising(np.zeros(len(upper)), upper + upper.T)


def _sparse(rows: np.ndarray, columns: np.ndarray, sites: int, seed: int) -> Ising:
    return ising_from_edges(sites, rows, columns, np.random.default_rng(seed).choice([-1.0, 1.0], size=len(rows)))


def optical_machine() -> CoherentIsingMachine:
    """Return the machine in the regime that samples best: noise about as strong as the wells are deep."""
    return CoherentIsingMachine(
        steps=500,
        dt=0.1,
        feedback=UncorrectedFeedback(),
        noise=TruncatedWigner(photon=0.6),
        look_every=0,
        scale=0.16,
        progress=False,
    )
