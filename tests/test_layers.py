"""Imports point down the layers only.

    L4  cells  text  select  cloud     none imports another
    L3  training < latent              latent may import training, never the other way round
    L2  models, samplers               neither imports the other
    L1  kernels < ising                ising may call kernels; kernels take plain arrays and know no problem
    L0  the modules whose names begin with an underscore, and `spinlight` itself

cli sits on top: it imports anything, applications only inside functions, and nothing imports it. A module of a folder may
import its own folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.sources import PACKAGE, imported, modules

BASE = frozenset({"", "base"})
CORE = frozenset({"base", "kernels", "ising"})
APPLICATIONS = frozenset({"cells", "text", "select", "cloud"})
BELOW: dict[str, frozenset[str]] = {
    "base": frozenset(),
    "kernels": frozenset({"base"}),
    "ising": frozenset({"base", "kernels"}),
    "models": CORE,
    "samplers": CORE,
    "training": CORE | {"models", "samplers"},
    "latent": CORE | {"models", "samplers", "training"},
    **dict.fromkeys(APPLICATIONS, CORE | {"models", "samplers", "training", "latent"}),
}
BELOW["cli"] = frozenset(BELOW)
EXECUTED_AS_SCRIPTS = {"__main__": "cli"}


def folder_of(name: str) -> str:
    """Return the layer's folder that a dotted name belongs to: "base" for spinlight itself and underscored modules."""
    parts = name.split(".")
    if len(parts) == 1 or parts[1].startswith("_"):
        return EXECUTED_AS_SCRIPTS.get(parts[-1], "base")
    return parts[1] if parts[1] in BELOW else "base" if parts[1].islower() and len(parts) == 2 else parts[1]


def forbidden_edges(package: Path) -> list[str]:
    """Return what the layers do not allow, one sentence per import."""
    found = []
    for name, tree in modules(package).items():
        source = folder_of(name)
        for target_name, inside in imported(tree, name):
            if target_name.split(".")[0] != package.name:
                continue
            target = folder_of(target_name)
            if target != source and target not in BELOW[source]:
                found.append(f"{name} imports {target_name}: {source} may not import {target}")
            elif source == "cli" and target in APPLICATIONS and not inside:
                found.append(f"{name} imports {target_name} when it is imported, not when it runs")
    return found


def tree(folder: Path, files: dict[str, str]) -> Path:
    """Write a package of the given files and return its folder."""
    for name, text in files.items():
        path = folder / "spinlight" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "spinlight"
