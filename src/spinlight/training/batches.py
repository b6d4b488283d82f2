"""Batches of rows held in memory, in an order that a seed fixes and a checkpoint can go on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from spinlight._checks import positive_integer
from spinlight._errors import InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed

Draw = Callable[[Tensor, int], Tensor]
"""Turns rows and a seed into rows."""


class Batches:
    """All rows once per pass, in a new order each time; goes on in mid-pass where `state_dict` was taken.

    Batches are slices of one tensor: no worker processes and no row by row collation, which would take longer than a step of
    training. Under `torch.distributed` every process takes its share of each batch, so that `batch_size` rows go to each of them.

    Args:
        rows: shape (count, features), on any device.
        batch_size: rows per batch and process; the last batch of a pass may have fewer.
        draw: turns the rows of a batch, given a seed, into what is trained on: `datasets.binarized` takes grey levels as probabilities,
            so that a machine of bits never sees the same image twice (Salakhutdinov & Murray 2008). None: the rows themselves.
        seed: integer, generator, or None for fresh entropy; an integer must be alike in all processes.

    Raises:
        InvalidStateError: no rows, or not two axes.
        InvalidSettingError: a batch size below 1, or an impossible seed.

    Example:
        >>> batches = Batches(torch.arange(6.0).reshape(6, 1), batch_size=4, seed=0)
        >>> [len(batch) for batch in batches], sorted(torch.cat(list(batches)).flatten().tolist())
        ([4, 2], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    """

    def __init__(self, rows: Tensor, batch_size: int, *, draw: Draw | None = None, seed: Seed = None) -> None:
        self.rows = require_rows(rows)
        self.batch_size = positive_integer("batch_size", batch_size)
        self._draw, self._seed = draw, resolve_seed(seed)
        self._pass, self._done, self._begun = 0, 0, 0
        self._agreed = seed is not None

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        size, (_, processes) = self.batch_size, _place()
        whole, rest = divmod(len(self.rows), size * processes)
        return whole + (rest >= processes)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the batches that are left of this pass, or those of the next."""
        if self._done >= len(self):
            self._pass, self._done = self._pass + 1, 0
        self._agree()
        self._begun = self._done
        number, (place, processes) = self._pass, _place()
        random = np.random.Generator(np.random.PCG64(derive_seed(self._seed, number)))
        order = torch.from_numpy(random.permutation(len(self.rows))).to(self.rows.device)
        for batch in range(self._done, len(self)):
            self._done = batch + 1
            start = batch * self.batch_size * processes
            picks = order[start : start + self.batch_size * processes]
            share = picks[place::processes][: len(picks) // processes]
            yield self._drawn(self.rows[share], number, batch * processes + place)

    def mark(self, count: int) -> None:
        """Say how many batches of this iteration count as done: for a trainer that fetches ahead of what it has trained on."""
        self._done = self._begun + count

    def _agree(self) -> None:
        """Give processes that train together one seed, where none was given."""
        if not self._agreed and distributed.is_available() and distributed.is_initialized():
            seeds = [self._seed]
            distributed.broadcast_object_list(seeds, src=0)
            (self._seed,) = seeds
            self._agreed = True

    def _drawn(self, rows: Tensor, number: int, stream: int) -> Tensor:
        if self._draw is None:
            return rows
        return self._draw(rows, derive_seed(derive_seed(self._seed, number), 1 + stream))

    def state_dict(self) -> dict[str, Any]:
        """Return where the batches stand: integers."""
        return {"seed": self._seed, "pass": self._pass, "done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._seed, self._pass, self._done = (int(state[name]) for name in ("seed", "pass", "done"))


def require_rows(rows: object) -> Tensor:
    """Return rows, or refuse what is no tensor of shape (count, features)."""
    if not isinstance(rows, Tensor):
        raise InvalidStateError(
            f"rows must be a tensor, got {type(rows).__name__}; torch.from_numpy makes one of an array"
        )
    if rows.ndim != 2 or not rows.numel():
        raise InvalidStateError(
            f"rows must have shape (count, features), at least one of each; got {tuple(rows.shape)}"
        )
    return rows


def _place() -> tuple[int, int]:
    """Return this process's number, and of how many."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class Place:
    """Where a Lightning task stands in its `Batches`, for checkpoints in mid-epoch; of other loaders it knows nothing.

    Lightning fetches one batch ahead of the one that is trained on, cuts epochs short without a word, and restores a loader only where
    it has not looked at its length before: a task calls these from the hooks of the same names.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._saved: Mapping[str, Any] | None = None

    def on_train_epoch_start(self) -> None:
        """Count the batches of an epoch from its start."""
        self._taken = 0

    def on_batch(self, loader: object) -> None:
        """Count a batch that is trained on."""
        if isinstance(loader, Batches):
            self._taken += 1
            loader.mark(self._taken)

    def on_save_checkpoint(self, loader: object, checkpoint: dict[str, Any]) -> None:
        """Add where the data stand."""
        if isinstance(loader, Batches):
            checkpoint["batches"] = loader.state_dict()

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep where the data stood."""
        self._saved = checkpoint.get("batches")

    def on_train_start(self, loader: object) -> None:
        """Go on with the data where the checkpoint was."""
        if self._saved is not None and isinstance(loader, Batches):
            loader.load_state_dict(self._saved)
        self._saved = None
