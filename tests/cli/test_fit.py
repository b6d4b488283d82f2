"""`spinlight fit`: what it reads, writes and says, and how it goes on after Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import all_bits
from spinlight._errors import UncalibratedWarning
from spinlight.cli import main
from spinlight.cli.fit import _published
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.training import EnergyTask

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")

WORDS = ["--hidden", "4", "--epochs", "3", "--chains", "20", "--threads", "1", "--quiet"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return a file of 200 rows whose two halves repeat each other."""
    half = all_bits(3)[torch.randint(8, (200,), generator=torch.Generator().manual_seed(1))]
    np.save(tmp_path / "rows.npy", torch.cat([half, half], 1).numpy().astype(np.float32))
    return tmp_path / "rows.npy"


def test_a_fit_leaves_a_model_its_likelihood_and_its_history(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["fit", str(rows), "--out", str(out), *WORDS]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "metrics.json", "model.pt"]
    machine = RestrictedBoltzmannMachine(6, 4)
    machine.load_state_dict(torch.load(out / "model.pt", weights_only=True))
    metrics = json.loads((out / "metrics.json").read_text())
    data = {name: value for name, value in metrics["data"].items() if name != "sha256"}
    assert data == {"rows": 170, "valid_rows": 10, "features": 6, "batch_size": 100}
    assert metrics["log_likelihood"]["rows"] == 20
    with (out / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in history] == [1, 2, 3]
    assert all(float(row["log_likelihood"]) < 0 for row in history)
    assert all(float(row["gradient_norm"]) > 0 for row in history)
    rates = [float(row["learning_rate"]) for row in history]
    assert rates == sorted(rates, reverse=True)
    assert 5e-3 > rates[0] > rates[-1] > 0
    seconds = [float(row["seconds"]) for row in history]
    assert seconds == sorted(seconds)
    assert metrics["negatives"] == {
        "class": "PersistentContrastiveDivergence",
        "chains": 20,
        "sweeps": 1,
        "seed": 0,
    }
    assert metrics["optimizer"]["lr"] == 5e-3


