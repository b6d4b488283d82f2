"""Patterns that are generated, exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from spinlight._checks import integer

_MOST_LINES = 16
"""2^16 patterns: more lines make a table that nobody enumerates."""


def bars_and_stripes(rows: int, columns: int) -> Tensor:
    """Return every image whose columns are all of one colour each (bars), or whose rows are (stripes), each image once.

    There are 2^rows + 2^columns - 2 of them: the empty and the full image are both bars and stripes. The data distribution is
    uniform over them.

    Args:
        rows: of an image, 1 to 16.
        columns: of an image, 1 to 16.

    Returns:
        Bits, int8, shape (images, rows * columns), row after row of each image.

    Raises:
        InvalidSettingError: rows or columns outside their range.

    References:
        MacKay (2003), Information theory, inference and learning algorithms: section 43.3.

    Example:
        >>> bars_and_stripes(3, 3).shape
        torch.Size([14, 9])
    """
    rows = integer("rows", rows, least=1, most=_MOST_LINES)
    columns = integer("columns", columns, least=1, most=_MOST_LINES)
    bars = _lines(columns).unsqueeze(1).expand(-1, rows, -1)
    stripes = _lines(rows).unsqueeze(2).expand(-1, -1, columns)
    # the first and the last stripes are the empty and the full image, which the bars hold already
    return torch.cat([bars, stripes[1:-1]]).reshape(-1, rows * columns)


def _lines(count: int) -> Tensor:
    """Return all states of `count` bits in the order of their numbers: the first is all 0, the last all 1."""
    return (torch.arange(2**count)[:, None] >> torch.arange(count) & 1).to(torch.int8)
