"""What the trials of a benchmark say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.metrics import HEADLINES, METRICS
from spinlight.cells.benchmark.sets import CellSet
from spinlight.cells.benchmark.statistics import holm, mean_interval, paired_difference, paired_over_cells, ranking
from spinlight.cells.benchmark.store import Store


@dataclass
class Contender:
    """A model with one size on one set, and what its seeds gave.

    Args:
        name: of model and size.
        model: name of the model.
        about: what it is.
        size: latent size.
        deterministic: whether one fit stands for all seeds.
        values: metric -> seed -> value.
        bounds: seed -> held-out bounds of the cells.
        of: what these are the likelihood of.
    """

    name: str
    model: str
    about: str
    size: int
    deterministic: bool
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    bounds: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    of: str | None = None


def contenders_of(data: CellSet, trials: Iterable[Trial], store: Store, seeds: int) -> list[Contender]:
    """Return what was measured on a set; the one fit of a deterministic model counts for every seed."""
    found: dict[str, Contender] = {}
    for trial in trials:
        record = store.scored(trial) if trial.data is data else None
        if record is None:
            continue
        name = f"{trial.model.name} {trial.size}"
        contender = found.setdefault(
            name, Contender(name, trial.model.name, trial.model.about, trial.size, trial.model.deterministic)
        )
        likelihood = record["fit"]["held_out"]
        values = dict(record["scores"]["values"]) | {"fit_seconds": record["fit"]["seconds"]}
        if likelihood is not None and likelihood["mean"] is not None:  # None where log Z has no error
            contender.of = likelihood["of"]
            contender.bounds[trial.seed] = store.arrays(trial)["held_out_bounds"]
            values["held_out"] = likelihood["mean"]
        for seed in range(seeds) if trial.model.deterministic else (trial.seed,):
            for metric, value in values.items():
                if value is not None:
                    contender.values.setdefault(metric, {})[seed] = value
    return list(found.values())


def set_summary(data: CellSet, contenders: Sequence[Contender]) -> dict[str, Any]:
    """Return means, rankings and paired differences on a set, as plain JSON values.

    Args:
        data: the set.
        contenders: as of `contenders_of`.
    """
    return {
        "cells": data.cells.n_obs,
        "genes": data.cells.n_vars,
        "batches": 1 if data.batches is None else len(np.unique(data.batches)),
        "labels": 0 if data.labels is None else len(np.unique(data.labels)),
        "ordered_cells": 0 if data.order is None else int(np.isfinite(data.order).sum()),
        "notes": list(data.notes),
        "contenders": [_means(contender) for contender in contenders],
        "rankings": {
            metric.key: groups
            for metric in METRICS
            if metric.better
            and metric.key != "held_out"
            and (groups := _ranking(contenders, metric.key, metric.better))
        },
        "pairs": {metric: _pairs(contenders, metric) for metric in HEADLINES},
        "held_out_pairs": _likelihood_pairs(contenders),
    }


def _means(contender: Contender) -> dict[str, Any]:
    return {
        "name": contender.name,
        "model": contender.model,
        "about": contender.about,
        "size": contender.size,
        "deterministic": contender.deterministic,
        "likelihood_of": contender.of,
        "metrics": {
            metric.key: asdict(mean_interval(list(by_seed.values()))) | {"by_seed": by_seed}
            for metric in METRICS
            if (by_seed := contender.values.get(metric.key))
        },
    }


def _measured(contenders: Sequence[Contender], metric: str) -> dict[str, Mapping[int, float]]:
    return {contender.name: contender.values[metric] for contender in contenders if metric in contender.values}


def _ranking(contenders: Sequence[Contender], metric: str, better: int) -> list[list[str]] | None:
    values = _measured(contenders, metric)
    return ranking(values, better) if len(values) > 1 else None


def _pairs(contenders: Sequence[Contender], metric: str) -> list[dict[str, Any]]:
    """Return the difference of every two models, with p-values also adjusted for their number by Holm's method."""
    values = _measured(contenders, metric)
    rows = [row for one, other in combinations(values, 2) if (row := _pair(values, one, other))]
    for row, adjusted in zip(rows, holm([row["t_p"] for row in rows])):
        row["holm_p"] = adjusted
    return rows


def _pair(values: Mapping[str, Mapping[int, float]], one: str, other: str) -> dict[str, Any] | None:
    difference = paired_difference(values[one], values[other])
    if difference is None:
        return None
    return {
        "one": one,
        "other": other,
        **asdict(difference.interval),
        "t_p": difference.t_p,
        "wilcoxon_p": difference.wilcoxon_p,
    }


def _likelihood_pairs(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Return the differences of bounds on the same thing, paired over seeds and held-out cells."""
    rows = []
    for one, other in combinations(contenders, 2):
        if one.of is None or one.of != other.of:
            continue
        difference = paired_over_cells(one.bounds, other.bounds)
        if difference is not None:
            row = {"one": one.name, "other": other.name, "of": one.of, **asdict(difference.interval)}
            rows.append(row | {"cell_error": difference.cell_error, "cells": difference.cells})
    return rows


def verdict(name: str, summary: Mapping[str, Any], metric: str = "scib_total") -> str:
    """Return in words who is first on a set by a metric; a tie is called a tie."""
    measured = [part["name"] for part in summary["contenders"] if metric in part["metrics"]]
    if not measured:
        return f"{name}: no scIB total; it needs labels and batches."
    groups = summary["rankings"].get(metric)
    if groups is None:
        return f"{name}: no ranking; it needs two models with two seeds in common."
    first, *others = groups[0]
    if others:
        return (
            f"{name}: a tie for the first place by scIB total between {first} (highest mean) and {', '.join(others)}."
        )
    return f"{name}: {first} is first by scIB total."
