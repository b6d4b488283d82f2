"""The package's source files, parsed: their imports and docstrings."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "spinlight"


@cache
def modules(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """Return every module's syntax tree by its dotted name, the package's own first name included."""
    return {
        _dotted(path, package): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))
    }


def imported(tree: ast.Module) -> list[tuple[str, bool]]:
    """Return each dotted name that a module imports anywhere, and whether only inside a function.

    `from a.b import c` counts as `a.b.c`, because c may be a module; imports for type checkers count like any other.
    """
    found: list[tuple[str, bool]] = []
    _collect(tree, False, found)
    return found


def _collect(node: ast.AST, inside: bool, found: list[tuple[str, bool]]) -> None:
    if isinstance(node, ast.Import):
        found += [(alias.name, inside) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise ValueError(f"line {node.lineno}: a relative import; the house imports by full name")
        found += [(f"{node.module}.{alias.name}", inside) for alias in node.names]
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        _collect(child, inside, found)


def _dotted(path: Path, package: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
