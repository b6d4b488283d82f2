"""Ctrl-C during training, at once and never lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch.callbacks import Callback


class StopOnInterrupt(Callback):
    """Ends training by `KeyboardInterrupt` between two batches after the first Ctrl-C, and at once after the second.

    Python raises `KeyboardInterrupt` wherever it happens to be, and loses it in a callback of the garbage collector (JAX,
    which scvi-tools imports, has one). Here the signal only leaves a mark, which the next batch finds. Outside the main thread,
    where Python delivers no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self._interrupted = False
        self._before: Any = None

    def __enter__(self) -> StopOnInterrupt:
        """Take the signal over."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._mark)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop, if asked to."""
        if self._interrupted:
            raise KeyboardInterrupt

    def on_validation_batch_end(self, *_: Any) -> None:
        """Stop, if asked to."""
        if self._interrupted:
            raise KeyboardInterrupt

    def _mark(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
