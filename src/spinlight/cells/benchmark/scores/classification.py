"""How well labels can be read off a latent space by simple classifiers, on cells that these have not seen."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra

FOLDS = 5
NEIGHBOURS = 15
"""Of a cell whose label is voted for."""


def classification_scores(latent: NDArray[np.float32], labels: NDArray[np.str_]) -> dict[str, float]:
    """Return accuracy and macro F1 of k nearest neighbours and of logistic regression, by stratified 5-fold cross-validation.

    Every cell is predicted once, by the classifier that was trained without its fold; scores are over all predictions. Labels
    of fewer than five cells, which cannot be in every fold, are left out; with fewer than two labels there are no scores.

    Args:
        latent: float32, shape (cells, size).
        labels: shape (cells,).
    """
    counts = Counter(labels.tolist())
    kept = np.array([counts[label] >= FOLDS for label in labels.tolist()])
    if len(set(labels[kept].tolist())) < 2:
        return {}
    features, targets = latent[kept], labels[kept]
    scores = {}
    for name, predicted in _predictions(features, targets).items():
        metrics = require_extra("sklearn.metrics", "cells")
        scores[f"{name}_accuracy"] = float(metrics.accuracy_score(targets, predicted))
        scores[f"{name}_macro_f1"] = float(metrics.f1_score(targets, predicted, average="macro", zero_division=0))
    return scores


def _predictions(features: NDArray[np.float32], targets: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    linear, neighbours, pipeline, preprocessing, selection = (
        require_extra(f"sklearn.{part}", "cells")
        for part in ("linear_model", "neighbors", "pipeline", "preprocessing", "model_selection")
    )
    folds = selection.StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    smallest = len(targets) - -(-len(targets) // FOLDS)
    classifiers = {
        "knn": neighbours.KNeighborsClassifier(min(NEIGHBOURS, smallest)),
        "logistic": pipeline.make_pipeline(preprocessing.StandardScaler(), linear.LogisticRegression(max_iter=1000)),
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        return {
            name: selection.cross_val_predict(classifier, features, targets, cv=folds)
            for name, classifier in classifiers.items()
        }
