"""What a way of embedding cells is, what it is asked, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spinlight.cells.benchmark.chosen import Chosen, ChosenPoli
from spinlight.cells.benchmark.models.split import Split

if TYPE_CHECKING:
    from anndata import AnnData

BATCH = "batch"
"""The one column of the cells that models are given, where there are several batches. Labels are given to none."""


@dataclass(frozen=True, kw_only=True)
class FitTask:
    """What one fit is asked for.

    Args:
        size: latent dimensions, or bits.
        seed: of the split, the network and the training.
        epochs: passes over the cells that are trained on.
        split: cells that are trained on, and held-out ones.
        on_epoch: called after each epoch.
    """

    size: int
    seed: int
    epochs: int
    split: Split
    on_epoch: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Lower bounds on the log-likelihood of the held-out cells, in nats.

    Args:
        per_cell: float64, shape (held-out cells,), with log Z two standard errors higher than estimated where there is one.
        of: what it is the likelihood of, in words; only bounds on the same can be compared.
        log_partition_error: standard error of log Z; zero where it is known, NaN where its error is not.
    """

    per_cell: NDArray[np.float64]
    of: str
    log_partition_error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What one fit gave.

    Args:
        latent: float32, shape (cells, size).
        seconds: wall-clock time of the training alone.
        curves: the loss by epoch, "training" and "held out": pairs of an epoch and nats per cell, as far as the model has them.
        held_out: if the model has a likelihood.
        energies: E_q[E(z)] of each cell under the prior, float32, shape (cells,), if it has energies.
    """

    latent: NDArray[np.float32]
    seconds: float
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    held_out: HeldOut | None = None
    energies: NDArray[np.float32] | None = None


class Embedding(ABC):
    """A way of embedding cells, with all its settings but size, seed and epochs.

    Args:
        name: what the command calls it.
        about: what it is, in one line.
    """

    name: str
    about: str

    @property
    @abstractmethod
    def size(self) -> int:
        """The chosen latent size."""

    @property
    def fixed_size(self) -> bool:
        """Whether it is of no other size, as a package's defaults are."""
        return False

    @property
    def deterministic(self) -> bool:
        """Whether every seed gives the same latent, so that one fit stands for all."""
        return False

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """What decides a fit beside its task, as plain JSON values."""

    def own_epochs(self, cells: int) -> int | None:
        """Return how long it is trained where nobody says so, or None for as long as the others."""
        return None

    def refusal(self, cells: int, genes: int, size: int) -> str | None:
        """Return why data of a shape cannot be embedded with a size, or None."""
        return None

    @abstractmethod
    def fit(self, cells: AnnData, task: FitTask) -> Embedded:
        """Embed the cells.

        Args:
            cells: raw counts in `X` (float32, sparse rows), and column `batch` where there are several batches; may be modified.
            task: size, seed, epochs and split.

        Raises:
            MissingExtraError: its package is not installed.
        """


class PackageModel(Embedding):
    """A model of another package, with hyperparameters that were chosen or as it comes.

    Args:
        chosen: hyperparameters; None for those of the package, whose latent size is 10 in all of them.
    """

    chosen: Chosen | ChosenPoli | None

    @property
    def size(self) -> int:
        """The chosen latent size, or the package's."""
        return _PACKAGE_SIZE if self.chosen is None else self.chosen.size

    @property
    def fixed_size(self) -> bool:
        """Whether it is of the package's size."""
        return self.chosen is None


_PACKAGE_SIZE = 10
"""Of scvi-tools and of scarches."""
