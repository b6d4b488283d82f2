"""Any problem file, by its name or its first bytes."""

from __future__ import annotations

import os

from spinlight.ising.files.biqmac import read_biqmac
from spinlight.ising.files.npz import read_npz
from spinlight.ising.files.rudy import read_rudy
from spinlight.ising.problem import Ising

_ZIP = b"PK\x03\x04"


def read_problem(path: str | os.PathLike[str]) -> Ising:
    """Return the Ising problem of a file: npz by its first bytes, BiqMac QUBO if it is named .sparse or .sparse.gz, else rudy.

    rudy and BiqMac files look alike inside, so that only the name tells them apart; where it does not, call `read_rudy` or
    `read_biqmac`.

    Raises:
        FileFormatError: the file does not hold what its format promises; the message names the line.
        OSError: the file cannot be opened.
    """
    name = os.fspath(path).lower()
    with open(path, "rb") as file:
        zipped = file.read(len(_ZIP)) == _ZIP
    if zipped or name.endswith(".npz"):
        return read_npz(path)
    return read_biqmac(path) if name.endswith((".sparse", ".sparse.gz")) else read_rudy(path)
