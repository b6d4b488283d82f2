"""`spinlight cells`: single cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinlight._errors import InvalidSettingError
from spinlight.cli.benchmark import benchmark
from spinlight.cli.outcome import outcome
from spinlight.cli.progress import epochs_shown

if TYPE_CHECKING:
    from anndata import AnnData

app = typer.Typer(help="Single cells: a variational autoencoder with a Boltzmann prior.", no_args_is_help=True)


@app.callback()
def cells() -> None:
    """Single cells: a variational autoencoder with a Boltzmann prior."""


app.command(
    epilog="Example: spinlight cells benchmark --data mine.h5ad --models qbmvae,scvi,pca --batch-key batch --labels-key cell_type"
)(benchmark)


@app.command(epilog="Example: spinlight cells fit --dataset pbmc68k_reduced --out runs/pbmc68k")
def fit(
    out: Annotated[Path, typer.Option(help="Folder for the results; made if need be.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Named dataset: pbmc68k_reduced; a public atlas (scib_immune, scib_pancreas, scib_lung, hlca_core, fetal_lung, "
            "pbmc_12k), downloaded once; or a file of SPINLIGHT_DATA/singlecell."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Your own .h5ad file of raw counts.")] = None,
    batch_key: Annotated[
        str | None, typer.Option(help="Column of obs with experimental batches; known for a public atlas.")
    ] = None,
    labels_key: Annotated[
        str | None, typer.Option(help="Column of obs with known labels, for scores and colours only.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer that holds the raw counts; X by default.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the data; by default 200 from 5,000 to 20,000 cells, up to 400 for fewer, down to 20 for more."
        ),
    ] = None,
    latent: Annotated[int | None, typer.Option(help="Latent bits; those of QBMVAE by default.")] = None,
    seed: Annotated[
        int,
        typer.Option(help="The same seed and number of threads give the same result on one machine; below 2^32."),
    ] = 0,
    threads: Annotated[int, typer.Option(help="Threads; one is as fast as several for networks of this size.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a fit of other cells in that folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no table.")] = False,
) -> None:
    """Fit a Boltzmann-prior VAE to raw counts; write model, latent (.h5ad), picture, metrics and report.

    Prints the ELBO with its standard error and that of log Z, and, given labels, Leiden ARI/NMI and silhouette beside those of PCA.
    """
    with outcome():
        from spinlight.cells.checks import require_cells
        from spinlight.cells.data import BATCHES, LABELS
        from spinlight.cells.defaults import BITS
        from spinlight.cells.settings import FitSettings

        settings = FitSettings(
            layer=layer,
            batch_key=batch_key or BATCHES.get(dataset or ""),
            labels_key=labels_key or LABELS.get(dataset or ""),
            epochs=epochs,
            latent=BITS if latent is None else latent,
            seed=seed,
            threads=threads,
        )
        name, cells = _chosen(dataset, data)
        require_cells(cells, layer, batch_key=settings.batch_key, labels_key=settings.labels_key)
        # After all checks: scvi-tools takes seconds to import.
        from spinlight.cells.fit import fit_cells

        shown = epochs_shown(quiet or as_json)
        fitted = fit_cells(cells, out, settings, title=f"QBM-VAE: {name}", progress=shown, overwrite=overwrite)
        if as_json:
            print(json.dumps(fitted.metrics, indent=2, allow_nan=False))
        elif not quiet:
            _print_summary(name, fitted.metrics, fitted.files)


def _chosen(dataset: str | None, data: Path | None) -> tuple[str, AnnData]:
    """Return the name and the cells of the one source that was given."""
    if (dataset is None) == (data is None):
        raise InvalidSettingError("give either --dataset NAME or --data FILE.h5ad")
    from spinlight.cells.data import load_cells, load_dataset

    if data is not None:
        return data.stem, load_cells(data)
    return str(dataset), load_dataset(str(dataset))


def _print_summary(name: str, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    from spinlight.cells.report import outcome_sentence, rising_sentence, score_rows

    console = Console()
    console.print(f"[bold]{name}[/bold]: {metrics['data']['cells']:,} cells, {metrics['data']['genes']:,} genes")
    console.print(_elbo_line(metrics))
    for note in (*metrics["notes"], rising_sentence(metrics["elbo"])):
        if note:
            console.print(note, highlight=False)
    embeddings = metrics["embeddings"]
    table = Table("", *embeddings, "", box=None, padding=(0, 2, 0, 0))
    for row in score_rows(embeddings):
        table.add_row(*row)
    console.print(table)
    if sentence := outcome_sentence(embeddings):
        console.print(sentence, highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False)


def _elbo_line(metrics: Mapping[str, Any]) -> str:
    elbo = metrics["elbo"]
    held_out = "" if elbo["held_out"] is None else f", {elbo['held_out']:,.2f} held out"
    values = f"ELBO {elbo['train']:,.2f} nats per cell{held_out}; standard error of log Z"
    if elbo["log_partition_error"] is None:
        from spinlight.cells.report import NO_ERROR

        return f"{values} unknown\n{NO_ERROR}"
    return (
        f"{values} {elbo['log_partition_error']:.2g}\n"
        f"standard error of the ELBO {elbo['standard_error']:.2g}, of log Z and of {elbo['draws']} draws per cell; "
        "the choice of cells and of the seed is not included"
    )


@app.command(epilog="Example: spinlight cells embed --fit runs/pbmc68k --data new.h5ad --out runs/new")
def embed(
    fit: Annotated[Path, typer.Option(help="Folder of a fit, as spinlight cells fit leaves it.")],
    data: Annotated[Path, typer.Option(help="The new cells: an .h5ad file of raw counts.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if need be.")],
    batch_key: Annotated[
        str | None, typer.Option(help="Column of obs with the batches of the new cells; that of the fit by default.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer that holds the raw counts; X by default.")] = None,
    epochs: Annotated[
        int, typer.Option(help="Passes over cells of batches that the fit did not have; others are not trained on.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Of training and map; below 2^32.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other cells in that folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no table.")] = False,
) -> None:
    """Give new cells a place among those of a fit; write latent, energies and labels of neighbours (.h5ad), picture and metrics.

    Cells of batches that the fit knows are encoded as they are; for new batches their weights are trained (scArches).
    """
    with outcome():
        from spinlight.cells.checks import require_counts
        from spinlight.cells.data import load_cells
        from spinlight.cells.settings import EmbedSettings

        settings = EmbedSettings(layer=layer, batch_key=batch_key, epochs=epochs, seed=seed, threads=threads)
        cells = load_cells(data)
        require_counts(cells, layer)
        # After what can be checked without: scvi-tools takes seconds to import.
        from spinlight.cells.embedding import embed_cells

        shown = epochs_shown(quiet or as_json)
        found = embed_cells(cells, fit, out, settings, title=data.stem, progress=shown, overwrite=overwrite)
        if as_json:
            print(json.dumps(found.metrics, indent=2, allow_nan=False))
        elif not quiet:
            _print_embedded(data.stem, found.metrics, found.files)


def _print_embedded(name: str, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"[bold]{name}[/bold]: {metrics['data']['cells']:,} cells among {metrics['fit']['cells']:,} of the fit"
    )
    for note in metrics["notes"]:
        console.print(note, highlight=False)
    if metrics["batches"] is not None:
        console.print(_batches_line(metrics), highlight=False)
    energy = metrics["energy"]
    console.print(f"mean energy {energy['mean']:.2f}, of the fit's cells {energy['of the fit']:.2f}", highlight=False)
    if metrics["labels"] is not None:
        table = Table("label of the neighbours", "cells", "share of neighbours with it", box=None, padding=(0, 2, 0, 0))
        for label, found in metrics["labels"]["given"].items():
            table.add_row(label, f"{found['cells']:,}", f"{found['share']:.2f}")
        console.print(table)
        if (accuracy := metrics["labels"].get("accuracy")) is not None:
            console.print(f"{accuracy:.3f} of the cells with a label of the fit got it", highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False)


def _batches_line(metrics: Mapping[str, Any]) -> str:
    parts = []
    for part, words in (("known", "known batches"), ("new", f"new batches, trained for {metrics['epochs']} epochs")):
        if names := metrics["batches"][part]:
            parts.append(f"{words}: {', '.join(f'{name} ({count:,})' for name, count in names.items())}")
    return "; ".join(parts)
