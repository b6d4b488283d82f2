"""Public problem files against their published optima and against NumPy's own reading of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins
from spinlight.ising import Ising, clamp, color_sites, cut_value, ising_from_edges, read_problem


def listed(path: Path) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return size, rows, columns and weights as NumPy reads them."""
    table = np.loadtxt(path, dtype=np.int64, skiprows=1, ndmin=2)
    size = int(np.loadtxt(path, dtype=np.int64, max_rows=1)[0])
    return size, table[:, 0] - 1, table[:, 1] - 1, table[:, 2]


def best_known(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "best_known.csv").open() as file:
        return {row["instance"]: row for row in csv.DictReader(file)}


def published_partition(folder: Path, name: str) -> tuple[Ising, torch.Tensor]:
    problem = read_problem(folder / f"{name}.txt.gz")
    packed = np.load(folder / "certificates_romank.npz")[name]
    return problem, 2 * torch.from_numpy(np.unpackbits(packed)[: problem.sites]).to(torch.int8) - 1


@pytest.mark.parametrize("name", ["G9", "G11", "G14", "G48", "G55", "G81"])
def test_published_partitions_have_their_published_cuts(data_folder: Path, name: str) -> None:
    folder = data_folder / "ising" / "gset"
    problem, spins = published_partition(folder, name)
    table = best_known(folder)[name]
    assert (problem.sites, len(problem.edges()[0])) == (int(table["n"]), int(table["m"]))
    assert cut_value(problem, spins).item() == int(table["certificate_cut"])
    assert problem.energy(spins).item() == -int(table["certificate_cut"])


@pytest.mark.parametrize("name", ["G1", "G3", "G6", "G43"])
def test_published_partitions_of_small_random_graphs_reach_the_best_known_cut(data_folder: Path, name: str) -> None:
    folder = data_folder / "ising" / "gset"
    problem, spins = published_partition(folder, name)
    best = int(best_known(folder)[name]["recommended"])
    assert cut_value(problem, spins).item() == best
    others = spins * (1 - 2 * torch.eye(problem.sites, dtype=torch.int8))
    assert bool((cut_value(problem, others) <= best).all())


@pytest.mark.parametrize("name", ["rudy/g05_60.0", "rudy/pw09_100.3", "ising/ising2.5-100_5555", "ising/t3g5_5555"])
def test_energies_of_max_cut_files_are_numpy_s_cuts(data_folder: Path, name: str) -> None:
    path = data_folder / "ising" / "biqmac" / f"{name}.gz"
    size, rows, columns, weights = listed(path)
    spins = np.random.default_rng(1).choice([-1, 1], (50, size))
    cuts = (weights * (spins[:, rows] != spins[:, columns])).sum(1)
    assert read_problem(path).energy(torch.from_numpy(spins)).tolist() == (-cuts).tolist()


@pytest.mark.parametrize("name", ["be/be100.1", "beasley/bqp50-1", "gka/gka1c", "gka/gka1f"])
def test_energies_of_qubo_files_are_numpy_s_quadratic_forms(data_folder: Path, name: str) -> None:
    path = data_folder / "ising" / "biqmac" / f"{name}.sparse.gz"
    size, rows, columns, weights = listed(path)
    form = np.zeros((size, size), dtype=np.int64)
    form[rows, columns] = form[columns, rows] = weights
    bits = np.random.default_rng(2).integers(0, 2, (50, size))
    expected = np.einsum("ki,ij,kj->k", bits, form, bits)
    assert read_problem(path).energy(torch.from_numpy(2 * bits - 1)).tolist() == expected.tolist()


def test_the_optimum_of_a_twenty_unit_qubo_is_the_published_one(data_folder: Path) -> None:
    """All 2^20 states of gka1b: clamp eight units at every value, enumerate the other twelve."""
    folder = data_folder / "ising" / "biqmac" / "gka"
    published = dict(line.split() for line in (folder / "optimal_energy.txt").read_text().splitlines() if line.strip())
    problem = read_problem(folder / "gka1b.sparse.gz").to_dense()
    clamped = clamp(problem, list(range(8)), all_spins(8)).problem
    lowest = min(clamped[i].energy(all_spins(12)).min().item() for i in range(256))
    assert problem.sites == 20
    assert lowest == int(published["gka1b"])


def test_ground_energies_of_small_glasses_are_the_published_ones(data_folder: Path) -> None:
    """Their files give the minimum of + sum_{i<j} J s s, so that J = - theirs."""
    file = np.load(data_folder / "ising" / "sk_mc_cim" / "SK1_N10.npz")
    rows, columns = np.triu_indices(10, 1)
    for upper, published in zip(file["J_upper"], file["ground_energy"]):
        problem = ising_from_edges(10, rows, columns, -upper)
        assert problem.energy(all_spins(10)).min().item() == published


def test_tori_of_the_g_set_get_two_colours(data_folder: Path) -> None:
    assert color_sites(read_problem(data_folder / "ising" / "gset" / "G48.txt.gz")).max() == 1
