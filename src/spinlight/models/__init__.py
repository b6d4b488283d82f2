"""Boltzmann machines: ordinary PyTorch modules that know their Ising problem."""

from spinlight.models.base import AbstractBoltzmannMachine, SupportsGibbsStep, TrainableMachine
from spinlight.models.boltzmann import BoltzmannMachine
from spinlight.models.deep import DeepBeliefNetwork
from spinlight.models.gaussian import GaussianBernoulliRBM
from spinlight.models.graphs import grid_edges
from spinlight.models.ranges import Clipped, clip_to_range
from spinlight.models.restricted import RestrictedBoltzmannMachine
from spinlight.models.sparse import SparseBoltzmannMachine

__all__ = [
    "AbstractBoltzmannMachine",
    "BoltzmannMachine",
    "Clipped",
    "DeepBeliefNetwork",
    "GaussianBernoulliRBM",
    "RestrictedBoltzmannMachine",
    "SparseBoltzmannMachine",
    "SupportsGibbsStep",
    "TrainableMachine",
    "clip_to_range",
    "grid_edges",
]
