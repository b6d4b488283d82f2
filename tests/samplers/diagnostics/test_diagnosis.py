"""Diagnoses of draws whose law is known."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, boltzmann, enumerate_energies, random_ising
from helpers.statistics import threshold, z_p_value
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import DrawInfo, Draws, Ising
from spinlight.samplers import (
    CoherentIsingMachine,
    EnergyMoments,
    Exact,
    Gibbs,
    ParallelTempering,
    PopulationAnnealing,
    Quantized,
    Reweighted,
    diagnose,
    record,
)
from spinlight.samplers.diagnostics.comparison import expected_total_variation
from spinlight.samplers.diagnostics.histograms import energy_histogram, overlap_histogram

PROBLEM = random_ising(8, seed=1, scale=0.4)
COUNT = 20_000


def by_hand(problem: Ising, spins: torch.Tensor, **parts) -> Draws:
    info = DrawInfo("by hand", "heuristic", None, 0, None, 0.0, "cpu", "0")
    return Draws(spins.to(torch.int8), problem.energy(spins), info, **parts)


def largest_excess(draws: int) -> float:
    """Return what the total variation of exact draws passes its mean by with the suite's probability: McDiarmid 1989."""
    return math.sqrt(-math.log(threshold()) / (2 * draws))


def test_exact_draws_are_as_far_from_their_law_as_chance_takes_them() -> None:
    found = diagnose(PROBLEM, Exact().draw(PROBLEM, COUNT, seed=1)).exact
    assert abs(found.total_variation - found.expected_total_variation) < largest_excess(COUNT)
    assert z_p_value(found.energy_deviation, 0, 1) > threshold()


@pytest.mark.parametrize("beta", [0.9, 1.1])
def test_a_beta_ten_percent_off_is_seen(beta: float) -> None:
    found = diagnose(PROBLEM, Exact(beta=beta).draw(PROBLEM, 4 * COUNT, seed=1), beta=1.0)
    assert found.exact.total_variation - found.exact.expected_total_variation > largest_excess(4 * COUNT)
    assert z_p_value(found.exact.energy_deviation, 0, 1) < threshold()
    assert np.sign(found.exact.energy_deviation) == np.sign(1 - beta)
    for estimate in found.effective_betas:
        assert z_p_value(estimate.value, beta, estimate.standard_error) > threshold()
        assert z_p_value(estimate.value, 1.0, estimate.standard_error) < threshold()


def test_distances_are_those_of_their_formulas() -> None:
    draws = Exact(beta=0.7).draw(PROBLEM, 300, seed=2)
    found = diagnose(PROBLEM, draws, beta=1.3).exact
    states = all_spins(8)
    law, levels = boltzmann(PROBLEM, beta=1.3), enumerate_energies(PROBLEM)
    frequencies = np.array([(draws.spins == state).all(1).float().mean().item() for state in states])
    seen = frequencies > 0
    assert found.total_variation == pytest.approx(np.abs(frequencies - law).sum() / 2)
    assert found.kl_divergence == pytest.approx((frequencies[seen] * np.log(frequencies[seen] / law[seen])).sum())
    assert found.mean_energy == pytest.approx(law @ levels)
    error = np.sqrt((law @ levels**2 - (law @ levels) ** 2) / 300)
    assert found.energy_deviation == pytest.approx((frequencies @ levels - law @ levels) / error)


