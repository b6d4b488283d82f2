"""Results hold numbers that any reader of JSON takes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from spinlight.cells.results import Results, plain


def test_numbers_that_are_not_finite_become_null() -> None:
    value = {"a": {"b": math.nan, "c": 1.5}, "d": [math.inf, 2, "nan", None, True]}
    assert plain(value) == {"a": {"b": None, "c": 1.5}, "d": [None, 2, "nan", None, True]}


def test_a_json_file_is_standard_json(tmp_path: Path) -> None:
    Results(tmp_path).write_json("m.json", {"a": 1.5, "b": None})
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": 1.5, "b": None}
    with pytest.raises(ValueError, match="JSON"):
        Results(tmp_path).write_json("n.json", {"a": math.nan})
    assert not (tmp_path / "n.json").exists()
