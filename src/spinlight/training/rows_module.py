"""Rows of data in parts, as Lightning takes them."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import Tensor, distributed

from spinlight._checks import fraction
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.training.batches import Batches, Draw, require_rows


class RowsDataModule(pl.LightningDataModule):
    """Rows to train on, rows to watch and to choose by, and rows that results are quoted on.

    `trainer.fit(task, datamodule=data)` trains an `EnergyTask` or an `AdversarialTask` on `data.train`, in the `Batches` that a
    checkpoint goes on with. The other parts are for monitors and for the end: `LikelihoodMonitor(data.valid)`,
    `log_likelihood(model, data.test, ...)`.

    Args:
        train: shape (count, features).
        valid: rows of as many features, or None.
        test: rows of as many features, or None.
        batch_size: rows per step and process.
        draw: as of `Batches`; valid and test rows go through it once, so that their likelihoods can be compared from epoch to epoch.
        seed: of the order of the rows and of `draw`: integer, generator, or None for fresh entropy.

    Raises:
        InvalidStateError: parts that are no rows, none at all, or of another width than the training rows.
        InvalidSettingError: a batch size below 1, or an impossible seed.

    Example:
        >>> data = RowsDataModule.split(torch.rand(100, 6), valid=0.1, test=0.2, seed=0)
        >>> len(data.train), len(data.valid), len(data.test)
        (70, 10, 20)
    """

    def __init__(
        self,
        train: Tensor,
        *,
        valid: Tensor | None = None,
        test: Tensor | None = None,
        batch_size: int = 100,
        draw: Draw | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__()
        resolved = resolve_seed(seed)
        self.train, self._alike = train, True
        self.batches = Batches(train, batch_size, draw=draw, seed=resolved if seed is not None else None)
        self.valid, self.test = (
            None if part is None else _drawn(part, train, draw, derive_seed(resolved, stream))
            for stream, part in enumerate((valid, test))
        )

    @classmethod
    def split(
        cls,
        rows: Tensor,
        *,
        valid: float | Tensor = 0.1,
        test: float | Tensor = 0.1,
        batch_size: int = 100,
        draw: Draw | None = None,
        seed: Seed = None,
    ) -> RowsDataModule:
        """Return rows in parts that a seed picks.

        Args:
            rows: shape (count, features).
            valid: share of the rows, in [0, 1), 0 for no such part; or a part that is known.
            test: likewise.
            batch_size: as of the class, like what follows.
            draw: as of the class.
            seed: of the parts too. Processes that train together need one: each would pick parts of its own.

        Raises:
            InvalidSettingError: a share outside [0, 1).
            InvalidStateError: too few rows for parts of these shares, one row each at least.
        """
        require_rows(rows)
        known: dict[str, Tensor | None] = {}
        shares, resolved = {}, resolve_seed(seed)
        for name, part in (("valid", valid), ("test", test)):
            if isinstance(part, Tensor):
                known[name] = part
            else:
                shares[name] = fraction(name, part)
        counts = {name: max(1, round(share * len(rows))) for name, share in shares.items() if share}
        left = len(rows) - sum(counts.values())
        if left < 1:
            raise InvalidStateError(f"there are {len(rows)} rows, too few to set {len(rows) - left} of them apart")
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(resolved)).to(rows.device)
        picks = order.split([*counts.values(), left])
        known |= {name: rows[at] for name, at in zip(counts, picks, strict=False)}
        module = cls(rows[picks[-1]], **known, batch_size=batch_size, draw=draw, seed=seed)
        module._alike = seed is not None or not counts
        return module

    def __str__(self) -> str:
        """Show the sizes."""
        valid, test = (0 if part is None else len(part) for part in (self.valid, self.test))
        return f"RowsDataModule(train={len(self.train)}, valid={valid}, test={test}, features={self.train.shape[1]})"

    __repr__ = __str__

    def train_dataloader(self) -> Batches:
        """Return the batches of the training rows; the same at every call, so that they go on where they stand.

        Raises:
            InvalidSettingError: several processes, each of which picked parts of its own.
        """
        if not self._alike and distributed.is_available() and distributed.is_initialized():
            raise InvalidSettingError(
                "parts that were picked without a seed are others in every process, and one would train on another's test rows; give "
                "RowsDataModule.split a seed"
            )
        return self.batches


def _drawn(part: Tensor, train: Tensor, draw: Draw | None, seed: int) -> Tensor:
    if not isinstance(part, Tensor) or part.ndim != 2 or not len(part) or part.shape[1] != train.shape[1]:
        found = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
        raise InvalidStateError(
            f"every part must be a tensor, and must have shape (count, {train.shape[1]}), at least one row; got {found}"
        )
    return part if draw is None else draw(part, seed)
