"""A plain loop that makes a loss small: batches, an optimiser, a rate that falls to zero, and means of the parameters on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spinlight._checks import fraction, nonnegative_integer, positive_integer
from spinlight._progress import progress_bar
from spinlight._random import Seed
from spinlight.training.batches import Batches, Draw


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How parameters follow the gradient of a loss: for how long, in which steps; the learning rate falls on a line to zero.

    For single parts of a model that one call trains. What must survive a crash, log or run in several processes is for `EnergyTask`.

    Args:
        epochs: passes over the rows; with none, parameters stay as they are.
        batch_size: rows per step.
        optimizer: makes an optimiser from parameters; Adam at 1e-3 by default.
        averaging: share of the steps, the last ones, whose mean parameters are what is left at the end, in [0, 1); 0 for the last
            parameters. Persistent chains draw the machine after them, and the parameters run from the chains: around a likelihood's
            maximum both go in circles, wide ones at high rates, and the mean lies inside.

    Raises:
        InvalidSettingError: a negative number of epochs, a batch size below 1, or a share outside [0, 1).

    References:
        Polyak & Juditsky (1992), Acceleration of stochastic approximation by averaging; for persistent chains Swersky et al. (2010), A
        tutorial on stochastic approximation algorithms for training restricted Boltzmann machines and deep belief nets.

    Example:
        >>> place = nn.Parameter(torch.zeros(2))
        >>> steps = Descent(epochs=100, batch_size=1, optimizer=partial(torch.optim.SGD, lr=0.1))
        >>> steps.minimize(lambda rows: (rows - place).square().sum(), [place], torch.tensor([[1.0, 2.0]]), seed=0)
        >>> [round(value, 3) for value in place.tolist()]
        [1.0, 2.0]
    """

    epochs: int = 10
    batch_size: int = 100
    optimizer: Callable[[Any], Optimizer] = field(default=partial(torch.optim.Adam, lr=1e-3))
    averaging: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        nonnegative_integer("epochs", self.epochs)
        positive_integer("batch_size", self.batch_size)
        fraction("averaging", self.averaging)

    def minimize(
        self,
        loss: Callable[[Tensor], Tensor],
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        rows: Tensor,
        *,
        draw: Draw | None = None,
        seed: Seed = None,
        title: str = "Training",
    ) -> None:
        """Change parameters in place along the gradient of a loss of batches of rows.

        Args:
            loss: of a batch: a scalar.
            parameters: those that change, or groups of them with settings of their own, as torch's optimisers take them.
            rows: shape (count, features).
            draw: as of `Batches`.
            seed: of the order of the rows and of `draw`: integer, generator, or None for fresh entropy.
            title: of the bar that is shown on a terminal.

        Raises:
            InvalidStateError: no rows, or not two axes.
            InvalidSettingError: an impossible seed.
        """
        batches, descent = Batches(rows, self.batch_size, draw=draw, seed=seed), self.optimizer(parameters)
        rates, done, total = [group["lr"] for group in descent.param_groups], 0, self.epochs * len(batches)
        mean = _Mean(part for group in descent.param_groups for part in group["params"])
        with progress_bar(title) as report:
            for _ in range(self.epochs):
                for batch in batches:
                    for group, rate in zip(descent.param_groups, rates, strict=True):
                        group["lr"] = rate * (1 - done / total)
                    descent.zero_grad()
                    loss(batch).backward()
                    descent.step()
                    done += 1
                    if done > (1 - self.averaging) * total:
                        mean.add()
                    if report is not None:
                        report(done, total)
        mean.assign()


class _Mean:
    """The mean of parameters over the moments when it was told to look."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters, self._means, self._count = list(parameters), list[Tensor](), 0

    @torch.no_grad()
    def add(self) -> None:
        """Take the parameters as they are into the mean."""
        self._count += 1
        if self._count == 1:
            self._means = [part.clone() for part in self._parameters]
            return
        for mean, part in zip(self._means, self._parameters, strict=True):
            mean.lerp_(part, 1 / self._count)

    @torch.no_grad()
    def assign(self) -> None:
        """Give the parameters their means, if there are any."""
        if self._count:
            for mean, part in zip(self._means, self._parameters, strict=True):
                part.copy_(mean)
