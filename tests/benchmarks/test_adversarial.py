"""The Frechet distance against closed forms, and the benchmark of the adversarial network on tiny work."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

import learning
from harness import Settings
from helpers.images import bands
from spinlight.datasets import Mnist
from spinlight.latent import independent_bits
from spinlight.models import BoltzmannMachine

adversarial = importlib.import_module("adversarial")


def rows_of(mean: object, covariance: object, count: int = 500, seed: int = 0) -> Tensor:
    """Return rows whose sample mean and covariance are these exactly."""
    covariance = np.asarray(covariance, dtype=float)
    drawn = np.random.default_rng(seed).normal(size=(count, len(covariance)))
    drawn = drawn - drawn.mean(0)
    drawn = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn.T)).T)
    return torch.from_numpy(drawn @ np.linalg.cholesky(covariance).T + np.asarray(mean, dtype=float))


def random_covariance(size: int, seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(size, size))
    return factor @ factor.T + 0.1 * np.eye(size)


def test_one_set_is_at_no_distance_from_itself() -> None:
    rows = rows_of(np.arange(6), random_covariance(6, 1))
    assert adversarial.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-10)
    assert adversarial.frechet_distance(rows, rows.flip(0)) == pytest.approx(0, abs=1e-10)
    assert adversarial.frechet_distance(rows, rows + 0.1) == pytest.approx(0.06, abs=1e-10)


def test_gaussians_along_the_same_axes_are_at_the_distance_of_their_deviations() -> None:
    first, second = rows_of([1, 2, 3], np.diag([1.0, 4.0, 9.0])), rows_of([1, 0, 3], np.diag([4.0, 4.0, 1.0]), seed=1)
    # |m - n|^2 + sum_i (a_i - b_i)^2 = 4 + (1 - 2)^2 + 0 + (3 - 1)^2
    assert adversarial.frechet_distance(first, second) == pytest.approx(9, abs=1e-9)


def test_gaussians_in_two_dimensions_are_at_the_closed_form() -> None:
    a, b = random_covariance(2, 2), random_covariance(2, 3)
    # The root of a product P of two such matrices in two dimensions has the trace sqrt(tr P + 2 sqrt(det P)).
    product = a @ b
    overlap = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    expected = 25 + np.trace(a) + np.trace(b) - 2 * overlap
    assert adversarial.frechet_distance(rows_of([3, 0], a), rows_of([0, 4], b)) == pytest.approx(expected, abs=1e-9)


def test_any_gaussians_are_at_the_distance_that_a_general_matrix_root_gives() -> None:
    a, b = random_covariance(7, 4), random_covariance(7, 5)
    expected = np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    first, second = rows_of(np.zeros(7), a), rows_of(np.zeros(7), b, seed=1)
    assert adversarial.frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert adversarial.frechet_distance(second, first) == pytest.approx(expected, rel=1e-9)
    assert adversarial.frechet_distance(10 * first, 10 * second) == pytest.approx(100 * expected, rel=1e-9)
    transposed = np.trace(a + b) - 2 * np.trace(linalg.sqrtm(a) @ linalg.sqrtm(b)).real  # roots do not commute
    assert transposed != pytest.approx(expected, rel=1e-3)


def test_features_that_never_vary_do_no_harm() -> None:
    rows = torch.cat([rows_of([0, 0], np.eye(2)), torch.zeros(500, 2)], 1)
    assert adversarial.frechet_distance(rows, rows + 1) == pytest.approx(4, abs=1e-7)
    assert adversarial.frechet_distance(rows[:, 2:], rows[:, 2:] + 1) == pytest.approx(2, abs=1e-12)
    assert adversarial.frechet_distance(rows.to(torch.float32)[:, :1], rows[:, :1]) == pytest.approx(0, abs=1e-10)


def test_two_finite_samples_of_one_law_are_as_far_apart_as_theory_says() -> None:
    # To leading order |m - n|^2 is 2 d / N, and |A^1/2 - B^1/2|^2 is |A - B|^2 / 4, d (d + 1) / (2 N), for unit covariance.
    size, count = 10, 2_000
    expected = 2 * size / count + size * (size + 1) / (2 * count)
    generator = torch.Generator().manual_seed(6)
    found = [
        adversarial.frechet_distance(*torch.randn(2, count, size, generator=generator, dtype=torch.float64))
        for _ in range(40)
    ]
    # Some 65 squares of unit normals each: relative error of the mean of forty sqrt(2 / 65 / 40) = 0.03, and as much again is left out.
    assert float(np.mean(found)) == pytest.approx(expected, rel=0.15)


def test_it_is_a_case_of_the_learning_benchmark() -> None:
    assert "qgan/mnist" in [case.name for case in learning.cases()]


def test_the_gain_is_over_the_better_control(monkeypatch) -> None:
    monkeypatch.setattr(adversarial, "mnist", lambda: Mnist(bands(1_000, seed=0), bands(300, seed=1)))
    monkeypatch.setattr(adversarial.harness, "cores", torch.get_num_threads)
    quality, gain = adversarial.cases()[0].measure(Settings(quick=True, seeds=1))
    assert [quality.row, gain.row] == ["qgan/mnist/classifier", "qgan/mnist/gain"]
    assert (quality.required, gain.required) == (98.5, 0.0)
    assert quality.value > 90  # bands are easily told apart; chance would give 10
    machine, *controls = (gain.peers[f"{name}, seed 1"] for name in ("QGAN", "independent bits", "fair coins"))
    assert gain.value == pytest.approx(min(controls) - machine)
    assert gain.interval == (gain.value, gain.value)
    assert 0 < gain.peers["training images"] < machine  # fifty batches make no bands


def test_networks_are_alike_until_the_prior_learns() -> None:
    images = bands(128, seed=2).intensities
    bits = adversarial.BITS

    def generator_of(prior: object, steps: int) -> Tensor:
        return adversarial.trained(prior, images, steps, 0).generator[0].weight.detach()

    for steps, alike in ((5, False), (1, True)):
        machine, control, other = (
            generator_of(prior, steps)
            for prior in (
                BoltzmannMachine(bits, initial_scale=0.0),
                independent_bits(bits),
                independent_bits(bits, learned=False),
            )
        )
        assert torch.equal(machine, control) == torch.equal(machine, other) == alike
