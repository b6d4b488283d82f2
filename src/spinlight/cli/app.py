"""The tree of commands; each imports its application when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

import spinlight
from spinlight.cli import cells, fit, sample, samplers, solve

app = typer.Typer(
    help="Energy-based models in PyTorch, sampled by Ising machines.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cells.app, name="cells")
app.command(epilog="Example: spinlight fit digits --hidden 64 --epochs 50 --out runs/digits")(fit.fit)
app.command(epilog="Example: spinlight samplers --json")(samplers.samplers)
app.command(epilog="Example: spinlight sample problem.json --sampler ParallelTempering --count 1000 --out draws.npz")(
    sample.sample
)
app.command(epilog="Example: spinlight solve G14.txt.gz --time-limit 60 --target 3064 --out G14.json")(solve.solve)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"spinlight {spinlight.__version__}")
        raise typer.Exit


@app.callback()
def spinlight_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Energy-based models in PyTorch, sampled by Ising machines."""
