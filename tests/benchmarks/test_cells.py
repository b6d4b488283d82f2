"""The benchmark of cells: the same effort for every model, and rows that say who is better, or that it cannot be told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scvi")

import anndata

import cell_epochs
import cell_latents
import cell_mapping
import cell_tuning
from harness import Settings
from spinlight.cells.benchmark.grid import Trial
from spinlight.cells.benchmark.registry import MODELS
from spinlight.cells.benchmark.summary import Contender

FIRST, OTHER = cell_latents.Set("some", first=True), cell_latents.Set("some")


def contender(name: str, totals: list[float], bounds: list[float] | None = None) -> Contender:
    """Return what seeds gave: scIB totals, and a held-out bound that is the same for five cells but for a small spread."""
    model, size = name.split()
    found = Contender(name, model, "", int(size), deterministic=False, values={"scib_total": dict(enumerate(totals))})
    if bounds is not None:
        found.bounds = {seed: bound + np.linspace(-0.1, 0.1, 5) for seed, bound in enumerate(bounds)}
        found.values["held_out"], found.of = dict(enumerate(bounds)), "counts"
    return found


def rows(found, each) -> dict[str, bool]:
    """Return which claims hold, by the ends of their names."""
    made = cell_latents._integration(each, found), cell_latents._priors(each, found)
    claims = [cell_latents.Claim(row, *rest, seconds=0.0, **more) for part in made for row, rest, more in part]
    return {claim.row.rpartition("/")[2]: claim.holds for claim in claims}


def test_every_model_has_eight_candidates_that_differ() -> None:
    for name, make in cell_tuning._CANDIDATES.items():
        made = make(name)
        assert len({candidate.name for candidate in made}) == len({str(c.settings) for c in made}) == 8


def test_what_is_chosen_is_one_of_what_was_tried() -> None:
    for name in cell_tuning._CANDIDATES:
        assert cell_tuning._as_tuned(name).name.startswith(f"{name}~")
    assert cell_tuning._as_tuned("pca").name == "pca"


def test_the_best_three_by_one_seed_are_fitted_with_two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    totals = {f"model {number}": 0.1 * number for number in range(8)}
    bench = cell_tuning._Bench
    monkeypatch.setattr(bench, "__init__", lambda self, quick: None)
    monkeypatch.setattr(bench, "trial", lambda self, model, size, seed: Trial(None, model, size, seed, 1))
    monkeypatch.setattr(bench, "values", lambda self, trial: {"scib_total": totals[trial.model.name] + trial.seed})
    models = [SimpleNamespace(name=name) for name in totals]
    monkeypatch.setitem(cell_tuning._CANDIDATES, "some", lambda name: models)
    claims = {claim.row: claim for claim in cell_tuning._tuned("some", Settings(seeds=1, quick=False))}
    finals = [row for row in claims if row.endswith("/3 seeds")]
    assert finals == [f"tuning/model {number}/3 seeds" for number in (7, 6, 5)]
    assert len(claims) == 8 + 3
    assert claims[finals[0]].value == pytest.approx(0.7 + 1)
    assert claims[finals[0]].interval == pytest.approx((0.7, 2.7))


@pytest.mark.parametrize(("ours", "first", "elsewhere"), [(0.72, True, True), (0.69, False, True), (0.5, False, False)])
def test_first_means_the_highest_mean_and_elsewhere_a_tie_will_do(ours: float, first: bool, elsewhere: bool) -> None:
    found = {
        each.name: each
        for each in (contender("qbmvae 30", [ours, ours + 0.01, ours + 0.06]), contender("scvi 30", [0.70, 0.72, 0.74]))
    }
    assert rows(found, FIRST)["scIB total, size 30, above scvi 30"] is first
    assert rows(found, OTHER)["scIB total, size 30, above scvi 30"] is elsewhere


def test_where_a_fit_failed_all_models_are_compared_without_its_seed() -> None:
    seeds = {
        "qbmvae 30": {0: 0.60, 1: 0.61, 2: 0.61, 3: 0.61, 4: 0.61},
        "scvi 30": {0: 0.70, 1: 0.71, 2: 0.72, 3: 0.71},
        "pca 30": {0: 0.4, 1: 0.4, 2: 0.4, 3: 0.4, 4: 0.9},
        "ldvae 30": {},
    }
    found = {name: contender(name, []) for name in seeds}
    for name, by_seed in seeds.items():
        found[name].values["scib_total"] = dict(by_seed)
    (row, (mean, *_, means), _), _ = cell_latents._integration(FIRST, found)  # the chosen size is the common one
    assert row.endswith("above scvi 30")
    assert mean == pytest.approx(-0.1025)
    assert means == pytest.approx({"qbmvae 30": 0.6075, "scvi 30": 0.71, "pca 30": 0.4})
    for name in ("scvi 30", "pca 30"):
        found[name].values["scib_total"] = {}
    assert not list(cell_latents._integration(FIRST, found))


def test_two_seeds_excuse_nothing() -> None:
    found = {each.name: each for each in (contender("qbmvae 30", [0.69, 0.72]), contender("scvi 30", [0.71, 0.72]))}
    assert not rows(found, OTHER)["scIB total, size 30, above scvi 30"]


def test_the_ablation_is_printed_whatever_it_is_and_the_order_with_its_range() -> None:
    found = {
        each.name: each
        for each in (contender("qbmvae 30", [0.5, 0.6, 0.7]), contender("bernoulli 30", [0.6, 0.7, 0.8]))
    }
    found["qbmvae 30"].values["energy_tau"] = {0: -0.2, 1: 0.0, 2: 0.1}
    (row, (mean, _, interval, required, _), _), *more = cell_latents._ablation(OTHER, found)
    assert row == "latent/some/scib_total, qbmvae 30 above bernoulli 30"
    assert (mean, interval) == (pytest.approx(-0.1), pytest.approx((-0.1, -0.1)))
    assert required is None
    assert not more
    ((row, (tau, _, ends, required, _), _),) = cell_latents._orders(OTHER, found)
    assert row == "latent/some/order, energy of qbmvae 30"
    assert (tau, ends) == (pytest.approx(-0.1 / 3), (-0.2, 0.1))
    assert required is None


def test_a_rival_that_failed_with_some_seeds_is_compared_on_the_others() -> None:
    found = {
        each.name: each
        for each in (contender("qbmvae 30", [0.7, 0.71]), contender("scvi 30", [0.6, 0.61]), contender("vae 30", [0.9]))
    }
    assert rows(found, FIRST)["scIB total, size 30, above vae 30"] is False


@pytest.mark.parametrize(("gain", "holds"), [(1.0, True), (0.0, False), (-1.0, False)])
def test_the_boltzmann_prior_must_be_better_beyond_the_interval(gain: float, holds: bool) -> None:
    independent = [-10.0, -11.0, -12.0]
    ours = [bound + gain + noise for bound, noise in zip(independent, (-0.1, 0.0, 0.1))]
    found = {
        each.name: each
        for each in (contender("qbmvae 30", [0.7] * 3, ours), contender("bernoulli 30", [0.7] * 3, independent))
    }
    assert rows(found, OTHER)["held-out bound, qbmvae 30 above bernoulli 30"] is holds


def test_a_bound_without_an_error_is_a_failure_and_in_no_other_row() -> None:
    class Records:
        def scored(self, trial: Any) -> Any:
            mean = {"fine": -1.0, "no error": None}.get(trial.name)
            return None if trial.name == "failed" else {"fit": {"held_out": {"mean": mean}}}

    trials = [SimpleNamespace(name=name) for name in ("fine", "no error", "failed")]
    _, (count, _, _, most, failed), _ = cell_latents._failures(OTHER, trials, Records())
    assert (count, most, set(failed)) == (2, 0, {"no error", "failed"})
    found = {each.name: each for each in (contender("qbmvae 30", [0.7]), contender("bernoulli 30", [0.7], [-1.0]))}
    assert not list(cell_latents._priors(OTHER, found))


def test_mapped_cells_get_the_label_of_their_neighbours_and_unknown_labels_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model whose latent is the first gene: kinds 0 and 10; the query has one wrong cell and one of a kind nobody knows."""
    cells = anndata.AnnData(np.array([[0], [0], [10], [10], [0], [0], [10], [10]], dtype=np.float32))
    cells.obs["batch"] = list("aaaabbbb")
    cells.obs["cell_type"] = ["low", "low", "high", "high", "low", "high", "high", "other"]

    class Model:
        def __init__(self, cells: Any, **_: Any) -> None:
            self.adata = cells

        setup_anndata = classmethod(lambda cls, cells, batch_key: None)
        load_query_data = classmethod(lambda cls, query, model, accelerator: cls(query))

        def train(self, *_: Any, **__: Any) -> None:
            pass

        def get_latent_representation(self) -> Any:
            return self.adata.X

    monkeypatch.setattr(cell_mapping, "MODELS", {"some": (Model, 1e-3)})
    monkeypatch.setattr(cell_mapping, "NEIGHBOURS", 1)
    assert cell_mapping._accuracy(cells, "some", "b", 0, (1, 1)) == pytest.approx(2 / 3)


