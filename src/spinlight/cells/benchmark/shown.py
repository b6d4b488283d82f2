"""How far a benchmark is, on one line of a progress display, with what it is at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_OF_FIT = 0.6
"""Share of a trial that its fit counts for, scores being the rest; only the estimate of the time left depends on it."""


class Shown:
    """A line that moves on by one for each trial, or nothing where there is no display.

    Args:
        progress: the display.
        total: trials in all.
        done: of these, how many are there already.
    """

    def __init__(self, progress: Progress | None, total: int, done: int = 0) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task("benchmark", total=total, completed=done)
        self._done, self._within = done, 0.0
        self._compiled = False

    def at(self, trial: str, stage: str) -> None:
        """Say which trial is at which stage."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=f"{trial}: {stage}")

    def scoring(self, trial: str) -> None:
        """Say that a trial is scored; scib-metrics compiles itself the first time, which takes a minute or two."""
        self.at(trial, "scores" if self._compiled else "scores, compiling them first")
        self._compiled = True

    def stopping(self) -> None:
        """Say that an interrupt was heard."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description="stopping")

    def epoch(self, epochs: int) -> None:
        """Move on by one of the epochs of a fit."""
        self._move(min(_OF_FIT, self._within + _OF_FIT / epochs))

    def fitted(self) -> None:
        """Move on to the end of a fit."""
        self._move(_OF_FIT)

    def finished(self) -> None:
        """Move on to the next trial."""
        self._done, self._within = self._done + 1, 0.0
        self._move(0.0)

    def _move(self, within: float) -> None:
        self._within = within
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done + within)
