"""The benchmark harness: pairing, verdicts, files, exit status."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

import harness


def claim(value: float, required: float | None, **options) -> harness.Claim:
    return harness.Claim("case/peer", value, "x", (value, value), required, {"ours": 2e6}, 0.1, **options)


def case(value: float, required: float | None) -> harness.Case:
    return harness.Case("case", lambda settings: [claim(value, required)])


def test_contenders_take_turns_and_are_called_once_before_the_clock() -> None:
    order = []
    contenders = {name: lambda seed, name=name: order.append((name, seed)) or 6.0 for name in "ab"}
    ticks = itertools.count(step=2.0)
    rates = harness.alternate(contenders, repeats=2, clock=lambda: next(ticks))
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert rates == {"a": [3.0, 3.0], "b": [3.0, 3.0]}


def test_a_slow_spell_that_hits_both_leaves_the_ratio_alone() -> None:
    ours, peer = [100.0, 20.0, 90.0], [10.0, 2.0, 10.0]
    assert harness.paired_ratio(ours, peer) == harness.Ratio(10.0, 9.0, 10.0)


def test_a_claim_holds_on_the_right_side_of_its_bound() -> None:
    assert claim(8.0, 8.0).holds
    assert not claim(7.9, 8.0).holds
    assert claim(0.2, 0.3, sense="most").holds
    assert not claim(0.4, 0.3, sense="most").holds
    assert claim(0.0, None).holds


def test_slack_excuses_no_more_than_itself() -> None:
    assert claim(0.15, 0.1, sense="most", slack=0.06).holds
    assert not claim(0.15, 0.1, sense="most", slack=0.04).holds


def test_a_row_that_falls_short_makes_the_exit_status_one(capsys) -> None:
    assert harness.main([case(9.0, 8.0)], "", []) == 0
    assert harness.main([case(7.0, 8.0)], "", []) == 1
    assert "**no**" in capsys.readouterr().out


def test_rows_are_selected_by_glob_and_an_unknown_name_is_refused(capsys) -> None:
    assert harness.main([case(7.0, 8.0)], "", ["--rows", "cas*"]) == 1
    assert harness.main([case(7.0, 8.0)], "", ["--rows", "other"]) == 2
    assert "case" in capsys.readouterr().err


def test_the_json_file_holds_every_row_with_its_origin(tmp_path) -> None:
    path = tmp_path / "results" / "rows.json"
    harness.main([case(9.0, 8.0)], "", ["--json", str(path), "--seeds", "3", "--quick"])
    (row,) = json.loads(path.read_text())
    assert (row["row"], row["value"], row["holds"], row["seeds"], row["quick"]) == ("case/peer", 9.0, True, 3, True)
    assert {"unit", "interval", "required", "peers", "seconds", "command", "machine", "versions"} <= row.keys()
    once = harness.Case("case", lambda _: [replace(case(9.0, 8.0).measure(None)[0], seeds=1)])
    harness.main([once], "", ["--json", str(path), "--seeds", "3"])
    assert json.loads(path.read_text())[0]["seeds"] == 1


def named(name: str, *values: float) -> harness.Case:
    claims = [harness.Claim(f"{name}/{i}", value, "x", (value, value), 0.0, {}, 0.1) for i, value in enumerate(values)]
    return harness.Case(name, lambda settings: claims)


def test_a_case_that_runs_again_replaces_its_own_rows_where_they_stood_and_no_others(tmp_path) -> None:
    path = tmp_path / "rows.json"
    harness.main([named("a", 1.0, 2.0), named("ab", 3.0)], "", ["--json", str(path)])
    harness.main([named("a", 4.0)], "", ["--json", str(path)])
    harness.main([named("c", 5.0)], "", ["--json", str(path)])
    assert [(row["row"], row["value"]) for row in json.loads(path.read_text())] == [
        ("a/0", 4.0),
        ("ab/0", 3.0),
        ("c/0", 5.0),
    ]


def test_rows_of_a_case_that_it_no_longer_has_are_dropped_whatever_their_names(tmp_path) -> None:
    path = tmp_path / "rows.json"
    other = harness.Case("a", lambda settings: [harness.Claim("b/0", 2.0, "x", (2.0, 2.0), 0.0, {}, 0.1)])
    harness.main([named("a", 1.0)], "", ["--json", str(path)])
    harness.main([other], "", ["--json", str(path)])
    assert [row["row"] for row in json.loads(path.read_text())] == ["b/0"]


def test_quick_rows_do_not_go_among_those_that_prove_something(tmp_path, capsys) -> None:
    path = tmp_path / "rows.json"
    harness.main([named("a", 1.0)], "", ["--json", str(path)])
    before = path.read_bytes()
    assert harness.main([named("a", 2.0)], "", ["--json", str(path), "--quick"]) == 2
    assert "name another file" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"[", b"{}", b'""', b'{"rows": []}', b"[1, 2]", b'[{"value": 1}]'])
def test_a_file_that_is_none_of_ours_is_refused_before_anything_is_measured(tmp_path, capsys, content: bytes) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    spent = []
    assert harness.main([harness.Case("a", lambda settings: spent.append(1) or [])], "", ["--json", str(path)]) == 2
    assert not spent
    assert path.read_bytes() == content
    assert "name another file" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_measured(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    spent = []
    path = tmp_path / "file" / "rows.json"
    assert harness.main([harness.Case("a", lambda settings: spent.append(1) or [])], "", ["--json", str(path)]) == 2
    assert not spent
    assert "name another file" in capsys.readouterr().err


def test_a_run_that_ends_later_keeps_what_another_wrote_meanwhile(tmp_path) -> None:
    path = tmp_path / "rows.json"

    def slow(settings: harness.Settings) -> list[harness.Claim]:
        harness.main([named("b", 2.0)], "", ["--json", str(path)])
        return named("a", 1.0).measure(settings)

    harness.main([harness.Case("a", slow)], "", ["--json", str(path)])
    assert {row["row"] for row in json.loads(path.read_text())} == {"a/0", "b/0"}


def test_an_interrupted_run_leaves_the_cases_that_were_over(tmp_path) -> None:
    def interrupted(settings: harness.Settings) -> list[harness.Claim]:
        raise KeyboardInterrupt

    path = tmp_path / "rows.json"
    with pytest.raises(KeyboardInterrupt):
        harness.main([named("a", 1.0), harness.Case("b", interrupted)], "", ["--json", str(path)])
    assert [row["row"] for row in json.loads(path.read_text())] == ["a/0"]


def test_nonsense_repeats_are_refused() -> None:
    with pytest.raises(SystemExit) as caught:
        harness.main([case(9.0, 8.0)], "", ["--seeds", "0"])
    assert caught.value.code == 2
