"""Samplers of Ising problems: one interface, one file per algorithm."""

from spinlight.samplers.annealing import SimulatedAnnealing
from spinlight.samplers.base import ChainState, MarkovChain, Sampler
from spinlight.samplers.bifurcation import LangevinBifurcation, SimulatedBifurcation
from spinlight.samplers.coherent import CoherentIsingMachine, GaussianMoments, TruncatedWigner
from spinlight.samplers.exact import Exact
from spinlight.samplers.feedback import (
    ChaoticAmplitudeControl,
    ChaoticFeedbackControl,
    Feedback,
    SeparatedFeedbackControl,
)
from spinlight.samplers.gibbs import Gibbs
from spinlight.samplers.metropolis import Metropolis
from spinlight.samplers.schedules import CustomSchedule, GeometricSchedule, LinearSchedule, Schedule

__all__ = [
    "ChainState",
    "ChaoticAmplitudeControl",
    "ChaoticFeedbackControl",
    "CoherentIsingMachine",
    "CustomSchedule",
    "Exact",
    "Feedback",
    "GaussianMoments",
    "GeometricSchedule",
    "Gibbs",
    "LangevinBifurcation",
    "LinearSchedule",
    "MarkovChain",
    "Metropolis",
    "Sampler",
    "Schedule",
    "SeparatedFeedbackControl",
    "SimulatedAnnealing",
    "SimulatedBifurcation",
    "TruncatedWigner",
]
