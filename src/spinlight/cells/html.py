"""What pages of results share: their style, tables and pictures, in HTML that needs nothing beside itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

STYLE = """\
  body { font: 16px/1.5 system-ui, sans-serif; color: #1f2430; background: #f6f7fa; margin: 0; }
  main { max-width: 1120px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
  h1 { margin: 0; font-size: 1.7rem; }
  h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem; }
  p { max-width: 46rem; margin: .4rem 0; }
  .cards { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1.4rem; }
  .card, figure, table { background: #fff; border: 1px solid #e2e5ec; border-radius: 10px; }
  .card { flex: 1 1 16rem; padding: .9rem 1.1rem; }
  .name, .unit, .error, figcaption { color: #5c6370; font-size: .88rem; }
  .value { font-size: 1.55rem; font-weight: 650; font-variant-numeric: tabular-nums; }
  .error { font-size: 1rem; font-weight: 400; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow: hidden; }
  th, td { text-align: left; padding: .42rem 1rem; border-bottom: 1px solid #eef0f4; overflow-wrap: anywhere; }
  th { background: #fafbfc; font-weight: 600; }
  td:last-child { color: #5c6370; }
  figure { margin: 1rem 0; padding: .8rem; }
  img { display: block; width: 100%; height: auto; }
  details { margin-top: 2rem; }
  summary { cursor: pointer; font-weight: 600; margin-bottom: .6rem; }
"""
"""The content of a page's `style`."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def picture(caption: str, png: bytes) -> str:
    """Return a PNG with its caption, plain text, embedded as a data URI."""
    data = base64.b64encode(png).decode("ascii")
    name = escape(caption)
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'
