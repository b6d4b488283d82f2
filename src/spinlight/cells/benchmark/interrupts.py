"""Ctrl-C during scores, which is not lost in a callback of the garbage collector."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Remembers a Ctrl-C, and raises it at once and, where that was swallowed, again at the next `check`.

    A context manager. JAX, which scib-metrics is made of, has a callback of Python's garbage collector, in which a `KeyboardInterrupt` is
    lost. Outside the main thread, where Python delivers no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self._interrupted = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        """Take the signal over."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._mark)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise a `KeyboardInterrupt` that was lost."""
        if self._interrupted:
            raise KeyboardInterrupt

    def _mark(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        raise KeyboardInterrupt