def test_a_mapping_is_done_once_for_the_same_cells_and_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cells = anndata.AnnData(np.ones((4, 2), dtype=np.float32))
    cells.obs["batch"], cells.obs["cell_type"] = list("aabb"), list("xyxy")
    done: list[tuple[str, int]] = []
    monkeypatch.setattr(
        cell_mapping,
        "_accuracy",
        lambda cells, name, batch, seed, epochs: done.append((batch, seed)) or 0.25 * len(done),
    )
    arguments = (cells, "QBM-VAE", 0, (2, 1), tmp_path)
    first = cell_mapping._accuracies(*arguments)
    assert first == {"a": 0.25, "b": 0.5, "mean of the batches": 0.375}
    assert cell_mapping._accuracies(*arguments) == first
    assert len(done) == 2
    (tmp_path / "qbmvae-a-seed0.json").write_text("{")
    cell_mapping._accuracies(*arguments)
    assert done[2:] == [("a", 0)]
    relabelled = cells.copy()
    relabelled.obs["cell_type"] = list("xxyy")
    cell_mapping._accuracies(relabelled, *arguments[1:])
    assert done[3:] == [("a", 0), ("b", 0)]


@pytest.mark.parametrize(("ours", "holds"), [([0.9, 0.92], True), ([0.90, 0.93], True), ([0.5, 0.52], False)])
def test_mapping_must_not_be_worse_beyond_the_interval(ours: list[float], holds: bool) -> None:
    name = "mean of the batches"
    rounds = [{"QBM-VAE": {name: mine}, "scVI + scArches": {name: theirs}} for mine, theirs in zip(ours, [0.91, 0.92])]
    claim = cell_mapping._claim(name, rounds, 0.0)
    assert claim.holds is holds
    assert (
        cell_mapping._claim("batch a", [{k: {"batch a": v[name]} for k, v in r.items()} for r in rounds], 0.0).required
        is None
    )


