"""What every benchmark shares: rows, paired repeats, options, the printed table and the JSON file.

A benchmark is a list of cases; a case measures something and returns rows; a row is one claim that holds or does not.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.metadata
import json
import math
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from spinlight._files import atomic_file, require_writable

VERSIONED = (
    "spinlight",
    "torch",
    "triton",
    "numpy",
    "numba",
    "dwave-samplers",
    "dwave-pytorch-plugin",
    "openjij",
    "thrml",
    "cim-optimizer",
    "simulated-bifurcation",
    "jax",
    "scvi-tools",
    "scanpy",
    "anndata",
    "scib-metrics",
    "scarches",
)


Rows = Sequence[Mapping[str, Any]]
"""Records of claims, as they stand in JSON."""


@dataclass(frozen=True)
class Settings:
    """The options of one run.

    Args:
        quick: smaller work and fewer repeats, to see that everything runs; its numbers prove nothing.
        seeds: repeats of each paired measurement.
    """

    quick: bool
    seeds: int


@dataclass(frozen=True)
class Claim:
    """One measured number and what is asked of it.

    Args:
        row: name, unique in the benchmark: "case/what is measured".
        value: the measured number.
        unit: its unit; "x" for a ratio.
        interval: its spread, lowest and highest; the words of the benchmark say of what kind.
        required: the bound, or None for a number that is only reported.
        sense: whether `required` is a lower ("least") or an upper ("most") bound.
        slack: statistical allowance beside the bound, two standard errors of `value` or half its interval; zero for a speed.
        peers: named numbers of the same measurement, ours included.
        seconds: wall-clock time of the measurement.
        seeds: how many repeats or seeds are in the value, where that is not what was asked for.
    """

    row: str
    value: float
    unit: str
    interval: tuple[float, float]
    required: float | None
    peers: Mapping[str, float]
    seconds: float
    sense: Literal["least", "most"] = "least"
    slack: float = 0.0
    seeds: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the number is on the right side of its bound, or within its slack."""
        if self.required is None:
            return True
        if self.sense == "least":
            return self.value + self.slack >= self.required
        return self.value - self.slack <= self.required


@dataclass(frozen=True)
class Case:
    """A measurement that yields rows; `name` is what --rows selects."""

    name: str
    measure: Callable[[Settings], Sequence[Claim]]


@dataclass(frozen=True)
class Ratio:
    """A median of paired ratios with the smallest and the largest of them."""

    median: float
    lowest: float
    highest: float


