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
from spinlight.samplers.filtered import TopK, Unique
from spinlight.samplers.gibbs import Gibbs
from spinlight.samplers.metropolis import Metropolis
from spinlight.samplers.quantized import Quantized
from spinlight.samplers.reweighted import Reweighted
from spinlight.samplers.schedules import (
    CustomSchedule,
    GeometricSchedule,
    LinearSchedule,
    QuenchedSchedule,
    Schedule,
)
from spinlight.samplers.solving import InterruptedSolveError, Solution, solve
from spinlight.samplers.strategies import Repeated, Restarts, Strategy
from spinlight.samplers.temperature import (
    BetaEstimator,
    ConditionalMeans,
    EffectiveBeta,
    EnergyMoments,
    PseudoLikelihood,
)

__all__ = [
    "BetaEstimator",
    "ChainState",
    "ChaoticAmplitudeControl",
    "ChaoticFeedbackControl",
    "CoherentIsingMachine",
    "ConditionalMeans",
    "CustomSchedule",
    "EffectiveBeta",
    "EnergyMoments",
    "Exact",
    "Feedback",
    "GaussianMoments",
    "GeometricSchedule",
    "Gibbs",
    "InterruptedSolveError",
    "LangevinBifurcation",
    "LinearSchedule",
    "MarkovChain",
    "Metropolis",
    "PseudoLikelihood",
    "Quantized",
    "QuenchedSchedule",
    "Repeated",
    "Restarts",
    "Reweighted",
    "Sampler",
    "Schedule",
    "SeparatedFeedbackControl",
    "SimulatedAnnealing",
    "SimulatedBifurcation",
    "Solution",
    "Strategy",
    "TopK",
    "TruncatedWigner",
    "Unique",
    "solve",
]
