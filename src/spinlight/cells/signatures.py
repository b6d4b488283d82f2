"""Methods that take what a method of scvi-tools takes: they say so to `help` and to completion, and refuse what nobody takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from spinlight._errors import InvalidSettingError

Function = TypeVar("Function", bound=Callable[..., Any])


def signature_of(original: Callable[..., Any]) -> Callable[[Function], Function]:
    """Give a function the signature of another one, whose arguments it hands on.

    Args:
        original: a function, or a method bound to its class, which then takes the class first.
    """
    shown = inspect.signature(getattr(original, "__func__", original))

    def mark(function: Function) -> Function:
        function.__signature__ = shown  # type: ignore[attr-defined]
        return function

    return mark


def require_known(what: str, given: Iterable[str], *functions: Callable[..., Any]) -> None:
    """Refuse names that none of the functions takes, which scvi-tools and Lightning would hand on to the last of them.

    Args:
        what: whose arguments they are, for the message.
        given: names.
        functions: that take them in the end.

    Raises:
        InvalidSettingError: an unknown name.
    """
    known = {
        name
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise InvalidSettingError(
                f"{what} has no argument {name!r}" + (f"; did you mean {close[0]}?" if close else "")
            )


def stated(settings: Any) -> dict[str, Any]:
    """Return what a mapping says, or where a dataclass of scvi-tools differs from its defaults.

    Raises:
        InvalidSettingError: neither.
    """
    if settings is None:
        return {}
    if is_dataclass(settings) and not isinstance(settings, type):
        found = {each.name: getattr(settings, each.name) for each in fields(settings)}
        return {name: value for name, value in found.items() if value != getattr(type(settings)(), name)}
    if not isinstance(settings, Mapping):
        raise InvalidSettingError(f"settings of the training plan must be a dictionary, got {settings!r}")
    return dict(settings)
