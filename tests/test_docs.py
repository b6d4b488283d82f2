"""What the pages show runs: every Python block of the README and of docs/, and every example in a docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import spinlight

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = [m.name for m in pkgutil.walk_packages(spinlight.__path__, "spinlight.") if not m.name.endswith("__main__")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


# Lightning's own use of torch and of its data loaders, on the page about cells.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_snippets_of_a_page_run_one_after_the_other(page: Path, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    for source in blocks(page):
        if ">>>" in source:
            example = doctest.DocTestParser().get_doctest(source, names, page.name, str(page), 0)
            result = doctest.DocTestRunner(optionflags=FLAGS).run(example, clear_globs=False)
            assert result.attempted > 0
            assert result.failed == 0
            names = example.globs
        else:
            exec(compile(source, str(page), "exec"), names)


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec")  # Lightning's own use of torch
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS).failed == 0


def test_a_wrong_example_is_found() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda text: None).failed == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b`?", code(page))}
    assert named
    assert named <= targets


def code(page: Path) -> str:
    """Return the inline code and the fenced blocks of a page: prose may say "make sure"."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL))


DIRECTIVE = re.compile(r"^\.\. auto(\w+):: (\S+)$", re.MULTILINE)


def documented(text: str) -> Iterator[object]:
    """Yield the classes and functions that the directives of a page document."""
    for kind, path in DIRECTIVE.findall(text):
        if kind == "module":
            module = importlib.import_module(path)
            # A package may import its names lazily; Sphinx finds those that are there.
            found = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
            chosen = getattr(module, "__all__", [n for n, o in found.items() if getattr(o, "__module__", "") == path])
            yield from (found[name] for name in chosen if name in found)
        else:
            module_name, name = path.rsplit(".", 1)
            yield getattr(importlib.import_module(module_name), name)


def public_things() -> Iterator[tuple[str, object]]:
    """Yield every public class and function; the command line shows itself by --help."""
    for package in {"spinlight", *MODULES} - {"spinlight.cli"}:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                yield f"{package}.{name}", thing


def test_every_public_class_and_function_has_a_place_in_the_reference() -> None:
    pytest.importorskip("scvi")
    found = {id(thing) for page in PAGES for thing in documented(page.read_text())}
    assert [name for name, thing in public_things() if id(thing) not in found] == []


def test_a_package_that_imports_its_names_lazily_is_not_documented_by_naming_it() -> None:
    done = importlib.import_module("spinlight.cells")
    assert "load_cells" not in vars(done)
    assert list(documented(".. automodule:: spinlight.cells\n")) == []
    assert [thing.__name__ for thing in documented(".. autofunction:: spinlight.cells.data.load_cells\n")] == [
        "load_cells"
    ]


def test_formulas_need_no_network() -> None:
    assert "sphinx-mathjax-offline" in (ROOT / "docs" / "conf.py").read_text()
