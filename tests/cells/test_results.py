"""Results hold numbers that any reader of JSON takes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from spinlight._errors import InvalidSettingError
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


def test_a_folder_that_cannot_be_written_to_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(InvalidSettingError, match=r"cannot be written to .* \(Permission denied\)"):
        Results(tmp_path)


def test_trying_a_folder_out_leaves_nothing(tmp_path: Path) -> None:
    Results(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_refused_and_so_is_the_reverse(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    (tmp_path / "cells.png").mkdir()
    with pytest.raises(InvalidSettingError, match=r"there is a file at .*model"):
        Results(tmp_path, folders=("model",))
    with pytest.raises(InvalidSettingError, match=r"there is a folder at .*cells\.png"):
        Results(tmp_path, files=("cells.png",))
    Results(tmp_path, files=("model",), folders=("cells.png",))
