"""Samplers of Ising problems: one interface, one file per algorithm."""

from spinlight.samplers.annealing import SimulatedAnnealing
from spinlight.samplers.base import ChainState, MarkovChain, Sampler
from spinlight.samplers.exact import Exact
from spinlight.samplers.gibbs import Gibbs
from spinlight.samplers.metropolis import Metropolis
from spinlight.samplers.schedules import CustomSchedule, GeometricSchedule, LinearSchedule, Schedule

__all__ = [
    "ChainState",
    "CustomSchedule",
    "Exact",
    "GeometricSchedule",
    "Gibbs",
    "LinearSchedule",
    "MarkovChain",
    "Metropolis",
    "Sampler",
    "Schedule",
    "SimulatedAnnealing",
]
