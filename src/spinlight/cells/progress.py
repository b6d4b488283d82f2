"""A fit shown as lines of a rich progress display: one for training, one for each stage after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.progress import Progress, TaskID


class TrainingProgress(Callback):
    """Counts epochs and shows the last ELBO.

    Args:
        progress: the display, already running.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Add the line."""
        self._task = self._progress.add_task("training", total=trainer.max_epochs)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Move on by an epoch."""
        if self._task is None:
            return
        elbo = trainer.callback_metrics.get("elbo_train")
        text = "training" if elbo is None else f"training, ELBO {-float(elbo):,.1f}"
        self._progress.update(self._task, advance=1, description=text)


@contextmanager
def stage(name: str, progress: Progress | None, seconds: dict[str, float]) -> Iterator[None]:
    """Show a stage while the block runs, and note how long it took."""
    task = None if progress is None else progress.add_task(name, total=1)
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 2)
    if progress is not None and task is not None:
        progress.update(task, advance=1)
