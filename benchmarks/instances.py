"""Published problems with the best energies known for them. Data: SPINLIGHT_DATA."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinlight._files import data_folder
from spinlight.ising import Ising, ising_from_edges, read_problem, read_problem_file

FAMILIES = ("be", "beasley", "gka", "ising", "rudy")
MOST_SITES = 500
"""BiqMac's larger problems have no proven optimum."""


@dataclass(frozen=True)
class Instance:
    """A published problem.

    Args:
        name: of its file.
        read: returns the problem.
        best: its lowest known energy, in the problem's own sign.
    """

    name: str
    read: Callable[[], Ising]
    best: float


def biqmac(family: str) -> Iterator[Instance]:
    """Yield the problems of a BiqMac family that have a file, a known optimum and at most 500 variables."""
    folder = data_folder() / "ising" / "biqmac" / family
    for line in (folder / "optimal_energy.txt").read_text().splitlines():
        name, _, optimum = line.partition(" ")
        paths = [path for ending in ("sparse.gz", "gz") if (path := folder / f"{name}.{ending}").is_file()]
        if paths and optimum.strip().lstrip("-").isdigit():
            stated = read_problem_file(paths[0])
            if stated.problem.sites <= MOST_SITES:
                yield Instance(name, lambda problem=stated.problem: problem, stated.value(float(optimum)))


def gset(first: int, last: int) -> list[Instance]:
    """Return graphs of the G-set with their best known cuts."""
    folder = data_folder() / "ising" / "gset"
    with (folder / "best_known.csv").open() as file:
        cuts = {row["instance"]: float(row["recommended"]) for row in csv.DictReader(file)}
    names = [f"G{number}" for number in range(first, last + 1)]
    return [Instance(name, lambda path=folder / f"{name}.txt.gz": read_problem(path), -cuts[name]) for name in names]


def planted() -> Iterator[Instance]:
    """Yield the Wishart and tile-planted problems; their files give the least of + sum_{i<j} J s s."""
    for path in sorted((data_folder() / "ising" / "planted_chook").glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            for number, ground in enumerate(stored["ground_energy"]):
                yield _planted(path, dict(stored), number, float(ground))


def _planted(path: Path, stored: dict[str, np.ndarray], number: int, ground: float) -> Instance:
    rows, columns = stored[f"edges_{number}"].T
    problem = ising_from_edges(int(stored["n"]), rows, columns, -stored[f"w_{number}"].astype(float))
    return Instance(f"{path.stem}/{number}", lambda: problem, ground)
