"""`spinlight cells fit` from outside: what it prints, its exit status, and what it leaves."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spinlight.cli import main

anndata = pytest.importorskip("anndata")
pytest.importorskip("scvi")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of sixty cells of two kinds."""
    generator = np.random.default_rng(0)
    kinds = np.arange(60) % 2
    rates = np.where(np.arange(12)[None] % 2 == kinds[:, None], 9.0, 2.0)
    cells = anndata.AnnData(generator.poisson(rates).astype(np.float32))
    cells.obs["kind"] = [f"kind {kind}" for kind in kinds]
    path: Path = tmp_path_factory.mktemp("data") / "cells.h5ad"
    cells.write_h5ad(path)
    return path


def options(file: Path, out: Path, *more: str) -> list[str]:
    return ["cells", "fit", "--data", str(file), "--out", str(out), "--epochs", "2", "--latent", "4", *more]


def test_a_fit_prints_the_elbo_with_its_error_and_the_scores(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(file, tmp_path, "--labels-key", "kind")) == 0
    printed = capsys.readouterr()
    assert "choice of cells and of the seed is not included" in " ".join(printed.out.split())
    for words in (
        "ELBO",
        "standard error of log Z",
        "standard error of the ELBO",
        "Leiden ARI",
        "label silhouette",
        "PCA",
        "report.html",
    ):
        assert words in printed.out
    assert "training" in printed.err


def test_an_error_that_cannot_be_told_is_said_in_words(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells import QBMVAE

    known = QBMVAE.get_log_partition
    monkeypatch.setattr(QBMVAE, "get_log_partition", lambda self: replace(known(self), standard_error=math.nan))
    assert main(options(file, tmp_path)) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "standard error of log Z unknown" in words
    assert "too few annealed chains" in words
    assert "nan" not in words.replace(str(tmp_path), "")


def test_json_is_all_that_goes_to_stdout(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options(file, tmp_path, "--json")) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads((tmp_path / "metrics.json").read_text())
    assert printed.err == ""


def test_quiet_prints_nothing(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options(file, tmp_path, "--quiet")) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "unheard_of"], "there is no dataset 'unheard_of'"),
        (["--data", "absent.h5ad"], "no file absent.h5ad"),
        (["--data", __file__], "cannot be read as .h5ad"),
        ([], "either --dataset NAME or --data FILE"),
        (["--dataset", "pbmc68k_reduced", "--data", "absent.h5ad"], "either --dataset NAME or --data FILE"),
        (["--dataset", "pbmc68k_reduced", "--labels-key", "celltype"], "no column of obs; columns: bulk_labels"),
        (["--dataset", "pbmc68k_reduced", "--layer", "counts"], "no layer 'counts'; layers: none"),
        (["--dataset", "pbmc68k_reduced", "--seed", "-1"], "seed must be an integer of at least 0"),
        (["--dataset", "pbmc68k_reduced", "--seed", "4294967296"], "seed must be at most 4294967295"),
        (["--dataset", "pbmc68k_reduced", "--epochs", "0"], "epochs must be an integer of at least 1"),
        (["--dataset", "pbmc68k_reduced", "--epochs", "many"], "--epochs"),
        (["--unheard-of"], "--unheard-of"),
    ],
)
def test_a_mistake_is_answered_by_one_line_and_status_two(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cells", "fit", "--out", str(tmp_path / "out"), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_answered_by_one_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    assert main(options(file, tmp_path / "taken")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_counts_in_a_layer_give_what_counts_in_x_give(file: Path, tmp_path: Path) -> None:
    cells = anndata.read_h5ad(file)
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X / 7
    cells.write_h5ad(tmp_path / "layered.h5ad")
    assert main(options(file, tmp_path / "x", "--quiet", "--labels-key", "kind")) == 0
    assert (
        main(
            [
                *options(tmp_path / "layered.h5ad", tmp_path / "layer", "--quiet", "--labels-key", "kind"),
                "--layer",
                "counts",
            ]
        )
        == 0
    )
    ours, theirs = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("x", "layer"))
    assert ours["embeddings"]["PCA"] == theirs["embeddings"]["PCA"]
    assert ours["elbo"]["train"] == pytest.approx(theirs["elbo"]["train"], rel=1e-4)


