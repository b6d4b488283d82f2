"""How far one set of nucleotide sequences is from another: k-mers, pairs of positions, and what a predictor makes of them.

A model of sequences is judged by these on sequences it has not seen, beside independent sites, which keep what a model gets for
free, and beside a second half of the real ones, whose distance is that of sampling alone. Run as a script, this file prints both:

    python benchmarks/sequences.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spinlight.datasets import HumanUtr5, human_utr5, human_utr5_pieces, one_hot_from_nucleotides

Array = NDArray[np.float64]

_CODES = np.full(256, 4)
_CODES[[ord(letter) for letter in "ACGT"]] = range(4)


def kmer_counts(sequences: Sequence[str], k: int) -> Array:
    """Return how often each of the 4^k words stands in each sequence, AA...A first; shape (sequences, 4^k).

    Words overlap; those with another letter than A, C, G, T count nowhere.
    """
    powers = 4 ** np.arange(k)[::-1]
    counts = np.zeros((len(sequences), 4**k))
    for row, sequence in zip(counts, sequences, strict=True):
        codes = _CODES[np.frombuffer(sequence.encode("ascii"), np.uint8)]
        if len(codes) >= k:
            words = np.lib.stride_tricks.sliding_window_view(codes, k)
            row += np.bincount((words @ powers)[(words < 4).all(1)], minlength=4**k)
    return counts


def kmer_frequencies(sequences: Sequence[str], k: int) -> Array:
    """Return the share of each word among all words of the set, shape (4^k,)."""
    counts = kmer_counts(sequences, k).sum(0)
    return counts / counts.sum()


def pair_frequencies(sequences: Sequence[str]) -> Array:
    """Return f_ij(a, b), the share of sequences with letter a at i and b at j, for i < j; shape (pairs, 4, 4).

    Of sequences of one length; those with an N at i or j do not count for that pair.
    """
    together = _together(sequences)
    i, j = np.triu_indices(len(together), 1)
    return together[i, :, j, :]


def pair_correlations(sequences: Sequence[str]) -> Array:
    """Return c_ij(a, b) = f_ij(a, b) - sum_b' f_ij(a, b') sum_a' f_ij(a', b), zero for independent sites; shape (pairs, 4, 4).

    Pair frequencies of independent sites agree with real ones as far as single sites do; these do not.
    """
    pairs = pair_frequencies(sequences)
    return pairs - pairs.sum(2, keepdims=True) * pairs.sum(1, keepdims=True)


def _together(sequences: Sequence[str]) -> Array:
    """Return the share of letters a at i and b at j among sequences with letters at both; shape (length, 4, length, 4)."""
    bits = one_hot_from_nucleotides(sequences).numpy().astype(np.float32)
    length = bits.shape[1] // 4
    counts = (bits.T @ bits).astype(np.float64).reshape(length, 4, length, 4)
    seen = counts.sum((1, 3), keepdims=True)
    if not seen.all():
        raise ValueError("some pair of positions has letters in no sequence; cut the sequences to where they have some")
    return counts / seen


def jensen_shannon(first: Array, second: Array) -> float:
    """Return the Jensen-Shannon divergence of two distributions in nats, from 0 to log 2."""
    middle = (first + second) / 2
    return float(stats.entropy(first, middle) + stats.entropy(second, middle)) / 2


def pearson(first: Array, second: Array) -> float:
    """Return the correlation coefficient of the entries of two arrays of one shape."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def site_shuffled(sequences: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return sequences of one length whose letters at each position are those of the set, in another order: independent sites."""
    letters = np.array([list(sequence) for sequence in sequences])
    return tuple("".join(row) for row in np.random.default_rng(seed).permuted(letters, axis=0))


@dataclass(frozen=True)
class Comparison:
    """How far sequences are from a reference.

    Args:
        kmers: Jensen-Shannon divergence of k-mers, in nats, by k; 0 is the same.
        pairs: Pearson correlation of pair frequencies; 1 is the same.
        correlations: that of pair correlations.
        scores: Kolmogorov-Smirnov distance of the predictor's scores; 0 is the same. None without a predictor.
    """

    kmers: dict[int, float]
    pairs: float
    correlations: float
    scores: float | None


