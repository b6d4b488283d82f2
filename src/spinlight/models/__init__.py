"""Boltzmann machines: ordinary PyTorch modules that know their Ising problem."""

from spinlight.models.base import AbstractBoltzmannMachine, SupportsGibbsStep
from spinlight.models.boltzmann import BoltzmannMachine
from spinlight.models.gaussian import GaussianBernoulliRBM
from spinlight.models.restricted import RestrictedBoltzmannMachine

__all__ = [
    "AbstractBoltzmannMachine",
    "BoltzmannMachine",
    "GaussianBernoulliRBM",
    "RestrictedBoltzmannMachine",
    "SupportsGibbsStep",
]