def test_a_disk_that_fails_is_answered_by_one_line_and_status_one(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "cells.h5ad"))

    monkeypatch.setattr("spinlight._results.Results.write_by", full)
    assert main([*options(file, tmp_path), "--quiet"]) == 1
    assert capsys.readouterr().err == f"spinlight: No space left on device: {tmp_path}/cells.h5ad\n"
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_says_what_was_saved(file: Path, tmp_path: Path) -> None:
    """Real Ctrl-Cs, three at a time, in a real process: status 130 within seconds, and a model that is whole."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "spinlight", *options(file, out), "--epochs", "100000"]
    with (tmp_path / "stderr").open("w+") as err:
        process = subprocess.Popen(command, stderr=err, env={**os.environ, "OMP_NUM_THREADS": "1", "FORCE_COLOR": "1"})
        waited = time.monotonic() + 200
        while "ELBO" not in (tmp_path / "stderr").read_text() and time.monotonic() < waited:
            time.sleep(0.1)
        sent = time.monotonic()
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        assert process.wait(60) == 130
        assert time.monotonic() - sent < 3
    assert f"interrupted; saved so far: {out / 'model-interrupted'}\n" in (tmp_path / "stderr").read_text()
    assert [str(path.relative_to(out)) for path in sorted(out.rglob("*"))] == [
        "model-interrupted",
        "model-interrupted/model.pt",
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_an_output_that_takes_nothing_is_named(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spinlight", *options(file, tmp_path), "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "spinlight: No space left on device: standard output\n"
    assert (tmp_path / "report.html").exists()


def test_numbers_are_checked_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from spinlight.cli import main; main(['cells', 'fit', '--data', 'absent.h5ad', '--out', 'x', '--latent', '0']);"
        "print([name for name in ('scvi', 'scanpy', 'anndata', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == "spinlight: latent must be an integer of at least 1, got 0\n"


def test_cells_are_checked_before_scvi_tools_is_imported(file: Path, tmp_path: Path) -> None:
    arguments = [*options(file, tmp_path / "out"), "--batch-key", "kind", "--labels-key", "kind"]
    code = f"import sys; from spinlight.cli import main; main({arguments!r}); print('scvi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert "'kind' is both the batch key and the labels key" in done.stderr


def test_new_cells_are_embedded_into_a_fit(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = anndata.read_h5ad(file)
    cells.obs["lab"] = np.where(np.arange(60) < 40, "a", "b")
    cells[:40].copy().write_h5ad(tmp_path / "old.h5ad")
    cells[30:].copy().write_h5ad(tmp_path / "new.h5ad")
    keys = ["--batch-key", "lab", "--labels-key", "kind"]
    # A fit needs batches to be told apart: these are the halves of one.
    old = anndata.read_h5ad(tmp_path / "old.h5ad")
    old.obs["lab"] = np.where(np.arange(40) % 2, "a", "c")
    old.write_h5ad(tmp_path / "old.h5ad")
    assert main(options(tmp_path / "old.h5ad", tmp_path / "fit", "--quiet", *keys)) == 0
    embed = ["cells", "embed", "--fit", str(tmp_path / "fit"), "--data", str(tmp_path / "new.h5ad")]
    capsys.readouterr()
    assert main([*embed, "--out", str(tmp_path / "out"), "--epochs", "2"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "30 cells among 40 of the fit" in printed
    assert "known batches: a (10); new batches, trained for 2 epochs: b (20)" in printed
    assert "of the cells with a label of the fit got it" in printed
    assert main([*embed, "--out", str(tmp_path / "out"), "--epochs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 1
    assert main([*embed, "--out", str(tmp_path / "fit")]) == 2
    assert "folder of the fit itself" in capsys.readouterr().err
    assert main([*embed, "--out", str(tmp_path / "other"), "--epochs", "0"]) == 2
    assert "epochs" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "benchmark"])
def test_the_help_says_for_how_long_models_are_trained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from spinlight.cells import defaults

    assert main(["cells", command, "--help"]) == 0
    shown = " ".join(re.sub("[^ -~]", " ", capsys.readouterr().out).split())
    assert (
        f"{defaults.EPOCHS} from {defaults.FEW_CELLS:,} to {defaults.MANY_CELLS:,} cells, up to {defaults.MOST_EPOCHS} for fewer, "
        f"down to {defaults.FEWEST_EPOCHS} for more" in shown
    )
