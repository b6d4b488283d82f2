"""The Ising problem, its conversions, its files and its exact answers."""

from spinlight.ising.bits import bits_from_ising, bits_from_spins, ising_from_bits, spins_from_bits
from spinlight.ising.clamping import Clamped, clamp
from spinlight.ising.draws import DrawInfo, Draws, Law, SupportsDraw
from spinlight.ising.log_partition import LogPartition
from spinlight.ising.problem import Ising

__all__ = [
    "Clamped",
    "DrawInfo",
    "Draws",
    "Ising",
    "Law",
    "LogPartition",
    "SupportsDraw",
    "bits_from_ising",
    "bits_from_spins",
    "clamp",
    "ising_from_bits",
    "spins_from_bits",
]
