"""`spinlight sample` from outside: what it prints, its exit status, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.enumeration import boltzmann, random_ising
from helpers.statistics import law_p_value, threshold
from spinlight.cli import main
from spinlight.ising import Draws, write_npz


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of six spins."""
    path = tmp_path / "six.npz"
    write_npz(random_ising(6, seed=1, scale=0.4), path)
    return path


def test_draws_are_those_of_the_law_at_the_wanted_temperature(file: Path, tmp_path: Path) -> None:
    out, problem = tmp_path / "draws.npz", random_ising(6, seed=1, scale=0.4)
    options = ["--count", "20000", "--beta", "0.5", "--seed", "3", "--set", "sweeps=100", "--out", str(out), "--quiet"]
    assert main(["sample", str(file), *options]) == 0
    draws = Draws.load(out)
    assert (draws.info.sampler, draws.info.beta, draws.info.seed, draws.info.sweeps) == ("Gibbs", 0.5, 3, 100)
    assert law_p_value(draws.spins, boltzmann(problem, beta=0.5)) > threshold()
    assert law_p_value(draws.spins, boltzmann(problem, beta=0.7)) < threshold()


def test_what_the_draws_are_worth_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(file), "--count", "500", "--sampler", "ParallelTempering", "--seed", "1"]) == 0
    printed = capsys.readouterr()
    for words in (
        "500 draws of ParallelTempering (asymptotic), 6 sites",
        "effective draws",
        "total variation",
        "seed 1",
    ):
        assert words in printed.out
    assert printed.err == ""


def test_json_is_all_that_goes_to_stdout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(file), "--count", "100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sampler"], found["draws"]) == ("Gibbs", 100)
    assert main(["sample", str(file), "--count", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) is None


def test_one_draw_has_an_energy_and_nothing_else(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(file), "--count", "1", "--seed", "2"]) == 0
    assert capsys.readouterr().out.startswith("one draw of energy ")


def test_a_table_holds_the_same_draws(file: Path, tmp_path: Path) -> None:
    for out in ("draws.csv", "draws.npz"):
        assert main(["sample", str(file), "--count", "7", "--seed", "5", "--out", str(tmp_path / out), "--quiet"]) == 0
    draws = Draws.load(tmp_path / "draws.npz")
    lines = (tmp_path / "draws.csv").read_text().splitlines()
    assert lines[0] == "energy,s0,s1,s2,s3,s4,s5"
    table = np.array([line.split(",") for line in lines[1:]], dtype=float)
    np.testing.assert_array_equal(table[:, 0], draws.energies.numpy())
    np.testing.assert_array_equal(table[:, 1:], draws.spins.numpy())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sampler", "Gibs"], "did you mean Gibbs?"),
        (["--count", "0"], "--count must be an integer of at least 1"),
        (["--beta", "2", "--set", "beta=1"], "say the same; leave one out"),
        (["--beta", "-1"], "beta"),
        (["--set", "sweps=1"], "no setting 'sweps'"),
        (["--sampler", "Exact", "--set", "sweeps=1"], "no setting 'sweeps'"),
        (["--out", "draws.txt"], "--out must end in .npz, .csv"),
        (["--out", "nowhere/draws.npz"], "cannot be written"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_answered_by_one_line_and_status_two(
    file: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(file), *options]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_the_problem_is_not_replaced(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(file), "--out", str(file)]) == 2
    assert "would replace the problem" in capsys.readouterr().err