def test_an_epoch_takes_from_its_start_to_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.cumsum([5.0, 1.0, 2.0, 3.0, 7.0]))
    monkeypatch.setattr(cell_epochs.time, "perf_counter", lambda: next(clock))

    class Model:
        module = SimpleNamespace(train=lambda: None)

        def train(self, epochs: int, *, callbacks: Any, **_: Any) -> None:
            for _ in range(epochs):
                callbacks[0].on_train_epoch_start()

    assert cell_epochs._rate(Model(), 2) == pytest.approx(2 / 5)


ROWS = {
    row["row"]: row["value"]
    for row in json.loads((Path(cell_tuning.__file__).parent / "results" / "cells.json").read_text())
}


@pytest.mark.parametrize("name", cell_tuning._CANDIDATES)
def test_the_hyperparameters_that_were_chosen_are_the_best_of_the_results(name: str) -> None:
    finals = {
        row: value for row, value in ROWS.items() if row.startswith(f"tuning/{name}~") and row.endswith("/3 seeds")
    }
    assert len(finals) == cell_tuning.FINALISTS
    assert max(finals, key=finals.__getitem__) == f"tuning/{cell_tuning._as_tuned(name).name}/3 seeds"
    assert len([row for row in ROWS if row.startswith(f"tuning/{name}~") and "/3 seeds" not in row]) == 8


@pytest.mark.parametrize("name", ["pca", *cell_tuning._CANDIDATES])
def test_the_sizes_that_were_chosen_are_the_best_of_the_results(name: str) -> None:
    totals = {size: ROWS[f"sizes/{name}/{size}"] for size in cell_tuning.SIZES}
    assert max(totals, key=totals.__getitem__) == MODELS[name].size