def compare(
    sequences: Sequence[str],
    reference: Sequence[str],
    predictor: EfficiencyPredictor | None = None,
    sizes: Sequence[int] = (1, 2, 3, 4),
) -> Comparison:
    """Return how far sequences are from a reference, all of one length."""
    return Comparison(
        {k: jensen_shannon(kmer_frequencies(sequences, k), kmer_frequencies(reference, k)) for k in sizes},
        pearson(pair_frequencies(sequences), pair_frequencies(reference)),
        pearson(pair_correlations(sequences), pair_correlations(reference)),
        None if predictor is None else score_distance(predictor.score(sequences), predictor.score(reference)),
    )


def score_distance(first: Array, second: Array) -> float:
    """Return the largest difference of two empirical distribution functions (Kolmogorov-Smirnov)."""
    return float(stats.ks_2samp(first, second).statistic)


@dataclass(frozen=True, eq=False)
class EfficiencyPredictor:
    """Ridge regression of well (1) or badly (0) translated on the k-mers of the last letters.

    A forest of trees separates held-out genes a little better, and knows the sequences that it was fitted to by heart: their scores
    would differ from those of any new sequence.

    Args:
        regression: fitted to all sequences.
        area: under the ROC curve, of scores in folds that share no gene with what they were fitted to; 0.5 is chance.
        error: standard error of the area over folds.
    """

    regression: Any
    area: float
    error: float

    def score(self, sequences: Sequence[str]) -> Array:
        """Return a number for each sequence, the higher the better it should be translated."""
        return np.asarray(self.regression.predict(kmer_features(sequences)))


def efficiency_predictor(
    utrs: HumanUtr5,
    *,
    cell_types: Sequence[str] = ("HEK293", "PC3"),
    penalty: float = 300.0,
    folds: int = 5,
    shortest: int = 30,
) -> EfficiencyPredictor:
    """Return a predictor of whether a sequence is among the well translated, of an efficiency above 1.

    Args:
        utrs: measured sequences; those shorter than `shortest` hold too few words and are left out.
        cell_types: those of which the best and the worst translated were published.
        penalty: of the ridge regression on standardised features.
        folds: of the cross-validation. Transcripts of one gene stay together: apart, the known ones give the others away.
        shortest: letters.
    """
    kept = [
        number
        for number, (sequence, cell_type) in enumerate(zip(utrs.sequences, utrs.cell_types, strict=True))
        if len(sequence) >= shortest and cell_type in cell_types
    ]
    features = kmer_features([utrs.sequences[number] for number in kept])
    labels = (utrs.efficiency.numpy()[kept] > 1).astype(np.float64)
    areas = []
    for fitted, held in GroupKFold(folds).split(features, labels, np.array(utrs.genes)[kept]):
        regression = _regression(penalty).fit(features[fitted], labels[fitted])
        areas.append(roc_auc_score(labels[held], regression.predict(features[held])))
    return EfficiencyPredictor(
        _regression(penalty).fit(features, labels), float(np.mean(areas)), float(stats.sem(areas))
    )


def _regression(penalty: float) -> Any:
    return make_pipeline(StandardScaler(), Ridge(penalty))


def kmer_features(sequences: Sequence[str], sizes: Sequence[int] = (1, 2, 3), last: int = 100) -> Array:
    """Return the share of each word among those of its size in the last letters of each sequence, N left out."""
    ends = [sequence[-last:] for sequence in sequences]
    counts = [kmer_counts(ends, k) for k in sizes]
    return np.hstack([count / np.maximum(count.sum(1, keepdims=True), 1) for count in counts])


def main() -> None:
    predictor = efficiency_predictor(human_utr5())
    print(f"well against badly translated, area under the curve: {predictor.area:.3f} +/- {predictor.error:.3f}\n")
    pieces = [piece for piece in human_utr5_pieces() if "N" not in piece]
    order = np.random.default_rng(0).permutation(len(pieces))
    half, reference = ([pieces[number] for number in part] for part in np.array_split(order, 2))
    print("| sequences | k-mers (k: nats) | pairs | correlations | scores |\n|---|---|---|---|---|")
    for name, rows in (("real, the other half", half), ("independent sites", site_shuffled(half, seed=1))):
        found = compare(rows, reference, predictor)
        kmers = ", ".join(f"{k}: {value:.2g}" for k, value in found.kmers.items())
        print(f"| {name} | {kmers} | {found.pairs:.3f} | {found.correlations:.3f} | {found.scores:.3f} |")


if __name__ == "__main__":
    main()
