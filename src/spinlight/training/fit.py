"""The main job: fit a machine to rows of data, measure it, and leave results that other tools read."""

from __future__ import annotations

import csv
import io
import os
import pickle
import struct
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from spinlight._checks import positive_integer
from spinlight._errors import FileFormatError, InvalidSettingError, InvalidStateError
from spinlight._plain import plain
from spinlight._results import Results
from spinlight.samplers import Sampler
from spinlight.training.interrupts import (
    InterruptedFitError,
    StopOnInterrupt,
    StoppedBetweenBatchesError,
    interrupts_named,
)
from spinlight.training.likelihood import LogLikelihood, data_rows, log_likelihood
from spinlight.training.monitors import GradientMonitor, LikelihoodMonitor
from spinlight.training.partition import AnnealedImportance, PartitionEstimator
from spinlight.training.progress import TrainingProgress, stage
from spinlight.training.quiet import quiet_training
from spinlight.training.rows_module import RowsDataModule
from spinlight.training.task import EnergyTask

if TYPE_CHECKING:
    from rich.progress import Progress

MODEL, METRICS, HISTORY, CHECKPOINT = "model.pt", "metrics.json", "history.csv", "last.ckpt"
"""What a fit writes; the last of them while it runs, the others together at its end."""

MOST_WATCHED = 500
"""Valid rows whose likelihood is followed while training: they are to be cheap, the final number is that of all."""


@dataclass(frozen=True, kw_only=True)
class FittedMachine:
    """What a fit produced.

    Args:
        model: the trained machine.
        likelihood: of the test rows.
        metrics: everything measured, as plain JSON values; the content of metrics.json.
        files: what was written.
    """

    model: nn.Module
    likelihood: LogLikelihood
    metrics: Mapping[str, Any]
    files: list[Path] = field(default_factory=list)


