"""`spinlight samplers` from outside."""

from __future__ import annotations

import json

import pytest

from spinlight.cli import main
from spinlight.samplers import CoherentIsingMachine, Exact, Gibbs


def test_every_sampler_is_listed_with_its_law(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for kind in (Exact, Gibbs, CoherentIsingMachine):
        assert rows[kind.__name__]["law"] == kind.law
    assert rows["Distributed"]["law"] == "of the sampler inside"
    assert "Sampler" not in rows
    assert "MarkovChain" not in rows
    assert all(row["about"] for row in rows.values())


def test_the_table_names_the_strongest_law_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samplers"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("Exact") < printed.index("Gibbs") < printed.index("CoherentIsingMachine")


@pytest.mark.parametrize("arguments", [["samplers", "--fast"], ["samplers", "extra"]])
def test_a_mistake_is_answered_by_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
