"""Bars and stripes against their definition, over all images."""

from __future__ import annotations

import pytest

from helpers.enumeration import all_bits
from spinlight import InvalidSettingError
from spinlight.datasets import bars_and_stripes


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_they_are_all_images_of_whole_columns_or_whole_rows_each_once(rows: int, columns: int) -> None:
    images = all_bits(rows * columns).reshape(-1, rows, columns)
    bars = (images == images[:, :1, :]).flatten(1).all(1)
    stripes = (images == images[:, :, :1]).flatten(1).all(1)
    expected = images[bars | stripes].flatten(1).tolist()
    assert sorted(bars_and_stripes(rows, columns).tolist()) == sorted(expected)


def test_their_number_is_known() -> None:
    assert len(bars_and_stripes(5, 7)) == 2**5 + 2**7 - 2


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (17, 3), (3, 17), (2.0, 3)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(InvalidSettingError, match=r"rows|columns"):
        bars_and_stripes(*sizes)
