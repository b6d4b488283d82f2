"""Latent spaces of cells, compared on sets that nobody tuned on and on the one that was; cases of `benchmarks/cells.py`.

Every model of `spinlight cells benchmark`, with the hyperparameters of `spinlight.cells.benchmark.chosen`, at a common size, at its
own and at its package's defaults. Differences are paired over seeds, with 95 % intervals of Student's t. Finished fits are kept in
`runs/cells-latents`, and an interrupted run goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from harness import Case, Claim, Settings
from spinlight._threads import torch_threads
from spinlight.cells import load_dataset
from spinlight.cells.benchmark.grid import Trial, plan_trials
from spinlight.cells.benchmark.registry import MODELS, models_named
from spinlight.cells.benchmark.sets import CellSet, prepare_sets
from spinlight.cells.benchmark.settings import CHOSEN, BenchmarkSettings, Size
from spinlight.cells.benchmark.shown import Shown
from spinlight.cells.benchmark.statistics import Interval, paired_difference, paired_over_cells
from spinlight.cells.benchmark.store import Record, Store
from spinlight.cells.benchmark.summary import Contender, contenders_of
from spinlight.cells.benchmark.trials import references, run_trial

FOLDER = Path("runs/cells-latents")
COMMON, SMALLER = 30, 10
"""The latent size that all models are compared at, and the smaller one of the Gaussian."""

FEWEST_SEEDS = 3
"""For an interval over seeds that excuses a difference; that of two is 25 standard errors wide."""

OURS = "qbmvae"
RIVALS = ("pca", "vae", "scvi", "ldvae", "scpoli", "scvi-defaults", "ldvae-defaults", "scpoli-defaults")
ABLATION = ("bernoulli", "gaussian")


@dataclass(frozen=True)
class Set:
    """A set of cells and its columns.

    Args:
        name: of the dataset.
        batch: column of batches, if there are several.
        labels: column of labels.
        order: column of a known order, and what it is called from first to last where it has names.
        first: whether ours must have the highest mean; elsewhere it must not fall below the best by more than the interval.
    """

    name: str
    batch: str | None = "batch"
    labels: str | None = "cell_type"
    order: tuple[str, tuple[tuple[str, ...], ...]] | None = None
    first: bool = False


SETS = (
    Set("immune_pbmc_4batch", first=True),
    Set("cellbench_celllines_6batch_subgenes", first=True),
    Set("rnamix_continuum_2batch", order=("H2228_prop", ())),
    Set("pancreas_human_3study_cepo"),
    Set(
        "pancreas_endocrinogenesis_veloviz",
        batch=None,
        order=(
            "cell_type",
            (
                ("Ductal",),
                ("Ngn3 low EP",),
                ("Ngn3 high EP",),
                ("Pre-endocrine",),
                ("Alpha", "Beta", "Delta", "Epsilon"),
            ),
        ),
    ),
)
"""The set of tuning first."""


def cases() -> list[Case]:
    """Return a case for each set."""
    return [Case(f"latent/{each.name}", partial(_compared, each)) for each in SETS]


def _compared(each: Set, settings: Settings) -> list[Claim]:
    start, seeds = time.perf_counter(), settings.seeds
    store = Store(FOLDER / ("quick" if settings.quick else "full"))
    data, trials = _planned(each, seeds, quick=settings.quick)
    reference = references()
    with torch_threads(1):
        for trial in trials:
            if store.scored(trial) is None:
                run_trial(trial, store, reference, Shown(None, 1))
    found = {contender.name: contender for contender in contenders_of(data, trials, store, seeds)}
    seconds = time.perf_counter() - start
    rows = [
        _failures(each, trials, store),
        *_integration(each, found),
        *_ablation(each, found),
        *_priors(each, found),
        *_orders(each, found),
    ]
    return [Claim(row, *rest, seconds=seconds, **more) for row, rest, more in rows]


def _failures(each: Set, trials: Sequence[Trial], store: Store) -> Row:
    """Return how many fits failed, or have a bound without an error of log Z; they are in no other row."""
    records = {trial.name: store.scored(trial) for trial in trials}
    failed = {name: 1.0 for name, record in records.items() if record is None or _without_error(record)}
    count = float(len(failed))
    name = f"latent/{each.name}/fits that failed"
    return name, (count, "fits", (count, count), 0.0, failed), {"sense": "most"}


def _without_error(record: Record) -> bool:
    likelihood = record["fit"]["held_out"]
    return likelihood is not None and likelihood["mean"] is None


def _planned(each: Set, seeds: int, *, quick: bool) -> tuple[CellSet, list[Trial]]:
    """Return the set and its trials: all models at their sizes, and the Gaussian at a smaller one too."""
    order_key, order = each.order or (None, ())
    plans: list[tuple[tuple[str, ...], tuple[Size, ...]]] = [
        ((OURS, *RIVALS, *ABLATION), (COMMON, CHOSEN)),
        (("gaussian",), (SMALLER,)),
    ]
    if quick:
        plans = [((OURS, "pca", "bernoulli", "gaussian"), (COMMON,))]
    asked = [
        BenchmarkSettings(
            models=models,
            sizes=sizes,
            seeds=seeds,
            batch_key=each.batch,
            labels_key=each.labels,
            order_key=order_key,
            order=order,
            epochs=1 if quick else None,
        )
        for models, sizes in plans
    ]
    (data,) = prepare_sets({each.name: load_dataset(each.name)}, asked[0])
    trials = [trial for one in asked for trial in plan_trials([data], models_named(one.models), one)]
    return data, trials


Row = tuple[str, tuple[Any, ...], dict[str, Any]]
"""The name of a claim, its value, unit, interval, bound and peers, and what else it has."""


def _integration(each: Set, found: Mapping[str, Contender]) -> Iterator[Row]:
    """Yield how far ours is above the best other model by scIB total, at the common and at the chosen sizes."""
    for words, ours, others in _contests(found):
        values = {name: found[name].values.get("scib_total", {}) for name in (ours, *others)}
        values = {name: by_seed for name, by_seed in values.items() if by_seed}
        if len(values) < 2 or ours not in values:
            continue  # a set with one batch, or without labels; or nothing to compare with, which `_failures` counts
        # Where a fit failed, all are compared without its seed: means over other seeds say nothing of each other.
        common = set.intersection(*(set(by_seed) for by_seed in values.values()))
        values = {name: {seed: by_seed[seed] for seed in sorted(common)} for name, by_seed in values.items()}
        if not common:
            continue
        means = {name: _mean(by_seed) for name, by_seed in values.items()}
        best = max((name for name in others if name in means), key=means.__getitem__)
        difference = paired_difference(values[ours], values[best])
        if difference is not None:
            name = f"latent/{each.name}/scIB total, {words}, above {best}"
            enough = difference.interval.count >= FEWEST_SEEDS
            slack = _half(difference.interval) if enough and not each.first else 0.0
            yield name, (*_numbers(difference.interval, "scIB total"), 0.0, means), {"slack": slack}


def _contests(found: Mapping[str, Contender]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the comparison at the common size, and the one of every model at its own."""
    common = [f"{name} {COMMON}" for name in RIVALS]
    own = [f"{name} {MODELS[name].size}" for name in RIVALS]
    for words, ours, others in (
        (f"size {COMMON}", f"{OURS} {COMMON}", common),
        ("chosen sizes", f"{OURS} {MODELS[OURS].size}", own),
    ):
        present = [name for name in others if name in found]
        if ours in found and present:
            yield words, ours, present


