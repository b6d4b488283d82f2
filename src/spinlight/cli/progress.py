"""A progress display of a fit, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def epochs_shown(hidden: bool) -> Progress | None:
    """Return a progress display on stderr, or none."""
    return None if hidden else _display(counted=True, memory_s=30.0)


def trials_shown(hidden: bool) -> Progress | None:
    """Return a progress display on stderr for work of hours, or none: its estimate of the time left remembers all of it."""
    return None if hidden else _display(counted=False, memory_s=1e6)


def _display(*, counted: bool, memory_s: float) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if counted else TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        speed_estimate_period=memory_s,
    )