def fit_machine(
    task: EnergyTask,
    data: RowsDataModule,
    out: str | os.PathLike[str],
    *,
    epochs: int,
    estimator: PartitionEstimator | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> FittedMachine:
    """Fit a machine and write model.pt, metrics.json and history.csv into a folder; last.ckpt while it runs.

    On the CPU, in one process; elsewhere, or with callbacks and loggers of your own, `trainer.fit(task, datamodule=data)`.

    model.pt holds the state_dict, for `torch.load(weights_only=True)`; history.csv the likelihood and the gradient, epoch by epoch. On
    Ctrl-C a checkpoint is left, from which `resume` goes on in the middle of an epoch, and `InterruptedFitError` (a
    `KeyboardInterrupt`) is raised.

    Args:
        task: the machine, its negatives and its optimiser.
        data: the training rows, the valid ones, some of which are watched, and the test ones, whose likelihood is what is reported.
        out: the folder; made if need be, files of the same names are replaced.
        epochs: passes over the data.
        estimator: of log Z; `AnnealedImportance` by default.
        resume: go on from the checkpoint of the folder. The same machine, data and settings must be given again.
        progress: where to show progress, if anywhere; started once the checks have passed, and stopped.

    Raises:
        InvalidSettingError: an impossible number, no test rows, a folder that cannot be written to, no checkpoint to go on from, or
            one that a new fit would replace.
        InvalidStateError: rows of another shape, or other than bits where the machine has bits; or a checkpoint of another machine, of
            other rows or of other settings.
        FileFormatError: a checkpoint that is damaged.
        ProblemTooLargeError: a machine whose rows have no likelihood: more than 28 hidden units that are connected to each other.
    """
    epochs, folder = positive_integer("epochs", epochs), Path(out)
    if data.test is None:
        raise InvalidSettingError(
            "a fit reports the likelihood of test rows; give the data some: RowsDataModule(..., test=rows)"
        )
    for part in (data.valid, data.test):
        if part is not None:
            data_rows(task.model, part)
    if resume and not (folder / CHECKPOINT).is_file():
        done = "the fit is complete: " if (folder / MODEL).is_file() else ""
        raise InvalidSettingError(
            f"{done}{folder / CHECKPOINT} is not there to go on from; leave resume out to start anew"
        )
    if not resume and (folder / CHECKPOINT).is_file():
        raise InvalidSettingError(
            f"{folder / CHECKPOINT} is of an interrupted fit, which would be lost; resume it, delete the file, or take another folder"
        )
    settings = _settings(task, data, epochs)
    if resume:
        _require_checkpoint_of(task, settings, folder / CHECKPOINT)
    try:
        return _fitted(task, data, data.test, folder, epochs, settings, estimator, resume, progress)
    except KeyboardInterrupt as error:
        saved = folder / CHECKPOINT
        raise InterruptedFitError([saved] if saved.is_file() else []) from error


def _fitted(
    task: EnergyTask,
    data: RowsDataModule,
    quoted: Tensor,
    folder: Path,
    epochs: int,
    settings: Mapping[str, Any],
    estimator: PartitionEstimator | None,
    resume: bool,
    progress: Progress | None,
) -> FittedMachine:
    model: Any = task.model
    with Results(folder, files=(MODEL, METRICS, HISTORY, CHECKPOINT)) as results:
        seconds: dict[str, float] = {}
        with nullcontext() if progress is None else progress:
            history = _History()
            monitors = [*_watching(data.valid), GradientMonitor(), history]
            with stage("training", None, seconds):
                _train(task, data, folder, epochs, settings, resume, monitors, progress)
            with stage("likelihood", progress, seconds):
                known = (AnnealedImportance() if estimator is None else estimator).estimate(model, seed=0)
                found = log_likelihood(model, quoted, partition=known)
        about = dict(settings) | {"negatives": _negatives(task) | {"seed": task.negatives.settings()["seed"]}}
        metrics = plain(about | {"versions": _versions()} | _measured(found) | {"seconds": seconds})
        results.write_by(MODEL, partial(torch.save, model.state_dict()))
        results.write(HISTORY, history.table())
        results.write_json(METRICS, metrics)
        results.commit()
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return FittedMachine(model=model, likelihood=found, metrics=metrics, files=results.saved)


def _require_checkpoint_of(task: EnergyTask, settings: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint that cannot be read, or that is of another machine, of other rows or of other settings."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        parts, before = saved["state_dict"], saved[_SETTINGS]
    except (RuntimeError, EOFError, KeyError, ValueError, struct.error, pickle.UnpicklingError) as error:
        raise FileFormatError(
            f"{path} is damaged, or no checkpoint of a fit; delete it and leave resume out to start anew"
        ) from error
    own = task.state_dict()
    if {name: part.shape for name, part in parts.items()} != {name: part.shape for name, part in own.items()}:
        raise InvalidStateError(
            f"{path} is of another machine than {task.model!r}; go on with the one of before, or delete it to start anew"
        )
    for name, (now, then) in {name: (settings.get(name), before.get(name)) for name in settings | before}.items():
        if now != then:
            raise InvalidStateError(
                f"{path} is of a fit whose {name} were {then}, and now they are {now}; go on with those of before, or delete it "
                "to start anew"
            )


_SETTINGS = "spinlight_fit"
"""Where a checkpoint holds what it is a checkpoint of."""


def _watching(rows: Tensor | None) -> list[pl.Callback]:
    if rows is None:
        return []
    return [LikelihoodMonitor(rows[:MOST_WATCHED], estimator=AnnealedImportance(chains=64, steps=500))]


def _train(
    task: EnergyTask,
    data: RowsDataModule,
    folder: Path,
    epochs: int,
    settings: Mapping[str, Any],
    resume: bool,
    monitors: list[pl.Callback],
    progress: Progress | None,
) -> None:
    """Train to the last epoch."""
    shown = [] if progress is None else [TrainingProgress(progress, metric="log_likelihood", words="log-likelihood")]
    with quiet_training(), StopOnInterrupt() as stop:
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[
                *monitors,
                *shown,
                stop,
                _Checkpoint(folder / CHECKPOINT, settings),
            ],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with interrupts_named():
            trainer.fit(task, datamodule=data, ckpt_path=folder / CHECKPOINT if resume else None, weights_only=True)


class _Checkpoint(pl.Callback):
    """A checkpoint after every epoch and at an interrupt, in the place of the one before.

    Not Lightning's own for exceptions: with it, a fit that is started anew goes on from an old checkpoint by itself.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, settings

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add what the fit is made of."""
        checkpoint[_SETTINGS] = dict(self._settings)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Save what an interrupt or a crash must not lose."""
        trainer.save_checkpoint(self._path, weights_only=False)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Save where training stopped between two batches; what is cut off within one stands at no step."""
        if isinstance(exception, StoppedBetweenBatchesError) and trainer.global_step:
            trainer.save_checkpoint(self._path, weights_only=False)


class _History(pl.Callback):
    """The numbers that are logged, a row per epoch."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
        self._started, self._before = time.perf_counter(), 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Take the row of an epoch."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._rows.append({"epoch": trainer.current_epoch + 1, "seconds": round(self._seconds(), 2)} | logged)

    def _seconds(self) -> float:
        """Return how long the fit has taken, in all runs that it took."""
        return self._before + time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for a checkpoint."""
        return {"rows": self._rows, "seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows of a checkpoint."""
        self._rows, self._before = list(state_dict["rows"]), state_dict["seconds"]

    def table(self) -> bytes:
        """Return the rows as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self._rows[-1]) if self._rows else ["epoch"], restval="")
        writer.writeheader()
        writer.writerows(self._rows)
        return text.getvalue().encode()


def _settings(task: EnergyTask, data: RowsDataModule, epochs: int) -> dict[str, Any]:
    """Return what a fit is made of, as plain values: what must be the same where it goes on, seeds aside, which a checkpoint holds."""
    optimizer = task.new_optimizer()
    rates = {name: value for name, value in optimizer.defaults.items() if isinstance(value, (bool, int, float, tuple))}
    settings = {
        "machine": repr(task.model),
        "negatives": _negatives(task),
        "sampler": _sampler(task.negatives.sampler),
        "hidden_sampler": _sampler(task.hidden_sampler) if getattr(task.model, "needs_hidden", False) else None,
        "centring": None if task.centring is None else {"rate": task.centring.rate},
        "schedule": _function(task.schedule),
        "constraint": _function(task.constraint),
        "optimizer": {"class": type(optimizer).__name__, **rates},
        "data": {
            "rows": len(data.train),
            "valid_rows": 0 if data.valid is None else len(data.valid),
            "features": data.train.shape[1],
            "batch_size": data.batches.batch_size,
            "sha256": _digest(data.train, data.valid, data.test),
        },
        "epochs": epochs,
    }
    return plain(settings)


def _sampler(sampler: object) -> dict[str, Any] | None:
    if sampler is None:
        return None
    return {"class": type(sampler).__name__} | (sampler.settings() if isinstance(sampler, Sampler) else {})


def _function(function: Any) -> dict[str, Any] | None:
    """Return what a function is known by: its name, and what a partial one has been given."""
    if function is None:
        return None
    if isinstance(function, partial):
        given = {str(at): part for at, part in enumerate(function.args)} | function.keywords
        return {**(_function(function.func) or {}), **{name: _word(part) for name, part in given.items()}}
    return {"function": getattr(function, "__qualname__", type(function).__name__)}


def _word(value: object) -> object:
    """Return what says the same in every process: an object's own repr may hold its address."""
    if isinstance(value, tuple | list):
        return [_word(part) for part in value]
    known = isinstance(value, bool | int | float | str) or value is None
    return value if known else repr(value) if is_dataclass(value) else type(value).__name__


def _negatives(task: EnergyTask) -> dict[str, Any]:
    sizes = {name: value for name, value in task.negatives.settings().items() if name != "seed"}
    return {"class": type(task.negatives).__name__, **sizes}


def _digest(*parts: Tensor | None) -> str:
    """Return the SHA-256 of rows, part by part."""
    found = sha256()
    for part in parts:
        found.update(b"" if part is None else part.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        found.update(b"|")
    return found.hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("spinlight", "torch", "lightning")}


def _measured(found: LogLikelihood) -> dict[str, Any]:
    return {
        "log_likelihood": {
            "value": found.value,
            "row_error": found.row_error,
            "log_partition_error": found.log_partition_error,
            "pessimistic": found.pessimistic,
            "rows": found.rows,
            "method": found.method,
        }
    }
