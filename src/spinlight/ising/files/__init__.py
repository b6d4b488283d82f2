"""Files of Ising problems: rudy and G-set Max-Cut, BiqMac QUBO, JSON, and npz."""

from spinlight.ising.files.biqmac import read_biqmac
from spinlight.ising.files.json import read_json
from spinlight.ising.files.npz import read_npz, write_npz
from spinlight.ising.files.reading import ProblemFile, read_problem, read_problem_file
from spinlight.ising.files.rudy import cut_value, read_rudy, write_rudy

__all__ = [
    "ProblemFile",
    "cut_value",
    "read_biqmac",
    "read_json",
    "read_npz",
    "read_problem",
    "read_problem_file",
    "read_rudy",
    "write_npz",
    "write_rudy",
]
