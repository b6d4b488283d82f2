"""A generative adversarial network whose generator is driven by a Boltzmann machine that learns the discriminator's features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import instance, nonnegative_number, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed, uniform
from spinlight.ising import Draws, SupportsDraw
from spinlight.ising.bits import random_bits
from spinlight.models import AbstractBoltzmannMachine, BoltzmannMachine
from spinlight.models.base import equal_rows
from spinlight.samplers import Gibbs
from spinlight.training import NegativePhase, complete

Smoothing = Callable[[Tensor, Tensor], Tensor]
"""Of bits and of noise in [0, 1), both of shape (rows, units): what the generator sees. A relaxation's `smooth` is one."""


class QGAN(nn.Module):
    """An associative adversarial network: x = G(z), z ~ p(z) = exp(-E(z)) / Z, where the machine learns the law of D's features.

    D(x) = head(features(x)),  q(z | x) = prod_i Bernoulli(z_i; sigmoid(l_i(x))),  l = readout(features(x))

    Three losses, each of which reaches the parameters that are named and no others:

    discriminator (features, head):  <softplus(-D(x))>_data + <softplus(D(G(z)))>_machine + (gamma / 2) <|dD/dx|^2>_data
    generator (generator):           <softplus(-D(G(z)))>_machine
    associative (prior, readout):    - <log p(z)>_{x ~ data, z ~ q(z | x)} - <log q(z | G(z))>_machine

    The machine so comes to hold the codes that images of the data have, and the generator is not asked for images of the codes
    that they do not have. Without a readout the features themselves are the logits l, the network of the papers. With one, l
    learns to recover the codes that made an image, so that codes mean to the machine what they mean to the generator; it
    reads the features and does not change them, so that the game is the same with every prior.

    A plain module: every part is any torch module, and training any optimisers'. `AdversarialTask` does it under Lightning.

    Args:
        generator: zeta, shape (rows, units), to rows like the data.
        features: data to features, shape (rows, width).
        head: features to one number for each row, the log odds that it is real.
        prior: its visible units are the bits of the generator's input; `independent_bits` for the control.
        readout: features to logits l, shape (rows, units); None: the features are the logits, and width is the number of units.
        smoothing: turns bits into zeta, such as `OverlappingExponentials().smooth`; None: zeta is the bits, 0 and 1.
        hidden_sampler: draws the prior's hidden units given its visible ones, for machines that cannot sum them out; `Gibbs` with
            20 sweeps by default.

    Raises:
        InvalidSettingError: a part that is not what it must be.

    References:
        Arici & Celikyilmaz (2016), Associative adversarial networks, arXiv 1611.06953 (without a readout, the features squashed
        by a sigmoid before the head too); Wilson, Vandal, Hogg & Rieffel (2021), Quantum-assisted associative adversarial
        network, Quantum Machine Intelligence 3, 19 (machines of several graphs); Chen, Duan, Houthooft, Schulman, Sutskever &
        Abbeel (2016), InfoGAN (log q(z | G(z)), there for the generator too); Mescheder, Geiger & Nowozin (2018), Which training
        methods for GANs do actually converge? (the penalty).

    Example:
        >>> from spinlight.training import PersistentContrastiveDivergence
        >>> _ = torch.manual_seed(0)
        >>> qgan = QGAN(nn.Linear(3, 2), nn.Linear(2, 8), nn.Linear(8, 1), BoltzmannMachine(3), readout=nn.Linear(8, 3))
        >>> negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=64, seed=0)
        >>> step = qgan.step(torch.rand(32, 2), negatives)
        >>> step.generator_loss().backward()
        >>> qgan.generate(5, seed=1).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        generator: nn.Module,
        features: nn.Module,
        head: nn.Module,
        prior: AbstractBoltzmannMachine,
        *,
        readout: nn.Module | None = None,
        smoothing: Smoothing | None = None,
        hidden_sampler: SupportsDraw | None = None,
    ) -> None:
        super().__init__()
        self.generator = instance("generator", generator, nn.Module, "a torch module")
        self.features = instance("features", features, nn.Module, "a torch module")
        self.head = instance("head", head, nn.Module, "a torch module")
        self.prior = instance(
            "prior", prior, AbstractBoltzmannMachine, "a Boltzmann machine itself, such as BoltzmannMachine(units)"
        )
        self.readout = None if readout is None else instance("readout", readout, nn.Module, "a torch module")
        if smoothing is not None and (isinstance(smoothing, type) or not callable(smoothing)):
            raise InvalidSettingError(
                f"smoothing must be a function of bits and noise, such as OverlappingExponentials().smooth, got {smoothing!r}"
            )
        self.smoothing = smoothing
        self.hidden_sampler = Gibbs(sweeps=20, progress=False) if hidden_sampler is None else hidden_sampler

    @property
    def units(self) -> int:
        """The number of bits of the generator's input."""
        return self.prior.num_visible

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of features and head."""
        return [*self.features.parameters(), *self.head.parameters()]

    def associative_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of prior and readout."""
        return [*self.prior.parameters(), *([] if self.readout is None else self.readout.parameters())]

    def forward(self, x: Tensor) -> Tensor:
        """Return the discriminator's log odds that rows are real, shape (rows,)."""
        return self._score(self.features(x))

    def logits(self, x: Tensor) -> Tensor:
        """Return l(x), the log odds of the bits of each row, shape (rows, units).

        Raises:
            InvalidStateError: logits of another shape, infinite or NaN.
        """
        return self._logits(self.features(x))

    def step(self, x: Tensor, negatives: NegativePhase) -> AdversarialStep:
        """Return what one step of training takes: bits of the data's features, and codes from the machine, which moves on.

        Descend `discriminator_loss()`, then `generator_loss()`, then `associative_loss()`.

        Args:
            x: data, shape (rows, ...).
            negatives: samples of the prior, at least as many as rows; the same object at every step, and the source of every
                random number of the step. The generator gets some of them, no one twice.

        Raises:
            InvalidStateError: fewer negatives than rows, or logits of the wrong shape, infinite or NaN.
        """
        with torch.no_grad():
            bits = random_bits(self.logits(x), negatives.next_seed())
        positive = complete(self.prior, bits, self.hidden_sampler, seed=negatives.next_seed())
        negative = negatives.negative(self.prior, bits)
        seed = negatives.next_seed()
        codes = self._some(negative, len(x), derive_seed(seed, 0)).to(bits)
        return AdversarialStep(self, x, positive, negative, codes, self._smoothed(codes, derive_seed(seed, 1)))

    @torch.no_grad()
    def generate(self, count: int, *, sampler: SupportsDraw | None = None, seed: Seed = None) -> Tensor:
        """Return new rows, G(zeta) for samples of the prior; the networks are used in the mode they are in.

        Args:
            count: rows, at least 1.
            sampler: draws of the prior at beta = 1; `Gibbs` with 500 sweeps by default.
            seed: integer, generator, or None for fresh entropy.

        Law:
            that of the sampler.

        Raises:
            InvalidSettingError: an impossible count or seed, no sampler, or one at another beta than 1.
        """
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        source = Gibbs(sweeps=500, progress=False) if sampler is None else sampler
        bits = self.prior.sample(source, count, seed=derive_seed(resolved, 0))[:, : self.units]
        like = next(self.generator.parameters())
        rows: Tensor = self.generator(self._smoothed(bits.to(like), derive_seed(resolved, 1)))
        return rows

    def _some(self, negative: Tensor | Draws, count: int, seed: int) -> Tensor:
        """Return the visible units of some negatives, none taken twice; weighted draws are resampled by their weights first."""
        if len(negative) < count:
            raise InvalidStateError(
                f"{count} rows of data need as many negatives, and there are {len(negative)}; take more chains, or smaller batches"
            )
        rows = equal_rows(negative, len(negative), derive_seed(seed, 0)) if isinstance(negative, Draws) else negative
        picks = uniform(derive_seed(seed, 1), len(rows)).argsort()[:count]
        return rows[picks.to(rows.device), : self.units]

    def _smoothed(self, bits: Tensor, seed: int) -> Tensor:
        if self.smoothing is None:
            return bits
        return self.smoothing(bits, uniform(seed, *bits.shape).to(bits))

    def _score(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(features)
        if scores.numel() != len(features):
            raise InvalidStateError(
                f"the head must give one number for each of {len(features)} rows, got {tuple(scores.shape)}"
            )
        return scores.flatten()

    def _logits(self, features: Tensor) -> Tensor:
        logits = features if self.readout is None else self.readout(features)
        if logits.shape != (len(features), self.units):
            raise InvalidStateError(
                f"the {'features' if self.readout is None else 'readout'} must give {self.units} logits for each of "
                f"{len(features)} rows, one per visible unit of the prior; got {tuple(logits.shape)}"
            )
        if not bool(logits.isfinite().all()):
            raise InvalidStateError("logits hold NaN or infinity; is the learning rate too high?")
        return logits


@dataclass(frozen=True, eq=False)
class AdversarialStep:
    """What one step of training a `QGAN` takes, and its three losses.

    Args:
        qgan: the network.
        x: data, shape (rows, ...).
        positive: bits of the data's features, with hidden units where the prior needs them.
        negative: samples of the prior.
        codes: bits of the generator's input, from the negatives, shape (rows, units).
        zeta: the codes, smoothed, shape (rows, units).
    """

    qgan: QGAN
    x: Tensor
    positive: Tensor | Draws
    negative: Tensor | Draws
    codes: Tensor
    zeta: Tensor

    def discriminator_loss(self, penalty: float = 5.0) -> Tensor:
        """Return <softplus(-D(x))> + <softplus(D(G(zeta)))> + (penalty / 2) <|dD/dx|^2>, over the data in the first and the last.

        Args:
            penalty: gamma, at least 0. At 0 the loss costs half as much; every fourth step with four times the penalty does as well.

        Raises:
            InvalidSettingError: a negative penalty.
            InvalidStateError: a head that does not give one number for each row.
        """
        weight = nonnegative_number("penalty", penalty)
        x = self.x.detach().requires_grad_(weight > 0)
        with torch.no_grad():
            generated = self.qgan.generator(self.zeta)
        real = self.qgan(x)
        loss = functional.softplus(-real).mean() + functional.softplus(self.qgan(generated)).mean()
        if not weight:
            return loss
        (slopes,) = torch.autograd.grad(real.sum(), x, create_graph=True)
        return loss + weight / 2 * slopes.square().flatten(1).sum(1).mean()

    def generator_loss(self) -> Tensor:
        """Return <softplus(-D(G(zeta)))>, the non-saturating loss."""
        with _held(self.qgan.features, self.qgan.head):
            return functional.softplus(-self.qgan(self.qgan.generator(self.zeta))).mean()

    def associative_loss(self) -> Tensor:
        """Return the prior's objective, less <log q(z | G(zeta))> per row where there is a readout.

        The first part is a scalar whose gradient is that of the negative log-likelihood; its value is no likelihood. The features
        of generated rows are those of the parameters as they are now.
        """
        objective = self.qgan.prior.objective(self.positive, self.negative)
        if self.qgan.readout is None:
            return objective
        with torch.no_grad():
            features = self.qgan.features(self.qgan.generator(self.zeta))
        missed = functional.binary_cross_entropy_with_logits(self.qgan._logits(features), self.codes, reduction="none")
        return objective + missed.sum(-1).mean()


def independent_bits(units: int, *, learned: bool = True) -> BoltzmannMachine:
    """Return the control of a `QGAN`'s prior: a Boltzmann machine whose couplings are zero and stay so.

    p(z) = prod_i Bernoulli(z_i; sigmoid(b_i))

    Everything else about the network, its training and its sampling is the same; one Gibbs sweep draws such bits exactly.

    Args:
        units: bits, at least 1.
        learned: whether the biases follow the means of the features, as those of a machine do, so that only correlations differ; or
            stay at zero, fair coins: the noise of an ordinary adversarial network, and of the most entropy.

    Raises:
        InvalidSettingError: fewer than one bit.

    Example:
        >>> control = independent_bits(3)
        >>> control.biases.requires_grad, control.pair_weights.requires_grad, control.pair_weights.abs().max().item()
        (True, False, 0.0)
    """
    machine = BoltzmannMachine(units, initial_scale=0.0)
    machine.pair_weights.requires_grad_(False)
    machine.biases.requires_grad_(learned)
    return machine


@contextmanager
def _held(*modules: nn.Module) -> Iterator[None]:
    """Build graphs that end at the parameters of some modules."""
    parameters = [part for module in modules for part in module.parameters() if part.requires_grad]
    for part in parameters:
        part.requires_grad_(False)
    try:
        yield
    finally:
        for part in parameters:
            part.requires_grad_(True)
