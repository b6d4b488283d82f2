"""The errors are the tree that is drawn at the top of their file."""

from __future__ import annotations

import builtins
import inspect
import re

import pytest

from spinlight import _errors

DRAWN = re.findall(r"^[ │├└─]*(\w+(?:Error|Warning))(?: +\((\w+)\))?", _errors.__doc__ or "", re.MULTILINE)
DEFINED = {
    name: kind for name, kind in inspect.getmembers(_errors, inspect.isclass) if kind.__module__ == _errors.__name__
}


def test_the_drawing_names_every_error_and_no_other() -> None:
    assert sorted(name for name, _ in DRAWN) == sorted(DEFINED)
    assert len(DRAWN) > 5


@pytest.mark.parametrize(("name", "builtin"), DRAWN)
def test_each_error_has_the_parents_that_are_drawn(name: str, builtin: str) -> None:
    root = _errors.SpinlightWarning if name.endswith("Warning") else _errors.SpinlightError
    assert issubclass(DEFINED[name], root)
    if builtin:
        assert issubclass(DEFINED[name], getattr(builtins, builtin))


@pytest.mark.parametrize("kind", DEFINED.values(), ids=DEFINED)
def test_each_error_says_what_it_is_given(kind: type[Exception]) -> None:
    assert str(kind("what arrived, and what to do")) == "what arrived, and what to do"


def test_an_unknown_name_without_a_message_prints_nothing() -> None:
    assert str(_errors.UnknownNameError()) == ""


def test_each_error_has_a_sentence() -> None:
    assert [name for name, kind in DEFINED.items() if not (kind.__doc__ or "").endswith(".")] == []
