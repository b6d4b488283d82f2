"""How data are spread about what a decoder says: log p(x | zeta)."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import positive_integer, positive_number
from spinlight._errors import InvalidDataError, InvalidStateError


class Likelihood(Protocol):
    """p(x | parameters), for parameters that a decoder computes from zeta; a module if it has parameters of its own."""

    def log_probability(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x | parameters) in nats for each row, shape (rows,).

        Args:
            x: data, shape (rows, ...).
            parameters: the decoder's output for the same rows.
        """
        ...

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the mean of x given the parameters, shape (rows, ...)."""
        ...


class BernoulliLikelihood:
    """Independent bits x_i in {0, 1}; the decoder gives their logits.

    log p(x | l) = sum_i x_i l_i - log(1 + e^l_i)

    Intensities between 0 and 1 have no probability under it: binarise them first, by a threshold or one fixed draw.

    Example:
        >>> BernoulliLikelihood().log_probability(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))  # - 2 log 2
        tensor([-1.3863])
    """

    def log_probability(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x | parameters) in nats for each row.

        Args:
            x: 0/1, shape (rows, ...).
            parameters: logits, the shape of x.

        Raises:
            InvalidStateError: parameters of another shape than x.
            InvalidDataError: values other than 0 and 1.
        """
        _require_alike(x, parameters)
        if not bool(((x == 0) | (x == 1)).all()):
            raise InvalidDataError(
                "a Bernoulli likelihood is one of bits, and the data hold other values than 0 and 1; binarise them, as in "
                "(x > threshold).float(), or take a NormalLikelihood"
            )
        terms = -functional.binary_cross_entropy_with_logits(parameters, x.to(parameters), reduction="none")
        return terms.flatten(1).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the probabilities of ones."""
        return torch.sigmoid(parameters)


class NormalLikelihood(nn.Module):
    """Real x_i about the decoder's output m_i, with standard deviations that are parameters of the model.

    log p(x | m) = - sum_i [ (x_i - m_i)^2 / (2 s_i^2) + log s_i + log(2 pi) / 2 ]

    The deviations are learned with the rest; `likelihood.requires_grad_(False)` fixes them where they are.

    Args:
        scale: the standard deviation at first, above 0.
        features: 1 for one deviation that all entries share, or the length of x's last axis for one each.

    Raises:
        InvalidSettingError: a scale that is not above 0, or fewer than one feature.
    """

    def __init__(self, *, scale: float = 1.0, features: int = 1) -> None:
        super().__init__()
        start = math.log(positive_number("scale", scale))
        self.log_scale = nn.Parameter(torch.full((positive_integer("features", features),), start))

    def log_probability(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x | parameters) in nats for each row.

        Args:
            x: real numbers, shape (rows, ...).
            parameters: means, the shape of x.

        Raises:
            InvalidStateError: parameters of another shape than x, or entries that the deviations do not fit.
        """
        _require_alike(x, parameters)
        if len(self.log_scale) not in (1, x.shape[-1]):
            raise InvalidStateError(
                f"the likelihood has {len(self.log_scale)} deviations and rows have {x.shape[-1]} entries"
            )
        scaled = (x - parameters) * (-self.log_scale).exp()
        terms = -0.5 * scaled.square() - self.log_scale - 0.5 * math.log(2 * math.pi)
        return terms.flatten(1).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the means themselves."""
        return parameters


def _require_alike(x: Tensor, parameters: Tensor) -> None:
    if x.shape != parameters.shape or x.ndim < 2:
        raise InvalidStateError(
            f"the decoder must give one number for each entry of the data, of shape (rows, ...); data {tuple(x.shape)}, decoder "
            f"{tuple(parameters.shape)}"
        )
