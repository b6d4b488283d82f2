"""`spinlight solve` from outside: what it prints, its exit status, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spinlight.cli import main
from spinlight.ising import Draws, Ising, write_npz

TRIANGLE = "3 3\n1 2 1\n2 3 2\n1 3 4\n"  # largest cut: 6, node 3 against 1 and 2
UNITS = '{"units": 3, "terms": [[0, 0, -2.0], [1, 1, -1.0], [0, 1, 5.0], [2, 2, 1.0]], "offset": 0.5}'  # least: x = 100


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "triangle.txt"
    path.write_text(TRIANGLE)
    return path


def test_a_cut_is_reported_as_one(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(graph), "--target", "6", "--seed", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("cut 6, found after ")
    assert printed.err == ""


def test_json_is_all_that_goes_to_stdout(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(graph), "--target", "6", "--seed", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["objective"], result["value"], result["reached"], result["seed"]) == ("cut", 6.0, True, 1)


def test_a_target_out_of_reach_uses_the_time(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(graph), "--target", "7", "--time-limit", "0.3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["value"], result["reached"]) == (6.0, False)
    assert result["seconds"] > 0.2


def test_quiet_prints_nothing(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(graph), "--target", "6", "--quiet", "--out", str(tmp_path / "out.txt")]) == 0
    assert capsys.readouterr() == ("", "")
    sides = (tmp_path / "out.txt").read_text().split()
    assert sides in (["0", "0", "1"], ["1", "1", "0"])


def test_a_qubo_is_solved_in_bits(tmp_path: Path) -> None:
    (tmp_path / "units.json").write_text(UNITS)
    out = tmp_path / "out.json"
    assert main(["solve", str(tmp_path / "units.json"), "--target", "-1.5", "--out", str(out), "--quiet"]) == 0
    result = json.loads(out.read_text())
    assert (result["objective"], result["value"], result["solution"]) == ("qubo", -1.5, [1, 0, 0])


def test_an_npz_problem_is_solved_in_spins_and_draws_are_written(tmp_path: Path) -> None:
    problem = Ising([0.5, 0.0], [[0.0, -1.0], [-1.0, 0.0]])
    write_npz(problem, tmp_path / "pair.npz")
    arguments = ["solve", str(tmp_path / "pair.npz"), "--target", "-1.5", "--quiet", "--out"]
    assert main([*arguments, str(tmp_path / "out.npz")]) == 0
    assert main([*arguments, str(tmp_path / "out.txt")]) == 0
    draws = Draws.load(tmp_path / "out.npz")
    assert (draws.spins.tolist(), draws.energies.tolist()) == ([[1, -1]], [-1.5])
    assert (tmp_path / "out.txt").read_text() == "1\n-1\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--sampler", "CoherentIsingMachine", "--set", "steps=100", "--set", "feedback=ChaoticAmplitudeControl"],
        ["--sampler", "SimulatedBifurcation", "--set", "discrete=false"],
        ["--sampler", "SimulatedAnnealing", "--set", "beta=5"],
        ["--sampler", "LangevinBifurcation"],
        ["--sampler", "Quantized", "--set", "sampler=Gibbs"],
        ["--sampler", "Quantized", "--set", "sampler=Gibbs", "--set", "sampler.sweeps=20"],
        ["--sampler", "SimulatedAnnealing", "--set", "schedule=LinearSchedule", "--set", "schedule.first=1"],
        ["--set", "chains=4", "--set", "cold=32"],
    ],
)
def test_samplers_and_settings_are_chosen_by_name(graph: Path, options: list[str]) -> None:
    assert main(["solve", str(graph), "--target", "6", "--quiet", "--seed", "1", *options]) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sampler", "SimulatedAnealing"], "did you mean SimulatedAnnealing?"),
        (["--sampler", "Zzz"], "there is no sampler 'Zzz'; samplers: Exact"),
        (["--set", "sweeps=3"], "Restarts has no setting 'sweeps'; settings: chains"),
        (["--set", "chains"], "--set takes KEY=VALUE, got 'chains'"),
        (["--set", "chains=many"], "chains must be an integer of at least 1, got 'many'"),
        (["--sampler", "Quantized"], "missing 1 required"),
        (["--time-limit", "-1"], "time_limit_s must be above 0"),
        (["--time-limit", "soon"], "--time-limit"),
        (["--target", "nan"], "target must be a finite number"),
        (["--seed", "-1"], "seed must be"),
        (["--out", "result.csv"], "--out must end in .npz, .json, .txt"),
        (["--out", "absent/result.txt"], "absent/result.txt cannot be written: No such file or directory"),
    ],
)
def test_a_mistake_is_answered_by_one_line_and_status_two_before_the_search(
    graph: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    assert main(["solve", str(graph), "--time-limit", "60", *options]) == 2
    assert time.monotonic() - started < 30
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert words in printed.err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("absent.txt", None, "absent.txt cannot be read: No such file or directory"),
        ("bad.txt", "2 1\n1 3 1\n", "line 2"),
        ("bad.json", "{", "is no JSON file"),
        ("other.json", '{"nodes": 3}', "nor a serialised dimod model"),
        ("far.json", '{"units": 2, "terms": [[0, 2, 1.0]]}', "whole numbers from 0 to 1"),
        ("short.json", '{"units": 2, "terms": [[0, 1]]}', "holds no QUBO"),
        ("broken.json", '{"type": "BinaryQuadraticModel"}', "holds no dimod model"),
    ],
)
def test_a_file_that_cannot_be_solved_is_named(
    name: str, text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    assert main(["solve", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_a_dimod_model_keeps_its_kind(tmp_path: Path) -> None:
    dimod = pytest.importorskip("dimod")
    model = dimod.BinaryQuadraticModel({"a": 1.0, "b": -2.0}, {("a", "b"): 3.0}, 0.25, "SPIN")
    for kind, value, solution in (("SPIN", -5.75, [-1, 1]), ("BINARY", -5.75, [0, 1])):
        path, out = tmp_path / f"{kind}.json", tmp_path / f"{kind}-out.json"
        path.write_text(json.dumps(model.change_vartype(kind, inplace=False).to_serializable()))
        assert main(["solve", str(path), "--target", "-5.75", "--quiet", "--out", str(out)]) == 0
        result = json.loads(out.read_text())
        assert (result["value"], result["solution"]) == (value, solution)


def test_an_interrupt_leaves_the_best_so_far(graph: Path, tmp_path: Path) -> None:
    """A real Ctrl-C in a real process."""
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "spinlight", "solve", str(graph), "--time-limit", "200", "--out", str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    time.sleep(15)  # imports, compiled kernels, and a few rounds
    process.send_signal(signal.SIGINT)
    printed, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == f"spinlight: interrupted; saved so far: {out}\n"
    assert printed.startswith("cut 6, ")
    assert json.loads(out.read_text())["value"] == 6.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "triangle.txt"]


def test_the_problem_itself_is_not_replaced(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(graph), "--out", str(graph)]) == 2
    assert "would replace the problem" in capsys.readouterr().err
    assert graph.read_text() == TRIANGLE


def test_the_answer_is_said_when_its_file_cannot_be_written(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "out.txt")

    monkeypatch.setattr("spinlight.cli.solve._write", full)
    assert main(["solve", str(graph), "--target", "6", "--out", str(tmp_path / "out.txt")]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("cut 6, found after ")
    assert "No space left" in printed.err


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["schedule=QuenchedSchedule"], "settings are given by --set schedule.KEY=VALUE"),
        (["schedule.first=1"], "say what schedule is before what is in it: --set schedule=NAME"),
        (["schedule=LinearSchedule", "schedule.speed=1"], "LinearSchedule has no setting 'speed'"),
        (["sweeps=10", "sweeps.first=1"], "'10' has no settings"),
    ],
)
def test_parts_of_a_sampler_are_named_before_they_are_set(
    graph: Path, pairs: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for pair in pairs for word in ("--set", pair)]
    assert main(["solve", str(graph), "--sampler", "SimulatedAnnealing", *options]) == 2
    assert words in capsys.readouterr().err
