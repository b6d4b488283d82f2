"""Write docs/results.md and the results in the README and in docs/samplers.md from what was measured, and from nothing else.

python benchmarks/report.py [FOLDER]

The numbers are those of benchmarks/results/*.json. With the folder of a `spinlight cells fit` (`make run` leaves
runs/pbmc68k), its metrics.json and cells.png are first copied to docs/run/, from where both pages show them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import harness
from spinlight._files import atomic_file

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
Rows = Sequence[Mapping[str, Any]]


def main(root: Path = ROOT, run: Path | None = None) -> int:
    """Copy a run, if one is named, and rewrite the pages; return 0."""
    if run is not None:
        (root / "docs" / "run").mkdir(exist_ok=True)
        for name in ("metrics.json", "cells.png"):
            shutil.copyfile(run / name, root / "docs" / "run" / name)
    subjects = {
        path.stem: json.loads(path.read_text()) for path in sorted((root / "benchmarks/results").glob("*.json"))
    }
    metrics = root / "docs" / "run" / "metrics.json"
    fit = fit_lines(json.loads(metrics.read_text())) if metrics.exists() else []
    page = results_page(subjects) + "\n".join(["", *fit_section(fit, "run/cells.png"), ""] if fit else [])
    _write(root / "docs" / "results.md", page)
    readme = root / "README.md"
    block = "\n".join([*fit_section(fit, "docs/run/cells.png"), "", summary(subjects)] if fit else [summary(subjects)])
    _write(readme, between_markers(readme.read_text(), block))
    if (page_of_samplers := root / "docs" / "samplers.md").exists():
        _write(page_of_samplers, between_markers(page_of_samplers.read_text(), samplers_block(subjects)))
    return 0


def fit_section(lines: Sequence[str], picture: str) -> list[str]:
    """Return what `make run` measured, under its picture."""
    alt = "UMAP of the latent space by label and by energy, and the energies of each label"
    return ["**`make run`**: a QBM-VAE of real cells.", "", f"![{alt}]({picture})", "", *lines]


def fit_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the sentence and the table of one fit."""
    elbo, data, settings = metrics["elbo"], metrics["data"], metrics["settings"]
    seconds, versions = sum(metrics["seconds"].values()), metrics["versions"]
    held_out = "" if elbo["held_out"] is None else f", {elbo['held_out']:.1f} on held-out cells"
    names = {
        "leiden_ari": "Leiden ARI",
        "leiden_nmi": "Leiden NMI",
        "label_silhouette": "label silhouette",
        "clusters": "clusters",
    }
    scores = metrics["embeddings"]
    table = [
        f"| {title} | " + " | ".join(f"{score[key]:.3g}" for score in scores.values()) + " |"
        for key, title in names.items()
        if all(score[key] is not None for score in scores.values())
    ]
    return [
        f"{data['cells']} cells, {data['genes']} genes, {settings['latent']} latent bits, {settings['epochs']} epochs, seed "
        f"{settings['seed']}, {seconds:.0f} s: ELBO {elbo['train']:.1f} nats per cell{held_out}, standard error "
        f"{_error(elbo)}, of log Z {_error(metrics['log_partition'])}. Leiden at resolution 1 for both: how many clusters "
        "that gives is a property of each neighbour graph. "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + ".",
        "",
        "| | " + " | ".join(scores) + " |",
        "|---" * (len(scores) + 1) + "|",
        *table,
    ]


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
    """Return where the rows were measured and by what commands, and how many of the claims hold."""
    claims = [row for row in rows if row["required"] is not None]
    places: dict[str, dict[str, None]] = {}
    for row in rows:
        places.setdefault(f"{row['seeds']} repeat{'s' if row['seeds'] > 1 else ''}, on {row['machine']}", {})[
            f"`{row['command']}`"
        ] = None
    measured = "; ".join(f"{', '.join(commands)}: {place}" for place, commands in places.items())
    versions = "; ".join(
        dict.fromkeys(", ".join(f"{name} {version}" for name, version in row["versions"].items()) for row in rows)
    )
    quick = (
        " A quick run: it shows that everything runs and proves nothing." if any(row["quick"] for row in rows) else ""
    )
    return f"{sum(row['holds'] for row in claims)} of {len(claims)} claims hold. {measured}. {versions}.{quick}"


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


def samplers_block(subjects: Mapping[str, Rows]) -> str:
    """Return what the page of the samplers shows: distances from the law by sampler and problem, and every other row."""
    parts = []
    for subject in ("sampling", "optimisation"):
        rows = subjects.get(subject, [])
        laws = [row for row in rows if row["row"].startswith("law/")]
        others = [harness.table_line(row) for row in rows if not row["row"].startswith("law/")]
        parts += [f"**{subject}** {provenance(rows)}", ""] if rows else []
        parts += [*law_table(laws), ""] if laws else []
        parts += [harness.HEADER, *others, ""] if others else []
    return "\n".join(parts) if parts else "Nothing is measured yet: run the two benchmarks.\n"


def law_table(rows: Rows) -> list[str]:
    """Return the lines of a table of total variations, a line per sampler and a column per problem, the yardstick first."""
    cells: dict[str, dict[str, str]] = {"*independent draws*": {}}
    speeds: dict[str, list[float]] = {}
    for row in rows:
        _, target, sampler = row["row"].split("/", 2)
        refused = "refused" in row["peers"]
        cells.setdefault(sampler, {})[target] = "refused" if refused else f"{row['value']:.3f}"
        if not refused:
            cells["*independent draws*"][target] = f"{row['peers']['independent draws']:.3f}"
            speeds.setdefault(sampler, []).append(row["peers"]["effective draws/s"])
    targets = list(dict.fromkeys(target for line in cells.values() for target in line))
    head = ["| total variation | " + " | ".join(targets) + " | effective draws/s |", "|---" * (len(targets) + 2) + "|"]
    return head + [
        f"| {sampler} | {' | '.join(line.get(target, '') for target in targets)} | {_span(speeds.get(sampler, []))} |"
        for sampler, line in cells.items()
    ]


def _span(values: Sequence[float]) -> str:
    """Return the lowest and the highest of some numbers."""
    return f"{min(values):.2g} .. {max(values):.2g}" if values else ""


def _error(estimate: Mapping[str, Any]) -> str:
    """Return a standard error as a page shows it; one that could not be told is null in the file."""
    error = estimate["standard_error"]
    return "unknown" if error is None else f"{error:.2g}"


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
    sys.exit(main(run=Path(sys.argv[1]) if len(sys.argv) > 1 else None))
