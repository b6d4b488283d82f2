"""Lightning's and scvi-tools' messages that a command line should not repeat, kept out one by one."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator

_LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed", "lightning.pytorch.utilities")

_WARNINGS = (
    "`isinstance(treespec, LeafSpec)` is deprecated",  # Lightning's own use of torch
    "The number of training batches",  # about the interval of a logger that keeps everything anyway
)


@contextlib.contextmanager
def quiet_training(*, printed: bool = False) -> Iterator[None]:
    """Keep device banners, seeds, hints and known warnings of Lightning and scvi-tools off the terminal, inside the block.

    Args:
        printed: also what is printed to stdout: scvi-tools prints when training raises, and the error itself says more.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    hidden = contextlib.redirect_stdout(io.StringIO()) if printed else contextlib.nullcontext()
    with warnings.catch_warnings(), hidden:
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message=re.escape(message))
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
