"""Pictures show what they say."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spinlight.cells.figures import _leave_out_the_climb, cells_picture, training_picture

figure = pytest.importorskip("matplotlib.figure")
pandas = pytest.importorskip("pandas")


def width(png: bytes) -> int:
    pixels: int = struct.unpack(">I", png[16:20])[0]
    return pixels


def test_batches_get_a_panel_of_their_own() -> None:
    generator = np.random.default_rng(0)
    positions, energies = generator.normal(size=(60, 2)), generator.normal(size=60)
    groups, batches = np.array(["a", "b", "c"] * 20), np.array(["x", "y"] * 30)
    without = cells_picture(positions, groups, "kind", energies)
    with_batches = cells_picture(positions, groups, "kind", energies, batches)
    assert width(with_batches) * 3 == width(without) * 4


def test_many_batches_can_be_drawn() -> None:
    positions = np.random.default_rng(0).normal(size=(60, 2))
    groups, energies = np.array(["a", "b"] * 30), positions[:, 0]
    many, few = (
        cells_picture(positions, groups, "kind", energies, batches) for batches in (np.arange(60).astype(str), groups)
    )
    assert width(many) == width(few)
    assert many != few


def losses(values: list[float], every: int = 1) -> object:
    return pandas.DataFrame({"loss": values}, index=range(0, every * len(values), every))


def test_what_the_elbo_leaves_out_is_said_in_its_title_and_nothing_else_is_cut() -> None:
    axes = figure.Figure().subplots()
    train, held_out = losses([1e4, 1e3, *range(38, 20, -1)]), losses([1e5, 70.0, 60.0, 50.0], every=5)
    _leave_out_the_climb(axes, [train, held_out])
    assert axes.get_title(loc="left") == "ELBO per cell (nats), from epoch 2"
    low, high = axes.get_ylim()
    assert low < -70
    assert low > -100
    assert high > -21


def test_a_short_training_is_shown_whole() -> None:
    axes = figure.Figure().subplots()
    _leave_out_the_climb(axes, [losses([3.0, 2.0, 1.0])])
    assert axes.get_title(loc="left") == ""
    history = {name: losses([3.0, 2.0, 1.0]) for name in ("elbo_train", "kl_local_train", "log_partition")}
    assert training_picture(history).startswith(b"\x89PNG")
