"""How a command ends: quietly, with one line about a mistake, or with what an interrupt left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from spinlight._errors import SpinlightError

FAILURE, MISTAKE, INTERRUPTED = 1, 2, 130
"""Exit statuses of a machine that fails, of a user's mistake and of Ctrl-C."""


@contextmanager
def outcome(*, to_go_on: str | None = None) -> Iterator[None]:
    """Turn the errors of a command's body into one line on stderr and an exit status.

    Args:
        to_go_on: how an interrupted command that has saved something is gone on with.
    """
    try:
        yield
        sys.stdout.flush()
    except SpinlightError as error:
        say(str(error))
        raise typer.Exit(MISTAKE) from error
    except FileNotFoundError as error:
        say(f"there is no {error.filename}")
        raise typer.Exit(MISTAKE) from error
    except OSError as error:
        # A full disk, a file taken away, a pipe that nobody reads: what was written before is whole.
        say(f"{error.strerror or error}: {error.filename or 'standard output'}")
        if error.filename is None:
            _drop_output()
        raise typer.Exit(FAILURE) from error
    except KeyboardInterrupt as error:
        saved = ", ".join(str(path) for path in getattr(error, "saved", []))
        advice = f"; {to_go_on}" if to_go_on and saved else ""
        say(f"interrupted; saved so far: {saved or 'nothing'}{advice}")
        raise typer.Exit(INTERRUPTED) from error


def _drop_output() -> None:
    """Let what still waits for standard output go nowhere: at its exit Python would fail at it once more."""
    with suppress(OSError, ValueError):  # where standard output is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(message: str) -> None:
    """Print one line to stderr, whatever line breaks the message has."""
    print("spinlight:", " ".join(message.split()), file=sys.stderr)
