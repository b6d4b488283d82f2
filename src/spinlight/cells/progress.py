"""Training shown as one line of a rich progress display."""

from __future__ import annotations

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
