"""A trial is known again by all that decides it, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from spinlight._errors import InvalidSettingError
from spinlight.cells.benchmark.grid import Trial, plan_trials
from spinlight.cells.benchmark.models.variational import Variational
from spinlight.cells.benchmark.registry import MODELS, models_named
from spinlight.cells.benchmark.sets import CellSet, prepare_sets
from spinlight.cells.benchmark.settings import BenchmarkSettings

if TYPE_CHECKING:
    from anndata import AnnData

pytest.importorskip("scvi")


@pytest.fixture
def data(cells: AnnData) -> CellSet:
    (found,) = prepare_sets({"some": cells}, BenchmarkSettings(batch_key="batch", labels_key="kind"))
    return found


def trial(data: CellSet, *, lr: float = 1e-3, chosen_size: int = 30, size: int = 4, seed: int = 0) -> Trial:
    model = MODELS["scvi"]
    assert isinstance(model, Variational)
    assert model.chosen is not None
    return Trial(
        data, replace(model, chosen=replace(model.chosen, lr=lr, size=chosen_size)), size=size, seed=seed, epochs=2
    )


def test_the_key_changes_with_hyperparameters_size_and_seed(data: CellSet) -> None:
    keys = {trial(data, **change).fit_key for change in ({}, {"lr": 2e-3}, {"size": 5}, {"seed": 1})}  # type: ignore[arg-type]
    assert len(keys) == 4


def test_another_chosen_size_changes_no_fit_of_a_stated_size(data: CellSet) -> None:
    assert trial(data, chosen_size=10).fit_key == trial(data).fit_key


def test_all_models_get_one_seed_before_any_gets_the_next(data: CellSet) -> None:
    settings = BenchmarkSettings(models=("pca", "scvi", "vae"), sizes=(4, 5), seeds=2)
    trials = plan_trials([data], models_named(settings.models), settings)
    assert [(one.seed, one.model.name, one.size) for one in trials] == [
        *((0, name, size) for name in ("pca", "scvi", "vae") for size in (4, 5)),
        *((1, name, size) for name in ("scvi", "vae") for size in (4, 5)),
    ]


@pytest.mark.parametrize(
    ("asked", "epochs"),
    [
        (None, {"scvi": 400, "scvi-defaults": 400, "ldvae-defaults": 400, "scpoli-defaults": 100}),
        (3, {"scvi": 3, "scvi-defaults": 3, "scpoli-defaults": 3}),
    ],
)
def test_defaults_of_a_package_are_its_epochs_too(data: CellSet, asked: int | None, epochs: dict[str, int]) -> None:
    settings = BenchmarkSettings(models=tuple(epochs), sizes=(4,), seeds=1, epochs=asked)
    trials = plan_trials([data], models_named(settings.models), settings)
    assert {one.model.name: one.epochs for one in trials} == epochs


@pytest.mark.filterwarnings("ignore:The default number of maximum epochs")
def test_epochs_of_scvi_tools_are_those_of_its_own_heuristic() -> None:
    heuristic = pytest.importorskip("scvi.model._utils").get_max_epochs_heuristic
    for cells in (10, 19_999, 20_000, 30_000, 1_000_000, 30_000_000):
        assert MODELS["scvi-defaults"].own_epochs(cells) == heuristic(cells)


def test_an_impossible_size_is_refused(data: CellSet) -> None:
    settings = BenchmarkSettings(models=("pca",), sizes=(24,))
    with pytest.raises(InvalidSettingError, match="pca has at most 23 components"):
        plan_trials([data], models_named(settings.models), settings)
