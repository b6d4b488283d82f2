"""Samplers of Ising problems: one interface, one file per algorithm."""

from spinlight.samplers.annealing import SimulatedAnnealing
from spinlight.samplers.base import ChainState, MarkovChain, Sampler
from spinlight.samplers.bifurcation import LangevinBifurcation, SimulatedBifurcation
from spinlight.samplers.calibrated import Calibrated
from spinlight.samplers.coherent import CoherentIsingMachine, GaussianMoments, TruncatedWigner
from spinlight.samplers.diagnostics.comparison import ExactComparison
from spinlight.samplers.diagnostics.diagnosis import Diagnosis, diagnose
from spinlight.samplers.diagnostics.histograms import Histogram
from spinlight.samplers.diagnostics.mixing import Mixing, mixing
from spinlight.samplers.diagnostics.traces import Trace, record
from spinlight.samplers.dimod import DimodSampler, as_dimod
from spinlight.samplers.distributed import Distributed
from spinlight.samplers.exact import Exact
from spinlight.samplers.feedback import (
    ChaoticAmplitudeControl,
    ChaoticFeedbackControl,
    Feedback,
    SeparatedFeedbackControl,
    UncorrectedFeedback,
)
from spinlight.samplers.filtered import TopK, Unique
from spinlight.samplers.gibbs import Gibbs
from spinlight.samplers.kaiwu import AsSolver, SolveSampler
from spinlight.samplers.metropolis import Metropolis
from spinlight.samplers.persistent import Persistent
from spinlight.samplers.population import PopulationAnnealing
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
from spinlight.samplers.tempering import LadderState, ParallelTempering, independent_fields

__all__ = [
    "AsSolver",
    "BetaEstimator",
    "Calibrated",
    "ChainState",
    "ChaoticAmplitudeControl",
    "ChaoticFeedbackControl",
    "CoherentIsingMachine",
    "ConditionalMeans",
    "CustomSchedule",
    "Diagnosis",
    "DimodSampler",
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
    "InterruptedSolveError",
    "LadderState",
    "LangevinBifurcation",
    "LinearSchedule",
    "MarkovChain",
    "Metropolis",
    "Mixing",
    "ParallelTempering",
    "Persistent",
    "PopulationAnnealing",
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
    "SolveSampler",
    "Strategy",
    "TopK",
    "Trace",
    "TruncatedWigner",
    "UncorrectedFeedback",
    "Unique",
    "as_dimod",
    "diagnose",
    "independent_fields",
    "mixing",
    "record",
    "solve",
]
