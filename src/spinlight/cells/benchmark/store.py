"""The files of a benchmark's trials: one of JSON for each, and the arrays that belong to it, each whole or not there."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight._errors import FileFormatError, InvalidSettingError
from spinlight._files import atomic_file, load_arrays
from spinlight._plain import plain
from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.models.base import Embedded
from spinlight.cells.benchmark.scores.scoring import Scores

FOLDER = "trials"

Record = Mapping[str, Any]
"""The content of a trial's JSON file: `trial`, `fit` (settings, data, seconds, curves, versions), `scores`, `failure`."""


class Store:
    """The folder `trials` of a benchmark.

    Args:
        out: the folder of the benchmark.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.folder = Path(out) / FOLDER

    def fitted(self, trial: Trial) -> Record | None:
        """Return the record of a trial whose fit is there and was made with the same settings, data and seed."""
        record = self._read(trial)
        if record is None or not _is_fit(record.get("fit"), trial.fit_key):
            return None
        try:
            arrays = self._arrays(trial)
        except (FileFormatError, FileNotFoundError):
            return None  # lost or damaged: made anew
        # A process that was killed between two files leaves arrays of another fit than the record's.
        belongs = str(arrays.get("fit_key")) == trial.fit_key and {"latent", "held_out_cells"} <= arrays.keys()
        return record if belongs else None

    def scored(self, trial: Trial) -> Record | None:
        """Return the record of a trial that needs nothing more."""
        record = self.fitted(trial)
        return record if record is not None and _are_scores(record.get("scores"), trial.score_key) else None

    def failure(self, trial: Trial) -> Mapping[str, Any] | None:
        """Return how the trial failed when it was last tried, if it did."""
        failure = (self._read(trial) or {}).get("failure")
        return failure if isinstance(failure, dict) and set(failure) == set(_OF_FAILURE) else None

    def arrays(self, trial: Trial) -> dict[str, NDArray[Any]]:
        """Return `latent`, `held_out_cells`, and, where there are such, `held_out_bounds`, `energies` and `positions`.

        Raises:
            FileFormatError: the file is damaged.
        """
        return {name: values for name, values in self._arrays(trial).items() if name != "fit_key"}

    def _arrays(self, trial: Trial) -> dict[str, NDArray[Any]]:
        return load_arrays(self._path(trial, ".npz"))

    def write_fit(self, trial: Trial, embedded: Embedded, held_out: NDArray[np.intp], about: Mapping[str, Any]) -> None:
        """Write what a fit gave; its scores are not there yet.

        Args:
            trial: which.
            embedded: what it gave.
            held_out: indices of the held-out cells.
            about: seconds, versions and the like, for the record.
        """
        arrays: dict[str, NDArray[Any]] = {"latent": embedded.latent, "held_out_cells": held_out}
        likelihood: dict[str, Any] | None = None
        if embedded.held_out is not None:
            arrays["held_out_bounds"] = embedded.held_out.per_cell
            likelihood = {
                "mean": float(embedded.held_out.per_cell.mean()),
                "of": embedded.held_out.of,
                "log_partition_error": embedded.held_out.log_partition_error,
            }
        if embedded.energies is not None:
            arrays["energies"] = embedded.energies
        fit = {
            "key": trial.fit_key,
            "settings": trial.fit_settings,
            "data": {"key": trial.data.data_key, "cells": trial.data.cells.n_obs, "genes": trial.data.cells.n_vars},
            "curves": embedded.curves,
            "held_out": likelihood,
            **about,
        }
        self._write_arrays(trial, arrays)
        self._write(trial, {"fit": fit, "scores": None, "failure": None})

    def write_scores(self, trial: Trial, record: Record, scores: Scores, seconds: float) -> None:
        """Add scores, and the map where there is one, to the record of a fitted trial."""
        if scores.positions is not None:
            self._write_arrays(trial, self.arrays(trial) | {"positions": scores.positions})
        content = {
            "key": trial.score_key,
            "values": scores.values,
            "detail": scores.detail,
            "seconds": seconds,
        }
        self._write(trial, {"fit": record["fit"], "scores": content, "failure": None})

    def write_failure(self, trial: Trial, record: Record | None, stage: str, error: Exception) -> None:
        """Record that a trial failed, beside what it has reached."""
        words = stage, type(error).__name__, " ".join(str(error).split()), "".join(traceback.format_exception(error))
        failure = dict(zip(_OF_FAILURE, words))
        self._write(trial, {"fit": record["fit"] if record else None, "scores": None, "failure": failure})

    def _write(self, trial: Trial, content: Mapping[str, Any]) -> None:
        about = {"set": trial.data.name, "model": trial.model.name, "size": trial.size, "seed": trial.seed}
        text = json.dumps(plain({"trial": about, **content}), indent=1, allow_nan=False)
        path = self._path(trial, ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(text.encode() + b"\n")

    def _write_arrays(self, trial: Trial, arrays: Mapping[str, NDArray[Any]]) -> None:
        path = self._path(trial, ".npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez_compressed(file, fit_key=np.array(trial.fit_key), **arrays)  # type: ignore[arg-type]  # its stubs take the names for its options

    def _read(self, trial: Trial) -> Record | None:
        """Return the record of a trial; one that is damaged counts as none, and is made anew."""
        path = self._path(trial, ".json")
        try:
            record = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise InvalidSettingError(
                f"{path} cannot be read ({error.strerror}); remove it, or choose another folder"
            ) from error
        return record if isinstance(record, dict) else None

    def _path(self, trial: Trial, suffix: str) -> Path:
        return self.folder / f"{trial.name}{suffix}"


_OF_FAILURE = ("stage", "error", "message", "traceback")


def _is_fit(fit: Any, key: str) -> bool:
    """Return whether a part of a record is a whole fit with this key."""
    return (
        isinstance(fit, dict)
        and fit.get("key") == key
        and isinstance(fit.get("curves"), dict)
        and isinstance(fit.get("seconds"), int | float)
        and "held_out" in fit
        and (
            fit["held_out"] is None or (isinstance(fit["held_out"], dict) and {"mean", "of"} <= fit["held_out"].keys())
        )
    )


def _are_scores(scores: Any, key: str) -> bool:
    """Return whether a part of a record holds whole scores with this key."""
    return isinstance(scores, dict) and scores.get("key") == key and isinstance(scores.get("values"), dict)