@pytest.mark.parametrize("draws", [1, 2, 7, 100])
def test_the_expected_distance_is_the_sum_over_all_counts(draws: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    law = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    counts = np.arange(draws + 1)
    expected = sum(stats.binom.pmf(counts, draws, p) @ np.abs(counts / draws - p) for p in law) / 2
    assert expected_total_variation(torch.from_numpy(law), draws) == pytest.approx(expected)


def test_one_state_alone_is_always_found() -> None:
    assert expected_total_variation(torch.tensor([1.0, 0.0], dtype=torch.float64), 10) == 0


def test_the_mean_energy_has_the_error_of_a_mean() -> None:
    draws = Exact().draw(PROBLEM, 500, seed=3)
    found = diagnose(PROBLEM, draws)
    assert found.mean_energy == pytest.approx(draws.energies.mean().item())
    assert found.mean_energy_error == pytest.approx(draws.energies.std().item() / math.sqrt(500))
    assert (found.draws, found.effective_draws) == (500, pytest.approx(500))


def test_weights_decide_how_many_draws_count() -> None:
    spins = Exact().draw(PROBLEM, 4, seed=1).spins
    weights = torch.tensor([1.0, 1.0, 2.0, 0.0])
    found = diagnose(PROBLEM, by_hand(PROBLEM, spins, log_weights=weights.log()), beta=1.0)
    assert found.effective_draws == pytest.approx(16 / 6)
    assert found.mean_energy == pytest.approx((PROBLEM.energy(spins) @ weights.double()).item() / 4)


def test_importance_weights_bring_draws_to_the_law() -> None:
    hot = Exact(beta=0.6).draw(PROBLEM, COUNT, seed=5)
    weighted = replace(hot, log_weights=-0.4 * hot.energies)
    found, without = (diagnose(PROBLEM, draws, beta=1.0) for draws in (weighted, hot))
    ratio = torch.from_numpy(boltzmann(PROBLEM) / boltzmann(PROBLEM, beta=0.6))
    expected = COUNT / (torch.from_numpy(boltzmann(PROBLEM)) @ ratio).item()
    assert found.effective_draws == pytest.approx(expected, rel=0.05)
    assert abs(found.exact.energy_deviation) < 5 < abs(without.exact.energy_deviation)
    assert found.exact.total_variation < without.exact.total_variation / 2


def test_multiplicities_are_draws() -> None:
    draws = Exact().draw(PROBLEM, 1000, seed=4)
    one, other = diagnose(PROBLEM, draws), diagnose(PROBLEM, draws.unique())
    assert one.draws == other.draws == 1000
    assert other.effective_draws == pytest.approx(one.effective_draws)
    assert other.mean_energy_error == pytest.approx(one.mean_energy_error)
    assert other.effective_betas[0].standard_error == pytest.approx(one.effective_betas[0].standard_error)
    assert other.exact.total_variation == pytest.approx(one.exact.total_variation)


def test_draws_without_a_beta_are_compared_at_the_one_they_look_like() -> None:
    spins = Exact(beta=0.8).draw(PROBLEM, COUNT, seed=1).spins
    found = diagnose(PROBLEM, by_hand(PROBLEM, spins))
    assert found.exact.beta == found.effective_betas[0].value
    assert found.exact.beta == pytest.approx(0.8, abs=0.05)


def test_other_estimators_can_be_asked() -> None:
    found = diagnose(PROBLEM, Exact().draw(PROBLEM, 1000, seed=1), estimators=[EnergyMoments()])
    assert [estimate.method for estimate in found.effective_betas] == ["mean energy"]


def exact_overlaps(problem: Ising) -> np.ndarray:
    """Return the probabilities of q = -1, ..., 1 by the double sum over states."""
    spins, law = all_spins(problem.sites).double().numpy(), boltzmann(problem)
    overlaps = np.rint((spins @ spins.T + problem.sites) / 2).astype(int)
    return np.bincount(overlaps.ravel(), np.outer(law, law).ravel(), problem.sites + 1)


def test_exact_overlaps_are_the_double_sum() -> None:
    found = diagnose(PROBLEM, Exact().draw(PROBLEM, COUNT, seed=1)).overlaps
    np.testing.assert_allclose(found.exact, exact_overlaps(PROBLEM), atol=1e-12)
    np.testing.assert_allclose(found.centres, np.linspace(-1, 1, 9))
    # A thousand draws: every bin within the deviation of 500 independent pairs.
    np.testing.assert_allclose(found.probabilities, found.exact, atol=5 * 0.5 / math.sqrt(500))
    np.testing.assert_allclose(found.probabilities.sum(), 1)


def test_overlaps_leave_out_each_draw_with_itself() -> None:
    spins = torch.tensor([[1, 1], [1, -1], [-1, -1]], dtype=torch.int8)
    found = overlap_histogram(spins, torch.full((3,), 1 / 3, dtype=torch.float64), None)
    np.testing.assert_allclose(found.probabilities, [1 / 3, 2 / 3, 0])
    weighted = overlap_histogram(spins, torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64), None)
    np.testing.assert_allclose(weighted.probabilities, [0, 1, 0])


