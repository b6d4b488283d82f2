"""Binary latent variables: relaxations that carry gradients, priors over bits, and the variational autoencoder made of them."""

from spinlight.latent.base import Prior, entropy
from spinlight.latent.bernoulli import BernoulliPrior
from spinlight.latent.bounds import Elbo, ImportanceWeightedBound
from spinlight.latent.likelihoods import BernoulliLikelihood, Likelihood, NormalLikelihood
from spinlight.latent.priors import BoltzmannPrior
from spinlight.latent.qvae import QVAE
from spinlight.latent.relaxations.base import Relaxation
from spinlight.latent.relaxations.overlapping import OverlappingExponentials
from spinlight.latent.relaxations.power import PowerFunction
from spinlight.latent.relaxations.spike import SpikeAndExponential
from spinlight.latent.relaxations.straight_through import StraightThrough

__all__ = [
    "QVAE",
    "BernoulliLikelihood",
    "BernoulliPrior",
    "BoltzmannPrior",
    "Elbo",
    "ImportanceWeightedBound",
    "Likelihood",
    "NormalLikelihood",
    "OverlappingExponentials",
    "PowerFunction",
    "Prior",
    "Relaxation",
    "SpikeAndExponential",
    "StraightThrough",
    "entropy",
]
