"""Pages made from benchmark results."""

from __future__ import annotations

import json
import shutil

import pytest

import harness
import report


def rows() -> list[dict]:
    about = {"seeds": 5, "quick": False, "command": "python x", "machine": "m", "versions": {"torch": "1"}}
    numbers = {"interval": [1.0, 2.0], "peers": {}, "seconds": 1.0, "sense": "least", "slack": 0.0}
    fast = {"row": "anneal/a/peer", "value": 9.0, "unit": "x", "required": 8.0, "holds": True}
    slow = {"row": "anneal/b/peer", "value": 7.0, "unit": "x", "required": 8.0, "holds": False}
    return [{**fast, **numbers, **about}, {**slow, **numbers, **about}]


def test_the_results_page_shows_every_row_and_counts_those_that_hold() -> None:
    page = report.results_page({"samplers": rows()})
    assert "1 of 2 claims hold" in page
    assert all(harness.table_line(row) in page for row in rows())


def test_a_quick_run_is_called_one() -> None:
    first, last = rows()
    assert "proves nothing" in report.results_page({"samplers": [first, {**last, "quick": True}]})
    assert "proves nothing" not in report.results_page({"samplers": rows()})


def test_the_summary_marks_what_falls_short() -> None:
    block = report.summary({"samplers": rows()})
    assert "| anneal/a | 9x |" in block
    assert "| anneal/b | **7x** |" in block


def test_the_table_of_laws_has_a_line_per_sampler_and_a_column_per_problem() -> None:
    about = {key: value for key, value in rows()[0].items() if key not in ("row", "value", "peers")}
    known = {"independent draws": 0.05, "effective draws/s": 1000.0}
    drawn = [
        {"row": "law/glass/Gibbs", "value": 0.06, "peers": known, **about},
        {"row": "law/wells/Gibbs", "value": 0.07, "peers": {**known, "effective draws/s": 2000.0}, **about},
        {"row": "law/glass/CIM, calibrated", "value": 1.0, "peers": {"refused": 1.0}, **about},
    ]
    assert report.law_table(drawn) == [
        "| total variation | glass | wells | effective draws/s |",
        "|---|---|---|---|",
        "| *independent draws* | 0.050 | 0.050 |  |",
        "| Gibbs | 0.060 | 0.070 | 1e+03 .. 2e+03 |",
        "| CIM, calibrated | refused |  |  |",
    ]
    block = report.samplers_block({"sampling": drawn, "optimisation": rows()})
    assert harness.table_line(rows()[0]) in block
    assert harness.table_line({**drawn[0], "quick": False}) not in block


def test_commands_of_rows_measured_apart_are_all_named() -> None:
    apart = [rows()[0], {**rows()[1], "command": "python y"}]
    assert "`python x`, `python y`: 5 repeats, on m" in report.provenance(apart)


def test_every_machine_is_named_with_what_ran_there() -> None:
    first, second = rows()
    elsewhere = {**second, "command": "python y", "machine": "n", "seeds": 3}
    assert "`python x`: 5 repeats, on m; `python y`: 3 repeats, on n." in report.provenance([first, elsewhere])


def test_the_block_between_the_markers_is_replaced_and_nothing_else() -> None:
    page = f"top\n{report.BEGIN}\nold\n{report.END}\nbottom\n"
    once = report.between_markers(page, "new")
    assert once == f"top\n{report.BEGIN}\nnew\n{report.END}\nbottom\n"
    assert report.between_markers(once, "new") == once


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        report.between_markers("no markers", "new")


def test_both_pages_are_written_even_before_anything_is_measured(tmp_path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"{report.BEGIN}\n{report.END}\n")
    assert report.main(tmp_path) == 0
    assert "make bench" in (tmp_path / "docs" / "results.md").read_text()
    assert "make bench" in (tmp_path / "README.md").read_text()


def test_a_run_is_copied_and_shown_on_both_pages(tmp_path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"{report.BEGIN}\n{report.END}\n")
    run = tmp_path / "fit"
    run.mkdir()
    (run / "cells.png").write_bytes(b"picture")
    score = {"clusters": 7, "leiden_ari": 0.25, "leiden_nmi": 0.5, "label_silhouette": None}
    metrics = {
        "data": {"cells": 10, "genes": 20},
        "settings": {"latent": 4, "epochs": 3, "seed": 0},
        "versions": {"torch": "1"},
        "elbo": {"train": -12.34, "held_out": -13.5, "standard_error": 0.02},
        "log_partition": {"standard_error": None},
        "embeddings": {"ours": score, "PCA": {**score, "leiden_ari": 0.75}},
        "seconds": {"training": 1.0, "files": 0.5},
    }
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert report.main(tmp_path, run) == 0
    for page, picture in (("README.md", "docs/run/cells.png"), ("docs/results.md", "run/cells.png")):
        text = (tmp_path / page).read_text()
        assert f"({picture})" in text
        assert "| Leiden ARI | 0.25 | 0.75 |" in text
        assert "ELBO -12.3 nats per cell, -13.5 on held-out cells" in text
        assert "standard error 0.02, of log Z unknown" in text
        assert "silhouette |" not in text
    assert (tmp_path / "docs/run/cells.png").read_bytes() == b"picture"


def test_the_pages_in_the_tree_are_those_that_the_stored_results_make(tmp_path) -> None:
    for name in ("README.md", "benchmarks/results", "docs/results.md", "docs/samplers.md", "docs/run"):
        source, target = report.ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    report.main(tmp_path)
    for name in ("README.md", "docs/results.md", "docs/samplers.md"):
        assert (tmp_path / name).read_text() == (report.ROOT / name).read_text()
