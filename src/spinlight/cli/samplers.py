"""`spinlight samplers`: what there is, and how its draws relate to the Boltzmann law; and how other commands name one of them."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinlight._errors import InvalidSettingError, UnknownNameError

if TYPE_CHECKING:
    from spinlight.samplers import Sampler


def samplers(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List the samplers with their laws: exact, asymptotic (right in the limit of long runs) or heuristic."""
    rows = listed()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("sampler", "law", "", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(row["name"], row["law"], row["about"])
    Console().print(table)


def listed() -> list[dict[str, str]]:
    """Return name, law and first sentence of every sampler, those of one law together, in the order of the laws' strength.

    Last come wrappers whose law is that of the sampler inside.
    """
    import spinlight.samplers as package

    kinds = [getattr(package, name) for name in package.__all__]
    found = [
        kind
        for kind in kinds
        if inspect.isclass(kind) and issubclass(kind, package.Sampler) and not inspect.isabstract(kind)
    ]
    strength = ("exact", "asymptotic", "heuristic", _INNER)
    rows = [
        {
            "name": kind.__name__,
            "law": kind.law if isinstance(kind.law, str) else _INNER,
            "about": (inspect.getdoc(kind) or "").splitlines()[0],
        }
        for kind in found
    ]
    return sorted(rows, key=lambda row: (strength.index(row["law"]), row["name"]))


_INNER = "of the sampler inside"


def chosen_sampler(name: str, pairs: Sequence[str]) -> Sampler:
    """Return the sampler of this name with settings KEY=VALUE; those of a part of it are PART.KEY=VALUE, beside PART=NAME."""
    import spinlight.samplers as package

    names = [row["name"] for row in listed()]
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f", did you mean {close[0]}?" if close else ";"
        raise UnknownNameError(f"there is no sampler {name!r}{hint} samplers: {', '.join(names)}")
    sampler: Sampler = made(getattr(package, name), pairs)
    return sampler


def made(kind: type, pairs: Sequence[str], prefix: str = "") -> Any:
    """Return an object of a class with these settings, and without a bar of its own."""
    known = [item.name for item in fields(kind) if item.init]
    values: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidSettingError(f"--set takes KEY=VALUE, got {pair!r}")
        name, dot, rest = key.partition(".")
        if name not in known:
            raise UnknownNameError(f"{kind.__name__} has no setting {name!r}; settings: {', '.join(known)}")
        if dot:
            parts.setdefault(name, []).append(f"{rest}={value}")
        else:
            values[name] = value
    for name in parts.keys() - values.keys():
        raise InvalidSettingError(f"say what {prefix}{name} is before what is in it: --set {prefix}{name}=NAME")
    settings: dict[str, Any] = {"progress": False} if "progress" in known else {}
    settings |= {name: _value(text, parts.get(name, []), f"{prefix}{name}.") for name, text in values.items()}
    try:
        return kind(**settings)
    except TypeError as error:
        raise InvalidSettingError(f"{kind.__name__}: {error}; settings are given by --set {prefix}KEY=VALUE") from error


def _value(text: str, pairs: Sequence[str], prefix: str) -> Any:
    """Return a setting: a JSON value, an object of the class of that name with these settings, or the text itself."""
    import spinlight.samplers as package

    kind = getattr(package, text, None) if text in package.__all__ else None
    if inspect.isclass(kind) and is_dataclass(kind):
        return made(kind, pairs, prefix)
    if pairs:
        raise InvalidSettingError(f"{text!r} has no settings; --set {prefix}{pairs[0]} needs the name of a class there")
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value
