"""Methods that take what a method of scvi-tools takes, and say so to `help` and to completion."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

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
