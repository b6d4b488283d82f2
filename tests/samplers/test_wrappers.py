"""Samplers around samplers: distinct states, the lowest, weights that make means right, few bits."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from helpers.enumeration import all_spins, boltzmann, log_partition, random_ising
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError, UncalibratedWarning
from spinlight.ising import Ising
from spinlight.samplers import CoherentIsingMachine, Exact, Gibbs, Quantized, Reweighted, Sampler, TopK, Unique
from spinlight.samplers.quantized import quantize
from spinlight.training import IndependentDraws


def means(problem: Ising) -> torch.Tensor:
    """Return the exact means of all spins and of the energy."""
    states, probabilities = all_spins(problem.sites), torch.from_numpy(boltzmann(problem))
    values = torch.cat([states.double(), problem.energy(states).unsqueeze(-1)], -1)
    return probabilities @ values


def drawn_means(problem: Ising, sampler: Sampler, count: int) -> torch.Tensor:
    draws = sampler.draw(problem, count, seed=3)
    return draws.expectation(lambda spins: torch.cat([spins, problem.energy(spins).float().unsqueeze(-1)], -1))


def test_unique_returns_each_state_once_and_forgets_how_often() -> None:
    problem = random_ising(4, seed=1, scale=0.2)
    draws = Unique(sampler=Gibbs()).draw(problem, 5000, seed=2)
    assert len(draws) == 16
    assert draws.counts is None
    assert (draws.energies.diff() >= 0).all()
    torch.testing.assert_close(draws.energies, problem.energy(draws.spins))


def test_the_lowest_draws_are_kept_for_each_problem() -> None:
    problem = random_ising(5, seed=1, batch=3)
    inner = Gibbs().draw(problem, 50, seed=2)
    draws = TopK(sampler=Gibbs(), kept=7).draw(problem, 50, seed=2)
    assert draws.spins.shape == (3, 7, 5)
    torch.testing.assert_close(draws.energies, inner.energies.sort(-1).values[:, :7])
    torch.testing.assert_close(draws.energies, problem.energy(draws.spins))


def test_weights_make_means_of_a_wrong_temperature_right() -> None:
    problem = random_ising(5, seed=4, scale=0.5)
    hot = Gibbs(beta=0.3)
    torch.testing.assert_close(
        drawn_means(problem, Reweighted(sampler=hot), 5000), means(problem), atol=1e-5, rtol=1e-5
    )
    assert (drawn_means(problem, hot, 5000) - means(problem)).abs().max() > 0.1


def test_each_problem_of_a_batch_has_its_own_weights() -> None:
    problem = random_ising(4, seed=4, scale=0.5, batch=2)
    draws = Reweighted(sampler=Gibbs(beta=0.3)).draw(problem, 2000, seed=3)
    for row in range(2):
        expected = torch.from_numpy(boltzmann(problem[row])) @ all_spins(4).double()
        torch.testing.assert_close(draws[row].expectation(lambda spins: spins), expected, atol=1e-5, rtol=1e-5)


def test_the_papers_pipeline_is_right_within_what_it_cuts_away() -> None:
    """2,000 runs of a machine, de-duplicated, the best hundred, weighted: off by the mass of the states that are missing."""
    problem = random_ising(10, seed=2, scale=0.7)
    pipeline = Reweighted(sampler=TopK(sampler=Unique(sampler=CoherentIsingMachine(steps=300, look_every=0)), kept=100))
    draws = pipeline.draw(problem, 2000, seed=1)
    exact = log_partition(problem)
    missing = 1 - math.exp(draws.log_partition.value - exact)
    assert 0 < missing < 0.6
    assert len(draws) <= 100
    # A mean of numbers in [-1, 1] moves by at most twice the mass that is missing.
    found = draws.expectation(lambda spins: spins)
    assert (found - means(problem)[:-1]).abs().max() <= 2 * missing + 1e-9


def test_log_z_of_what_was_drawn_is_a_lower_bound() -> None:
    problem = random_ising(8, seed=5)
    for count in (1, 10, 100, 1000):
        known = Reweighted(sampler=Gibbs(beta=0.5)).draw(problem, count, seed=count).log_partition
        assert known.value <= log_partition(problem) + 1e-9
        assert known.lower == known.value
        assert known.upper == math.inf


def test_weighted_draws_do_not_warn_and_cut_ones_do() -> None:
    cut = TopK(sampler=Gibbs(), kept=5)
    with pytest.warns(UncalibratedWarning, match="TopK is a heuristic"):
        IndependentDraws(cut, count=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        IndependentDraws(Reweighted(sampler=cut), count=10)


@pytest.mark.parametrize("sparse", [False, True])
def test_quantized_weights_are_whole_multiples_within_half_a_unit(sparse: bool) -> None:
    problem = random_ising(9, seed=3)
    rounded, lost = quantize(problem.to_sparse() if sparse else problem, 8)
    weights = torch.cat([rounded.to_dense().couplings.flatten(), rounded.fields]) / lost["unit"]
    torch.testing.assert_close(weights, weights.round(), atol=1e-9, rtol=0)
    assert weights.abs().max() == pytest.approx(127)
    errors = torch.cat([(rounded.to_dense().couplings - problem.couplings).flatten(), rounded.fields - problem.fields])
    assert lost["largest_error"] == pytest.approx(errors.abs().max().item())
    assert lost["largest_error"] <= lost["unit"] / 2 + 1e-12


def test_draws_of_a_rounded_problem_have_its_law_and_the_true_energies() -> None:
    problem = random_ising(6, seed=3)
    sampler = Quantized(sampler=Exact(), bits=3)
    draws = sampler.draw(problem, 20_000, seed=1)
    rounded, lost = quantize(problem, 3)
    assert law_p_value(draws.spins, boltzmann(rounded)) > threshold()
    assert law_p_value(draws.spins, boltzmann(problem)) < threshold()
    torch.testing.assert_close(draws.energies, problem.energy(draws.spins))
    assert draws.info.details == lost


def test_a_problem_of_few_levels_loses_nothing() -> None:
    problem = Ising([1.0, -2.0], [[0.0, 3.0], [3.0, 0.0]])
    rounded, lost = quantize(problem, 3)
    assert torch.equal(rounded.couplings, problem.couplings)
    assert lost["mean_square_error"] == 0
    flat, lost = quantize(Ising([0.0], [[0.0]]), 8)
    assert (flat.fields.item(), lost["unit"]) == (0.0, 1.0)


def test_settings_name_the_samplers_inside() -> None:
    settings = TopK(sampler=Unique(sampler=Gibbs(sweeps=7)), kept=3).settings()
    assert settings["kept"] == 3
    assert settings["sampler"]["class"] == "Unique"
    assert settings["sampler"]["sampler"]["class"] == "Gibbs"
    assert settings["sampler"]["sampler"]["sweeps"] == 7


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Unique(sampler=None), "sampler"),  # type: ignore[arg-type]
        (lambda: TopK(sampler="gibbs", kept=1), "sampler"),  # type: ignore[arg-type]
        (lambda: TopK(sampler=Gibbs(), kept=0), "kept"),
        (lambda: Reweighted(sampler=Gibbs), "sampler"),  # type: ignore[arg-type]
        (lambda: Reweighted(sampler=Gibbs(), beta=-1.0), "beta"),
        (lambda: Quantized(sampler=Gibbs(), bits=1), "bits"),
        (lambda: Quantized(sampler=3), "sampler"),  # type: ignore[arg-type]
        (lambda: Unique(sampler=Gibbs()).draw(random_ising(3, seed=1, batch=2), 4), "batch"),
    ],
)
def test_settings_outside_their_domain_are_refused(make, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        make()
