"""`spinlight cells benchmark` from outside: what it prints, its exit status, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spinlight._errors import InvalidSettingError
from spinlight.cells.benchmark.settings import BenchmarkSettings
from spinlight.cli import main

anndata = pytest.importorskip("anndata")
pytest.importorskip("scvi")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of sixty cells of two kinds in two batches."""
    generator = np.random.default_rng(0)
    kinds = np.arange(60) % 2
    rates = np.where(np.arange(12)[None] % 2 == kinds[:, None], 9.0, 2.0)
    cells = anndata.AnnData(generator.poisson(rates).astype(np.float32))
    cells.obs["kind"] = [f"kind {kind}" for kind in kinds]
    cells.obs["batch"] = ["first"] * 30 + ["second"] * 30
    path: Path = tmp_path_factory.mktemp("data") / "cells.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def quick_scib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put scores that cost nothing in the place of scIB's."""
    scores = {"scib_bio": 0.5, "scib_batch": 0.25, "scib_total": 0.4}
    monkeypatch.setattr("spinlight.cells.benchmark.scores.scib.scib_scores", lambda latent, known: dict(scores))


def options(file: Path, out: Path, *more: str) -> list[str]:
    keys = ["--batch-key", "batch", "--labels-key", "kind"]
    size = ["--sizes", "3", "--seeds", "2", "--epochs", "2"]
    return ["cells", "benchmark", "--data", str(file), "--out", str(out), *keys, *size, *more]


@pytest.mark.usefixtures("quick_scib")
def test_it_prints_totals_with_intervals_and_calls_a_tie_a_tie(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(file, tmp_path, "--models", "pca,scvi")) == 0
    words = " ".join(capsys.readouterr().out.split())
    for part in ("pca 3", "scvi 3", "tie for the first place", "no proof of equality", "report.html"):
        assert part in words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "scores.csv", "summary.json", "trials"]


@pytest.mark.usefixtures("quick_scib")
def test_json_is_all_that_goes_to_stdout_and_quiet_prints_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(file, tmp_path, "--models", "pca,bernoulli", "--json")) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads((tmp_path / "summary.json").read_text())
    assert printed.err == ""
    assert main(options(file, tmp_path, "--models", "pca,bernoulli", "--quiet")) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("quick_scib")
def test_a_failed_model_is_named_at_the_end_with_status_one(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scarches", None)
    assert main(options(file, tmp_path, "--models", "scpoli,pca", "--quiet")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].split()[0] for line in lines[:2]] == [
        "cells/scpoli-3-seed0",
        "cells/scpoli-3-seed1",
    ]
    assert "pip install scarches" in lines[0]
    assert "tries failed trials again" in lines[2]
    assert (tmp_path / "trials/cells/pca-3-seed0.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "pca,magic"], "there is no model 'magic'; there are: pca, vae, scvi"),
        (["--models", ","], "name at least one model"),
        (["--sizes", "large"], "a size is an integer or 'chosen', got 'large'"),
        (["--sizes", "0"], "size must be an integer of at least 1"),
        (["--sizes", ""], "at least one latent size"),
        (["--sizes", "12", "--models", "pca"], "pca has at most 11 components of 60 cells and 12 genes"),
        (["--seeds", "0"], "seeds must be an integer of at least 1"),
        (["--epochs", "0"], "epochs must be an integer of at least 1"),
        (["--labels-key", "cell_type"], "'cell_type' is no column of obs; columns: kind, batch"),
        (["--batch-key", "kind"], "'kind' is the batch key and the key of something else"),
        (["--order-key", "kind"], "neither numbers nor ordered categories"),
        (["--order", "kind 0,kind 1"], "needs the column"),
        (["--layer", "counts"], "no layer 'counts'"),
        (["--dataset", "unheard_of"], "there is no dataset 'unheard_of'"),
        (["--data", "absent.h5ad"], "no file absent.h5ad"),
        (["--data", "elsewhere/cells.h5ad"], "two sets have one name"),
        (["--unheard-of"], "--unheard-of"),
    ],
)
def test_a_mistake_is_answered_by_one_line_and_status_two(
    arguments: list[str], words: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options(file, tmp_path / "out"), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert not (tmp_path / "out").exists()


def test_no_data_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cells", "benchmark"]) == 2
    assert "--dataset NAME or --data FILE.h5ad" in capsys.readouterr().err


def test_an_atlas_brings_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[BenchmarkSettings] = []

    def stop(sources: object, settings: BenchmarkSettings) -> None:
        asked.append(settings)
        raise InvalidSettingError("enough")

    monkeypatch.setattr("spinlight.cells.data.load_dataset", lambda name: None)
    monkeypatch.setattr("spinlight.cells.benchmark.sets.prepare_sets", stop)
    main(["cells", "benchmark", "--dataset", "scib_immune"])
    main(["cells", "benchmark", "--dataset", "scib_immune", "--labels-key", "mine"])
    main(["cells", "benchmark", "--dataset", "scib_immune", "--dataset", "scib_lung"])
    assert [(each.batch_key, each.labels_key) for each in asked] == [
        ("batch", "final_annotation"),
        ("batch", "mine"),
        (None, None),
    ]


def test_a_key_that_only_some_sets_have_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_scib: None
) -> None:
    bare = anndata.read_h5ad(file)
    del bare.obs["kind"]
    bare.write_h5ad(tmp_path / "bare.h5ad")
    out = tmp_path / "out"
    assert main(options(file, out, "--data", str(tmp_path / "bare.h5ad"), "--models", "pca")) == 0
    assert "no column 'kind', and no scores that need it" in " ".join(capsys.readouterr().out.split())


def test_mistakes_are_found_before_scvi_tools_is_imported(file: Path, tmp_path: Path) -> None:
    arguments = options(file, tmp_path / "out", "--order-key", "kind")
    code = f"import sys; from spinlight.cli import main; main({arguments!r}); print('scvi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_numbers_are_checked_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from spinlight.cli import main; main(['cells', 'benchmark', '--data', 'absent.h5ad', '--seeds', '0']);"
        "print([name for name in ('scvi', 'scanpy', 'anndata', 'lightning', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == "spinlight: seeds must be an integer of at least 1, got 0\n"


@pytest.mark.slow
def test_an_interrupt_says_what_was_saved_and_how_to_go_on(file: Path, tmp_path: Path) -> None:
    """A real Ctrl-C in a real process, during training: status 130, and the finished trial is whole."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "spinlight", *options(file, out, "--models", "pca,scvi"), "--epochs", "100000"]
    command[command.index("--labels-key") : command.index("--labels-key") + 2] = []  # no scores, which wake JAX
    command[command.index("--batch-key") : command.index("--batch-key") + 2] = []
    with (tmp_path / "stderr").open("w+") as err:
        process = subprocess.Popen(command, stderr=err, env={**os.environ, "OMP_NUM_THREADS": "1", "FORCE_COLOR": "1"})
        waited = time.monotonic() + 200
        while "scvi-3-seed0" not in (tmp_path / "stderr").read_text() and time.monotonic() < waited:
            time.sleep(0.1)
        time.sleep(1.5)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        assert process.wait(60) == 130
    words = (tmp_path / "stderr").read_text()
    assert f"interrupted; saved so far: {out / 'trials'}; the same command goes on from there\n" in words
    assert [str(path.relative_to(out)) for path in sorted(out.rglob("*")) if path.is_file()] == [
        "trials/cells/pca-3-seed0.json",
        "trials/cells/pca-3-seed0.npz",
    ]
