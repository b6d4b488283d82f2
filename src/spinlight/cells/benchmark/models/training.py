"""How models of scvi-tools are trained here: the same split, steps and epochs, and Ctrl-C between two steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback

from spinlight.cells.benchmark.chosen import BATCH_SIZE
from spinlight.cells.benchmark.models.base import FitTask
from spinlight.training.interrupts import StopOnInterrupt, interrupts_named
from spinlight.training.quiet import quiet_training

_VALIDATE_EVERY = 5


def train(model: Any, task: FitTask, plan: Mapping[str, Any]) -> float:
    """Train a model of scvi-tools on the training cells of a task, on the CPU, and return the seconds that it took.

    Args:
        model: of scvi-tools, not trained yet.
        task: epochs and split.
        plan: settings of its training plan.
    """
    started = time.perf_counter()
    with quiet_training(printed=True), StopOnInterrupt() as stop, interrupts_named():
        model.train(
            max_epochs=task.epochs,
            batch_size=BATCH_SIZE,
            accelerator="cpu",
            datasplitter_kwargs={
                "external_indexing": [task.split.training, task.split.held_out, np.array([], dtype=np.intp)]
            },
            plan_kwargs=dict(plan),
            check_val_every_n_epoch=min(_VALIDATE_EVERY, task.epochs),
            enable_progress_bar=False,
            callbacks=[stop, _Epochs(task.on_epoch)],
        )
    return time.perf_counter() - started


def loss_curves(model: Any) -> dict[str, list[tuple[int, float]]]:
    """Return the negative ELBO of training and held-out cells by epoch, in nats per cell."""
    names = {"training": "elbo_train", "held out": "elbo_validation"}
    return {
        words: [(int(epoch), float(value)) for epoch, value in model.history[name].iloc[:, 0].items()]
        for words, name in names.items()
        if name in model.history
    }


class _Epochs(Callback):
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._tell()
