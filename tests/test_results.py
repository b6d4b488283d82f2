"""Results are whole or absent, and hold numbers that any reader of JSON takes."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from spinlight._errors import InvalidSettingError
from spinlight._plain import plain
from spinlight._results import Results


def test_numbers_that_are_not_finite_become_null() -> None:
    value = {"a": {"b": math.nan, "c": 1.5}, "d": [math.inf, 2, "nan", None, True]}
    assert plain(value) == {"a": {"b": None, "c": 1.5}, "d": [None, 2, "nan", None, True]}


def test_a_json_file_is_standard_json(tmp_path: Path) -> None:
    with Results(tmp_path) as results:
        results.write_json("m.json", {"a": 1.5, "b": None})
        with pytest.raises(ValueError, match="JSON"):
            results.write_json("n.json", {"a": math.nan})
        results.commit()
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": 1.5, "b": None}
    assert names(tmp_path) == ["m.json"]


def test_results_appear_together_in_the_place_of_older_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with Results(tmp_path, files=("a", "b")) as results:
        results.write("a", b"new")
        results.write("b", b"new")
        assert (tmp_path / "a").read_text() == "old"
        assert not (tmp_path / "b").exists()
        assert results.saved == []
        results.commit()
    assert [path.read_text() for path in results.saved] == ["new", "new"]
    assert names(tmp_path) == ["a", "b"]


def fail(folder: Path, error: type[BaseException]) -> None:
    """Raise an error between writing and committing."""
    with Results(folder, files=("a",)) as results:
        results.write("a", b"new")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_without_a_commit_nothing_changes(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(error):
        fail(tmp_path, error)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_only_what_is_named_is_committed(tmp_path: Path) -> None:
    with Results(tmp_path) as results:
        results.write("a", b"new")
        results.write("b", b"new")
        results.commit("b")
    assert results.saved == [tmp_path / "b"]
    assert names(tmp_path) == ["b"]


def test_an_interrupt_waits_for_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with Results(tmp_path) as results:
        results.write("a", b"new")
        results.write("b", b"new")
        with pytest.raises(KeyboardInterrupt):
            results.commit()
    assert names(tmp_path) == ["a", "b"]


def test_a_folder_that_cannot_be_written_to_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", denied)
    with pytest.raises(InvalidSettingError, match=r"cannot be written to .* \(Permission denied\)"):
        Results(tmp_path)


def test_trying_a_folder_out_leaves_nothing(tmp_path: Path) -> None:
    with Results(tmp_path / "new"):
        pass
    assert names(tmp_path / "new") == []


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("absent"))


@pytest.mark.parametrize("other", [Path.mkdir, os.mkfifo, dangling])
def test_what_is_no_file_in_the_place_of_one_is_refused(tmp_path: Path, other: Callable[[Path], None]) -> None:
    (tmp_path / "model").mkdir()
    other(tmp_path / "model" / "model.pt")
    with pytest.raises(InvalidSettingError, match=r"model\.pt, where a result will be, is there and no file"):
        Results(tmp_path, files=("model/model.pt",), folders=("model",))


@pytest.mark.parametrize("other", [Path.touch, os.mkfifo, dangling])
def test_what_is_no_folder_in_the_place_of_one_is_refused(tmp_path: Path, other: Callable[[Path], None]) -> None:
    other(tmp_path / "model")
    with pytest.raises(InvalidSettingError, match=r"model, where a result will be, is there and no folder"):
        Results(tmp_path, folders=("model",))


def test_a_file_and_a_folder_in_their_own_places_are_taken(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "a").touch()
    with Results(tmp_path, files=("a",), folders=("model",)):
        pass
    assert names(tmp_path) == ["a", "model"]


def test_an_error_of_the_disk_names_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with Results(tmp_path) as results, pytest.raises(OSError, match="No space left on device") as caught:
        results.write("a", b"new")
    assert caught.value.filename == str(tmp_path / "a")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
