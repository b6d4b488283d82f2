"""Ctrl-C during scores, which is not lost in a callback of the garbage collector."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """Remembers a Ctrl-C, and raises it at once and, where that was swallowed, again at the next `check`.

    A context manager. JAX, which scib-metrics is made of, has a callback of Python's garbage collector, in which a `KeyboardInterrupt` is
    lost, and Python prints a traceback that helps nobody: that one is left out. Outside the main thread, where Python delivers no
    signals, nothing is changed.

    Args:
        said: called at the first Ctrl-C, to say that it was heard.
    """

    def __init__(self, said: Callable[[], None] = lambda: None) -> None:
        self._interrupted = False
        self._said = said
        self._before: Any = None
        self._hook: Any = None

    def __enter__(self) -> Interrupts:
        """Take the signal over."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._mark)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._hook

    def check(self) -> None:
        """Raise a `KeyboardInterrupt` that was lost."""
        if self._interrupted:
            raise KeyboardInterrupt

    def _mark(self, number: int, frame: FrameType | None) -> None:
        if not self._interrupted:
            self._said()
        self._interrupted = True
        raise KeyboardInterrupt

    def _unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """Print what a callback raised, but for our own interrupt."""
        if not (self._interrupted and isinstance(lost.exc_value, KeyboardInterrupt)):
            self._hook(lost)
