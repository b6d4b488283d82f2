"""The main job of a benchmark: whatever trials are not there yet, then what they say together."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from spinlight._errors import InvalidSettingError
from spinlight._files import alone_in, atomic_file, require_writable
from spinlight._plain import plain
from spinlight._threads import torch_threads
from spinlight.cells.benchmark.grid import Trial, plan_trials
from spinlight.cells.benchmark.interrupts import Interrupts
from spinlight.cells.benchmark.metrics import BY_KEY
from spinlight.cells.benchmark.page import benchmark_page
from spinlight.cells.benchmark.registry import models_named
from spinlight.cells.benchmark.sets import CellSet, prepare_sets
from spinlight.cells.benchmark.settings import BenchmarkSettings
from spinlight.cells.benchmark.shown import Shown
from spinlight.cells.benchmark.store import FOLDER, Store
from spinlight.cells.benchmark.summary import Contender, contenders_of, set_summary
from spinlight.cells.benchmark.trials import references, run_trial
from spinlight.training.interrupts import InterruptedFitError

if TYPE_CHECKING:
    from rich.progress import Progress

SUMMARY, SCORES, REPORT = "summary.json", "scores.csv", "report.html"
"""What a benchmark writes beside the folder of its trials."""


@dataclass(frozen=True, kw_only=True)
class Benchmarked:
    """What a benchmark gave.

    Args:
        summary: means, rankings, paired differences and failures, as plain JSON values; the content of summary.json.
        files: what was written.
    """

    summary: Mapping[str, Any]
    files: Sequence[Path]


def benchmark_cells(
    sources: Mapping[str, AnnData],
    out: str | os.PathLike[str],
    settings: BenchmarkSettings,
    *,
    progress: Progress | None = None,
) -> Benchmarked:
    """Compare latent spaces of cells, and write summary.json, scores.csv, report.html and one file for each trial.

    A trial is one model of one size, fitted to one set with one seed, and scored. Those that are in the folder already, with the same
    settings, counts and annotations, are not computed again. A trial that fails is recorded, does not lose the others, and is tried
    again the next time. Ctrl-C leaves all finished trials and raises `InterruptedFitError` (a `KeyboardInterrupt`); the same
    call goes on from there.

    All models are given the same counts, the same batches (but pca and vae, which know none), the same nine tenths of the cells to
    train on (but pca, which has all), and, but for a package's defaults, the same epochs. Labels are given to none. The global
    seeds of Python, NumPy and torch are set, as scvi-tools does.

    Args:
        sources: cells by name; not modified.
        out: the folder; made if need be.
        settings: models, sizes, seeds and keys.
        progress: where to show progress, if anywhere; started once the checks have passed, and stopped.

    Raises:
        InvalidDataError, UnknownNameError, InvalidSettingError: before anything is computed; data that are no counts, a key that no
            set has, a size that a model cannot have, a folder that cannot be written to, or in which another benchmark is running.
    """
    sets = prepare_sets(sources, settings)
    trials = plan_trials(sets, models_named(settings.models), settings)
    folder, store = _prepared_folder(out), Store(out)
    with alone_in(folder, "benchmark"):
        pending = [trial for trial in trials if store.scored(trial) is None]
        shown = Shown(progress, len(trials), done=len(trials) - len(pending))
        try:
            with (
                Interrupts(shown.stopping) as interrupts,
                torch_threads(settings.threads),
                (pending and progress) or nullcontext(),
            ):
                _run(pending, store, shown, interrupts)
        except KeyboardInterrupt as error:
            raise InterruptedFitError([store.folder] if store.folder.is_dir() else []) from error
        return _written(folder, store, sets, trials, settings)


_LOST = {
    "stage": "files",
    "error": "FileNotFoundError",
    "message": "its files are no longer those that were written; another program changed them",
    "traceback": "",
}


def _run(pending: Sequence[Trial], store: Store, shown: Shown, interrupts: Interrupts) -> None:
    reference = references()
    for trial in pending:
        run_trial(trial, store, reference, shown, interrupts.check)
        interrupts.check()


def _prepared_folder(out: str | os.PathLike[str]) -> Path:
    """Make the folder and see that it can be written to, before anything is computed."""
    folder = Path(out)
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY, SCORES, REPORT):
            require_writable(folder / name)
    except OSError as error:
        raise InvalidSettingError(
            f"results cannot be written to {folder} ({error.strerror}); choose another folder"
        ) from error
    return folder


def _written(
    folder: Path, store: Store, sets: Sequence[CellSet], trials: Sequence[Trial], settings: BenchmarkSettings
) -> Benchmarked:
    contenders = {data.name: contenders_of(data, trials, store, settings.seeds) for data in sets}
    summary = plain(
        {
            "settings": asdict(settings),
            "sets": {data.name: set_summary(data, contenders[data.name]) for data in sets},
            "failures": [
                {"trial": trial.name, **(store.failure(trial) or _LOST)}
                for trial in trials
                if store.scored(trial) is None
            ],
        }
    )
    contents = {
        SUMMARY: json.dumps(summary, indent=1, allow_nan=False) + "\n",
        SCORES: _table(contenders),
        REPORT: benchmark_page(summary, sets, trials, store),
    }
    for name, content in contents.items():
        with atomic_file(folder / name) as file:
            file.write(content.encode())
    return Benchmarked(summary=summary, files=[folder / name for name in contents])


def _table(contenders: Mapping[str, Sequence[Contender]]) -> str:
    """Return every value of every trial as CSV, one a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "model", "size", "seed", "metric", "value"])
    for name, those in contenders.items():
        for contender in those:
            for metric in BY_KEY:
                for seed, value in contender.values.get(metric, {}).items():
                    if seed == 0 or not contender.deterministic:
                        writer.writerow([name, contender.model, contender.size, seed, metric, value])
    return text.getvalue()
