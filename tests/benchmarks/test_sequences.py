"""Distances between sets of sequences, against answers that were planted."""

from __future__ import annotations

import importlib
import math
from itertools import product

import numpy as np
import pytest
import torch

from helpers.statistics import threshold
from spinlight.datasets import HumanUtr5, human_utr5

sequences = importlib.import_module("sequences")

WORDS = ["".join(letters) for letters in product("ACGT", repeat=2)]


def random_sequences(count: int, length: int, seed: int, letters: str = "ACGT") -> tuple[str, ...]:
    drawn = np.random.default_rng(seed).choice(list(letters), (count, length))
    return tuple("".join(row) for row in drawn)


def test_words_are_counted_where_they_stand() -> None:
    counts = sequences.kmer_counts(["ACACG", "NACN", "A", ""], 2)
    found = [{word: count for word, count in zip(WORDS, row) if count} for row in counts]
    assert found == [{"AC": 2, "CA": 1, "CG": 1}, {"AC": 1}, {}, {}]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_words_are_counted_as_by_hand(k: int) -> None:
    rows = random_sequences(20, 12, seed=1, letters="ACGTN")
    words = ["".join(letters) for letters in product("ACGT", repeat=k)]
    by_hand = [[sum(row[i : i + k] == word for i in range(len(row))) for word in words] for row in rows]
    assert sequences.kmer_counts(rows, k).tolist() == by_hand


def test_frequencies_are_shares_of_all_words() -> None:
    assert sequences.kmer_frequencies(["AACC", "G"], 1).tolist() == [0.4, 0.4, 0.2, 0.0]


def test_pair_frequencies_are_those_by_hand() -> None:
    rows = random_sequences(30, 4, seed=2, letters="ACGTN")
    found = sequences.pair_frequencies(rows)
    for pair, (i, j) in zip(found, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], strict=True):
        seen = [(row[i], row[j]) for row in rows if "N" not in (row[i], row[j])]
        by_hand = [[seen.count((a, b)) / len(seen) for b in "ACGT"] for a in "ACGT"]
        assert pair == pytest.approx(np.array(by_hand), abs=1e-12)


def test_a_pair_that_no_sequence_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sequence"):
        sequences.pair_frequencies(["AN", "NC"])


def test_letters_that_are_copied_are_correlated_and_others_are_not() -> None:
    rows = [row + row[0] for row in random_sequences(50_000, 2, seed=3)]
    free, copied, other = sequences.pair_correlations(rows)
    # c(a, b) of copies is 1/4 - 1/16 on the diagonal and -1/16 off it; a share of 50,000 has an error of at most 0.0022.
    assert copied == pytest.approx(np.eye(4) / 4 - 1 / 16, abs=0.012)
    assert np.abs(free).max() < 0.012
    assert np.abs(other).max() < 0.012


def test_the_divergence_of_distributions_is_known_at_its_ends_and_between() -> None:
    first, second = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert sequences.jensen_shannon(first, first) == 0
    assert sequences.jensen_shannon(first, second) == pytest.approx(math.log(2), abs=1e-12)
    half = np.array([0.5, 0.5])
    by_hand = 0.5 * math.log(1 / 0.75) + 0.25 * (math.log(0.5 / 0.75) + math.log(0.5 / 0.25))
    assert sequences.jensen_shannon(first, half) == pytest.approx(by_hand, abs=1e-12)
    assert sequences.jensen_shannon(half, first) == pytest.approx(by_hand, abs=1e-12)


def test_shuffling_sites_keeps_their_letters_and_nothing_else() -> None:
    rows = [row + row[0] for row in random_sequences(5000, 3, seed=4)]
    shuffled = sequences.site_shuffled(rows, seed=5)
    assert [sorted(column) for column in zip(*shuffled)] == [sorted(column) for column in zip(*rows)]
    assert np.abs(sequences.pair_correlations(rows)).max() > 0.15
    # A correlation of independent letters has an error of at most 0.25 / sqrt(5000) = 0.0036.
    assert np.abs(sequences.pair_correlations(shuffled)).max() < 0.02


def chained(count: int, seed: int) -> tuple[str, ...]:
    """Return sequences of twelve letters, most of them the letter before."""
    generator = np.random.default_rng(seed)
    fresh, kept = generator.integers(0, 4, (count, 12)), generator.random((count, 12)) < 0.7
    for i in range(1, 12):
        fresh[:, i] = np.where(kept[:, i], fresh[:, i - 1], fresh[:, i])
    return tuple("".join(row) for row in np.array(list("ACGT"))[fresh])


