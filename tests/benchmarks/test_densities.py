"""The baselines of the density benchmark are densities, and good ones: against enumeration and planted answers."""

from __future__ import annotations

import importlib
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.enumeration import all_bits, state_numbers
from helpers.statistics import counts_p_value, mean_p_value, threshold
from spinlight._random import uniform
from spinlight.datasets import density_set

densities = importlib.import_module("densities")

VARIABLES = 7
TREE = [0, 0, 0, 1, 1, 2, 5]
"""The parent of each variable of a planted tree."""

COPIED, ROOT = 0.8, 0.4
"""How often a variable equals its parent, and how often the root is 1."""


def planted(count: int, seed: int) -> Tensor:
    """Return rows of the planted tree."""
    draws = uniform(seed, count, VARIABLES)
    rows = torch.zeros(count, VARIABLES, dtype=torch.int8)
    for i, parent in enumerate(TREE):
        copied = torch.where(draws[:, i] < COPIED, rows[:, parent], 1 - rows[:, parent])
        rows[:, i] = copied if i else (draws[:, 0] < ROOT).to(torch.int8)
    return rows


def planted_law() -> np.ndarray:
    """Return the probability of each state of the planted tree, factor by factor."""
    states = all_bits(VARIABLES).numpy()
    law = np.where(states[:, 0] == 1, ROOT, 1 - ROOT)
    for i, parent in list(enumerate(TREE))[1:]:
        law = law * np.where(states[:, i] == states[:, parent], COPIED, 1 - COPIED)
    return law


TRAIN, VALID, TEST = (planted(count, seed) for count, seed in ((5000, 1), (1000, 2), (20_000, 3)))

every_baseline = pytest.mark.parametrize("fit", densities.BASELINES.values(), ids=list(densities.BASELINES))


def test_the_planted_rows_follow_the_planted_law() -> None:
    counts = np.bincount(state_numbers(TEST).numpy(), minlength=2**VARIABLES)
    assert counts_p_value(counts, planted_law()) > threshold()
    assert counts_p_value(counts, np.full(2**VARIABLES, 0.5**VARIABLES)) < threshold()


@every_baseline
def test_likelihoods_sum_to_one_over_all_states(fit) -> None:
    density = fit(TRAIN, VALID)
    assert float(density.log_likelihood(all_bits(VARIABLES)).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_a_table_that_is_no_probability_does_not_sum_to_one() -> None:
    tree = densities.fit_chow_liu(TRAIN, VALID)
    tree.log_conditionals[3, 0, 1] += 0.1
    assert abs(float(tree.log_likelihood(all_bits(VARIABLES)).exp().sum()) - 1) > 1e-3


def test_independent_bits_have_the_frequencies_of_the_rows() -> None:
    density = densities.fit_independent(TRAIN, VALID)
    a, ones = density.pseudo_count, TRAIN.double().sum(0)
    assert torch.allclose(density.probabilities, (ones + a) / (5000 + 2 * a), atol=1e-15, rtol=0)
    row = torch.tensor([[1, 0, 0, 1, 0, 0, 1]])
    by_hand = [p if x else 1 - p for p, x in zip(density.probabilities.tolist(), row[0].tolist())]
    assert float(density.log_likelihood(row)) == pytest.approx(float(np.log(by_hand).sum()), abs=1e-12)


def edges_of(parents: list[int]) -> set[frozenset[int]]:
    return {frozenset((i, parent)) for i, parent in enumerate(parents) if i != parent}


def test_a_planted_tree_is_found() -> None:
    assert densities.fit_chow_liu(TRAIN, VALID).edges == edges_of(TREE)


def test_no_tree_is_found_where_there_is_none() -> None:
    order = uniform(4, *TRAIN.shape).argsort(0)
    shuffled = TRAIN.gather(0, order)
    assert densities.fit_chow_liu(shuffled, VALID).edges != edges_of(TREE)


def test_the_tree_has_the_law_of_the_rows_within_its_error() -> None:
    log_law = torch.from_numpy(np.log(planted_law()))[state_numbers(TEST)]
    # Twice n KL is chi-square with 13 degrees of freedom: 1 + 2 * 6 parameters. Its mean is 13, 60 is never passed.
    tree = densities.chow_liu(TRAIN, 0.1).log_likelihood(all_bits(VARIABLES)).numpy()
    law = planted_law()
    assert 2 * len(TRAIN) * float((law * (np.log(law) - tree)).sum()) < 60
    independent = densities.fit_independent(TRAIN, VALID).log_likelihood(TEST)
    assert mean_p_value((log_law - independent).numpy(), 0.0) < threshold()


def test_a_tree_takes_the_most_mutual_information() -> None:
    # By brute force over all trees of four variables, as parents of 1, 2, 3.
    rows = TRAIN[:, 3:]
    best = densities.chow_liu(rows, 1.0)
    table = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            joint = (np.histogram2d(rows[:, i], rows[:, j], bins=2)[0] + 1) / (5000 + 4)
            table[i, j] = (joint * np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0))).sum()
    weights = [
        sum(table[i + 1, p] for i, p in enumerate(parents))
        for parents in np.ndindex(4, 4, 4)
        if connected([0, *parents])
    ]
    assert sum(table[tuple(edge)] for edge in best.edges) == pytest.approx(max(weights), abs=1e-12)


