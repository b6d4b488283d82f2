"""The sampler benchmark: its rows on tiny work, and its statistics on numbers made up for them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import peers
import problems
import samplers
from harness import Settings

pytest.importorskip("openjij", reason="the extra `bench` is not installed")

TINY = Settings(quick=True, seeds=1)


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in samplers.cases()]
    assert len(set(names)) == len(names)


def test_an_annealing_case_yields_a_speed_row_per_peer_and_form_and_an_energy_row_per_peer() -> None:
    schedule = peers.Schedule(0.1, 1.0, 20)
    rows = samplers._anneal("case", problems.dense_signs(8, 1), schedule, 16, 4.0, TINY, dense=True)
    assert {row.row.removeprefix("case/") for row in rows} == {
        "dwave-samplers threads",
        "dwave-samplers default",
        "OpenJij threads",
        "OpenJij default",
        "OpenJij core threads",
        "energy/dwave-samplers",
        "energy/OpenJij",
    }
    assert all(json.dumps([row.value, row.holds, dict(row.peers)]) for row in rows)
    assert all(row.value > 0 and row.unit == "x" for row in rows if "energy" not in row.row)


def test_a_heat_bath_case_compares_with_every_peer_that_has_a_bound() -> None:
    torus = problems.torus_signs(4, 1)
    colours = [(site // 4 + site % 4) % 2 for site in range(16)]
    sweeps = {"spinlight": 100, "THRML": 100, "BlockSampler": 100}
    bounds = {"THRML": 1.0, "BlockSampler": 1.0}
    rows = samplers._heat_bath("case", torus, colours, 0.5, sweeps, bounds, TINY, chains=16)
    assert [row.row for row in rows] == [
        "case/THRML",
        "case/BlockSampler",
        "case/energy/THRML",
        "case/energy/BlockSampler",
    ]


def test_an_excess_is_counted_in_percent_of_the_peers_energy() -> None:
    energies = {"spinlight": np.array([-98.0, -100.0]), "peer threads": np.array([-99.0, -101.0])}
    row = samplers._excess("row", energies, "peer", 0.0)
    assert row.value == pytest.approx(1.0)
    # Two means of two values of variance two each: the error of their difference is sqrt(2), in percent of 100.
    assert row.slack == pytest.approx(2 * 2**0.5)


def test_a_clear_excess_does_not_hold_and_a_lower_energy_does() -> None:
    noise = np.tile([-0.01, 0.01], 50)
    worse = {"spinlight": -99.5 + noise, "peer": -100.0 + noise}
    better = {"spinlight": -100.5 + noise, "peer": -100.0 + noise}
    assert not samplers._excess("row", worse, "peer", 0.0).holds
    assert samplers._excess("row", better, "peer", 0.0).holds


def test_mean_energies_far_apart_do_not_agree() -> None:
    noise = np.tile([-1.0, 1.0], 32)
    assert samplers._agreement("row", {"spinlight": noise, "peer": noise + 0.1}, "peer", 0.0).holds
    assert not samplers._agreement("row", {"spinlight": noise, "peer": noise + 2.0}, "peer", 0.0).holds