def test_the_likelihood_is_that_of_the_saved_model_on_rows_it_has_not_seen(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [
        "fit",
        str(rows),
        "--out",
        str(out),
        "--hidden",
        "8",
        "--epochs",
        "300",
        "--learning-rate",
        "0.05",
        "--quiet",
    ]
    assert main(arguments) == 0
    machine = RestrictedBoltzmannMachine(6, 8)
    machine.load_state_dict(torch.load(out / "model.pt", weights_only=True))
    law = torch.softmax(-machine.free_energy(all_bits(6)).detach().double(), 0)
    half = all_bits(3)
    repeating = law[(torch.cat([half, half], 1).long() << torch.arange(6)).sum(-1)]
    assert float(repeating.sum()) > 0.5  # an untrained machine gives an eighth
    said = json.loads((out / "metrics.json").read_text())["log_likelihood"]
    # Twenty held-out rows of eight that are alike: between the best and the worst of the eight.
    error = 4 * said["log_partition_error"]
    assert float(repeating.log().min()) - error <= said["value"] <= float(repeating.log().max()) + error


@pytest.mark.parametrize("machine", ["full", "gaussian"])
def test_other_machines_are_fitted(rows: Path, tmp_path: Path, machine: str) -> None:
    assert main(["fit", str(rows), "--out", str(tmp_path / "out"), "--machine", machine, *WORDS]) == 0
    assert np.isfinite(json.loads((tmp_path / "out" / "metrics.json").read_text())["log_likelihood"]["value"])


QUICK = ["--epochs", "3", "--hidden", "4", "--threads", "1", "--quiet"]
TEMPERED = ["--sampler", "ParallelTempering", "--set", "rungs=4", "--chains", "20"]
REUSED = ["--negatives", "reused", "--sampler", "Exact", "--draws", "200"]
SAMPLED = [
    TEMPERED,
    ["--sampler", "Metropolis", "--chains", "20", "--sweeps", "2"],
    ["--negatives", "cd"],
    ["--negatives", "cd", "--sampler", "Gibbs"],
    ["--negatives", "independent", "--sampler", "Exact", "--draws", "50"],
    [*REUSED, "--sweeps", "1"],
]


@pytest.mark.parametrize("words", SAMPLED, ids=" ".join)
def test_negatives_come_from_any_sampler(rows: Path, tmp_path: Path, words: list[str]) -> None:
    out = tmp_path / "out"
    assert main(["fit", str(rows), "--out", str(out), *QUICK, *words]) == 0
    sampler = json.loads((out / "metrics.json").read_text())["sampler"]
    assert (None if sampler is None else sampler["class"]) == (
        words[words.index("--sampler") + 1] if "--sampler" in words else None
    )


@pytest.mark.parametrize("kind", ["independent", "reused"])
def test_draws_of_the_hidden_units_train_a_gaussian_machine(rows: Path, tmp_path: Path, kind: str) -> None:
    words = ["--machine", "gaussian", "--negatives", kind, "--sampler", "Exact"]
    assert main(["fit", str(rows), "--out", str(tmp_path / "out"), *QUICK, *words]) == 0


def test_a_machine_that_optimises_is_warned_of_unless_it_is_calibrated(rows: Path, tmp_path: Path) -> None:
    words = ["--negatives", "independent", "--sampler"]
    with pytest.warns(UncalibratedWarning, match="put Reweighted or Calibrated around"):
        assert main(["fit", str(rows), "--out", str(tmp_path / "out"), *QUICK, *words, "SimulatedBifurcation"]) == 0
    settings = ["sampler=SimulatedBifurcation", "sampler.steps=100"]
    words += ["Reweighted", *(word for pair in settings for word in ("--set", pair))]
    assert main(["fit", str(rows), "--out", str(tmp_path / "out"), *QUICK, *words]) == 0  # a warning would be an error
    known = json.loads((tmp_path / "out" / "metrics.json").read_text())["sampler"]
    assert (known["sampler"]["class"], known["sampler"]["steps"]) == ("SimulatedBifurcation", 100)


@pytest.mark.parametrize("words", [TEMPERED, SAMPLED[-2], REUSED], ids=" ".join)
def test_a_fit_that_was_cut_in_mid_epoch_ends_as_one_that_was_not(
    rows: Path, tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    common = [*QUICK, "--batch", "40", *words]  # five batches an epoch
    step, steps = EnergyTask.training_step, iter(range(100))

    def cut(self: EnergyTask, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if next(steps) == 7:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(EnergyTask, "training_step", cut)
        assert main(["fit", str(rows), "--out", str(tmp_path / "cut"), *common]) == 130
    assert torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)["global_step"] == 8
    assert main(["fit", str(rows), "--out", str(tmp_path / "cut"), *common, "--resume"]) == 0
    assert main(["fit", str(rows), "--out", str(tmp_path / "whole"), *common]) == 0
    resumed, whole = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("cut", "whole"))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_faces_are_held_out_by_stretches_of_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = torch.rand(1965, 4)
    monkeypatch.setattr("spinlight.datasets.frey_faces", lambda: film)
    parts = _published("faces")
    assert torch.equal(torch.cat([parts.train, parts.valid, parts.test]), film)
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [1600, 100, 265]


def test_what_is_printed_names_the_data_and_both_errors(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(rows), "--out", str(tmp_path / "out"), *WORDS[:-1]]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "170 rows of 6" in said
    assert "nats per held-out row; standard error of the rows" in said
    assert "of log Z" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no dataset 'nowhere'; there are mnist, digits, faces, nltcs"),
        (["digits", "--machine", "deep"], "--machine must be one of restricted, full, gaussian"),
        (["digits", "--negatives", "none"], "--negatives must be one of pcd, cd, independent, reused"),
        (["digits", "--negatives", "reused"], "name one of `spinlight samplers` by --sampler"),
        (
            ["digits", "--negatives", "cd", "--chains", "5"],
            "--negatives cd has no --chains; it takes --sampler, --sweeps",
        ),
        (["digits", "--draws", "5"], "--negatives pcd has no --draws; it takes --sampler, --chains, --sweeps"),
        (["digits", "--set", "sweeps=5"], "--set is for a setting of --sampler"),
        (["digits", "--sampler", "Gibs"], "did you mean Gibbs?"),
        (["digits", "--sampler", "Gibbs", "--set", "beta=2"], "at beta = 2"),
        (
            ["digits", "--sampler", "Exact"],
            "which Exact cannot; take --sampler Gibbs or Metropolis or ParallelTempering",
        ),
        (["digits", "--negatives", "cd", "--sampler", "ParallelTempering"], "take --sampler Gibbs or Metropolis, or"),
        (["digits", "--machine", "gaussian", "--sampler", "Gibbs"], "leave --sampler out for block Gibbs"),
        (
            ["digits", "--negatives", "independent", "--sampler", "Persistent", "--set", "sampler=Gibbs"],
            "take --negatives pcd",
        ),
        (["digits", "--negatives", "independent", "--sampler", "Exact", "--draws", "0"], "count must be"),
        (["digits", "--negatives", "independent", "--sampler", "Exact", "--quiet"], "the limit is 24 sites"),
        (["digits", "--seed", "-1"], "seed must be"),
        (["digits", "--seed", "18446744073709551616"], "seed must be"),
        (["digits", "--held-out", "1.5"], "held_out must lie between 0 and 1"),
        (["digits", "--epochs", "0"], "epochs must be"),
        (["digits", "--hidden", "0"], "num_hidden must be"),
        (["digits", "--learning-rate", "-1"], "learning_rate must be above 0"),
        (["digits", "--machine", "full", "--hidden", "30"], "2^30 states of its hidden units"),
        (["digits", "--sampler", "Gibbs", "--set", "sweeps=50"], "take --sweeps"),
        (
            ["digits", "--sampler", "ParallelTempering", "--set", "rungs=4", "--set", "ladders=9"],
            "--set ladders says nothing where chains live through the training; take --chains",
        ),
        (["digits", "--resume"], "is not there to go on from"),
    ],
)
def test_mistakes_are_answered_by_one_line_before_anything_is_written(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not any(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.array([[0.0, 2.0], [1.0, 0.0]] * 5), "outside [0, 1]"),
        (np.array([[0.0, np.nan], [1.0, 0.0]] * 5), "not finite"),
        (np.zeros((3, 2, 2)), "must hold a table"),
        (np.zeros((1, 2)), "too few"),
        (np.zeros((9, 2), dtype=complex), "holds complex numbers"),
        (np.zeros(9, dtype=[("a", "f4"), ("b", "f4")]), "holds no table of numbers"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    content: np.ndarray, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "rows.npy", content)
    assert main(["fit", str(tmp_path / "rows.npy"), "--out", str(tmp_path / "out"), *WORDS]) == 2
    assert words in capsys.readouterr().err


def test_a_file_of_text_is_read_and_a_damaged_one_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("0,1,1\n1,0,0\n" * 20)
    assert main(["fit", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out"), *WORDS]) == 0
    (tmp_path / "empty.npy").write_bytes(b"")
    assert main(["fit", str(tmp_path / "empty.npy"), "--out", str(tmp_path / "out"), *WORDS]) == 2
    assert "empty.npy holds no table of numbers" in capsys.readouterr().err
    (tmp_path / "named.csv").write_text("a,b,c\n" + "0,1,1\n1,0,0\n" * 20)
    assert main(["fit", str(tmp_path / "named.csv"), "--out", str(tmp_path / "named"), *WORDS]) == 0
    assert (
        json.loads((tmp_path / "named" / "metrics.json").read_text())["data"]["rows"] == 34
    )  # of 40: 4 and 2 set apart
    (tmp_path / "names.csv").write_text("a,b\n")
    assert main(["fit", str(tmp_path / "names.csv"), "--out", str(tmp_path / "out"), *WORDS]) == 2
    assert "must hold a table of rows" in capsys.readouterr().err
    (tmp_path / "semicolons.csv").write_text("0;1\n1;0\n")
    assert main(["fit", str(tmp_path / "semicolons.csv"), "--out", str(tmp_path / "out"), *WORDS]) == 2
    assert "separated by commas" in capsys.readouterr().err
    assert main(["fit", str(tmp_path / "nowhere.npy"), "--out", str(tmp_path / "out"), *WORDS]) == 2
    assert "there is no" in capsys.readouterr().err
    (tmp_path / "bad.csv").write_text("a,b\nc,d\n")
    assert main(["fit", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out"), *WORDS]) == 2
    assert "bad.csv holds no table of numbers: one row per line" in capsys.readouterr().err


def test_an_interrupted_fit_is_gone_on_with_and_ends_as_one_that_was_not(rows: Path, tmp_path: Path) -> None:
    """A real Ctrl-C in a real process: status 130, a checkpoint, and the same weights after --resume."""
    common = ["--hidden", "4", "--epochs", "400", "--chains", "20", "--threads", "1", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = tmp_path / "cut"
    command = [sys.executable, "-m", "spinlight", "fit", str(rows), "--out", str(out), *common]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    patience = time.monotonic() + 120
    while not (out / "last.ckpt").exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    assert (
        error == f"spinlight: interrupted; saved so far: {out / 'last.ckpt'}; the same command with --resume goes on\n"
    )
    assert sorted(path.name for path in out.iterdir()) == ["last.ckpt"]
    assert main(["fit", str(rows), "--out", str(out), *common, "--resume"]) == 0
    assert main(["fit", str(rows), "--out", str(tmp_path / "whole"), *common]) == 0
    resumed, whole = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("cut", "whole"))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