def test_many_overlaps_are_pooled() -> None:
    spins = Gibbs(sweeps=1).draw(Ising(torch.zeros(100), torch.zeros(100, 100)), 50, seed=1).spins
    found = overlap_histogram(spins, torch.full((50,), 0.02, dtype=torch.float64), None)
    assert len(found.centres) <= 40
    # q of free spins has mean square 1 / sites; bins of width .06 add their own variance of .06^2 / 12.
    assert found.mean_square == pytest.approx(0.01, rel=0.2)


def test_levels_of_few_energies_are_told_apart_and_many_are_binned() -> None:
    weights = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    few = energy_histogram(torch.tensor([1.0, -1.0, 1.0 + 1e-13], dtype=torch.float64), weights, None, None)
    assert few.centres.tolist() == [-1.0, 1.0]
    assert few.probabilities.tolist() == [0.25, 0.75]
    found = diagnose(PROBLEM, Exact().draw(PROBLEM, COUNT, seed=1)).energies
    assert len(found.centres) == 40
    assert found.exact.sum() == pytest.approx(1, abs=2e-4)
    np.testing.assert_allclose(found.probabilities, found.exact, atol=5 * 0.5 / math.sqrt(COUNT))


def test_frozen_draws_are_told_in_words() -> None:
    problem = Ising([1.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    found = diagnose(problem, by_hand(problem, torch.ones(10, 2)))
    assert found.exact is None
    assert (found.mean_energy, found.mean_energy_error) == (pytest.approx(-3), pytest.approx(0, abs=1e-12))
    assert "no finite effective beta (maximum pseudo-likelihood: frozen)" in str(found)
    assert "none could be estimated" in str(found)


def test_a_flat_landscape_has_no_deviation_and_no_beta() -> None:
    flat = Ising(torch.zeros(3), torch.zeros(3, 3), offset=0.1)
    found = diagnose(flat, Exact().draw(flat, 100, seed=1))
    assert math.isnan(found.exact.energy_deviation)
    assert found.exact.total_variation == pytest.approx(found.exact.expected_total_variation, abs=largest_excess(100))
    assert "no spin feels anything" in str(found)
    assert "0.1 exactly, the energy of every state" in str(found)


def test_rows_that_are_not_independent_are_noted() -> None:
    tempering = ParallelTempering(burn_in=100, progress=False)
    for sampler in (tempering, Quantized(sampler=tempering, bits=8)):
        assert "correlated" in diagnose(PROBLEM, sampler.draw(PROBLEM, 100, seed=1)).notes[0]
    assert diagnose(PROBLEM, Gibbs().draw(PROBLEM, 100, seed=1)).notes == ()


def test_families_count_as_one_draw_each() -> None:
    draws = PopulationAnnealing(sweeps=1, members=2, populations=16, progress=False).draw(PROBLEM, 1000, seed=1)
    found = diagnose(PROBLEM, draws)
    assert found.effective_draws == draws.info.details["effective_families"] < 1000
    assert "related" in found.notes[0]


def test_estimators_that_draw_repeat_themselves_with_a_seed() -> None:
    problem = random_ising(18, seed=1, scale=0.2)
    draws = Exact().draw(problem, 200, seed=1)
    one, two, other = (
        diagnose(problem, draws, estimators=[EnergyMoments(chains=16, sweeps=10)], seed=seed).effective_betas[0].value
        for seed in (1, 1, 2)
    )
    assert one == two != other


def test_large_problems_are_not_enumerated() -> None:
    problem = random_ising(21, seed=1, scale=0.1)
    found = diagnose(problem, Gibbs(sweeps=20).draw(problem, 100, seed=1))
    assert found.exact is None
    assert found.energies.exact is None
    assert "21 sites are more than 20" in str(found)


def test_twenty_sites_are_enumerated_and_sparse_ones_too() -> None:
    problem = random_ising(20, seed=1, scale=0.5, density=0.1).to_sparse()
    found = diagnose(problem, Exact().draw(problem, 2000, seed=1)).exact
    assert abs(found.total_variation - found.expected_total_variation) < largest_excess(2000)


REFUSED = {
    "a batch": (random_ising(3, seed=1, batch=2), lambda p: Exact().draw(p, 4), InvalidSettingError, "batch"),
    "draws of a batch": (
        random_ising(3, seed=1),
        lambda p: Exact().draw(random_ising(3, seed=1, batch=2), 4),
        InvalidStateError,
        r"draws\[i\]",
    ),
    "another size": (PROBLEM, lambda p: Exact().draw(random_ising(3, seed=1), 4), InvalidStateError, "8 sites"),
    "one draw": (PROBLEM, lambda p: Exact().draw(p, 1), InvalidStateError, "at least two draws"),
    "spins": (PROBLEM, lambda p: Exact().draw(p, 5).spins, InvalidStateError, "draws or a trace"),
    "counts of zero": (
        PROBLEM,
        lambda p: by_hand(p, torch.ones(3, 8), counts=torch.zeros(3, dtype=torch.int64)),
        InvalidStateError,
        "weight of zero",
    ),
    "weights of zero": (
        PROBLEM,
        lambda p: by_hand(p, torch.ones(3, 8), log_weights=torch.full((3,), -math.inf)),
        InvalidStateError,
        "weight of zero",
    ),
}


@pytest.mark.parametrize(("problem", "make", "error", "word"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_diagnosed_is_refused(problem: Ising, make, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        diagnose(problem, make(problem))


@pytest.mark.parametrize("beta", [-1.0, math.nan, "1"])
def test_a_beta_outside_its_domain_is_refused(beta: object) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        diagnose(PROBLEM, Exact().draw(PROBLEM, 4), beta=beta)  # type: ignore[arg-type]


def test_one_weighted_draw_among_weightless_ones_gives_no_crash() -> None:
    spins = Exact().draw(PROBLEM, 3, seed=1).spins
    found = diagnose(PROBLEM, by_hand(PROBLEM, spins, log_weights=torch.tensor([0.0, -math.inf, -math.inf])), beta=1.0)
    assert found.effective_draws == 1
    assert math.isnan(found.mean_energy_error)
    assert any("one draw carries all the weight" in note for note in found.notes)


def test_the_table_shows_every_row() -> None:
    from rich.console import Console

    found = diagnose(PROBLEM, record(Gibbs(), PROBLEM, chains=50, draws_per_chain=20, seed=1))
    page = io.StringIO()
    Console(width=200, file=page).print(found.table())
    shown = page.getvalue()
    for words in ("total variation", "mean energy", "split R-hat, energy", "below 1.01"):
        assert words in shown
        assert words in str(found)


def test_json_is_strict_and_holds_everything() -> None:
    machine = diagnose(PROBLEM, CoherentIsingMachine(steps=300, look_every=0).draw(PROBLEM, 50, seed=1))
    exact = diagnose(PROBLEM, Reweighted(sampler=Gibbs()).draw(PROBLEM, 50, seed=1))
    for found in (machine, exact):
        back = json.loads(found.to_json(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert back["effective_draws"] == found.effective_draws
        assert len(back["energies"]["centres"]) == len(found.energies.centres)


@pytest.mark.parametrize("chains", [False, True])
def test_the_picture_is_a_png(chains: bool) -> None:
    pytest.importorskip("matplotlib")
    drawn = record(Gibbs(), PROBLEM, chains=20, draws_per_chain=30) if chains else Exact().draw(PROBLEM, 100)
    png = diagnose(PROBLEM, drawn).picture()
    width = int.from_bytes(png[16:20], "big")
    assert png.startswith(b"\x89PNG")
    assert width == (2340 if chains else 1560)


def test_pictures_of_what_never_moves_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    problem = Ising([1.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    assert diagnose(problem, record(Gibbs(beta=100.0), problem, chains=5, draws_per_chain=5)).picture()
