"""Progress bars for long runs, on a terminal only, and a watch over runs that may have to end early."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SHOWN_AFTER_SECONDS = 2.0
"""Shorter runs show nothing."""

_watch: ContextVar[Callable[[], None] | None] = ContextVar("watch", default=None)


@contextmanager
def watched(check: Callable[[], None]) -> Iterator[None]:
    """Call `check` about twenty times a second while a kernel runs within the block; what it raises ends the run."""
    token = _watch.set(check)
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def progress_bar(title: str, wanted: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of (done, total) that draws a bar with an ETA on stderr once a run has lasted two seconds.

    Yields None, and so costs nothing, where no bar is wanted or stderr is no terminal, and nobody watches.
    """
    check = _watch.get()
    if not wanted or not sys.stderr.isatty():
        yield None if check is None else lambda done, total: check()
        return
    bar = _Bar(title)

    def update(done: int, total: int) -> None:
        if check is not None:
            check()
        bar.update(done, total)

    try:
        yield update
    finally:
        bar.close()


class _Bar:
    def __init__(self, title: str) -> None:
        self._title, self._started = title, time.monotonic()
        self._close: Callable[[], None] | None = None
        self._update: Callable[[int, int], None] | None = None

    def update(self, done: int, total: int) -> None:
        if self._update is None and time.monotonic() - self._started > SHOWN_AFTER_SECONDS:
            self._open(total)
        if self._update is not None:
            self._update(done, total)

    def close(self) -> None:
        if self._close is not None:
            self._close()

    def _open(self, total: int) -> None:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        task = bar.add_task(self._title, total=total)
        try:
            bar.start()
        except LiveError:  # another bar has the terminal
            self._update = lambda done, whole: None
            return
        self._close = bar.stop
        self._update = lambda done, whole: bar.update(task, completed=done, total=whole)
