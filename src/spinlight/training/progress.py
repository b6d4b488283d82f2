"""A fit shown as lines of a rich progress display: one for training, one for each stage after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.progress import Progress, TaskID


class TrainingProgress(Callback):
    """Counts epochs and shows the last value of one logged number.

    Args:
        progress: the display, already running.
        metric: name of the number.
        words: what to call it.
        sign: what to multiply it by: -1 for a loss that is the negative of what its words say.
    """

    def __init__(self, progress: Progress, *, metric: str, words: str, sign: float = 1.0) -> None:
        self._progress, self._metric, self._words, self._sign = progress, metric, words, sign
        self._task: TaskID | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Add the line."""
        self._task = self._progress.add_task("training", total=trainer.max_epochs)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Move on by an epoch."""
        if self._task is None:
            return
        value = trainer.callback_metrics.get(self._metric)
        text = "training" if value is None else f"training, {self._words} {self._sign * float(value):,.1f}"
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
