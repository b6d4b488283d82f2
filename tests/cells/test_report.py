"""The report is one file that needs nothing beside itself."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

from spinlight.cells.report import NO_ERROR, html_report, outcome_sentence, rising_sentence, score_rows

ERRORS: dict[str, Any] = {
    "standard_error": 0.05,
    "log_partition_error": 0.03,
    "sampling_error": {"train": 0.04, "held_out": None},
    "draws": 16,
}
METRICS: dict[str, Any] = {
    "data": {"cells": 1234, "genes": 56},
    "notes": [],
    "settings": {"seed": 0, "labels_key": "<type>"},
    "elbo": {"train": -650.123, "held_out": None, "held_out_gain": None, **ERRORS},
    "log_partition": {"value": 88.25, "standard_error": 0.0123, "method": "annealed"},
    "embeddings": {
        "QBM-VAE": {
            "clusters": 9,
            "leiden_ari": 0.5,
            "leiden_nmi": None,
            "label_silhouette": None,
            "batch_silhouette": None,
        },
        "PCA": {
            "clusters": 8,
            "leiden_ari": 0.25,
            "leiden_nmi": None,
            "label_silhouette": None,
            "batch_silhouette": None,
        },
    },
    "versions": {"spinlight": "0"},
}


class Links(HTMLParser):
    """Collects whatever a browser would fetch, and checks that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.fetched += [
            str(value) for name, value in attributes if name in {"src", "href", "srcset", "data", "poster"}
        ]
        if tag not in {"meta", "img", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(**changes: Any) -> str:
    return html_report("Cells & <energies>", METRICS | changes, {"a map": b"picture"})


def test_nothing_is_fetched() -> None:
    links = Links()
    links.feed(page())
    assert links.fetched == ["data:image/png;base64," + base64.b64encode(b"picture").decode()]
    assert links.open == []
    assert not re.search(r"url\(|@import|<script|<link|https?://", page())


def test_notes_are_shown() -> None:
    assert "<p>column &#x27;&lt;lab&gt;&#x27; has one value</p>" in page(notes=["column '<lab>' has one value"])


def test_names_are_escaped() -> None:
    assert "Cells &amp; &lt;energies&gt;" in page()
    assert "&lt;type&gt;" in page()
    assert "<type>" not in page()


def test_the_elbo_comes_with_its_error() -> None:
    text = re.sub(r"<[^>]+>", "", page())
    assert re.search(r"training cells-650\.12 &plusmn; 0\.05", text)
    assert "choice of cells and of the seed is not included" in " ".join(text.split())


def test_the_representations_behind_the_graphs_are_stated() -> None:
    words = " ".join(page().split())
    assert "its 15 nearest: for QBM-VAE in the bits' posterior probabilities" in words
    assert "in the first 30 principal components" in words
    assert "Leiden runs at resolution 1 and" in words


def test_an_unknown_error_is_said_in_words() -> None:
    elbo = METRICS["elbo"] | {"standard_error": None, "log_partition_error": None}
    text = page(elbo=elbo, log_partition=METRICS["log_partition"] | {"standard_error": None})
    assert NO_ERROR in text
    assert text.count("error unknown") == 2
    assert not re.search(r"&plusmn;|\bnan\b|None</span>", text)
    assert NO_ERROR not in page()


def test_what_was_not_measured_is_left_out() -> None:
    assert "held-out" not in page()
    assert "silhouette" not in page()
    assert [row[:3] for row in score_rows(METRICS["embeddings"])] == [
        ("Leiden ARI", "0.500", "0.250"),
        ("Leiden clusters", "9", "8"),
    ]


def scores(ari: float | None, nmi: float | None, silhouette: float | None) -> dict[str, float | None]:
    return {"leiden_ari": ari, "leiden_nmi": nmi, "label_silhouette": silhouette}


def outcome(ours: dict[str, float | None], theirs: dict[str, float | None]) -> str:
    """Return the first sentence."""
    return outcome_sentence({"QBM-VAE": ours, "PCA": theirs}).partition(".")[0]


def test_the_sentence_says_which_embedding_is_better_by_which_score() -> None:
    ours, theirs = scores(0.4, 0.5, 0.3), scores(0.5, 0.6, 0.2)
    assert outcome(ours, theirs) == "PCA is higher by ARI and NMI, QBM-VAE by silhouette"
    assert outcome(ours, scores(0.1, 0.1, 0.1)) == "QBM-VAE is higher by ARI, NMI and silhouette"


def test_what_the_table_shows_as_equal_is_called_equal() -> None:
    ours, theirs = scores(0.4, 0.5, 0.3), scores(0.4, 0.50001, 0.2)
    assert outcome(ours, theirs) == "QBM-VAE is higher by silhouette, they are equal by ARI and NMI"
    assert outcome(ours, ours) == "The embeddings are equal by ARI, NMI and silhouette"


def test_no_winner_is_told_from_one_fit() -> None:
    told = outcome_sentence({"QBM-VAE": scores(0.9, 0.9, 0.9), "PCA": scores(0.1, 0.1, 0.1)})
    assert "One fit with one seed tells no winner: spinlight cells benchmark" in told


def test_without_labels_nothing_is_concluded() -> None:
    assert outcome_sentence({"QBM-VAE": scores(None, None, None), "PCA": scores(None, None, None)}) == ""


def test_a_training_that_had_not_come_to_its_end_is_said_to_be_one() -> None:
    rising = METRICS["elbo"] | {"held_out": -660.0, "held_out_gain": 3.21}
    assert rising_sentence(rising) == (
        "The held-out ELBO still rose, by 3.2 nats over the last quarter of the epochs: more epochs may help."
    )
    assert "still rose, by 3.2 nats" in page(elbo=rising)
    for other in ({"held_out_gain": 0.6}, {"held_out_gain": -3.0}, {"held_out_gain": None}, {"held_out": None}):
        assert rising_sentence(rising | other) == ""


def test_the_page_says_what_the_energy_is_and_what_it_is_not() -> None:
    words = " ".join(page().split())
    assert "low is typical of the prior that was learned" in words
    assert "not a measure of health or stemness by itself" in words
