"""The coherent Ising machine as a sampler: signs, fields, noise, and published success probabilities."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import enumerate_energies, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.ising import Ising, read_problem
from spinlight.samplers import (
    ChaoticAmplitudeControl,
    ChaoticFeedbackControl,
    CoherentIsingMachine,
    Feedback,
    GaussianMoments,
    SeparatedFeedbackControl,
    TruncatedWigner,
    UncorrectedFeedback,
)

FEEDBACKS = [
    ChaoticAmplitudeControl(),
    ChaoticFeedbackControl(),
    SeparatedFeedbackControl(),
    UncorrectedFeedback(pump=1.5, amplitude=0.7),
]
every_feedback = pytest.mark.parametrize("feedback", FEEDBACKS, ids=lambda feedback: type(feedback).__name__)
every_noise = pytest.mark.parametrize(
    "noise", [None, TruncatedWigner(), GaussianMoments()], ids=lambda noise: type(noise).__name__
)


def machine(feedback: Feedback, **settings) -> CoherentIsingMachine:
    return CoherentIsingMachine(**{"steps": 1000, "dt": 0.05, "feedback": feedback, "progress": False} | settings)


@every_feedback
@every_noise
@pytest.mark.parametrize("coupling", [1.0, -1.0])
def test_two_spins_align_in_a_ferromagnet_and_oppose_in_an_antiferromagnet(feedback, noise, coupling: float) -> None:
    pair = Ising([0.0, 0.0], [[0.0, coupling], [coupling, 0.0]])
    spins = machine(feedback, noise=noise, look_every=0).draw(pair, 64, seed=1).spins
    assert (spins[:, 0] * spins[:, 1] == coupling).all()
    assert 0.1 < (spins[:, 0] == 1).double().mean() < 0.9


@every_feedback
def test_a_field_points_the_way(feedback) -> None:
    problem = Ising([0.3, -0.3], torch.zeros(2, 2))
    assert machine(feedback, look_every=0).draw(problem, 32, seed=1).spins.unique(dim=0).tolist() == [[1, -1]]


def test_the_equations_of_uncorrected_feedback_are_those_of_its_docstring() -> None:
    """Euler steps in NumPy, at a fixed scale and without noise."""
    problem = random_ising(5, seed=1)
    sampler = machine(UncorrectedFeedback(pump=1.7, amplitude=0.6), steps=20, dt=0.1, scale=0.3)
    path = sampler.trajectories(problem, 3, every=1, seed=1).double().numpy()
    J, h = problem.couplings.numpy(), problem.fields.numpy()  # noqa: N806
    for x, new in pairwise(path):
        expected = x + 0.1 * (0.7 * x - x**3 + np.tanh(0.3 * (x @ J + 0.6 * h)))
        np.testing.assert_allclose(new, expected, atol=1e-5)


def test_only_a_fixed_scale_sees_the_size_of_a_problem() -> None:
    problem = random_ising(6, seed=2)
    for scale, seen in ((None, False), (0.5, True)):
        small, large = (
            machine(FEEDBACKS[1], steps=50, scale=scale).trajectories(problem.scaled(size), 4, every=50, seed=1)
            for size in (1.0, 2.0)
        )
        assert torch.equal(small, large) != seen


def test_noise_and_a_force_give_the_odds_of_the_fokker_planck_equation() -> None:
    """One pulse between two wells that a small force tilts."""
    force, photon, pump = 0.04, 0.6, 2.5
    feedback, noise = UncorrectedFeedback(pump=pump, amplitude=1.0), TruncatedWigner(photon=photon)
    sampler = machine(feedback, noise=noise, steps=10_000, dt=0.02, scale=1.0, look_every=0)
    draws = sampler.draw(Ising([force], [[0.0]]), 20_000, seed=1)
    x = np.linspace(-5, 5, 20_001)
    diffusion = photon**2 * (0.5 + x**2) / 2
    tilt = np.cumsum(((pump - 1) * x - x**3 + np.tanh(force)) / diffusion) * (x[1] - x[0])
    density = np.exp(tilt - tilt.max()) / diffusion
    up = density[x > 0].sum() / density.sum()
    found = float((draws.spins == 1).double().mean())
    # Five standard errors, and 0.005 for the time step.
    allowed = 5 * (up * (1 - up) / 20_000) ** 0.5 + 0.005
    assert abs(found - up) < allowed
    assert abs(found - 0.5) > 2 * allowed


@every_feedback
@every_noise
def test_problems_that_fields_dominate_are_solved(feedback, noise) -> None:
    """Fields of another scale than the amplitudes would lose against couplings, or drown them."""
    generator = torch.Generator().manual_seed(3)
    upper = torch.randn(16, 16, generator=generator).triu(1)
    problem = Ising(3 * torch.randn(16, generator=generator), upper + upper.T)
    draws = machine(feedback, noise=noise).draw(problem, 128, seed=1)
    assert (draws.energies < enumerate_energies(problem).min() + 1e-9).double().mean() > 0.75


@every_feedback
def test_sparse_and_dense_forms_go_the_same_way(feedback) -> None:
    problem = random_ising(20, seed=2, density=0.3)
    dense, sparse = (
        machine(feedback, steps=60).trajectories(form, 8, every=60, seed=1) for form in (problem, problem.to_sparse())
    )
    torch.testing.assert_close(dense, sparse, atol=1e-3, rtol=0)


def test_each_problem_of_a_batch_has_its_own_fields() -> None:
    fields = torch.tensor([[5.0, 5.0, 5.0], [-5.0, -5.0, -5.0]])
    draws = machine(FEEDBACKS[1]).draw(Ising(fields, random_ising(3, seed=1).couplings), 10, seed=1)
    assert draws.spins.unique(dim=1).squeeze(1).tolist() == [[1, 1, 1], [-1, -1, -1]]


def test_trajectories_are_those_of_the_draws_and_only_on_request() -> None:
    problem = random_ising(8, seed=5)
    sampler = machine(FEEDBACKS[0], steps=100, look_every=0, noise=TruncatedWigner())
    amplitudes = sampler.trajectories(problem, 5, every=20, seed=7)
    assert amplitudes.shape == (5, 5, 8)
    last = torch.where(amplitudes[-1] < 0, -1, 1).to(torch.int8)
    assert torch.equal(last, sampler.draw(problem, 5, seed=7).spins)


def test_initial_states_are_where_the_amplitudes_begin() -> None:
    problem = random_ising(8, seed=5)
    start = torch.where(torch.rand(6, 8, generator=torch.Generator().manual_seed(1)) < 0.5, -1, 1)
    draws = machine(FEEDBACKS[0], steps=1, dt=1e-6, look_every=0).draw(problem, 6, seed=1, initial=start)
    assert torch.equal(draws.spins, start.to(torch.int8))


def test_quantum_noise_costs_success_only_when_it_is_strong() -> None:
    """Published for 100 spins: flat for g^2 up to 1e-4, dropping above 1e-3 (Reifenstein et al. 2021)."""
    generator = np.random.default_rng(1)
    upper = np.triu(generator.choice([-1.0, 1.0], (60, 60)), 1)
    problem = Ising(np.zeros(60), upper + upper.T)
    settings = {"steps": 1500, "dt": 0.1}
    lowest = machine(FEEDBACKS[1], steps=4000).draw(problem, 256, seed=2).energies.min()
    found = [
        (machine(FEEDBACKS[1], noise=noise, **settings).draw(problem, 256, seed=3).energies == lowest).double().mean()
        for noise in (None, TruncatedWigner(photon=0.01), TruncatedWigner(photon=0.3))
    ]
    # Two shares of 256 runs differ by less than 5 / sqrt(2 * 256) by chance.
    assert abs(found[1] - found[0]) < 5 / 512**0.5
    assert found[2] < found[0] - 5 / 512**0.5


def test_the_machine_reports_what_its_optics_would_take() -> None:
    draws = machine(FEEDBACKS[1], steps=400, dt=0.1, round_trip_s=5e-6).draw(random_ising(4, seed=1), 10, seed=1)
    assert draws.info.details["round_trips"] == pytest.approx(400)
    assert draws.info.details["machine_seconds"] == pytest.approx(10 * 400 * 5e-6)
    assert draws.info.beta is None


def test_a_problem_with_more_sites_than_pulses_is_refused() -> None:
    with pytest.raises(InvalidProblemError, match="5 sites and this machine 4 pulses"):
        machine(FEEDBACKS[0], pulses=4).draw(random_ising(5, seed=1), 1)
    machine(FEEDBACKS[0], pulses=5).draw(random_ising(5, seed=1), 1)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: CoherentIsingMachine(steps=0), "steps"),
        (lambda: CoherentIsingMachine(dt=0.0), "dt"),
        (lambda: CoherentIsingMachine(look_every=-1), "look_every"),
        (lambda: CoherentIsingMachine(pulses=0), "pulses"),
        (lambda: CoherentIsingMachine(round_trip_s=-1.0), "round_trip_s"),
        (lambda: CoherentIsingMachine(threads=0), "threads"),
        (lambda: CoherentIsingMachine(feedback="CAC"), "feedback"),  # type: ignore[arg-type]
        (lambda: CoherentIsingMachine(noise=0.1), "noise"),  # type: ignore[arg-type]
        (lambda: ChaoticAmplitudeControl(target=(1.0, 0.0)), "target"),
        (lambda: ChaoticAmplitudeControl(hold=1.0), "hold"),
        (lambda: ChaoticAmplitudeControl(rate=0.0), "rate"),
        (lambda: ChaoticFeedbackControl(target=-1.0), "target"),
        (lambda: ChaoticFeedbackControl(pump=float("nan")), "pump"),
        (lambda: SeparatedFeedbackControl(gain=(1.0, -3.0)), "gain"),
        (lambda: SeparatedFeedbackControl(pull=float("inf")), "pull"),
        (lambda: TruncatedWigner(photon=0.0), "photon"),
        (lambda: TruncatedWigner(reflectivity=1.0), "reflectivity"),
        (lambda: GaussianMoments(measured=0.0), "measured"),
        (lambda: machine(FEEDBACKS[0]).trajectories(random_ising(3, seed=1, batch=2), 1, every=1), "batch"),
        (lambda: machine(FEEDBACKS[0]).trajectories(random_ising(3, seed=1), 1, every=0), "every"),
    ],
)
def test_settings_outside_their_domain_are_refused(make, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        make()


@pytest.mark.parametrize(
    ("feedback", "steps", "dt", "published"),
    [(ChaoticAmplitudeControl(), 6670, 0.1, 0.287), (ChaoticFeedbackControl(), 4000, 0.2, 0.264)],
    ids=["CAC", "CFC"],
)
def test_success_on_g1_is_the_published_one(
    data_folder: Path, feedback: Feedback, steps: int, dt: float, published: float
) -> None:
    """Steps as the published time to solution implies (Reifenstein et al. 2021, table B1); three standard errors below at most."""
    problem = read_problem(data_folder / "ising" / "gset" / "G1.txt.gz")
    draws = machine(feedback, steps=steps, dt=dt, look_every=1).draw(problem, 256, seed=1)
    found = (draws.energies <= -11624).double().mean()
    assert found > published - 3 * (published * (1 - published) / 256) ** 0.5
