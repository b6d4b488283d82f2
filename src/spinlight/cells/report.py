"""A fitted model as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from spinlight.cells.evaluation import COMPONENTS, NEIGHBOURS, RESOLUTION
from spinlight.cells.html import STYLE, picture, table

_SCORES = (
    ("leiden_ari", "Leiden ARI", "higher is better; 0 by chance"),
    ("leiden_nmi", "Leiden NMI", "higher is better"),
    ("label_silhouette", "label silhouette", "higher is better"),
    ("batch_silhouette", "batch silhouette", "near 0 or below where batches mix; not enough by itself"),
    ("batch_ilisi", "batch iLISI", "higher is better mixed"),
    ("clusters", "Leiden clusters", "at the same resolution"),
)


NO_ERROR = (
    "The error of log Z, and with it that of the ELBO, is unknown: too few annealed chains carried weight. Do not rely on these "
    "values; fewer latent bits make log Z easier to estimate."
)
"""What the page and the console say in place of an error that cannot be told."""


def score_rows(scores: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return one row for each score that some embedding has: its name, its value for each embedding, how to read it."""
    rows = []
    for key, name, reading in _SCORES:
        values = [part.get(key) for part in scores.values()]
        if any(value is not None for value in values):
            rows.append((name, *map(_shown, values), reading))
    return rows


def outcome_sentence(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which embedding is higher by which scores of the labels, and what that is worth; nothing where there are no labels."""
    better: dict[str, list[str]] = {}
    for key, name in (("leiden_ari", "ARI"), ("leiden_nmi", "NMI"), ("label_silhouette", "silhouette")):
        values = {embedding: part[key] for embedding, part in scores.items() if part.get(key) is not None}
        if values:
            # What the table shows as equal is equal.
            best = [embedding for embedding in values if _shown(values[embedding]) == _shown(max(values.values()))]
            better.setdefault(best[0] if len(best) == 1 else "", []).append(name)
    equal = better.pop("", [])
    parts = [
        f"{embedding} {'' if number else 'is higher '}by {_listed(names)}"
        for number, (embedding, names) in enumerate(better.items())
    ]
    if equal:
        parts.append(f"{'they are' if parts else 'The embeddings are'} equal by {_listed(equal)}")
    return f"{', '.join(parts)}. {_ONE_FIT}" if parts else ""


_ONE_FIT = "One fit with one seed tells no winner: spinlight cells benchmark compares, with intervals over seeds."


def rising_sentence(elbo: Mapping[str, Any]) -> str:
    """Return that the held-out ELBO had not come to its end when the training had, where that is so; else nothing."""
    gain, value = elbo["held_out_gain"], elbo["held_out"]
    if gain is None or value is None or gain <= _LEVEL * abs(value):
        return ""
    return (
        f"The held-out ELBO still rose, by {gain:.2g} nats over the last quarter of the epochs: more epochs may help."
    )


_LEVEL = 1e-3
"""Share of an ELBO by which it may rise over the last quarter of a training that has come to its end."""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def html_report(title: str, metrics: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        title: its heading, plain text.
        metrics: as `fit_cells` writes them.
        pictures: PNG files by caption, plain text; they are embedded as data URIs.
    """
    elbo, partition = metrics["elbo"], metrics["log_partition"]
    return _PAGE.substitute(
        title=escape(title),
        style=STYLE,
        data=escape(f"{metrics['data']['cells']:,} cells, {metrics['data']['genes']:,} genes"),
        elbo=_headline("ELBO per cell, training cells", elbo["train"], _elbo_error(elbo, "train"), "nats"),
        held_out=_headline("ELBO per cell, held-out cells", elbo["held_out"], _elbo_error(elbo, "held_out"), "nats"),
        partition=_headline("log Z of the prior", partition["value"], partition["standard_error"], partition["method"]),
        draws=elbo["draws"],
        neighbours=NEIGHBOURS,
        components=COMPONENTS,
        resolution=f"{RESOLUTION:g}",
        no_error=f"<p>{escape(NO_ERROR)}</p>" if partition["standard_error"] is None else "",
        notes="".join(f"<p>{escape(note)}</p>" for note in (*metrics["notes"], rising_sentence(elbo)) if note),
        scores=table(["", *(name for name in metrics["embeddings"]), ""], score_rows(metrics["embeddings"])),
        outcome=escape(outcome_sentence(metrics["embeddings"])),
        pictures="".join(picture(caption, png) for caption, png in pictures.items()),
        settings=table(
            ["setting", "value"],
            [
                (f"{part}: {key}", str(value))
                for part in ("data", "settings", "versions")
                for key, value in metrics[part].items()
            ],
        ),
    )


def _elbo_error(elbo: Mapping[str, Any], part: str) -> float | None:
    """Return the error of one of the two ELBOs: that of log Z and that of its own draws."""
    if elbo["log_partition_error"] is None:
        return None
    return math.hypot(elbo["log_partition_error"], elbo["sampling_error"][part] or 0.0)


def _headline(name: str, value: float | None, error: float | None, unit: str) -> str:
    if value is None:
        return ""
    shown = "error unknown" if error is None else f"&plusmn; {error:.2g}"
    return (
        f'<div class="card"><div class="name">{escape(name)}</div><div class="value">{value:,.2f} '
        f'<span class="error">{shown}</span></div><div class="unit">{escape(unit)}</div></div>'
    )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p>$data. A variational autoencoder of counts with a Boltzmann machine as the prior of its latent bits.</p>
<div class="cards">$elbo$held_out$partition</div>
<p>The ELBO is a lower bound on the log-likelihood of a cell, here the mean over cells and over $draws draws of each cell's latent
variables. Its standard error joins that of log Z, which every cell shares, and that of the draws. The choice of cells and
of the seed is not included: other cells of the same kind, or another training, would give another mean.</p>
$no_error$notes
<h2>Separation of known groups</h2>
<p>$outcome</p>
$scores
<p>The neighbour graphs join each cell to its $neighbours nearest: for QBM-VAE in the bits' posterior probabilities q(z | x), for PCA
in the first $components principal components of log-normalised counts. Leiden runs at resolution $resolution and with the same seed
for both; none of these settings was chosen by looking at labels.</p>
<h2>Cells</h2>
<p>The energy of a cell is E_q[E(z)] of its latent bits under the prior: low is typical of the prior that was learned, and so of
these cells; it is not a measure of health or stemness by itself.</p>
$pictures
<details><summary>Data, settings and versions</summary>$settings</details>
</main>
</body>
</html>
""")
