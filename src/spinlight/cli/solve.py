"""`spinlight solve`: the best solution of a problem file within a time limit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinlight._errors import InvalidSettingError
from spinlight.cli.outcome import outcome
from spinlight.cli.samplers import chosen_sampler, made

if TYPE_CHECKING:
    from spinlight.ising.files import ProblemFile
    from spinlight.samplers import Sampler, Solution, Strategy

SUFFIXES = (".npz", ".json", ".txt")


def solve(
    file: Annotated[
        Path, typer.Argument(help="rudy or G-set Max-Cut, BiqMac .sparse, .json QUBO or dimod model, .npz.")
    ],
    sampler: Annotated[
        str | None, typer.Option(help="A name of `spinlight samplers`; by default annealing with restarts.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the sampler; may be repeated.")
    ] = None,
    time_limit: Annotated[float, typer.Option(metavar="S", help="Seconds.")] = 10.0,
    target: Annotated[
        float | None, typer.Option(help="Stop at this cut, x'Qx or energy, whichever the file asks for.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same rounds; the clock cuts them.")] = None,
    out: Annotated[
        Path | None, typer.Option(help=".npz (draws), .json, or .txt (one number per variable); replaced if it exists.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress line, and no output but errors.")] = False,
) -> None:
    """Look for the largest cut, the least x'Qx or the lowest energy of a problem file within a time limit.

    Ctrl-C ends the search early and keeps the best so far.
    """
    with outcome():
        chosen = _chosen(sampler, setting or [])
        stated = read_problem(file)
        if out is not None:
            require_out(out, file, SUFFIXES)
        from spinlight.samplers import InterruptedSolveError
        from spinlight.samplers import solve as search

        interrupt: InterruptedSolveError | None = None
        with _progress_line(stated, quiet or as_json) as progress:
            try:
                solution = search(
                    stated.problem,
                    chosen,
                    time_limit_s=time_limit,
                    target=None if target is None else stated.value(target),
                    seed=seed,
                    progress=progress,
                )
            except InterruptedSolveError as error:
                interrupt, solution = error, error.solution
        try:
            if out is not None:
                _write(out, stated, solution)
        except OSError:
            out = None
            raise
        finally:  # whatever became of the file, the answer is said
            if as_json:
                print(json.dumps(_summary(stated, solution, out), indent=2))
            elif not quiet:
                print(_sentence(stated, solution, out))
        if interrupt is not None:
            interrupt.saved = [] if out is None else [out]
            raise interrupt


def _chosen(name: str | None, pairs: Sequence[str]) -> Sampler | Strategy:
    """Return the sampler of this name, or annealing with restarts, with these settings."""
    from spinlight.samplers import Restarts

    if name is not None:
        return chosen_sampler(name, pairs)
    restarts: Restarts = made(Restarts, pairs)
    return restarts


def read_problem(file: Path) -> ProblemFile:
    """Return what a file states.

    Raises:
        InvalidSettingError: it cannot be read.
        FileFormatError: of no known format.
    """
    from spinlight.ising.files import read_problem_file

    try:
        return read_problem_file(file)
    except OSError as error:
        raise InvalidSettingError(f"{file} cannot be read: {error.strerror}") from error


def require_out(out: Path, problem: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written in the end, of another kind, or that is the problem itself.

    Raises:
        InvalidSettingError: such a file.
    """
    if out.resolve() == problem.resolve():
        raise InvalidSettingError(f"--out {out} would replace the problem; name another file")
    from spinlight._files import require_writable

    if out.suffix not in suffixes:
        raise InvalidSettingError(f"--out must end in {', '.join(suffixes)}, got {out}")
    try:
        require_writable(out)
    except OSError as error:
        raise InvalidSettingError(f"{out} cannot be written: {error.strerror}") from error


def _write(out: Path, stated: ProblemFile, solution: Solution) -> None:
    from spinlight._files import atomic_file

    if out.suffix == ".npz":
        solution.draws.save(out)
        return
    variables = stated.assignment(solution.spins).tolist()
    if out.suffix == ".json":
        text = json.dumps(_summary(stated, solution, out) | {"solution": variables})
    else:
        text = "\n".join(map(str, variables))
    with atomic_file(out) as file:
        file.write(f"{text}\n".encode())


def _summary(stated: ProblemFile, solution: Solution, out: Path | None) -> dict[str, Any]:
    return {
        "objective": stated.objective,
        "value": stated.value(solution.energy),
        "reached": solution.reached,
        "seconds": solution.seconds,
        "found_s": solution.found_s,
        "rounds": solution.rounds,
        "sampler": solution.draws.info.sampler,
        "settings": dict(solution.draws.info.settings),
        "seed": solution.seed,
        "out": None if out is None else str(out),
    }


def _sentence(stated: ProblemFile, solution: Solution, out: Path | None) -> str:
    saved = "" if out is None else f"\n  {out}"
    return (
        f"{_objective(stated, solution)}, found after {solution.found_s:.1f} s of {solution.seconds:.1f} s "
        f"({solution.rounds} rounds, seed {solution.seed}){saved}"
    )


def _objective(stated: ProblemFile, solution: Solution) -> str:
    name = {"cut": "cut", "qubo": "x'Qx", "energy": "energy"}[stated.objective]
    return f"{name} {stated.value(solution.energy):.15g}"


@contextmanager
def _progress_line(stated: ProblemFile, hidden: bool) -> Iterator[Callable[[Solution | None, float], None] | None]:
    """Yield what shows the best so far and the time left, on a terminal only."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("solving") as status:
        yield lambda best, left: status.update(
            f"{'first round' if best is None else _objective(stated, best)}, {left:.0f} s left"
        )
