"""A benchmark as one HTML page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.metrics import HEADLINES, METRICS, Metric
from spinlight.cells.benchmark.pictures import curves_picture, maps_picture
from spinlight.cells.benchmark.sets import CellSet
from spinlight.cells.benchmark.store import Record, Store
from spinlight.cells.benchmark.summary import verdict
from spinlight.cells.html import STYLE, picture, table

Part = Mapping[str, Any]


def benchmark_page(summary: Part, sets: Sequence[CellSet], trials: Sequence[Trial], store: Store) -> str:
    """Return the page.

    Args:
        summary: as `benchmark_cells` returns it.
        sets: what was compared on.
        trials: all of them.
        store: where their files are.
    """
    records = {trial.name: record for trial in trials if (record := store.scored(trial))}
    return _PAGE.substitute(
        style=STYLE,
        verdicts="".join(f"<p>{escape(verdict(name, part))}</p>" for name, part in summary["sets"].items()),
        few=_TWO_SEEDS if summary["settings"]["seeds"] == 2 else "",
        failures=_failures(summary["failures"]),
        sets="".join(_section(data, summary["sets"][data.name], trials, records, store) for data in sets),
        settings=_settings(summary, trials, records),
    )


_TWO_SEEDS = " Two seeds leave intervals 25 standard errors wide, in which everything is a tie: take five."


def interval_text(part: Part | None, *, digits: int = 3, seeds: bool = True) -> str:
    """Return a mean with its interval, or without one where there are no seeds, or one gives none; a dash where there is no value."""
    if part is None:
        return "-"
    mean = f"{part['mean']:.{digits}f}"
    if not seeds:
        return f"{mean} (has no seeds)"
    if part["lower"] is None:
        return f"{mean} (one seed)"
    return f"{mean} ({part['lower']:.{digits}f} to {part['upper']:.{digits}f})"


def totals_rows(part: Part) -> list[list[str]]:
    """Return one row for each model of a set, best total first: its name, the scIB aggregates, and its place."""
    groups = part["rankings"].get("scib_total")
    places = {name: f"{place}" for place, group in enumerate(groups or (), 1) for name in group}
    tied = {name for group in groups or () if len(group) > 1 for name in group}
    ordered = sorted(part["contenders"], key=lambda one: -one["metrics"].get("scib_total", {"mean": -1.0})["mean"])
    return [
        [
            one["name"],
            one["about"],
            *(interval_text(one["metrics"].get(metric), seeds=not one["deterministic"]) for metric in HEADLINES),
            places.get(one["name"], "-") + (", tied" if one["name"] in tied else ""),
        ]
        for one in ordered
    ]


TOTALS_HEADER = ("model, size", "what it is", "scIB total", "bio conservation", "batch correction", "place by total")


def _section(data: CellSet, part: Part, trials: Sequence[Trial], records: Mapping[str, Record], store: Store) -> str:
    facts = (
        f"{part['cells']:,} cells, {part['genes']:,} genes, {part['batches']} batches, {part['labels'] or 'no'} labels"
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in part["notes"])
    own = [trial for trial in trials if trial.data is data and trial.name in records]
    return (
        f"<h2>{escape(data.name)}</h2><p>{escape(facts)}.</p>{notes}"
        + table(TOTALS_HEADER, totals_rows(part))
        + _all_metrics(part)
        + _differences(part)
        + _likelihoods(part)
        + _orders(own, records)
        + _pictures(data, own, records, store)
    )


def _all_metrics(part: Part) -> str:
    """Return every metric of every model, folded away."""
    names = [one["name"] for one in part["contenders"]]
    rows = []
    for metric in METRICS:
        found = [_cell(one, metric) for one in part["contenders"]]
        if set(found) != {"-"}:
            rows.append([f"{metric.kind}: {metric.words}", *found, _first(part, metric)])
    header = ["", *names, "first, ties included"]
    return f"<details><summary>All scores</summary>{table(header, rows)}</details>"


def _cell(contender: Part, metric: Metric) -> str:
    """Return a value as text; of a likelihood also what it is of, since only the same can be compared."""
    part = contender["metrics"].get(metric.key)
    of = f", of {contender['likelihood_of']}" if part is not None and metric.key == "held_out" else ""
    return interval_text(part, seeds=not contender["deterministic"]) + of


def _first(part: Part, metric: Metric) -> str:
    groups = part["rankings"].get(metric.key)
    return "-" if groups is None else ", ".join(groups[0])


def _differences(part: Part) -> str:
    header = ("", "difference of means", "p, paired t", "p, Holm", "p, Wilcoxon")
    words = {metric.key: metric.words for metric in METRICS}
    rows = [
        [
            f"{words[metric]}: {row['one']} - {row['other']}",
            interval_text(row),
            *(_probability(row[name]) for name in ("t_p", "holm_p", "wilcoxon_p")),
        ]
        for metric in HEADLINES
        for row in part["pairs"][metric]
    ]
    return f"<details><summary>Paired differences over seeds</summary>{table(header, rows)}</details>" if rows else ""


def _probability(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _likelihoods(part: Part) -> str:
    rows = [
        [
            f"{row['one']} - {row['other']}",
            row["of"],
            interval_text(row, digits=2),
            "-" if row["cell_error"] is None else f"{row['cell_error']:.2g}",
            f"{row['cells']:,}",
        ]
        for row in part["held_out_pairs"]
    ]
    if not rows:
        return ""
    header = ("", "likelihood of", "difference, nats per cell", "standard error over cells", "pairs")
    words = (
        "Importance-weighted lower bounds on the same held-out cells. Where a model has a log Z, its bound is taken with log Z two "
        "standard errors higher than estimated. More is better. Brackets are intervals over seeds, of a single seed over its cells; the "
        "standard error over cells leaves the seeds out, and is no measure of which model is better."
    )
    return f"<h3>Held-out likelihood</h3><p>{words}</p>{table(header, rows)}"


def _orders(trials: Sequence[Trial], records: Mapping[str, Record]) -> str:
    """Return each fit's correlations with the known order, with intervals over resampled cells."""
    rows = []
    for trial in trials:
        detail = records[trial.name]["scores"]["detail"]
        found = [detail.get(name) for name in ("dpt_tau", "energy_tau")]
        if any(found):
            rows.append([f"{trial.model.name} {trial.size}, seed {trial.seed}", *map(_tau, found)])
    if not rows:
        return ""
    header = ("", "DPT pseudotime, Kendall tau", "cell energy, Kendall tau")
    words = (
        "Intervals are over resampled cells of one fit. Pseudotime starts at the cells that come first in the known order; the energy "
        "knows nothing of it. If low energy went with differentiation, the energy's tau would be negative."
    )
    return f"<h3>Known order</h3><p>{words}</p>{table(header, rows)}"


