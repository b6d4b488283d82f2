"""Ctrl-C during training, at once and never lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch.callbacks import Callback


@contextmanager
def interrupts_named() -> Iterator[None]:
    """Give a Ctrl-C its name back: Lightning makes a `SystemExit` of it, as of no other exit."""
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt("training was interrupted") from error


class InterruptedFitError(KeyboardInterrupt):
    """Ctrl-C during a fit.

    A `KeyboardInterrupt`, and so no `SpinlightError`: whoever catches mistakes does not catch this.

    Args:
        saved: what this fit has written so far: enough to use or to go on from, or nothing.
    """

    def __init__(self, saved: list[Path]) -> None:
        super().__init__("the fit was interrupted")
        self.saved = saved


class StoppedBetweenBatchesError(KeyboardInterrupt):
    """Ctrl-C that was answered between two batches, when model, chains and data stand at the same step."""


_PATIENCE_S = 1.0
"""Fingers press Ctrl-C twice or thrice; only a press after this long says that the first was not enough."""


class StopOnInterrupt(Callback):
    """Ends training between two batches after a Ctrl-C, and by a plain `KeyboardInterrupt` at once after one more a second later.

    Python raises `KeyboardInterrupt` wherever it happens to be, and loses it in a callback of the garbage collector (JAX,
    which scvi-tools imports, has one). Here the signal only leaves a mark, which the next batch finds, or the end of training.
    Outside the main thread, where Python delivers no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self._interrupted: float | None = None
        self._before: Any = None

    def __enter__(self) -> StopOnInterrupt:
        """Take the signal over."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._mark)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give the signal back; raise what came after the last batch."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self._stop()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop, if asked to."""
        self._stop()

    def on_validation_batch_end(self, *_: Any) -> None:
        """Stop, if asked to."""
        self._stop()

    def _stop(self) -> None:
        if self._interrupted is not None:
            raise StoppedBetweenBatchesError

    def _mark(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted is None:
            self._interrupted = time.monotonic()
        elif time.monotonic() - self._interrupted > _PATIENCE_S:
            raise KeyboardInterrupt
