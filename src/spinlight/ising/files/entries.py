"""The text that rudy and BiqMac files share: a line `n m`, then m lines `i j w`, counted from 1; gzip is read as it is."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinlight._errors import FileFormatError

MOST_NODES = 10**8
"""More would not fit into memory, however few the edges."""

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Entries:
    """What such a file holds, counted from 0.

    Args:
        size: n, the number of nodes or units.
        rows: i, shape (entries,), int64.
        columns: j, shape (entries,), int64.
        weights: w, shape (entries,), float64.
    """

    size: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float64]


def read_entries(path: str | os.PathLike[str], *, diagonal: bool) -> Entries:
    """Return the entries of a file; blank lines are skipped, a missing weight is 1.

    Args:
        path: the file, gzip or plain text.
        diagonal: whether entries with i = j belong in it.

    Raises:
        FileFormatError: a line that breaks the format (the message names it), or a wrong number of entries.
        OSError: the file cannot be opened.
    """
    name = os.fspath(path)
    lines = [(number, line.split()) for number, line in enumerate(_text(name).splitlines(), 1) if line.strip()]
    if not lines:
        raise FileFormatError(f"{name} is empty; its first line must be `n m`")
    size, count = _header(name, *lines[0])
    if len(lines) - 1 != count:
        raise FileFormatError(f"{name} promises {count} entries in its first line and holds {len(lines) - 1}")
    seen: dict[tuple[int, int], int] = {}
    entries = []
    for number, words in lines[1:]:
        i, j, weight = _entry(name, number, words, size)
        first = seen.setdefault((min(i, j), max(i, j)), number)
        if first != number:
            raise FileFormatError(f"{name}, line {number}: the pair {i} {j} was listed before, on line {first}")
        if i == j and not diagonal:
            raise FileFormatError(
                f"{name}, line {number}: an edge from node {i} to itself; if this is a BiqMac QUBO, use read_biqmac"
            )
        entries.append((i - 1, j - 1, weight))
    rows, columns, weights = zip(*entries) if entries else ((), (), ())
    return Entries(size, np.array(rows, np.int64), np.array(columns, np.int64), np.array(weights, np.float64))


def _text(name: str) -> str:
    with open(name, "rb") as file:
        data = file.read()
    try:
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("ascii")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{name} is a damaged gzip file: {error}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{name} is no text file: byte {error.object[error.start]} at {error.start}") from error


def _header(name: str, number: int, words: list[str]) -> tuple[int, int]:
    try:
        size, count = (_whole(word) for word in words)
    except ValueError:
        size, count = 0, 0
    if not 1 <= size <= MOST_NODES or count < 0:
        raise FileFormatError(
            f"{name}, line {number}: two integers `n m` with n from 1 to {MOST_NODES:,} were expected, got {' '.join(words)[:60]!r}"
        )
    return size, count


def _whole(word: str) -> int:
    """Return a whole number, without the underscores that Python allows."""
    return int(word.replace("_", "?"))


def _entry(name: str, number: int, words: list[str], size: int) -> tuple[int, int, float]:
    try:
        i, j = _whole(words[0]), _whole(words[1])
        weight = float(words[2]) if len(words) > 2 else 1.0
        fits = len(words) <= 3 and 1 <= i <= size and 1 <= j <= size and math.isfinite(weight)
    except (ValueError, IndexError):
        fits = False
    if not fits:
        raise FileFormatError(
            f"{name}, line {number}: `i j w` with i, j from 1 to {size} and a finite w was expected, got {' '.join(words)[:60]!r}"
        )
    return i, j, weight
