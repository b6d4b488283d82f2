"""The Ising problem, its conversions, its files and its exact answers."""

from spinlight.ising.bits import (
    bits_from_ising,
    bits_from_spins,
    ising_from_bits,
    random_bits,
    spins_from_bits,
)
from spinlight.ising.clamping import Clamped, clamp
from spinlight.ising.coloring import color_sites
from spinlight.ising.dimod import dimod_from_ising, ising_from_dimod
from spinlight.ising.draws import DrawInfo, Draws, Law, SupportsDraw
from spinlight.ising.edges import ising_from_edges
from spinlight.ising.enumeration import (
    EnergyHistogram,
    all_states,
    energy_histogram,
    exact_moments,
    exact_probabilities,
    ground_states,
    log_partition,
)
from spinlight.ising.files import (
    ProblemFile,
    cut_value,
    read_biqmac,
    read_json,
    read_npz,
    read_problem,
    read_problem_file,
    read_rudy,
    write_npz,
    write_rudy,
)
from spinlight.ising.kaiwu import ising_from_kaiwu, kaiwu_from_ising, spins_from_kaiwu_rows
from spinlight.ising.partition import LogPartition
from spinlight.ising.problem import Ising
from spinlight.ising.qubo import ising_from_qubo, qubo_from_ising

__all__ = [
    "Clamped",
    "DrawInfo",
    "Draws",
    "EnergyHistogram",
    "Ising",
    "Law",
    "LogPartition",
    "ProblemFile",
    "SupportsDraw",
    "all_states",
    "bits_from_ising",
    "bits_from_spins",
    "clamp",
    "color_sites",
    "cut_value",
    "dimod_from_ising",
    "energy_histogram",
    "exact_moments",
    "exact_probabilities",
    "ground_states",
    "ising_from_bits",
    "ising_from_dimod",
    "ising_from_edges",
    "ising_from_kaiwu",
    "ising_from_qubo",
    "kaiwu_from_ising",
    "log_partition",
    "qubo_from_ising",
    "random_bits",
    "read_biqmac",
    "read_json",
    "read_npz",
    "read_problem",
    "read_problem_file",
    "read_rudy",
    "spins_from_bits",
    "spins_from_kaiwu_rows",
    "write_npz",
    "write_rudy",
]
