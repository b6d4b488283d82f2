"""Scores against independent answers, on latents whose worth is known."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from spinlight.cells.benchmark.metrics import BY_KEY
from spinlight.cells.benchmark.scores import scib
from spinlight.cells.benchmark.scores.classification import classification_scores
from spinlight.cells.benchmark.scores.clusters import RESOLUTIONS, cluster_scores
from spinlight.cells.benchmark.scores.known import Known
from spinlight.cells.benchmark.scores.scoring import score_latent
from spinlight.cells.benchmark.scores.trajectory import diffusion_pseudotime, order_agreement

scanpy = pytest.importorskip("scanpy")
anndata = pytest.importorskip("anndata")
metrics = pytest.importorskip("sklearn.metrics")

CELLS = 120
KINDS = np.array([f"kind {number % 3}" for number in range(CELLS)])
BATCHES = np.where(np.arange(CELLS) < CELLS // 2, "first", "second")


def separated() -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(size=(CELLS, 4)) + 20 * np.eye(4)[np.arange(CELLS) % 3]).astype(np.float32)


def noise() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(CELLS, 4)).astype(np.float32)


def line() -> tuple[np.ndarray, np.ndarray]:
    """Return a curve with a little noise, and the place of each cell on it, in no order of rows."""
    random = np.random.default_rng(2)
    place = random.permutation(CELLS) / CELLS
    curve = np.stack([np.cos(2 * place), np.sin(2 * place)], axis=1)
    return (curve + random.normal(0, 0.005, curve.shape)).astype(np.float32), place


def graph_of(latent: np.ndarray) -> anndata.AnnData:
    graph = anndata.AnnData(latent)
    scanpy.pp.neighbors(graph, use_rep="X", n_neighbors=15)
    return graph


def known(**more: np.ndarray) -> Known:
    return Known(reference=separated(), **more)


def test_clusters_of_separated_kinds_are_the_kinds_and_of_noise_are_not() -> None:
    found, detail = cluster_scores(graph_of(separated()), KINDS)
    at_least_one = max(detail["ari"])
    assert at_least_one == 1.0
    assert found["leiden_ari"] == pytest.approx(np.mean(detail["ari"]))
    assert len(detail["ari"]) == len(RESOLUTIONS)
    assert found["leiden_ari_at_1"] == detail["ari"][RESOLUTIONS.index(1.0)]
    other, _ = cluster_scores(graph_of(noise()), KINDS)
    assert abs(other["leiden_ari"]) < 0.1


def test_the_best_resolution_is_not_what_is_reported() -> None:
    found, detail = cluster_scores(graph_of(separated()), KINDS)
    assert min(detail["ari"]) < found["leiden_ari"] < max(detail["ari"])


def test_classifiers_read_kinds_off_a_latent_that_has_them() -> None:
    assert set(classification_scores(separated(), KINDS).values()) == {1.0}


def test_classifiers_do_no_better_than_chance_on_noise() -> None:
    random = np.random.default_rng(3)
    found = classification_scores(
        random.normal(size=(900, 4)).astype(np.float32), np.array([f"{number % 3}" for number in range(900)])
    )
    error = math.sqrt(2 / 9 / 900)
    assert all(abs(found[name] - 1 / 3) < 5 * error for name in ("knn_accuracy", "logistic_accuracy"))


def test_rare_labels_are_left_out_of_classification_and_one_label_gives_no_scores() -> None:
    labels = KINDS.copy()
    labels[:4] = "rare"
    assert classification_scores(separated(), labels) == classification_scores(separated()[4:], labels[4:])
    assert classification_scores(separated(), np.full(CELLS, "all")) == {}


def test_tau_is_kendalls_with_an_interval_that_holds_it() -> None:
    random = np.random.default_rng(0)
    order = np.repeat(np.arange(4.0), 50)
    values = order + random.normal(0, 2, size=200)
    found = order_agreement(values, order)
    assert found is not None
    assert found["value"] == pytest.approx(stats.kendalltau(values, order).statistic)
    assert found["lower"] < found["value"] < found["upper"]
    reverse = order_agreement(-values, order)
    assert reverse is not None
    assert reverse["value"] == pytest.approx(-found["value"])


def test_cells_without_a_place_are_left_out_of_tau() -> None:
    order = np.array([0.0, 1.0, 2.0, 3.0, np.nan])
    found = order_agreement(np.array([0.0, 1.0, 2.0, 3.0, -9.0]), order)
    assert found is not None
    assert found["value"] == pytest.approx(1.0)
    assert order_agreement(np.zeros(5), order) is None
    assert order_agreement(np.arange(5.0), np.full(5, np.nan)) is None


def test_a_time_that_was_not_reached_is_the_last() -> None:
    found = order_agreement(np.array([0.0, 1.0, np.inf, np.inf]), np.array([0.0, 1.0, 2.0, 2.0]))
    assert found is not None
    assert found["value"] == pytest.approx(1.0)


def test_pseudotime_follows_a_line_and_not_noise() -> None:
    latent, place = line()
    order = np.floor(place * 4)
    time = diffusion_pseudotime(graph_of(latent), latent, order)
    assert time is not None
    found = order_agreement(time, order)
    # Four equal groups: tau-b of a perfect continuous order is sqrt(3/4) = .87.
    assert found is not None
    assert found["value"] > 0.8
    other = diffusion_pseudotime(graph_of(noise()), noise(), order)
    assert other is not None
    lost = order_agreement(other, order)
    assert lost is not None
    assert lost["value"] < 0.4


def test_without_annotations_there_are_no_scores_but_a_map() -> None:
    found = score_latent(noise(), known(), with_map=True)
    assert found.values == {}
    assert found.positions is not None
    assert found.positions.shape == (CELLS, 2)


@pytest.mark.slow
def test_batches_alone_are_scored_by_what_needs_no_labels() -> None:
    found = scib.scib_scores(noise(), known(batches=BATCHES))
    assert set(found) == {"ilisi", "pcr"}
    apart = noise() + 30 * (BATCHES == "first")[:, None].astype(np.float32)
    assert scib.scib_scores(apart, known(batches=BATCHES))["ilisi"] < 0.2 < 0.8 < found["ilisi"]


def test_a_score_that_fails_takes_its_aggregate_and_nothing_else_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []

    def benchmarked(cells: object, wanted: tuple[str, ...], neighbours: object) -> dict[str, float]:
        calls.append(wanted)
        if "kbet_per_label" in wanted:
            raise ValueError("too few cells")
        names = {
            "nmi_ari_cluster_labels_kmeans": ("nmi_ari_cluster_labels_kmeans_nmi", "nmi_ari_cluster_labels_kmeans_ari")
        }
        return {name: 0.5 for metric in wanted for name in names.get(metric, (metric,))}

    monkeypatch.setattr(scib, "_benchmarked", benchmarked)
    found = scib.scib_scores(noise(), known(labels=KINDS, batches=BATCHES))
    assert found["scib_bio"] == 0.5
    assert "kbet" not in found
    assert not {"scib_batch", "scib_total"} & set(found)
    assert len(calls) == 10


@pytest.mark.slow
def test_aggregates_are_those_of_the_benchmarker() -> None:
    """scib-metrics' own frame, of one run with its own neighbour search, against ours."""
    benchmark = pytest.importorskip("scib_metrics.benchmark")
    latent = separated() + 2 * noise()
    cells = anndata.AnnData(np.zeros((CELLS, 1), dtype=np.float32))
    cells.obs["label"], cells.obs["batch"] = KINDS, BATCHES
    cells.obs = cells.obs.astype("category")
    cells.obsm["latent"], cells.obsm["reference"] = latent, separated()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = benchmark.Benchmarker(
            cells, "batch", "label", ["latent"], pre_integrated_embedding_obsm_key="reference", progress_bar=False
        )
        runner.benchmark()
        expected = runner.get_results(min_max_scale=False).loc["latent"]
    found = score_latent(latent, known(labels=KINDS, batches=BATCHES)).values
    for ours, theirs in (
        ("scib_total", "Total"),
        ("scib_bio", "Bio conservation"),
        ("scib_batch", "Batch correction"),
        ("kbet", "KBET"),
        ("kmeans_ari", "KMeans ARI"),
    ):
        assert found[ours] == pytest.approx(float(expected[theirs]), abs=0.02), ours
    assert set(found) <= set(BY_KEY)
    assert {"scib_total", "leiden_ari", "knn_macro_f1"} <= set(found)


@pytest.mark.slow
def test_twenty_cells_are_scored_without_a_crash() -> None:
    found = score_latent(separated()[:21], Known(reference=separated()[:21], labels=KINDS[:21], batches=BATCHES[49:70]))
    assert "scib_bio" in found.values
