"""Files of Ising problems: rudy and G-set Max-Cut, BiqMac QUBO, and npz."""

from spinlight.ising.files.biqmac import read_biqmac
from spinlight.ising.files.npz import read_npz, write_npz
from spinlight.ising.files.reading import read_problem
from spinlight.ising.files.rudy import cut_value, read_rudy, write_rudy

__all__ = ["cut_value", "read_biqmac", "read_npz", "read_problem", "read_rudy", "write_npz", "write_rudy"]
