"""Where models meet samplers: the phases of the gradient, log Z, and likelihoods."""

from spinlight.training.drawn_partition import DrawnPartition
from spinlight.training.likelihood import HasFreeEnergy, LogLikelihood, log_likelihood
from spinlight.training.multihistogram import TemperedPartition
from spinlight.training.partition import AnnealedImportance, ExactPartition, HasIsing, ReverseAnnealed
from spinlight.training.phases import (
    ContrastiveDivergence,
    IndependentDraws,
    NegativePhase,
    PersistentContrastiveDivergence,
    complete,
)
from spinlight.training.reverse_likelihood import LikelihoodBound, ReverseAnnealedLikelihood

__all__ = [
    "AnnealedImportance",
    "ContrastiveDivergence",
    "DrawnPartition",
    "ExactPartition",
    "HasFreeEnergy",
    "HasIsing",
    "IndependentDraws",
    "LikelihoodBound",
    "LogLikelihood",
    "NegativePhase",
    "PersistentContrastiveDivergence",
    "ReverseAnnealed",
    "ReverseAnnealedLikelihood",
    "TemperedPartition",
    "complete",
    "log_likelihood",
]