def connected(parents: list[int]) -> bool:
    """Return whether every variable leads to 0."""
    ends = list(range(len(parents)))
    for _ in parents:
        ends = [parents[end] for end in ends]
    return set(ends) == {0}


def penalised(mixture, rows: Tensor) -> float:
    """Return what each step of EM raises."""
    a, p = mixture.pseudo_count, mixture.probabilities
    prior = a * (mixture.weights.log().sum() + (p.log() + torch.log1p(-p)).sum())
    return float(mixture.log_likelihood(rows).sum() + prior)


@pytest.mark.parametrize("pseudo_count", [0.01, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_step_of_em_lowers_the_penalised_likelihood(pseudo_count: float, seed: int) -> None:
    rows = TRAIN.double()
    values = [penalised(mixture, rows) for mixture in islice(densities.em(rows, 5, pseudo_count, seed), 40)]
    assert min(np.diff(values)) > -1e-8
    assert values[-1] > values[0] + 10


def test_steps_with_shares_that_are_not_the_posterior_do_lower_it() -> None:
    rows = TRAIN.double()
    good = list(islice(densities.em(rows, 5, 0.1, 0), 40))[-1]
    mixed = densities.em_step(good, rows.flip(1))
    assert penalised(mixed, rows) < penalised(good, rows)


def test_a_planted_mixture_is_found() -> None:
    kinds = torch.tensor([[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9, 0.9, 0.1]], dtype=torch.float64)
    picks = (uniform(1, 20_000) < 0.3).long()
    rows = (uniform(2, 20_000, 6) < kinds[picks]).to(torch.int8)
    found = densities.fit_mixture(rows[:16_000], rows[16_000:], components=(2,))
    order = found.weights.argsort(descending=True)
    # Among 4,800 rows a share has a standard error of 0.004; not knowing whose a row is widens it, not tenfold.
    assert torch.allclose(found.probabilities[order].double(), kinds, atol=0.04, rtol=0)
    assert float(found.weights.min()) == pytest.approx(0.3, abs=0.03)


def test_a_mixture_is_left_at_its_best_validation_likelihood() -> None:
    mixtures = list(islice(densities.em(TRAIN[:50].double(), 20, 0.01, 0), 60))
    held = [float(mixture.log_likelihood(VALID).mean()) for mixture in mixtures]
    best = densities.stopped(mixtures, VALID, patience=60)
    assert float(best.log_likelihood(VALID).mean()) >= max(held) - 3e-4
    assert held[-1] < max(held)


def test_the_weights_of_a_mixture_are_normalised_also_in_float32() -> None:
    found = densities.fit_mixture(TRAIN, VALID, components=(16,))
    assert found.probabilities.dtype == torch.float32
    assert float(found.log_likelihood(all_bits(VARIABLES)).exp().sum()) == pytest.approx(1.0, abs=1e-12)


# What papers quote for Chow-Liu trees on these sets, to two decimals; smoothing moves dna, where rows are few.
QUOTED = {"nltcs": -6.76, "plants": -16.52, "jester": -58.23, "bnetflix": -60.25}


@pytest.mark.parametrize("name", QUOTED)
def test_trees_on_real_sets_have_the_likelihoods_that_papers_quote(monkeypatch, data_folder, name: str) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(data_folder))
    data = density_set(name)
    found = float(densities.fit_chow_liu(data.train, data.valid).log_likelihood(data.test).mean())
    assert found == pytest.approx(QUOTED[name], abs=0.0051)


def test_the_table_prints_a_line_for_each_baseline(monkeypatch, data_folder, capsys) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(data_folder))
    monkeypatch.setitem(
        densities.BASELINES, "mixture", lambda train, valid: densities.fit_mixture(train, valid, components=(4,))
    )
    densities.main(["dna"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["independent", "Chow-Liu", "mixture"]
