"""Every number that is reported of a model: its name, its kind, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that is reported.

    Args:
        key: in JSON and CSV.
        words: in tables.
        kind: heading under which it stands.
        better: 1 where more is better, -1 where less is, 0 where neither.
    """

    key: str
    words: str
    kind: str
    better: int = 1


_TOTALS, _BIO, _BATCH = "scIB", "conservation of labels (scIB)", "mixing of batches (scIB)"
_LEIDEN, _CLASSES = "Leiden clusters and labels", "labels read off the latent, 5-fold"
_ORDER, _LIKELIHOOD, _COST = "known order", "likelihood", "cost"

METRICS = (
    Metric("scib_total", "total", _TOTALS),
    Metric("scib_bio", "bio conservation", _TOTALS),
    Metric("scib_batch", "batch correction", _TOTALS),
    Metric("held_out", "held-out bound, nats per cell", _LIKELIHOOD),
    Metric("isolated_labels", "isolated labels", _BIO),
    Metric("kmeans_nmi", "k-means NMI", _BIO),
    Metric("kmeans_ari", "k-means ARI", _BIO),
    Metric("silhouette_label", "label silhouette", _BIO),
    Metric("clisi", "cLISI", _BIO),
    Metric("bras", "BRAS", _BATCH),
    Metric("ilisi", "iLISI", _BATCH),
    Metric("kbet", "kBET", _BATCH),
    Metric("graph_connectivity", "graph connectivity", _BATCH),
    Metric("pcr", "PCR comparison", _BATCH),
    Metric("leiden_ari", "ARI, mean over resolutions", _LEIDEN),
    Metric("leiden_ami", "AMI, mean over resolutions", _LEIDEN),
    Metric("leiden_nmi", "NMI, mean over resolutions", _LEIDEN),
    Metric("leiden_homogeneity", "homogeneity, mean over resolutions", _LEIDEN),
    Metric("leiden_ari_at_1", "ARI at resolution 1", _LEIDEN),
    Metric("leiden_ami_at_1", "AMI at resolution 1", _LEIDEN),
    Metric("leiden_nmi_at_1", "NMI at resolution 1", _LEIDEN),
    Metric("leiden_homogeneity_at_1", "homogeneity at resolution 1", _LEIDEN),
    Metric("knn_accuracy", "nearest neighbours, accuracy", _CLASSES),
    Metric("knn_macro_f1", "nearest neighbours, macro F1", _CLASSES),
    Metric("logistic_accuracy", "logistic regression, accuracy", _CLASSES),
    Metric("logistic_macro_f1", "logistic regression, macro F1", _CLASSES),
    Metric("dpt_tau", "DPT pseudotime, Kendall tau", _ORDER),
    Metric("energy_tau", "cell energy, Kendall tau", _ORDER, better=0),
    Metric("fit_seconds", "seconds of the training", _COST, better=-1),
)
"""In the order of the tables."""

HEADLINES = ("scib_total", "scib_bio", "scib_batch")
"""Metrics by which every two models are compared."""

BY_KEY = {metric.key: metric for metric in METRICS}
