"""Where models meet samplers: the phases of the gradient, and log Z."""

from spinlight.training.centring import CentredGradient
from spinlight.training.partition import AnnealedImportance, ExactPartition, HasIsing, ReverseAnnealed
from spinlight.training.phases import (
    ContrastiveDivergence,
    IndependentDraws,
    NegativePhase,
    PersistentContrastiveDivergence,
    complete,
)

__all__ = [
    "AnnealedImportance",
    "CentredGradient",
    "ContrastiveDivergence",
    "ExactPartition",
    "HasIsing",
    "IndependentDraws",
    "NegativePhase",
    "PersistentContrastiveDivergence",
    "ReverseAnnealed",
    "complete",
]
