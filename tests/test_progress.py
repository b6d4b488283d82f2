"""Bars on a terminal, and nothing anywhere else."""

from __future__ import annotations

import io
import sys

import pytest
from rich.errors import LiveError
from rich.progress import Progress

from spinlight import _progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of stderr; within the test, since pytest has its own there before."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(_progress, "SHOWN_AFTER_SECONDS", -1.0)
    return stream


def test_a_long_run_shows_its_title(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    with _progress.progress_bar("Walking") as report:
        assert report is not None
        report(1, 2)
    assert "Walking" in shown.getvalue()


def test_a_short_run_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    monkeypatch.setattr(_progress, "SHOWN_AFTER_SECONDS", 60.0)
    with _progress.progress_bar("Walking") as report:
        assert report is not None
        report(1, 2)
    assert shown.getvalue() == ""


def test_a_run_goes_on_where_another_bar_has_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(_: Progress) -> None:
        raise LiveError("only one live display may be active at once")

    shown = terminal(monkeypatch)
    monkeypatch.setattr(Progress, "start", taken)
    with _progress.progress_bar("Walking") as report:
        assert report is not None
        report(1, 2)
        report(2, 2)
    assert "Walking" not in shown.getvalue()


@pytest.mark.parametrize("wanted", [True, False])
def test_nothing_is_shown_where_there_is_no_terminal_or_no_wish(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    if wanted:
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    with _progress.progress_bar("Walking", wanted) as report:
        assert report is None


class EnoughError(Exception):
    """Raised by a watch."""


@pytest.mark.parametrize("shown", [True, False])
def test_a_watch_can_end_a_run_with_or_without_a_bar(shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def enough() -> None:
        raise EnoughError

    terminal(monkeypatch)
    with _progress.watched(enough), _progress.progress_bar("Walking", shown) as report:
        assert report is not None
        with pytest.raises(EnoughError):
            report(1, 2)
    with _progress.progress_bar("Walking", False) as report:
        assert report is None
