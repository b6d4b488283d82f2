"""What a training run says of itself: its likelihood with an error, and how noisy its gradient is."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from spinlight._checks import fraction, positive_integer
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.training.likelihood import data_rows, log_likelihood
from spinlight.training.partition import AnnealedImportance, PartitionEstimator


class LikelihoodMonitor(pl.Callback):
    """Logs the mean log-likelihood of some rows, with the error of log Z, every few epochs and at the end.

    Logged: `NAME` (nats per row), `NAME_error` (two independent errors together: over the rows, and of log Z), and
    `NAME_pessimistic`, with log Z two standard errors higher. Early stopping and checkpoints may watch any of them; rows that a
    result is quoted on must not be among those that are watched.

    Args:
        rows: visible rows, shape (count, num_visible).
        estimator: of log Z; `AnnealedImportance()` by default, whose lower bound on log Z makes likelihoods look better than they
            are where its chains are too short: mind its error.
        every: epochs between two estimates.
        name: of the logged numbers.
        seed: of the estimates, which are independent of each other and of the training.

    Raises:
        InvalidSettingError: fewer than one epoch, or an impossible seed.
    """

    def __init__(
        self,
        rows: Tensor,
        *,
        estimator: PartitionEstimator | None = None,
        every: int = 1,
        name: str = "log_likelihood",
        seed: Seed = 0,
    ) -> None:
        self.rows, self.every, self.name = rows, positive_integer("every", every), name
        self.estimator: PartitionEstimator = AnnealedImportance() if estimator is None else estimator
        self._seed = resolve_seed(seed)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Refuse rows, or a machine, that have no likelihood, before anything is spent."""
        data_rows(pl_module.model, self.rows)

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Estimate log Z of the model as it is, and log."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every and epoch != trainer.max_epochs:
            return
        known = self.estimator.estimate(pl_module.model, seed=derive_seed(self._seed, epoch))
        found = log_likelihood(pl_module.model, self.rows.to(pl_module.device), partition=known)
        pl_module.log_dict(
            {
                self.name: found.value,
                f"{self.name}_error": found.standard_error,
                f"{self.name}_pessimistic": found.pessimistic,
            },
            rank_zero_only=True,
        )


class GradientMonitor(pl.Callback):
    """Logs the learning rate, the size of the gradient and how much of it is noise.

    `learning_rate` is that of the first group of parameters. With running means m of g and q of |g|^2: `gradient_norm` = sqrt(q),
    `gradient_noise` = 1 - |m|^2 / q, the share of the squared gradient that differs from step to step. Near 1, steps walk at random
    about an optimum: lower the learning rate, or take more chains and larger batches. The mean of a few steps is itself noisy, which
    the share is corrected for.

    Args:
        memory: of the running means: the weight of the past at each step, in [0, 1).
        every: steps between two looks; a look costs a pass over the gradient.

    Raises:
        InvalidSettingError: a memory outside [0, 1), or fewer than one step.

    References:
        McCandlish, Kaplan, Amodei et al., "An empirical model of large-batch training", arXiv 1812.06162 (2018), section 2.
    """

    def __init__(self, *, memory: float = 0.95, every: int = 1) -> None:
        self.memory, self.every = fraction("memory", memory), positive_integer("every", every)
        self._mean: Tensor | None = None
        self._square = self._weight = self._weight_of_squares = 0.0

    @torch.no_grad()
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        """Take the gradient into the means, and log them."""
        if trainer.global_step % self.every:
            return
        parts = [each.grad.flatten() for each in pl_module.model.parameters() if each.grad is not None]
        gradient = torch.cat(parts)
        keep, new = self.memory, 1 - self.memory
        self._mean = new * gradient if self._mean is None else self._mean.mul_(keep).add_(gradient, alpha=new)
        self._square = keep * self._square + new * float(gradient @ gradient)
        self._weight = keep * self._weight + new
        self._weight_of_squares = keep**2 * self._weight_of_squares + new**2
        square = self._square / self._weight
        values = {"learning_rate": float(optimizer.param_groups[0]["lr"]), "gradient_norm": math.sqrt(square)}
        repeated = self._weight_of_squares / self._weight**2  # 1 / the number of gradients that the mean is worth
        if repeated < 1 and square > 0:
            # |m|^2 of independent gradients is |E g|^2 + repeated (q - |E g|^2) in expectation.
            share = float(self._mean @ self._mean) / self._weight**2 / square
            values["gradient_noise"] = min(1.0, max(0.0, (1 - share) / (1 - repeated)))
        pl_module.log_dict(values)

    def state_dict(self) -> dict[str, Any]:
        """Return the running means, for a checkpoint."""
        return {"mean": self._mean, "sums": [self._square, self._weight, self._weight_of_squares]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the means of a checkpoint."""
        self._mean = state_dict["mean"]
        self._square, self._weight, self._weight_of_squares = state_dict["sums"]
