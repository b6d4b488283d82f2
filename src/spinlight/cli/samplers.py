"""`spinlight samplers`: what there is, and how its draws relate to the Boltzmann law."""

from __future__ import annotations

import inspect
import json
from typing import Annotated

import typer


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
