"""Trials are files: found again, made anew when what they stand for changed, and never lost with another's failure."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spinlight._errors import InvalidSettingError
from spinlight.cells.benchmark import registry
from spinlight.cells.benchmark.interrupts import Interrupts

if TYPE_CHECKING:
    from anndata import AnnData

    from cells.benchmark.conftest import Counting
    from spinlight.cells.benchmark.models.base import Embedded, FitTask
    from spinlight.cells.benchmark.run import Benchmarked

pytestmark = pytest.mark.usefixtures("quick_scib", "quick_pictures")

KEYS: dict[str, Any] = {"batch_key": "batch", "labels_key": "kind", "epochs": 2, "sizes": (3,), "seeds": 2}


def run(cells: AnnData, out: Path, **settings: Any) -> Benchmarked:
    from spinlight.cells import BenchmarkSettings, benchmark_cells

    return benchmark_cells(
        {"some": cells}, out, BenchmarkSettings(**({"models": ("pca", "counting")} | KEYS | settings))
    )


def names(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_every_trial_is_a_file_with_its_arrays(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    run(cells, tmp_path)
    trials = [f"trials/some/{name}" for name in ("counting-3-seed0", "counting-3-seed1", "pca-3-seed0")]
    written = [f"{name}{suffix}" for name in trials for suffix in (".json", ".npz")]
    assert names(tmp_path) == sorted([*written, "report.html", "scores.csv", "summary.json"])


def test_a_record_says_what_it_stands_for(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    run(cells, tmp_path)
    record = json.loads((tmp_path / "trials/some/counting-3-seed1.json").read_text())
    assert record["trial"] == {"set": "some", "model": "counting", "size": 3, "seed": 1}
    assert record["fit"]["settings"]["settings"] == {"strength": 1.0}
    assert record["fit"]["settings"]["epochs"] == 2
    assert record["fit"]["data"]["cells"] == 90
    assert record["fit"]["seconds"] == 0.5
    assert {"spinlight", "scvi-tools", "scib-metrics", "torch"} <= set(record["fit"]["versions"])
    assert record["failure"] is None


def test_a_second_run_computes_nothing(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(cells, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr("spinlight.cells.benchmark.trials.score_latent", refuse)
    second = run(cells, tmp_path)
    assert [task.seed for task in counting.asked] == [0, 1]
    assert second.summary == first.summary
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_more_seeds_add_to_those_that_are_there(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    run(cells, tmp_path)
    run(cells, tmp_path, seeds=3)
    assert [task.seed for task in counting.asked] == [0, 1, 2]


@pytest.mark.parametrize("change", ["hyperparameters", "epochs", "counts"])
def test_a_changed_fit_is_made_anew(
    change: str, cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cells, tmp_path)
    settings = {}
    if change == "hyperparameters":
        monkeypatch.setitem(registry.MODELS, "counting", replace(counting, strength=2.0))
    elif change == "epochs":
        settings["epochs"] = 3
    else:
        cells.X[0, 0] += 1
    run(cells, tmp_path, **settings)
    assert [task.seed for task in counting.asked] == [0, 1, 0, 1]


def test_other_labels_need_other_scores_and_no_other_fit(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    before = run(cells, tmp_path).summary
    cells.obs["kind"] = np.random.default_rng(0).permutation(cells.obs["kind"].to_numpy())
    after = run(cells, tmp_path).summary
    assert len(counting.asked) == 2
    assert accuracy(after) < accuracy(before)


def accuracy(summary: Any) -> float:
    (pca,) = [one for one in summary["sets"]["some"]["contenders"] if one["model"] == "pca"]
    return float(pca["metrics"]["knn_accuracy"]["mean"])


def test_models_are_given_no_labels_and_the_same_split(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    run(cells, tmp_path)
    assert all(list(seen.obs) == ["batch"] for seen in counting.seen)
    arrays = np.load(tmp_path / "trials/some/counting-3-seed1.npz")
    np.testing.assert_array_equal(arrays["held_out_cells"], counting.asked[1].split.held_out)


def test_a_failure_is_recorded_and_loses_nothing_else(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    counting.failing[0] = RuntimeError("out of\nluck")
    found = run(cells, tmp_path).summary
    (failure,) = found["failures"]
    assert failure["trial"] == "some/counting-3-seed0"
    assert (failure["stage"], failure["error"], failure["message"]) == ("fit", "RuntimeError", "out of luck")
    assert "in fit" in failure["traceback"]
    assert {one["name"]: one["metrics"]["scib_total"]["count"] for one in found["sets"]["some"]["contenders"]} == {
        "pca 3": 2,
        "counting 3": 1,
    }
    assert "out of luck" in (tmp_path / "report.html").read_text()


def test_a_failed_trial_alone_is_tried_again(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    counting.failing[0] = RuntimeError("once")
    run(cells, tmp_path)
    counting.failing.clear()
    assert run(cells, tmp_path).summary["failures"] == []
    assert [task.seed for task in counting.asked] == [0, 1, 0]


def test_scores_that_fail_do_not_lose_the_fit(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no score")

    with monkeypatch.context() as patched:
        patched.setattr("spinlight.cells.benchmark.trials.score_latent", fail)
        assert {one["stage"] for one in run(cells, tmp_path).summary["failures"]} == {"scores"}
    assert run(cells, tmp_path).summary["failures"] == []
    assert len(counting.asked) == 2


def test_a_latent_that_is_none_is_a_failure(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.MODELS, "counting", replace(counting, strength=np.nan))
    errors = {one["error"] for one in run(cells, tmp_path).summary["failures"]}
    assert errors == {"LatentError"}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_file_is_made_anew(suffix: str, cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    run(cells, tmp_path)
    path = tmp_path / f"trials/some/counting-3-seed1{suffix}"
    path.write_bytes(path.read_bytes()[:40])
    assert run(cells, tmp_path).summary["failures"] == []
    assert [task.seed for task in counting.asked] == [0, 1, 1]


def test_arrays_of_another_fit_are_made_anew(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    """As a process leaves them that is killed between the two files of a trial."""
    run(cells, tmp_path)
    folder = tmp_path / "trials/some"
    (folder / "counting-3-seed0.npz").write_bytes((folder / "counting-3-seed1.npz").read_bytes())
    run(cells, tmp_path)
    assert [task.seed for task in counting.asked] == [0, 1, 0]


@pytest.mark.parametrize("damage", [{"fit": []}, {"scores": []}, {"fit": {}}, {"scores": {}}])
def test_a_record_that_is_json_but_no_record_is_made_anew(
    damage: dict[str, Any], cells: AnnData, counting: Counting, tmp_path: Path
) -> None:
    run(cells, tmp_path)
    path = tmp_path / "trials/some/counting-3-seed1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    assert run(cells, tmp_path).summary["failures"] == []
    assert json.loads(path.read_text())["scores"]["values"]


def test_a_folder_in_the_place_of_a_record_is_named(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    run(cells, tmp_path)
    path = tmp_path / "trials/some/counting-3-seed1.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(
        InvalidSettingError, match=r"counting-3-seed1\.json cannot be read \(Is a directory\); remove it"
    ):
        run(cells, tmp_path)


def test_a_second_benchmark_in_one_folder_is_refused(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def fit(self: Counting, seen: AnnData, task: FitTask) -> Embedded:
        with pytest.raises(InvalidSettingError, match="another benchmark is running in"):
            run(cells, tmp_path)
        refused.append("yes")
        raise RuntimeError("enough")

    with monkeypatch.context() as patched:
        patched.setattr(type(counting), "fit", fit)
        assert [each["message"] for each in run(cells, tmp_path).summary["failures"]] == ["enough", "enough"]
    assert len(refused) == 2
    assert run(cells, tmp_path).summary["failures"] == []


def test_trials_that_another_program_has_changed_are_failures(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells.benchmark import run as module

    real = module.run_trial

    def spoiled(trial: Any, *arguments: Any) -> None:
        real(trial, *arguments)
        if trial.seed == 1:
            (tmp_path / "trials" / f"{trial.name}.npz").unlink()

    monkeypatch.setattr(module, "run_trial", spoiled)
    (failure,) = run(cells, tmp_path).summary["failures"]
    assert (failure["trial"], failure["error"]) == ("some/counting-3-seed1", "FileNotFoundError")


def test_an_interrupt_leaves_what_is_finished(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    from spinlight.cells import InterruptedFitError

    counting.failing[1] = KeyboardInterrupt()
    with pytest.raises(InterruptedFitError) as raised:
        run(cells, tmp_path)
    assert raised.value.saved == [tmp_path / "trials"]
    assert names(tmp_path) == sorted(
        f"trials/some/{name}{suffix}" for name in ("counting-3-seed0", "pca-3-seed0") for suffix in (".json", ".npz")
    )
    counting.failing.clear()
    run(cells, tmp_path)
    assert [task.seed for task in counting.asked] == [0, 1, 1]


def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_check() -> None:
    import signal

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_an_interrupt_that_a_callback_swallows_is_said_once_and_prints_nothing() -> None:
    import gc
    import signal

    said = []

    def callback(phase: str, _: object) -> None:
        if phase == "start":
            signal.raise_signal(signal.SIGINT)

    with Interrupts(lambda: said.append("heard")) as interrupts:
        gc.callbacks.append(callback)
        try:
            gc.collect()  # pytest would make an error of what is printed
            gc.collect()
        finally:
            gc.callbacks.remove(callback)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert said == ["heard"]


def test_an_interrupt_that_was_swallowed_before_training_ends_it_after_an_epoch(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while scvi-tools is imported."""
    import signal

    from spinlight.cells import InterruptedFitError

    def fit(self: Counting, cells: AnnData, task: FitTask) -> Embedded:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        task.on_epoch()
        raise AssertionError("went on")

    monkeypatch.setattr(type(counting), "fit", fit)
    with pytest.raises(InterruptedFitError):
        run(cells, tmp_path)
    assert names(tmp_path) == ["trials/some/pca-3-seed0.json", "trials/some/pca-3-seed0.npz"]


