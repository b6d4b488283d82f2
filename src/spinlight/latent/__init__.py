"""Binary latent variables: relaxations that carry gradients, and priors that are Boltzmann machines."""

from spinlight.latent.priors import BoltzmannPrior
from spinlight.latent.relaxations import SpikeAndExponential

__all__ = ["BoltzmannPrior", "SpikeAndExponential"]
