"""What every relaxation is: the inverse distribution function of a smoothed bit."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from spinlight._checks import instance
from spinlight._errors import InvalidStateError

_EDGE = 1e-6
"""Distance that q keeps from 0 and 1: gradients with respect to q grow as 1/q, and noise in steps of 2^-24 hardly sees less."""


class Relaxation(ABC):
    """A bit z ~ Bernoulli(q) and its stand-in zeta ~ r(zeta | z), which a decoder sees and gradients pass.

    q(zeta) = (1 - q) r(zeta | 0) + q r(zeta | 1) = the law of F^-1(rho),  rho ~ U(0, 1)

    Posterior and prior share r, so it leaves their divergence alone, KL(q(z, zeta) || p(z, zeta)) = KL(q(z) || p(z)), and

    log p(x) >= E_q[log p(x | zeta)] - KL(q(z | x) || p(z))

    is a true bound on the likelihood of the model p(z) r(zeta | z) p(x | zeta), whatever r. Another relaxation is a class that
    derives from this one and has the two abstract methods.
    """

    def __call__(self, probabilities: Tensor, noise: Tensor) -> Tensor:
        """Return zeta = F^-1(noise), differentiable in the probabilities and rising with the noise.

        Args:
            probabilities: q, in [0, 1], any shape; clamped to [1e-6, 1 - 1e-6], where the gradient is zero.
            noise: rho, in [0, 1], a shape that broadcasts with q's.

        Returns:
            zeta in [0, 1], the broadcast shape; in half precision it is rounded, and only its last step.

        Raises:
            InvalidStateError: a probability or noise outside [0, 1], or NaN.
        """
        if not _within_unit(probabilities):
            raise InvalidStateError("probabilities must lie in [0, 1]; from logits take torch.sigmoid first")
        _require_noise(noise)
        kind = torch.promote_types(probabilities.dtype, noise.dtype)
        q, rho = (part.to(torch.promote_types(kind, torch.float32)) for part in (probabilities, noise))
        return self._marginal(q.clamp(_EDGE, 1 - _EDGE), rho).to(kind)

    def sample(self, probabilities: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return one zeta for each probability.

        Args:
            probabilities: q, in [0, 1], any shape.
            generator: where the noise comes from; torch's global state by default, as in `torch.rand`.

        Law:
            exact; entries are independent.

        Raises:
            InvalidStateError: a probability outside [0, 1], or NaN.
            InvalidSettingError: a generator that is none, such as a number.
        """
        if generator is not None:
            instance("generator", generator, torch.Generator, "a torch.Generator, or None for torch's global state")
        noise = torch.rand(
            probabilities.shape, generator=generator, dtype=probabilities.dtype, device=probabilities.device
        )
        return self(probabilities, noise)

    def smooth(self, bits: Tensor, noise: Tensor) -> Tensor:
        """Return zeta ~ r(zeta | z) for given bits: how a sample of the prior reaches the decoder.

        Args:
            bits: z, 0 or 1, any shape.
            noise: in [0, 1], a shape that broadcasts with that of the bits.

        Returns:
            zeta in [0, 1], the broadcast shape, in the noise's dtype.

        Raises:
            InvalidStateError: bits other than 0 and 1, or noise outside [0, 1].
        """
        _require_noise(noise)
        if not bool(((bits == 0) | (bits == 1)).all()):
            raise InvalidStateError("bits must be 0 or 1; probabilities are smoothed by calling the relaxation itself")
        return self._conditional(bits.to(noise), noise)

    @abstractmethod
    def _marginal(self, q: Tensor, rho: Tensor) -> Tensor:
        """Return F^-1(rho) of the mixture, for q inside (0, 1)."""

    @abstractmethod
    def _conditional(self, bits: Tensor, rho: Tensor) -> Tensor:
        """Return the inverse distribution function of r(zeta | z) at rho; bits are floats."""


def _require_noise(noise: Tensor) -> None:
    if not _within_unit(noise):
        raise InvalidStateError("noise must lie in [0, 1], as torch.rand draws it")


def _within_unit(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())