def test_a_size_that_a_model_cannot_have_is_refused_before_anything(
    cells: AnnData, counting: Counting, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettingError, match=r"some: pca has at most 23 components .* size 24 was asked for"):
        run(cells, tmp_path / "out", sizes=(24,))
    assert counting.asked == []
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_anything(
    cells: AnnData, counting: Counting, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InvalidSettingError, match="choose another folder"):
        run(cells, tmp_path / "taken")
    assert counting.asked == []


def test_one_fit_of_a_deterministic_model_counts_for_every_seed(
    cells: AnnData, counting: Counting, tmp_path: Path
) -> None:
    found = run(cells, tmp_path, seeds=3).summary["sets"]["some"]
    (pca,) = [one for one in found["contenders"] if one["model"] == "pca"]
    assert pca["deterministic"]
    assert len(set(pca["metrics"]["scib_total"]["by_seed"].values())) == 1
    (pair,) = found["pairs"]["scib_total"]
    assert pair["count"] == 3


def test_the_scores_are_also_a_table(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    found = run(cells, tmp_path).summary["sets"]["some"]["contenders"]
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    totals = {(row["model"], row["seed"]): float(row["value"]) for row in rows if row["metric"] == "scib_total"}
    assert sorted(totals) == [("counting", "0"), ("counting", "1"), ("pca", "0")]
    means = {one["model"]: one["metrics"]["scib_total"]["mean"] for one in found}
    assert (totals["counting", "0"] + totals["counting", "1"]) / 2 == pytest.approx(means["counting"])


def test_the_report_holds_what_the_summary_says_and_fetches_nothing(
    cells: AnnData, counting: Counting, tmp_path: Path
) -> None:
    cells.obs["stage"] = np.arange(90) % 3 * 1.0
    found = run(cells, tmp_path, order_key="stage").summary["sets"]["some"]
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"url\(|@import|<script|<link|https?://", page)
    for one in found["contenders"]:
        total = one["metrics"]["scib_total"]
        interval = "has no seeds" if one["deterministic"] else f"{total['lower']:.3f} to {total['upper']:.3f}"
        assert f"<td>{total['mean']:.3f} ({interval})</td>" in page
    (pair,) = found["pairs"]["scib_total"]
    assert f"<td>{pair['t_p']:.2g}</td>" in page
    for words in (
        "pca 3, seed 0: UMAP of its latent",
        "Training, one line for each seed",
        "cell energy, Kendall tau",
        "strength",
        "version of scvi-tools",
        "none had labels",
        ", of counts given their total</td>",
        "no proof that they are equal",
    ):
        assert words in page
    assert page.count("data:image/png;base64,") == 3
    assert "nan" not in page.split("<style>")[0] + re.sub(r"base64,[^\"]*|<style>.*</style>", "", page, flags=re.S)


