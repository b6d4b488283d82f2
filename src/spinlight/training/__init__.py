"""Where models meet samplers: the phases of the gradient, log Z, and training with Lightning.

`EnergyTask` and the monitors (lightning) and the scikit-learn estimators need the extra `train`, which is imported when one of these
names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spinlight._checks import require_extra
from spinlight.training.batches import Batches
from spinlight.training.centring import CentredGradient
from spinlight.training.contrastive import ContrastiveDivergence, PersistentContrastiveDivergence
from spinlight.training.deep import UpDown, likelihood_bound, pretrain
from spinlight.training.descent import Descent
from spinlight.training.drawn_partition import DrawnPartition
from spinlight.training.likelihood import (
    ImportanceWeightedBound,
    LogLikelihood,
    SupportsFreeEnergy,
    log_likelihood,
)
from spinlight.training.multihistogram import TemperedPartition
from spinlight.training.partition import (
    AnnealedImportance,
    ExactPartition,
    PartitionEstimator,
    ReverseAnnealed,
    SupportsIsing,
)
from spinlight.training.phases import IndependentDraws, NegativePhase, complete
from spinlight.training.reuse import ReusedDraws
from spinlight.training.reverse_likelihood import ReverseAnnealedBound, ReverseAnnealedLikelihood

if TYPE_CHECKING:
    from spinlight.training.fit import FittedMachine, fit_machine
    from spinlight.training.interrupts import InterruptedFitError
    from spinlight.training.monitors import GradientMonitor, LikelihoodMonitor
    from spinlight.training.rows_module import RowsDataModule
    from spinlight.training.sklearn import DeepBeliefClassifier, DeepBeliefTransformer
    from spinlight.training.task import EnergyTask, linear_decay

_HOMES = {
    "DeepBeliefClassifier": ("spinlight.training.sklearn", "sklearn"),
    "DeepBeliefTransformer": ("spinlight.training.sklearn", "sklearn"),
    "EnergyTask": ("spinlight.training.task", "lightning"),
    "GradientMonitor": ("spinlight.training.monitors", "lightning"),
    "LikelihoodMonitor": ("spinlight.training.monitors", "lightning"),
    "linear_decay": ("spinlight.training.task", "lightning"),
    "FittedMachine": ("spinlight.training.fit", "lightning"),
    "InterruptedFitError": ("spinlight.training.interrupts", "lightning"),
    "RowsDataModule": ("spinlight.training.rows_module", "lightning"),
    "fit_machine": ("spinlight.training.fit", "lightning"),
}
"""Where the names are that need the extra `train`, and what of it they need."""

__all__ = [
    "AnnealedImportance",
    "Batches",
    "CentredGradient",
    "ContrastiveDivergence",
    "DeepBeliefClassifier",
    "DeepBeliefTransformer",
    "Descent",
    "DrawnPartition",
    "EnergyTask",
    "ExactPartition",
    "FittedMachine",
    "GradientMonitor",
    "ImportanceWeightedBound",
    "IndependentDraws",
    "InterruptedFitError",
    "LikelihoodMonitor",
    "LogLikelihood",
    "NegativePhase",
    "PartitionEstimator",
    "PersistentContrastiveDivergence",
    "ReusedDraws",
    "ReverseAnnealed",
    "ReverseAnnealedBound",
    "ReverseAnnealedLikelihood",
    "RowsDataModule",
    "SupportsFreeEnergy",
    "SupportsIsing",
    "TemperedPartition",
    "UpDown",
    "complete",
    "fit_machine",
    "likelihood_bound",
    "linear_decay",
    "log_likelihood",
    "pretrain",
]


def __getattr__(name: str) -> Any:
    """Import the module of a name that needs Lightning or scikit-learn on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, needed = _HOMES[name]
    require_extra(needed, "train")
    return getattr(import_module(home), name)
