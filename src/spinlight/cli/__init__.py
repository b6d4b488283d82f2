"""The command line: `spinlight NOUN VERB`, and one line that says what to do when something is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["console", "main"]


def console() -> NoReturn:
    """Run the command line of the process and exit with its status.

    After Ctrl-C at once: everything is saved and said by then, and taking JAX and torch down would take two seconds more.
    """
    status = main()
    from spinlight.cli.outcome import INTERRUPTED

    if status == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for a disk or file that fails, 2 for a user's mistake, 130 for an interrupt.

    Args:
        arguments: without the program's name; those of the process by default.
    """
    from spinlight.cli.outcome import INTERRUPTED, MISTAKE, say

    try:
        from spinlight.cli.app import app

        status = app(args=None if arguments is None else list(arguments), prog_name="spinlight", standalone_mode=False)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # what typer makes of one outside the body of a command
            say("interrupted")
            return INTERRUPTED
        # typer's usage errors share no public name; what marks them is that they can format a message for the user.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        context = getattr(error, "ctx", None)
        command = "spinlight" if context is None else context.command_path
        # Without arguments typer has printed the help already, and has nothing more to say.
        if message := str(format_message()):
            say(f"{message}{'' if message.endswith(('.', '?')) else '.'} Try: {command} --help")
        return MISTAKE
    return status if isinstance(status, int) else 0
