"""Sphinx settings: MyST pages, a reference per noun from the docstrings, warnings being errors (see `make docs`)."""

import re
from typing import Any

import spinlight

project = "spinlight"
author = "The spinlight authors"
copyright = "the spinlight authors"
release = version = spinlight.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"spinlight {release}"

napoleon_numpy_docstring = False
napoleon_custom_sections = [("Law", "notes_style"), ("Cost", "notes_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "inherited-members": False, "show-inheritance": True}
python_maximum_signature_line_length = 100

MARKUP = re.compile(r"``.+?``|:\w+:`[^`]+`|`[^`]+`|[*|]")


def setup(app: Any) -> None:
    """Read docstrings as they are written, single backticks for code and formulas in plain text, before napoleon does."""
    app.connect("autodoc-process-docstring", _plain, priority=100)


def _plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    example = False
    for number, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[number] = MARKUP.sub(_escaped, line)


def _escaped(match: re.Match[str]) -> str:
    """Return a formula's stars and bars escaped, code in double backticks, and other markup as it is."""
    text = match.group()
    if text in "*|":
        return "\\" + text
    return f"`{text}`" if text.startswith("`") and not text.startswith("``") else text
