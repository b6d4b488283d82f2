"""Any problem file, by its name or its first bytes, and what its numbers mean to whoever wrote it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from spinlight.ising.files.biqmac import read_biqmac
from spinlight.ising.files.json import read_json
from spinlight.ising.files.npz import read_npz
from spinlight.ising.files.rudy import read_rudy
from spinlight.ising.problem import Ising

_ZIP = b"PK\x03\x04"

Objective = Literal["cut", "qubo", "energy"]
"""What a file asks for: the largest cut of a graph, the least x^T Q x over bits, or the least energy over spins."""


@dataclass(frozen=True, eq=False)
class ProblemFile:
    """The problem of a file, and its author's own words for a solution.

    Args:
        problem: with `energy` equal to the objective, or to minus the cut.
        objective: "cut", "qubo" or "energy".
    """

    problem: Ising
    objective: Objective

    def value(self, energy: float) -> float:
        """Return the objective at an energy, or, since a sign is its own inverse, the energy at an objective."""
        return 0.0 - energy if self.objective == "cut" else energy

    def assignment(self, spins: Tensor) -> Tensor:
        """Return spins as the file's variables: sides 0/1 of a cut, bits of a QUBO, spins -1/+1 of an energy; int8."""
        return spins if self.objective == "energy" else (spins + 1) // 2


def read_problem(path: str | os.PathLike[str]) -> Ising:
    """Return the Ising problem of a file; see `read_problem_file`.

    Raises:
        FileFormatError: the file does not hold what its format promises; the message names the line.
        OSError: the file cannot be opened.
    """
    return read_problem_file(path).problem


def read_problem_file(path: str | os.PathLike[str]) -> ProblemFile:
    """Return problem and objective of a file: npz by its first bytes, BiqMac QUBO or JSON by its name, else rudy.

    rudy and BiqMac files look alike inside, so that only the name tells them apart: .sparse or .sparse.gz is BiqMac's, .json
    is JSON; where the name does not tell, call `read_rudy` or `read_biqmac`.

    Raises:
        FileFormatError: the file does not hold what its format promises; the message names the line.
        OSError: the file cannot be opened.
    """
    name = os.fspath(path).lower()
    with open(path, "rb") as file:
        zipped = file.read(len(_ZIP)) == _ZIP
    if zipped or name.endswith(".npz"):
        return ProblemFile(read_npz(path), "energy")
    if name.endswith(".json"):
        problem, over_bits = read_json(path)
        return ProblemFile(problem, "qubo" if over_bits else "energy")
    if name.endswith((".sparse", ".sparse.gz")):
        return ProblemFile(read_biqmac(path), "qubo")
    return ProblemFile(read_rudy(path), "cut")
