"""Imports point down the layers only.

    L4  cells  text  select  cloud     none imports another
    L3  training < latent              latent may import training, never the other way round
    L2  models, samplers               neither imports the other
    L1  kernels < ising                ising may call kernels; kernels take plain arrays and know no problem
        kernels < datasets             for what stands above L2: models, samplers and problems know none
    L0  the modules whose names begin with an underscore, and `spinlight` itself

cli sits on top: it imports anything, applications only inside functions, and nothing imports it. A module of a folder may
import its own folder.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from helpers.sources import PACKAGE, imported, modules

CORE = frozenset({"base", "kernels", "ising"})
METHODS = CORE | {"models", "samplers"}
APPLICATIONS = frozenset({"cells", "text", "select", "cloud"})
BELOW: dict[str, frozenset[str]] = {
    "base": frozenset(),
    "kernels": frozenset({"base"}),
    "ising": frozenset({"base", "kernels"}),
    "datasets": frozenset({"base", "kernels"}),
    "models": CORE,
    "samplers": CORE,
    "training": METHODS | {"datasets"},
    "latent": METHODS | {"datasets", "training"},
    **dict.fromkeys(APPLICATIONS, METHODS | {"datasets", "training", "latent"}),
    "cli": METHODS | {"datasets", "training", "latent"} | APPLICATIONS,
}


def folder_of(name: str) -> str:
    """Return the folder that a dotted name belongs to: "base" for spinlight itself and its underscored modules."""
    parts = name.split(".")
    if len(parts) == 1 or (parts[1].startswith("_") and parts[1] != "__main__"):
        return "base"
    return "cli" if parts[1] == "__main__" else parts[1]


def forbidden_edges(package: Path = PACKAGE) -> list[str]:
    """Return the imports that the layers do not allow, one sentence each."""
    found = []
    for name, syntax in modules(package).items():
        source = folder_of(name)
        if source not in BELOW:
            found.append(f"{name} belongs to no layer")
            continue
        for target_name, inside in imported(syntax):
            target = folder_of(target_name)
            if target_name.split(".")[0] != package.name or target == source:
                continue
            if target not in BELOW[source]:
                found.append(f"{name} must not import {target_name}")
            elif source == "cli" and target in APPLICATIONS and not inside:
                found.append(f"{name} must import {target_name} inside a function")
    return found


def circles(package: Path = PACKAGE) -> list[str]:
    """Return the modules of the first circle of imports that is found; the face of a package counts as no module."""
    known = modules(package)
    files = {name for name in known if not any(other.startswith(name + ".") for other in known)}
    graph = {
        name: {part for to, _ in imported(known[name]) for part in (to, to.rpartition(".")[0]) if part in files}
        - {name}
        for name in files
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_imports_go_in_a_circle() -> None:
    assert circles() == []


def test_a_circle_is_caught_even_inside_a_function(tmp_path: Path) -> None:
    files = {
        "ising/a.py": "from spinlight.ising.b import f",
        "ising/b.py": "def f():\n    from spinlight.ising.a import g",
    }
    assert set(circles(package_of(tmp_path, files))) == {"spinlight.ising.a", "spinlight.ising.b"}


def test_imports_point_down_the_layers() -> None:
    assert forbidden_edges() == []


def test_every_module_was_read() -> None:
    assert {"spinlight", "spinlight._errors", "spinlight.ising", "spinlight.ising.files.rudy"} <= set(modules())


ALLOWED = {
    "ising/problem.py": "from spinlight._errors import SpinlightError\nfrom spinlight.kernels.coloring import dsatur",
    "latent/prior.py": "import spinlight.training",
    "cells/model.py": "from spinlight.latent import prior\nimport torch",
    "training/fit.py": "from spinlight.datasets import mnist",
    "cli/run.py": "def run():\n    from spinlight.cells import model",
    "__main__.py": "from spinlight.cli import main",
}
FORBIDDEN = {
    "samplers know no models": ("samplers/x.py", "from spinlight.models import BoltzmannMachine"),
    "models know no samplers": ("models/x.py", "from spinlight import samplers"),
    "not even inside a function": ("models/x.py", "def f():\n    import spinlight.samplers.base as b"),
    "not even for types": ("models/x.py", "if TYPE_CHECKING:\n    from spinlight.samplers import Gibbs"),
    "training lies below latent": ("training/x.py", "from spinlight.latent import prior"),
    "nor datasets": ("models/x.py", "from spinlight.datasets import mnist"),
    "problems know no datasets": ("ising/x.py", "from spinlight import datasets"),
    "datasets know no problem": ("datasets/x.py", "from spinlight.ising import Ising"),
    "kernels know no problem": ("kernels/x.py", "from spinlight.ising import Ising"),
    "the base imports nothing": ("_checks.py", "from spinlight.ising import Ising"),
    "applications are strangers": ("text/x.py", "from spinlight.cells import model"),
    "nothing imports the command line": ("cells/x.py", "from spinlight.cli import main"),
    "the command line starts light": ("cli/x.py", "from spinlight.cells import model"),
    "nothing imports the top": ("samplers/x.py", "from spinlight import Ising"),
    "every folder has a layer": ("misc/x.py", ""),
}


def package_of(folder: Path, files: dict[str, str]) -> Path:
    """Write a package named spinlight and return its folder."""
    for name, text in files.items():
        path = folder / "spinlight" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "spinlight"


def test_a_tree_that_keeps_the_layers_passes(tmp_path: Path) -> None:
    assert forbidden_edges(package_of(tmp_path, ALLOWED)) == []


@pytest.mark.parametrize(("file", "text"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_tree_with_one_bad_import_is_caught(tmp_path: Path, file: str, text: str) -> None:
    found = forbidden_edges(package_of(tmp_path, ALLOWED | {file: text}))
    assert len(found) == 1
    assert found[0].startswith("spinlight." + file.removesuffix(".py").replace("/", "."))


def test_relative_imports_are_caught(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="relative import"):
        forbidden_edges(package_of(tmp_path, {"models/x.py": "from ..samplers import base"}))
