"""Settings are checked when they are stated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spinlight._errors import InvalidSettingError, UnknownNameError
from spinlight.cells.benchmark import chosen
from spinlight.cells.benchmark.grid import sizes_of
from spinlight.cells.benchmark.registry import MODELS
from spinlight.cells.benchmark.settings import BenchmarkSettings, epochs_of


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sizes": ()}, "at least one latent size"),
        ({"sizes": (0,)}, "size must be an integer of at least 1"),
        ({"seeds": 0}, "seeds must be an integer of at least 1"),
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"threads": 0}, "threads must be an integer of at least 1"),
        ({"batch_key": "a", "labels_key": "a"}, "'a' is the batch key and the key of something else"),
        ({"batch_key": "a", "order_key": "a"}, "'a' is the batch key and the key of something else"),
        ({"order": (("a",), ("b",))}, "needs the column"),
        ({"order_key": "c", "order": (("a", "b"),)}, "at least two places"),
        ({"order_key": "c", "order": (("a",), ("a",))}, "each name once"),
    ],
)
def test_an_impossible_setting_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        BenchmarkSettings(**settings)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no model 'x'"):
        BenchmarkSettings(models=("x",))


def test_large_sets_take_fewer_epochs_unless_told_otherwise() -> None:
    settings = BenchmarkSettings()
    counts = (20, 2_500, 4_000, 5_000, 20_000, 40_000, 10**7)
    assert [epochs_of(settings, count) for count in counts] == [400, 400, 250, 200, 200, 100, 20]
    assert epochs_of(BenchmarkSettings(epochs=7), 10**7) == 7


def test_sizes_are_each_models_own_where_they_are_chosen_and_never_twice() -> None:
    settings = BenchmarkSettings(sizes=(30, "chosen", 30))
    assert sizes_of(replace(MODELS["qbmvae"], chosen=replace(chosen.QBMVAE, size=30)), settings) == [30]
    assert sizes_of(replace(MODELS["qbmvae"], chosen=replace(chosen.QBMVAE, size=64)), settings) == [30, 64]
    assert sizes_of(MODELS["scvi-defaults"], settings) == [10]