def _ablation(each: Set, found: Mapping[str, Contender]) -> Iterator[Row]:
    """Yield what the Boltzmann prior is worth by scIB, against independent bits and a Gaussian of the same size, whatever it is."""
    for size, other, metric in product(_sizes(), ABLATION, ("scib_total", "scib_bio", "scib_batch")):
        pair = [found[name].values.get(metric, {}) for name in (f"{OURS} {size}", f"{other} {size}") if name in found]
        difference = paired_difference(*pair) if len(pair) > 1 else None
        if difference is not None:
            row = f"latent/{each.name}/{metric}, {OURS} {size} above {other} {size}"
            yield row, (*_numbers(difference.interval, "scIB"), None, {}), {}


def _sizes() -> list[int]:
    return list(dict.fromkeys((COMMON, MODELS[OURS].size)))


def _priors(each: Set, found: Mapping[str, Contender]) -> Iterator[Row]:
    """Yield how much likelier held-out cells are under the Boltzmann prior, log Z on its pessimistic side."""
    for size in _sizes():
        rivals = [("bernoulli", size, 0.0), ("gaussian", size, None), ("gaussian", SMALLER, None)]
        for other, other_size, required in rivals:
            ours, theirs = found.get(f"{OURS} {size}"), found.get(f"{other} {other_size}")
            if ours is None or theirs is None or (difference := _bounds(ours, theirs)) is None:
                continue
            peers = {each.name: _mean(each.values.get("held_out", {})) for each in (ours, theirs)}
            row = f"latent/{each.name}/held-out bound, {OURS} {size} above {other} {other_size}"
            # Better beyond the interval: the lower end of the difference has to be above zero.
            more = {} if required is None else {"slack": -_half(difference)}
            yield row, (*_numbers(difference, "nats"), required, peers), more


def _bounds(ours: Contender, theirs: Contender) -> Interval | None:
    difference = paired_over_cells(ours.bounds, theirs.bounds) if ours.of == theirs.of else None
    return None if difference is None else difference.interval


def _orders(each: Set, found: Mapping[str, Contender]) -> Iterator[Row]:
    """Yield how a cell's energy, and pseudotime along each latent space, agree with the known order."""
    for contender in found.values():
        for metric, words in (("energy_tau", "energy"), ("dpt_tau", "pseudotime")):
            values = list(contender.values.get(metric, {}).values())
            if values:
                row = f"latent/{each.name}/order, {words} of {contender.name}"
                yield row, (_mean(values), "Kendall tau", (min(values), max(values)), None, {}), {}


def _mean(values: Mapping[int, float] | Sequence[float]) -> float:
    numbers = list(values.values()) if isinstance(values, Mapping) else list(values)
    return sum(numbers) / len(numbers)


def _half(interval: Interval) -> float:
    return 0.0 if interval.upper is None else interval.upper - interval.mean


def _numbers(interval: Interval, unit: str) -> tuple[float, str, tuple[float, float]]:
    half = _half(interval)
    return interval.mean, unit, (interval.mean - half, interval.mean + half)
