"""A variational autoencoder of binary latents under any prior, and true bounds on its likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import instance, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed, uniform
from spinlight.ising import SupportsDraw
from spinlight.latent.base import Prior
from spinlight.latent.bounds import Elbo
from spinlight.latent.likelihoods import BernoulliLikelihood, Likelihood
from spinlight.latent.relaxations.base import Relaxation
from spinlight.latent.relaxations.spike import SpikeAndExponential
from spinlight.training import ImportanceWeightedBound

Representation = Literal["probabilities", "bits", "logits"]


class QVAE(nn.Module):
    """A variational autoencoder with latent bits: p(x) = sum_z p(z) int r(zeta | z) p(x | zeta) dzeta.

    ELBO = E_q[log p(x | zeta)] - KL(q(z | x) || p(z)) <= log p(x),  q(z | x) = prod_i Bernoulli(z_i; sigmoid(l_i(x)))

    A plain module. One step of training is `loss = qvae.training_loss(x)`, then backward and a step of any optimiser; give the
    prior's parameters a group of their own where their learning rate shall differ.

    Args:
        encoder: data to logits l, shape (rows, prior.units).
        decoder: zeta, shape (rows, prior.units), to what the likelihood takes.
        prior: over the latent bits: `BoltzmannPrior`, `BernoulliPrior`, or another `Prior`.
        relaxation: r(zeta | z); `SpikeAndExponential()` by default.
        likelihood: of the data given the decoder's output; `BernoulliLikelihood()` by default.

    Raises:
        InvalidSettingError: a part that is not what it must be.

    References:
        Rolfe, "Discrete variational autoencoders", ICLR 2017; Burda, Grosse & Salakhutdinov, "Importance weighted
        autoencoders", ICLR 2016 (the bound with k samples).

    Example:
        >>> from spinlight.latent import BernoulliPrior
        >>> qvae = QVAE(nn.Linear(6, 3), nn.Linear(3, 6), BernoulliPrior(3))
        >>> x = torch.tensor([[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]])
        >>> qvae.training_loss(x).backward()
        >>> bool(qvae.importance_weighted_bound(x, draws=1000, seed=1).value < 0)
        True
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: Prior,
        *,
        relaxation: Relaxation | None = None,
        likelihood: Likelihood | None = None,
    ) -> None:
        super().__init__()
        self.encoder = instance("encoder", encoder, nn.Module, "a torch module")
        self.decoder = instance("decoder", decoder, nn.Module, "a torch module")
        self.prior = instance("prior", prior, Prior, "a prior such as BernoulliPrior(units)")
        smoothing = SpikeAndExponential() if relaxation is None else relaxation
        self.relaxation = instance("relaxation", smoothing, Relaxation, "a relaxation such as SpikeAndExponential()")
        self.likelihood: Likelihood = BernoulliLikelihood() if likelihood is None else likelihood
        for name in ("log_probability", "mean"):
            if isinstance(likelihood, type) or not callable(getattr(self.likelihood, name, None)):
                raise InvalidSettingError(
                    f"likelihood must have a method {name}, as BernoulliLikelihood(), got {likelihood!r}"
                )

    def forward(self, x: Tensor) -> Elbo:
        """Return `elbo(x)`."""
        return self.elbo(x)

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> Elbo:
        """Return the ELBO of each row from one draw of zeta, with gradients for every part of the model.

        Args:
            x: data, shape (rows, ...).
            generator: where zeta's noise comes from; torch's global state by default.

        Law:
            unbiased, but for the error of log Z, which all rows share; `prior.log_partition` has it. Gradients are unbiased but
            for that of `StraightThrough` and for the prior's own, whose chains must keep up.

        Raises:
            InvalidStateError: an encoder's output that is not (rows, units) finite logits, or a decoder's that does not fit.
        """
        logits = self.encode(x)
        divergence = self.prior.kl_divergence(logits)
        zeta = self.relaxation.sample(torch.sigmoid(logits), generator=generator)
        return Elbo(self.likelihood.log_probability(x, self.decode(zeta)), divergence)

    def training_loss(self, x: Tensor, *, kl_weight: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Move the prior's negatives on and return the loss of one step: `prior.advance()`, then `elbo(x).loss(kl_weight)`.

        Args:
            x: data, shape (rows, ...).
            kl_weight: at least 0; see `Elbo.loss`.
            generator: as of `elbo`.
        """
        self.prior.advance()
        return self.elbo(x, generator=generator).loss(kl_weight)

    @torch.no_grad()
    def importance_weighted_bound(
        self, x: Tensor, *, draws: int = 100, seed: Seed = None, chunk: int = 4096
    ) -> ImportanceWeightedBound:
        """Return a lower bound on the mean log p(x) that rises to it with the number of draws.

        L_k = log (1/k) sum_i p(x | zeta_i) p(z_i) / q(z_i | x),  z_i ~ q(z | x),  zeta_i ~ r(zeta | z_i)

        r is in the model and in the proposal, and cancels. L_1 is the ELBO in expectation, and L_k <= L_(k+1) <= log p(x). The
        networks are used as after `eval()`, and left in the mode they were in. log Z enters once, as `prior.log_partition` has it:
        after training, call `prior.estimate()` first.

        Args:
            x: data, shape (rows, ...).
            draws: k, at least 1.
            seed: integer, generator, or None for fresh entropy.
            chunk: rows that the decoder gets at once: the measure of memory.

        Law:
            a lower bound in expectation, given log Z. A log Z that is too low makes it too high by as much: `pessimistic` allows
            for twice its standard error.

        Raises:
            InvalidSettingError: draws or chunk below 1, or an impossible seed.
            InvalidStateError: as `elbo`.

        Cost:
            draws * rows passes of the decoder, and one of the encoder.
        """
        draws, chunk = positive_integer("draws", draws), positive_integer("chunk", chunk)
        if not len(x):
            raise InvalidStateError("there are no rows to bound the likelihood of")
        generator = torch.Generator(x.device).manual_seed(resolve_seed(seed))
        known = self.prior.log_partition
        with _evaluating(self):
            parts = [self._log_mean_weight(rows, draws, chunk, generator) for rows in x.split(chunk)]
        values = torch.cat(parts).cpu() - known.value
        return ImportanceWeightedBound(values, known.standard_error, known.method, draws)

    def _log_mean_weight(self, x: Tensor, draws: int, chunk: int, generator: torch.Generator) -> Tensor:
        """Return the bound of each row but for log Z, float64, a number of samples at a time."""
        logits, most = self.encode(x), max(1, chunk // len(x))
        total = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
        for first in range(0, draws, most):
            weights = self._log_weights(x, logits, min(most, draws - first), generator)
            total = torch.logaddexp(total, torch.logsumexp(weights, 0))
        return total - math.log(draws)

    def _log_weights(self, x: Tensor, logits: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Return log p(x | zeta) - E(z) - log q(z | x) of `count` draws for each row, float64, shape (count, rows)."""
        exact = logits.to(torch.float64).expand(count, *logits.shape)
        # float64: noise in steps of 2^-24 would draw a rare bit more often than log q says.
        noise = torch.rand(exact.shape, generator=generator, dtype=torch.float64, device=exact.device)
        bits = (noise < torch.sigmoid(exact)).to(exact)
        log_q = -functional.softplus((1 - 2 * bits) * exact).sum(-1)
        again = torch.rand(exact.shape, generator=generator, dtype=logits.dtype, device=logits.device)
        zeta = self.relaxation.smooth(bits, again)
        data = x.expand(count, *x.shape).flatten(0, 1)
        log_p = self.likelihood.log_probability(data, self.decode(zeta.flatten(0, 1)))
        return log_p.to(exact).reshape(count, len(x)) - self.prior.energy(bits).to(exact) - log_q

    def encode(self, x: Tensor) -> Tensor:
        """Return the posterior's logits log(q / (1 - q)), shape (rows, units), in single precision at least.

        Raises:
            InvalidStateError: an encoder's output of another shape, or that is NaN.
        """
        logits: Tensor = self.encoder(x)
        if logits.shape != (len(x), self.prior.units):
            raise InvalidStateError(
                f"the encoder must give {self.prior.units} logits for each of {len(x)} rows, got shape {tuple(logits.shape)}"
            )
        if bool(logits.isnan().any()):
            raise InvalidStateError("the encoder's logits are NaN; is the learning rate too high, or are the data?")
        # Half precision has no numbers between 1 - 2^-8 (bfloat16) and 1: probabilities near 1 would be 1.
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def decode(self, zeta: Tensor) -> Tensor:
        """Return the likelihood's parameters for smoothed bits, shape (rows, ...)."""
        parameters: Tensor = self.decoder(zeta)
        return parameters

    @torch.no_grad()
    def represent(self, x: Tensor, representation: Representation = "probabilities") -> Tensor:
        """Return what the encoder says of each row's bits, shape (rows, units).

        The networks are used as after `eval()`, and left in the mode they were in: what a row is does not hang on the rows beside it.

        Args:
            x: data, shape (rows, ...).
            representation: "probabilities" q in [0, 1]; "bits", 1 where q > 1/2; or "logits" log(q / (1 - q)).

        Raises:
            InvalidSettingError: another representation.
        """
        convert = _CONVERSIONS.get(representation)
        if convert is None:
            raise InvalidSettingError(
                f"representation must be one of {', '.join(_CONVERSIONS)}, got {representation!r}"
            )
        with _evaluating(self):
            return convert(self.encode(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor, *, seed: Seed = None) -> Tensor:
        """Return the mean of p(x' | zeta) for one draw zeta ~ q(zeta | x) of each row; networks as of `represent`.

        Args:
            x: data, shape (rows, ...).
            seed: integer, generator, or None for fresh entropy.

        Raises:
            InvalidSettingError: an impossible seed.
            InvalidStateError: as `encode`.
        """
        resolved = resolve_seed(seed)
        with _evaluating(self):
            q = torch.sigmoid(self.encode(x))
            zeta = self.relaxation.sample(q, generator=torch.Generator(q.device).manual_seed(resolved))
            return self.likelihood.mean(self.decode(zeta))

    @torch.no_grad()
    def generate(self, count: int, *, sampler: SupportsDraw | None = None, seed: Seed = None) -> Tensor:
        """Return means of p(x | zeta) for new rows: bits of the prior, smoothed, decoded; shape (count, ...).

        Networks as of `represent`.

        Args:
            count: rows, at least 1.
            sampler: of the prior's bits, at beta = 1; the prior's own way by default.
            seed: integer, generator, or None for fresh entropy.

        Law:
            that of the prior's bits.

        Raises:
            InvalidSettingError: an impossible count or seed, no sampler, or one at another beta than 1.
        """
        resolved, like = resolve_seed(seed), next(self.parameters())
        bits = self.prior.sample(count, sampler=sampler, seed=derive_seed(resolved, 0)).to(like.device)
        noise = uniform(derive_seed(resolved, 1), *bits.shape).to(like)
        with _evaluating(self):
            return self.likelihood.mean(self.decode(self.relaxation.smooth(bits, noise)))


_CONVERSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilities": torch.sigmoid,
    "bits": lambda logits: (logits > 0).to(logits.dtype),
    "logits": lambda logits: logits,
}


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Hold a module and all its parts in evaluation mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
