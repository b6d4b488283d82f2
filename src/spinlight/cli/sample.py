"""`spinlight sample`: draws of a problem file, and what they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError
from spinlight.cli.outcome import outcome
from spinlight.cli.samplers import chosen_sampler
from spinlight.cli.solve import read_problem, require_out

if TYPE_CHECKING:
    from spinlight.ising import Draws
    from spinlight.samplers import Sampler

SUFFIXES = (".npz", ".csv")


def sample(
    file: Annotated[
        Path, typer.Argument(help="rudy or G-set Max-Cut, BiqMac .sparse, .json QUBO or dimod model, .npz.")
    ],
    sampler: Annotated[str, typer.Option(help="A name of `spinlight samplers`.")] = "Gibbs",
    count: Annotated[int, typer.Option(help="Draws.")] = 1000,
    beta: Annotated[
        float | None, typer.Option(help="Inverse temperature, of samplers that have one; 1 by default.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the sampler; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same draws.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=".npz (read by Draws.load) or .csv (energy, and a spin per variable); replaced if it exists."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the draws are worth as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No table, and no output but errors.")] = False,
) -> None:
    """Draw states of a problem from its Boltzmann law, and say what they are worth.

    Effective draws, mean energy, the temperature that the draws look like, and, up to 20 variables, how far they are from the exact law.
    """
    with outcome():
        positive_integer("--count", count)
        chosen = _at_beta(sampler, setting or [], beta)
        stated = read_problem(file)
        if out is not None:
            require_out(out, file, SUFFIXES)
        from spinlight.samplers import diagnose

        draws = chosen.draw(stated.problem, count, seed=seed)
        if out is not None:
            _write(out, draws)
        if quiet:
            return
        found = diagnose(stated.problem, draws, seed=0) if len(draws.energies) > 1 else None
        if as_json:
            print("null" if found is None else found.to_json())
            return
        print(f"one draw of energy {float(draws.energies[0]):.15g}" if found is None else found)
        print(f"seed {draws.info.seed}, {draws.info.seconds:.2f} s")
        if out is not None:
            print(f"  {out}")


def _at_beta(name: str, pairs: list[str], beta: float | None) -> Sampler:
    """Return the sampler of this name, at this temperature where one is given."""
    stated = [pair for pair in pairs if pair.partition("=")[0] == "beta"]
    if beta is None:
        return chosen_sampler(name, pairs)
    if stated:
        raise InvalidSettingError(f"--beta {beta:g} and --set {stated[0]} say the same; leave one out")
    return chosen_sampler(name, [*pairs, f"beta={beta!r}"])


def _write(out: Path, draws: Draws) -> None:
    if out.suffix == ".npz":
        draws.save(out)
        return
    from spinlight._files import atomic_file

    spins = draws.spins.cpu().tolist()
    rows = [",".join([f"{energy:.17g}", *map(str, row)]) for energy, row in zip(draws.energies.cpu().tolist(), spins)]
    header = ",".join(["energy", *(f"s{number}" for number in range(draws.sites))])
    with atomic_file(out) as file:
        file.write("\n".join([header, *rows, ""]).encode())
