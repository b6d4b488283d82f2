"""Sphinx settings: MyST pages, a reference per noun from the docstrings, warnings being errors (see `make docs`)."""

import re
from typing import Any

import spinlight

project = "spinlight"
author = "The spinlight authors"
copyright = "the spinlight authors"
release = version = spinlight.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
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

SINGLE_BACKTICKS = re.compile(r"(?<![`:])`([^`]+)`(?!`)")


def setup(app: Any) -> None:
    """Read the single backticks of docstrings as code, before napoleon looks for colons in them."""
    app.connect("autodoc-process-docstring", _code, priority=100)


def _code(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [SINGLE_BACKTICKS.sub(r"``\1``", line) for line in lines]