def test_names_are_escaped_in_the_report(
    make_cells: Callable[..., AnnData], counting: Counting, tmp_path: Path
) -> None:
    from spinlight.cells import BenchmarkSettings, benchmark_cells

    benchmark_cells(
        {"<b>& set": make_cells()}, tmp_path, BenchmarkSettings(**({"models": ("counting",)} | KEYS | {"seeds": 1}))
    )
    page = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;&amp; set" in page
    assert "<b>& set" not in page


def test_one_seed_has_no_interval_and_no_ranking(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    found = run(cells, tmp_path, seeds=1).summary["sets"]["some"]
    assert found["rankings"] == {}
    assert all(one["metrics"]["scib_total"]["lower"] is None for one in found["contenders"])
    assert "needs two models with two seeds in common" in (tmp_path / "report.html").read_text()


def test_bounds_are_compared_between_models_of_the_same_likelihood(
    cells: AnnData, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.MODELS, "stronger", replace(counting, name="stronger", strength=1.5))
    found = run(cells, tmp_path, models=("pca", "counting", "stronger")).summary["sets"]["some"]
    (pair,) = found["held_out_pairs"]
    assert (pair["one"], pair["other"]) == ("counting 3", "stronger 3")
    assert pair["mean"] == pytest.approx(-0.5)
    assert pair["cells"] == 18
    assert "held_out" not in found["rankings"]


def test_the_input_is_not_modified(cells: AnnData, counting: Counting, tmp_path: Path) -> None:
    before = cells.copy()
    run(cells, tmp_path)
    np.testing.assert_array_equal(cells.X, before.X)
    assert cells.obs.equals(before.obs)
    assert not cells.uns
