"""Binary latent variables: relaxations that carry gradients, priors over bits, and the generative models made of them.

`AdversarialTask` needs the extra `train` (lightning), which is imported when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spinlight._checks import require_extra
from spinlight.latent.base import Prior, entropy
from spinlight.latent.bernoulli import BernoulliPrior
from spinlight.latent.bounds import Elbo
from spinlight.latent.likelihoods import BernoulliLikelihood, Likelihood, NormalLikelihood
from spinlight.latent.priors import BoltzmannPrior
from spinlight.latent.qgan import QGAN, AdversarialStep, independent_bits
from spinlight.latent.qvae import QVAE
from spinlight.latent.relaxations.base import Relaxation
from spinlight.latent.relaxations.overlapping import OverlappingExponentials
from spinlight.latent.relaxations.power import PowerFunction
from spinlight.latent.relaxations.spike import SpikeAndExponential
from spinlight.latent.relaxations.straight_through import StraightThrough

if TYPE_CHECKING:
    from spinlight.latent.adversarial import AdversarialTask

__all__ = [
    "QGAN",
    "QVAE",
    "AdversarialStep",
    "AdversarialTask",
    "BernoulliLikelihood",
    "BernoulliPrior",
    "BoltzmannPrior",
    "Elbo",
    "Likelihood",
    "NormalLikelihood",
    "OverlappingExponentials",
    "PowerFunction",
    "Prior",
    "Relaxation",
    "SpikeAndExponential",
    "StraightThrough",
    "entropy",
    "independent_bits",
]


def __getattr__(name: str) -> Any:
    """Import what needs Lightning on first use."""
    if name != "AdversarialTask":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_extra("lightning", "train")
    return import_module("spinlight.latent.adversarial").AdversarialTask