def alternate(
    contenders: Mapping[str, Callable[[int], float]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    rest: float = 0.0,
) -> dict[str, list[float]]:
    """Return the rates, in work per second, of contenders that take turns.

    Each is called once before the clock starts (compilation, caches), then `repeats` times, one after the other within a
    round, so that a slow spell of the machine falls on all of them.

    Args:
        contenders: name -> function of a seed, which does the work and returns its amount.
        repeats: rounds that are timed.
        clock: seconds since some moment.
        rest: seconds to wait before each: threads of a BLAS library go on spinning after its last product, and take a core from
            whoever comes next.
    """
    for work in contenders.values():
        work(0)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for seed in range(1, repeats + 1):
        for name, work in contenders.items():
            time.sleep(rest)
            start = clock()
            amount = work(seed)
            rates[name].append(amount / (clock() - start))
    return rates


def paired_ratio(ours: Sequence[float], peer: Sequence[float]) -> Ratio:
    """Return the median and the range of ours / peer, round by round."""
    ratios = [mine / theirs for mine, theirs in zip(ours, peer, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def wilson(wins: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share (J. Am. Stat. Assoc. 22 (1927) 209), at 95 % by default."""
    share, width = wins / runs, z * z / runs
    centre = (share + width / 2) / (1 + width)
    half = z * math.sqrt(share * (1 - share) / runs + width / (4 * runs)) / (1 + width)
    return centre - half, centre + half


def machine() -> str:
    """Return the machine in words: processor, cores that this process may use, GPU if any, operating system, Python."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{_processor()}, {cores()} core{'s' * (cores() > 1)}{gpu}, {platform.system()}, Python {platform.python_version()}"


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def main(cases: Sequence[Case], about: str, arguments: Sequence[str] | None = None) -> int:
    """Run the selected cases; print a Markdown table, write the JSON file, return 1 when a row falls short, else 0."""
    options = _parse(about, arguments)
    selected = [case for case in cases if fnmatch.fnmatch(case.name, options.rows)]
    if not selected:
        print(f"no row matches {options.rows!r}; there are: {', '.join(case.name for case in cases)}", file=sys.stderr)
        return 2
    settings = Settings(options.quick, options.seeds or (2 if options.quick else 5))
    if options.json and (refusal := _refusal(options.json, options.quick)):
        print(f"{options.json} {refusal}; name another file", file=sys.stderr)
        return 2
    holds = True
    print(HEADER)
    for case in selected:
        rows = [{"case": case.name, **_record(claim, settings)} for claim in case.measure(settings)]
        for row in rows:
            print(table_line(row), flush=True)
        if options.json:  # after each case: the next one may take an hour, and be interrupted
            write_rows(options.json, with_case(read_rows(options.json), case.name, rows))
        holds = holds and all(row["holds"] for row in rows)
    return 0 if holds else 1


def with_case(known: Rows, case: str, rows: Rows) -> list[Mapping[str, Any]]:
    """Return all rows known so far, with those of one case in place of its earlier ones, at the end if it had none."""
    names = {row["row"] for row in rows}
    stale = [place for place, row in enumerate(known) if row["row"] in names or row.get("case") == case]
    first = min(stale, default=len(known))
    others = [row for place, row in enumerate(known) if place not in stale]
    return [*others[:first], *rows, *others[first:]]


def _refusal(path: Path, quick: bool) -> str | None:
    """Return why rows cannot go into a file, before any of them is measured, or None."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_writable(path)
        full = not all(row["quick"] for row in read_rows(path) if row["row"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"cannot take the rows of a benchmark ({type(error).__name__}: {error})"
    return "holds rows of full runs, which --quick ones would replace" if quick and full else None


def read_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of an earlier run, none if there is no file."""
    rows = json.loads(path.read_text()) if path.exists() else []
    if not isinstance(rows, list):
        raise ValueError("it holds no list of rows")
    return rows


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps(list(rows), indent=1).encode() + b"\n")


def table_line(row: Mapping[str, object]) -> str:
    """Return one line of the Markdown table of rows."""
    lowest, highest = row["interval"]
    bound = "-" if row["required"] is None else f"{'>=' if row['sense'] == 'least' else '<='} {row['required']:g}"
    verdict = "-" if row["required"] is None else "yes" if row["holds"] else "**no**"
    peers = ", ".join(f"{name} {value:.4g}" for name, value in row["peers"].items())
    return f"| {row['row']} | {row['value']:.3g} {row['unit']} | {lowest:.3g} .. {highest:.3g} | {bound} | {verdict} | {peers} |"


HEADER = "| row | value | spread | required | holds | measured |\n|---|---|---|---|---|---|"


def _record(claim: Claim, settings: Settings) -> dict[str, object]:
    """Return a claim as plain JSON values, with where it comes from."""
    return {
        **asdict(claim),
        "holds": claim.holds,
        "seeds": claim.seeds or settings.seeds,
        "quick": settings.quick,
        "command": shlex.join(["python", *_relative(sys.argv)]),
        "machine": machine(),
        "versions": {name: version for name in VERSIONED if (version := _version(name))},
    }


def _relative(arguments: Sequence[str]) -> list[str]:
    script = Path(arguments[0])
    return [f"{script.parent.name}/{script.name}", *arguments[1:]]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _parse(about: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rows", default="*", metavar="GLOB", help="the cases to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="small work: shows that it runs, proves nothing")
    parser.add_argument("--seeds", type=int, metavar="N", help="paired repeats (default: 5, with --quick 2)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the rows here after each case, in place of its earlier ones"
    )
    options = parser.parse_args(arguments)
    if options.seeds is not None and options.seeds < 1:
        parser.error("--seeds must be at least 1")
    return options
