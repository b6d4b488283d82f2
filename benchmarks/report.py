"""Write docs/results.md and the README's results from benchmarks/results/*.json, and from nothing else.

python benchmarks/report.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import harness
from spinlight._files import atomic_file

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
Rows = Sequence[Mapping[str, Any]]


def main(root: Path = ROOT) -> int:
    """Rewrite both pages; return 0."""
    subjects = {
        path.stem: json.loads(path.read_text()) for path in sorted((root / "benchmarks/results").glob("*.json"))
    }
    _write(root / "docs" / "results.md", results_page(subjects))
    readme = root / "README.md"
    _write(readme, between_markers(readme.read_text(), summary(subjects)))
    return 0


def results_page(subjects: Mapping[str, Rows]) -> str:
    """Return the page of every row of every subject."""
    parts = [
        "# Results\n",
        "Made by `benchmarks/report.py` from the files that the benchmarks write; not edited by hand. A ratio is a median of",
        "paired repeats, its spread their range; `holds` compares it with what the project asks of itself.\n",
    ]
    if not subjects:
        parts.append("Nothing is measured yet: run `make bench`.\n")
    for subject, rows in subjects.items():
        lines = [harness.table_line(row) for row in rows]
        parts += [f"## {subject}\n", provenance(rows), "", harness.HEADER, *lines, ""]
    return "\n".join(parts)


def provenance(rows: Rows) -> str:
    """Return where the rows were measured and by what command, and how many of the claims hold."""
    first, claims = rows[0], [row for row in rows if row["required"] is not None]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    quick = " A quick run: it shows that everything runs and proves nothing." if first["quick"] else ""
    return (
        f"{sum(row['holds'] for row in claims)} of {len(claims)} claims hold. `{first['command']}`, {first['seeds']} paired "
        f"repeats, on {first['machine']}; {versions}.{quick}"
    )


def summary(subjects: Mapping[str, Rows]) -> str:
    """Return the README's block: per subject, one line per case and one column per peer, ratios only."""
    if not subjects:
        return "Nothing is measured yet: run `make bench`."
    parts = []
    for subject, rows in subjects.items():
        ratios = [row for row in rows if row["unit"] == "x"]
        if ratios:
            parts += [f"**{subject}** {provenance(rows)}", "", *pivot(ratios), ""]
    parts.append(
        "Ratios above 1 are in spinlight's favour; **bold** ones fall short of what is asked. All rows: docs/results.md."
    )
    return "\n".join(parts)


def pivot(ratios: Rows) -> list[str]:
    """Return the lines of a table with a line per case and a column per last part of the row's name."""
    cells: dict[str, dict[str, str]] = {}
    for row in ratios:
        case, peer = row["row"].rsplit("/", 1)
        value = f"{row['value']:.3g}x"
        cells.setdefault(case, {})[peer] = value if row["holds"] else f"**{value}**"
    columns = list(dict.fromkeys(peer for line in cells.values() for peer in line))
    head = ["| case | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return head + [
        f"| {case} | " + " | ".join(line.get(column, "") for column in columns) + " |" for case, line in cells.items()
    ]


def between_markers(page: str, block: str) -> str:
    """Return `page` with what stands between the two markers replaced by `block`."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page needs the markers {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


if __name__ == "__main__":
    sys.exit(main())
