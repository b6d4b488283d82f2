"""Numbered blocks of states, filled and looked at on a few threads; the answers come in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Result = TypeVar("Result")

_PIECES = 256
"""Tasks the blocks are dealt out in: enough to balance the threads, too few to cost anything."""


def over_blocks(
    blocks: int,
    size: int,
    fill: Callable[[int, Floats], None],
    function: Callable[[int, Floats], Result],
    threads: int,
) -> Iterator[Result]:
    """Yield `function(block, values)` of every block, in order, after `fill(block, values)`; both may overwrite the values.

    An interrupt ends it after the blocks at work, within milliseconds.

    Args:
        blocks: how many there are.
        size: values of each.
        fill: writes the values of a block.
        function: looks at them.
        threads: at least 1.
    """
    stride = -(-blocks // _PIECES)
    stop = Event()

    def piece(first: int) -> list[Result]:
        values = np.empty(size)
        results = []
        for block in range(first, min(first + stride, blocks)):
            if stop.is_set():
                break
            fill(block, values)
            results.append(function(block, values))
        return results

    if blocks == 1:
        yield from piece(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            for results in pool.map(piece, range(0, blocks, stride)):
                yield from results
        finally:
            stop.set()
