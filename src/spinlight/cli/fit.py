"""`spinlight fit`: train a Boltzmann machine on rows of data."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinlight._errors import FileFormatError, InvalidDataError, InvalidSettingError, UnknownNameError
from spinlight._random import resolve_seed
from spinlight.cli.negatives import Negatives
from spinlight.cli.outcome import outcome
from spinlight.cli.progress import epochs_shown

if TYPE_CHECKING:
    from torch import Tensor

    from spinlight.models import TrainableMachine
    from spinlight.training import FittedMachine

HIDDEN = {"restricted": 64, "full": 8, "gaussian": 64}
"""Every kind of machine, and its hidden units by default."""


def fit(
    data: Annotated[
        str,
        typer.Argument(help="mnist, digits, faces, a density set such as nltcs, or a .npy, .npz or .csv file of rows."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if need be.")],
    machine: Annotated[
        str, typer.Option(help="restricted (RBM), full (every pair of units), or gaussian (real visible units).")
    ] = "restricted",
    hidden: Annotated[
        int | None,
        typer.Option(
            help="Hidden units; 64 by default, 8 of a full machine, whose likelihood sums over all their states."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 50,
    learning_rate: Annotated[float, typer.Option(help="Of Adam; falls on a straight line to zero.")] = 5e-3,
    batch: Annotated[int, typer.Option(help="Rows per step.")] = 100,
    negatives: Annotated[
        str,
        typer.Option(
            help="pcd (chains that live through the training), cd (chains from the data), independent (fresh draws for every step) or "
            "reused (one call of the sampler per epoch, reweighted)."
        ),
    ] = "pcd",
    sampler: Annotated[
        str | None,
        typer.Option(
            help="A name of `spinlight samplers`; with pcd, ParallelTempering makes tempered negatives. By default block Gibbs, or Gibbs "
            "where every pair of units is connected."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the sampler, or PART.KEY=VALUE of a part of it; may be repeated.",
        ),
    ] = None,
    chains: Annotated[int | None, typer.Option(help="Persistent chains of pcd; 100 by default.")] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="Per call of the sampler: 100 by default with independent, 1000 with reused."),
    ] = None,
    sweeps: Annotated[
        int | None,
        typer.Option(
            help="Of the chains per step, 1 by default; with reused, Gibbs sweeps after the draws, 0 by default."
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(help="Share of the rows that the likelihood is reported of, where no such part is published."),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result on one machine.")] = 0,
    threads: Annotated[
        int | None,
        typer.Option(help="Of torch. One is faster for small machines, and on a busy computer; all by default."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an interrupted fit of the same folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary.")] = False,
) -> None:
    """Train a Boltzmann machine; write model, metrics and history, and print its log-likelihood of rows it has not seen.

    Bits are trained on as they are; numbers between 0 and 1 are taken as probabilities, and bits are drawn anew at every pass. A
    gaussian machine takes any real numbers. While it learns, the likelihood of other rows is watched: of a published
    validation part, else of a twentieth of the rows, 500 at the most, which are not trained on.
    """
    with outcome(to_go_on="the same command with --resume goes on"):
        resolve_seed(seed)
        if machine not in HIDDEN:
            raise UnknownNameError(f"--machine must be one of {', '.join(HIDDEN)}, got {machine!r}")
        wanted = Negatives(
            kind=negatives, sampler=sampler, pairs=setting or [], chains=chains, draws=draws, sweeps=sweeps
        )
        chosen = wanted.chosen(machine)
        known = _published(data)
        draw = _draw(data, known, real=machine == "gaussian")
        if not 0 < held_out < 1:
            raise InvalidSettingError(f"held_out must lie between 0 and 1, got {held_out!r}")
        import torch

        from spinlight._checks import thread_count
        from spinlight._threads import torch_threads
        from spinlight.training import EnergyTask, RowsDataModule, fit_machine, linear_decay
        from spinlight.training.fit import MOST_WATCHED

        torch.manual_seed(seed)
        rows = RowsDataModule.split(
            known.train,
            valid=min(0.05, MOST_WATCHED / len(known.train)) if known.valid is None else known.valid,
            test=held_out if known.test is None else known.test,
            batch_size=batch,
            draw=draw,
            seed=seed,
        )
        task = EnergyTask(
            _machine(machine, rows.train, HIDDEN[machine] if hidden is None else hidden),
            wanted.phase(chosen, steps=len(rows.batches), seed=seed),
            optimizer=partial(torch.optim.Adam, lr=_positive("learning_rate", learning_rate)),
            schedule=linear_decay,
        )
        with torch_threads(thread_count(threads)):
            fitted = fit_machine(
                task,
                rows,
                out,
                epochs=epochs,
                resume=resume,
                progress=epochs_shown(quiet or as_json),
            )
        if as_json:
            print(json.dumps(fitted.metrics, indent=2, allow_nan=False))
        elif not quiet:
            _print_summary(data, fitted)


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows, in parts where there are published ones; shape (count, features) each.

    Args:
        train: what is trained on, and what parts that are not published are taken from.
        valid: what is watched meanwhile, or None.
        test: what the likelihood is reported of, or None.
    """

    train: Tensor
    valid: Tensor | None = None
    test: Tensor | None = None


