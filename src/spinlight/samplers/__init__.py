"""Samplers of Ising problems: one interface, one file per algorithm."""

from spinlight.samplers.annealing import SimulatedAnnealing
from spinlight.samplers.base import ChainState, MarkovChain, Sampler
from spinlight.samplers.bifurcation import LangevinBifurcation, SimulatedBifurcation
from spinlight.samplers.coherent import CoherentIsingMachine, GaussianMoments, TruncatedWigner
from spinlight.samplers.diagnostics.comparison import ExactComparison
from spinlight.samplers.diagnostics.diagnosis import Diagnosis, diagnose
from spinlight.samplers.diagnostics.histograms import Histogram
from spinlight.samplers.diagnostics.mixing import Mixing, mixing
from spinlight.samplers.diagnostics.traces import Trace, record
from spinlight.samplers.distributed import Distributed
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
from spinlight.samplers.persistent import Persistent
from spinlight.samplers.quantized import Quantized
from spinlight.samplers.reweighted import Reweighted
from spinlight.samplers.schedules import CustomSchedule, GeometricSchedule, LinearSchedule, Schedule
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
    "Diagnosis",
    "Distributed",
    "EffectiveBeta",
    "EnergyMoments",
    "Exact",
    "ExactComparison",
    "Feedback",
    "GaussianMoments",
    "GeometricSchedule",
    "Gibbs",
    "Histogram",
    "LangevinBifurcation",
    "LinearSchedule",
    "MarkovChain",
    "Metropolis",
    "Mixing",
    "Persistent",
    "PseudoLikelihood",
    "Quantized",
    "Reweighted",
    "Sampler",
    "Schedule",
    "SeparatedFeedbackControl",
    "SimulatedAnnealing",
    "SimulatedBifurcation",
    "TopK",
    "Trace",
    "TruncatedWigner",
    "Unique",
    "diagnose",
    "mixing",
    "record",
]