def test_a_comparison_tells_the_same_law_from_independent_sites() -> None:
    reference = chained(5000, 6)
    same = sequences.compare(chained(5000, 7), reference)
    other = sequences.compare(sequences.site_shuffled(chained(5000, 7), 8), reference)
    assert same.correlations > 0.98 > 0.2 > other.correlations
    assert same.pairs > 0.98 > other.pairs
    assert same.kmers[1] < 1e-3
    assert other.kmers[1] < 1e-3
    assert other.kmers[2] > 50 * same.kmers[2]
    assert same.scores is None


def measured(count: int, seed: int, effect: float, genes: int) -> HumanUtr5:
    """Return sequences whose efficiency is high or low with the share of G, as far as `effect` goes."""
    generator = np.random.default_rng(seed)
    share = generator.uniform(0.1, 0.5, count)
    rows = [
        "".join(generator.choice(list("ACGT"), 60, p=[(1 - g) / 3, (1 - g) / 3, g, (1 - g) / 3]))
        for g in share.tolist()
    ]
    high = generator.random(count) < 1 / (1 + np.exp(-effect * (share - 0.3)))
    return HumanUtr5(
        tuple(rows),
        torch.from_numpy(np.where(high, 3.0, 0.2)),
        count * ("HEK293",),
        tuple(f"gene{number % genes}" for number in range(count)),
        tuple(f"transcript{number}" for number in range(count)),
    )


def test_the_predictor_finds_a_planted_effect() -> None:
    predictor = sequences.efficiency_predictor(measured(600, 9, effect=20.0, genes=200))
    rich, poor = 20 * ["G" * 40 + "ACT" * 20], 20 * ["ACT" * 30 + "G" * 10]
    assert predictor.area > 0.85
    assert predictor.score(rich).min() > predictor.score(poor).max()


def test_the_predictor_finds_nothing_where_there_is_nothing() -> None:
    # The area of 600 random scores has an error of 1 / sqrt(3 * 600) = 0.024; penalised folds lean a little below chance.
    assert sequences.efficiency_predictor(measured(600, 10, effect=0.0, genes=200)).area == pytest.approx(0.5, abs=0.12)


def test_transcripts_of_one_gene_do_not_give_each_other_away() -> None:
    # Labels without a reason, four transcripts of each gene alike: only folds that part a gene could score them.
    plain = measured(100, 11, effect=0.0, genes=100)
    copies = HumanUtr5(
        4 * plain.sequences, plain.efficiency.repeat(4), 4 * plain.cell_types, 4 * plain.genes, 4 * plain.transcripts
    )
    apart = HumanUtr5(
        copies.sequences, copies.efficiency, copies.cell_types, tuple(map(str, range(400))), copies.transcripts
    )
    assert sequences.efficiency_predictor(copies, penalty=1.0).area < 0.7
    assert sequences.efficiency_predictor(apart, penalty=1.0).area > 0.8


def test_other_cell_types_and_short_sequences_are_left_out() -> None:
    few = measured(60, 12, effect=20.0, genes=60)
    noisy = HumanUtr5(
        (*few.sequences, "ACGT", "G" * 60),
        torch.cat([few.efficiency, torch.tensor([9.0, 0.1])]),
        (*few.cell_types, "HEK293", "MUSCLE"),
        (*few.genes, "short", "elsewhere"),
        (*few.transcripts, "short", "elsewhere"),
    )
    assert sequences.efficiency_predictor(noisy).area == sequences.efficiency_predictor(few).area


def test_scores_of_one_law_are_near_and_of_another_far() -> None:
    generator = np.random.default_rng(13)
    first, second, shifted = generator.normal(size=2000), generator.normal(size=2000), generator.normal(1.0, size=2000)
    # Kolmogorov: the distance passes sqrt(ln(2 / p) / 2000) with probability p; that of a shift by one is 2 Phi(1/2) - 1.
    assert sequences.score_distance(first, second) < math.sqrt(math.log(2 / threshold()) / 2000)
    assert sequences.score_distance(first, shifted) == pytest.approx(0.383, abs=0.1)


def test_the_real_sequences_tell_a_little_about_their_efficiency(monkeypatch, data_folder) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(data_folder))
    predictor = sequences.efficiency_predictor(human_utr5())
    assert predictor.area - 4 * predictor.error > 0.5


def test_the_table_sets_real_sequences_beside_independent_sites(monkeypatch, data_folder, capsys) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(data_folder))
    sequences.main()
    real, independent = (
        [float(cell) for cell in line.split(" | ")[2:4]]
        for line in capsys.readouterr().out.replace(" |\n", "\n").splitlines()[-2:]
    )
    assert real[1] > 0.5 > 0.1 > independent[1]