def _draw(data: str, known: Parts, *, real: bool) -> Any:
    """Return what makes bits of rows, None where they are used as they are; refuse rows that a machine of bits cannot have."""
    from spinlight.datasets import binarized

    parts = [part for part in (known.train, known.valid, known.test) if part is not None]
    if not all(bool(part.isfinite().all()) for part in parts):
        raise InvalidDataError(f"{data} holds numbers that are not finite; remove or fill in those rows")
    if real:
        return None
    if not all(bool(((part >= 0) & (part <= 1)).all()) for part in parts):
        raise InvalidDataError(
            f"{data} holds numbers outside [0, 1]; divide grey levels by their largest value, make spins s bits by (s + 1) / 2, or take "
            "--machine gaussian"
        )
    return None if all(bool(((part == 0) | (part == 1)).all()) for part in parts) else binarized


def _published(data: str) -> Parts:
    """Return what a name or a file has, float32; None for parts that it has not."""
    from spinlight.datasets import DENSITY_SETS, density_set, digits, frey_faces, mnist

    if Path(data).suffix in (".npy", ".npz", ".csv"):
        return Parts(_from_file(Path(data)))
    if data == "mnist":
        images = mnist()
        return Parts(images.train.intensities, test=images.test.intensities)
    if data == "digits":
        return Parts(digits().intensities)
    if data == "faces":
        film = frey_faces()  # neighbouring frames are alike: parts are stretches of it, not frames drawn at random
        return Parts(film[:1600], film[1600:1700], film[1700:])
    if data in DENSITY_SETS:
        parts = density_set(data)  # type: ignore[arg-type]  # the line above has looked
        return Parts(**{name: part.float() for name, part in parts.parts.items()})
    names = ", ".join(("mnist", "digits", "faces", *DENSITY_SETS))
    raise UnknownNameError(f"there is no dataset {data!r}; there are {names}, and files that end in .npy, .npz or .csv")


def _from_file(path: Path) -> Tensor:
    import numpy as np
    import torch

    from spinlight._files import load_arrays

    try:
        if path.suffix == ".npz":
            arrays = load_arrays(path)
            tables = {name: array for name, array in arrays.items() if array.ndim == 2}
            if len(tables) != 1:
                raise FileFormatError(
                    f"{path} must hold one table of rows, and holds {len(tables)}: {', '.join(arrays)}"
                )
            (rows,) = tables.values()
        elif path.suffix == ".npy":
            rows = np.load(path, allow_pickle=False)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a file without rows, which is refused below
                rows = np.loadtxt(path, delimiter=",", ndmin=2, skiprows=_names_above(path))
        if np.iscomplexobj(rows):
            raise FileFormatError(f"{path} holds complex numbers; machines have bits or real numbers")
        rows = np.asarray(rows, dtype=np.float32)
    except (ValueError, TypeError, EOFError) as error:
        words = ": one row per line, separated by commas" if path.suffix == ".csv" else ""
        raise FileFormatError(f"{path} holds no table of numbers{words}: {error}") from error
    if rows.ndim != 2 or not rows.size:
        raise FileFormatError(f"{path} must hold a table of rows, got shape {rows.shape}")
    return torch.from_numpy(rows)


def _names_above(path: Path) -> int:
    """Return how many lines of names a table begins with: one where no entry of the first line is a number."""
    with path.open(encoding="utf-8") as file:
        first = file.readline().strip().split(",")
    return int(not any(_is_number(entry) for entry in first))


def _is_number(entry: str) -> bool:
    try:
        float(entry)
    except ValueError:
        return False
    return True


def _machine(kind: str, rows: Tensor, hidden: int) -> TrainableMachine:
    from spinlight.datasets import binarized
    from spinlight.models import BoltzmannMachine, GaussianBernoulliRBM, RestrictedBoltzmannMachine

    visible = rows.shape[1]
    if kind == "gaussian":
        gaussian = GaussianBernoulliRBM(visible, hidden)
        gaussian.initialize_from_data(rows)
        return gaussian
    machine = (
        RestrictedBoltzmannMachine(visible, hidden)
        if kind == "restricted"
        else BoltzmannMachine(visible + hidden, hidden)
    )
    machine.initialize_biases(binarized(rows, 0))
    return machine


def _positive(name: str, value: float) -> float:
    from spinlight._checks import positive_number

    return positive_number(name, value)


def _print_summary(name: str, fitted: FittedMachine) -> None:
    from rich.console import Console

    console = Console()
    data: Mapping[str, Any] = fitted.metrics["data"]
    console.print(f"[bold]{name}[/bold]: {data['rows']:,} rows of {data['features']:,}")
    found = fitted.likelihood
    console.print(
        f"log-likelihood {found.value:,.2f} nats per held-out row; standard error of the rows {found.row_error:.2g}, "
        f"of log Z {found.log_partition_error:.2g}",
        highlight=False,
    )
    for path in fitted.files:
        console.print(f"  {path}", highlight=False)
