"""`spinlight cells benchmark`: latent spaces of single cells compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinlight._errors import InvalidSettingError
from spinlight.cli.outcome import FAILURE, outcome, say
from spinlight.cli.progress import trials_shown

if TYPE_CHECKING:
    from anndata import AnnData


def benchmark(
    out: Annotated[
        Path, typer.Option(help="Folder for the results; made if need be. Finished trials in it are not run again.")
    ] = Path("runs/cells-benchmark"),
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            help="Named dataset: pbmc68k_reduced; a public atlas, downloaded once; or a file of SPINLIGHT_DATA/singlecell. May be repeated."
        ),
    ] = None,
    data: Annotated[list[Path] | None, typer.Option(help="Your own .h5ad file. May be repeated.")] = None,
    models: Annotated[
        str,
        typer.Option(
            help="Names with commas between them: pca, vae, scvi, ldvae, scpoli, qbmvae; bernoulli and gaussian, which are qbmvae with "
            "another prior; scvi-defaults, ldvae-defaults, scpoli-defaults."
        ),
    ] = "pca,scvi,qbmvae",
    sizes: Annotated[
        str, typer.Option(help="Latent sizes with commas between them; `chosen` for each model's own.")
    ] = "30",
    seeds: Annotated[int, typer.Option(help="How many: each is another split of the cells, start and training.")] = 5,
    batch_key: Annotated[
        str | None, typer.Option(help="Column of obs with experimental batches; known for a public atlas.")
    ] = None,
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with known labels; no model sees them.")] = None,
    order_key: Annotated[
        str | None,
        typer.Option(help="Column of obs with a known order: numbers, ordered categories, or the names of --order."),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(help="Names of --order-key from first to last, commas between them, = between equal ones."),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer that holds the raw counts; X by default.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Of every model; by default 200 from 5,000 to 20,000 cells, up to 400 for fewer, down to 20 for more, and for packages' "
            "defaults those of the package."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of the fits; one is as fast as several.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no table.")] = False,
) -> None:
    """Compare latent spaces: scIB, clusters, classifiers, known orders, held-out likelihood, with intervals over seeds.

    Every set, model, size and seed is a trial with a file of its own; the same command goes on where it was interrupted, and tries
    failed trials again. Exit status 1 says that some trial failed; the others are not lost.
    """
    with outcome(to_go_on="the same command goes on from there"):
        from spinlight.cells.benchmark.settings import BenchmarkSettings, size_of
        from spinlight.cells.data import BATCHES, LABELS

        only = dataset[0] if dataset and len(dataset) == 1 and not data else None
        settings = BenchmarkSettings(
            models=_parts(models),
            sizes=[size_of(part) for part in _parts(sizes)],
            seeds=seeds,
            batch_key=batch_key or BATCHES.get(only or ""),
            labels_key=labels_key or LABELS.get(only or ""),
            order_key=order_key,
            order=[[name.strip() for name in group.split("=")] for group in _parts(order or "")],
            layer=layer,
            epochs=epochs,
            threads=threads,
        )
        sources = _sources(dataset or [], data or [])
        _require(sources, settings)
        # After the checks: scvi-tools takes seconds to import.
        from spinlight.cells.benchmark.run import benchmark_cells

        found = benchmark_cells(sources, out, settings, progress=trials_shown(quiet or as_json))
        if as_json:
            print(json.dumps(found.summary, indent=2, allow_nan=False))
        elif not quiet:
            _print_summary(found.summary, found.files)
        failures = found.summary["failures"]
    if failures:
        for failure in failures:
            say(f"{failure['trial']} failed at {failure['stage']}: {failure['error']}: {failure['message']}")
        say("the same command tries failed trials again")
        raise typer.Exit(FAILURE)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _sources(datasets: Sequence[str], files: Sequence[Path]) -> dict[str, AnnData]:
    """Return the sets of cells by name, or refuse two of one name before any is read."""
    names = [*datasets, *(path.stem for path in files)]
    if not names:
        raise InvalidSettingError("name the cells by --dataset NAME or --data FILE.h5ad")
    if len(set(names)) < len(names):
        raise InvalidSettingError(f"two sets have one name: {', '.join(names)}; rename a file")
    from spinlight.cells.data import load_cells, load_dataset

    return {name: load_dataset(name) for name in datasets} | {path.stem: load_cells(path) for path in files}


def _require(sources: Mapping[str, AnnData], settings: Any) -> None:
    """Refuse what can be refused without scvi-tools."""
    from spinlight.cells.benchmark.sets import prepare_sets

    prepare_sets(sources, settings)


def _print_summary(summary: Mapping[str, Any], files: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    from spinlight.cells.benchmark.page import TOTALS_HEADER, totals_rows
    from spinlight.cells.benchmark.summary import verdict

    console = Console()
    for name, part in summary["sets"].items():
        console.print(f"[bold]{name}[/bold]: {part['cells']:,} cells, {part['genes']:,} genes")
        for note in part["notes"]:
            console.print(note, highlight=False)
        table = Table(TOTALS_HEADER[0], *TOTALS_HEADER[2:], box=None, padding=(0, 2, 0, 0))
        for model, _, *cells in totals_rows(part):
            table.add_row(model, *cells)
        console.print(table)
        console.print(verdict(name, part), highlight=False)
    console.print("Means over seeds, 95 % intervals; a tie is no proof of equality.", highlight=False)
    for path in files:
        console.print(f"  {path}", highlight=False)