def _tau(part: Part | None) -> str:
    return "-" if part is None else f"{part['value']:.3f} ({part['lower']:.3f} to {part['upper']:.3f})"


def _pictures(data: CellSet, trials: Sequence[Trial], records: Mapping[str, Record], store: Store) -> str:
    groups = {name: values for name, values in (("label", data.labels), ("batch", data.batches)) if values is not None}
    found = []
    curves: dict[str, list[Any]] = {}
    for trial in trials:
        name = f"{trial.model.name} {trial.size}"
        curves.setdefault(name, []).append(records[trial.name]["fit"]["curves"])
        positions = store.arrays(trial).get("positions") if trial.seed == 0 else None
        if positions is not None and groups:
            found.append(picture(f"{name}, seed 0: UMAP of its latent", maps_picture(name, positions, groups)))
    if training := curves_picture(curves):
        found.append(picture("Training, one line for each seed; the weight of KL rises at first", training))
    return "".join(found)


def _failures(failures: Sequence[Part]) -> str:
    if not failures:
        return ""
    rows = [[one["trial"], one["stage"], f"{one['error']}: {one['message']}"] for one in failures]
    words = "These trials have no result. They are tried again by the next run."
    return f"<h2>Failures</h2><p>{words}</p>{table(('trial', 'at', 'error'), rows)}"


def _settings(summary: Part, trials: Sequence[Trial], records: Mapping[str, Record]) -> str:
    rows = [[key, str(value)] for key, value in summary["settings"].items()]
    models = {f"{trial.model.name} {trial.size}": trial.fit_settings for trial in trials}
    rows += [[f"model {name}", str(settings)] for name, settings in models.items()]
    versions: dict[str, set[str]] = {}
    for record in records.values():
        for name, version in record["fit"]["versions"].items():
            versions.setdefault(name, set()).add(version)
    rows += [[f"version of {name}", ", ".join(sorted(found))] for name, found in versions.items()]
    return table(("setting", "value"), rows)


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Latent spaces compared</title>
<style>
$style
h3 { margin: 1.4rem 0 .4rem; font-size: 1rem; }
main { max-width: 1320px; }
details { overflow-x: auto; }
</style>
</head>
<body>
<main>
<h1>Latent spaces compared</h1>
$verdicts
<p>Means over seeds, in brackets 95 % intervals by Student's t. A seed is another split of the cells, start and training. Two models are
tied where the interval of their paired difference includes zero; that is no proof that they are equal. All models had the same counts,
the same batches (but pca and vae, which know none), the same cells to train on (but pca, which has all) and, but for the defaults of
packages, the same epochs; none had labels.$few</p>
$failures
$sets
<details><summary>Settings and versions</summary>$settings</details>
</main>
</body>
</html>
""")
