"""The benchmark of likelihoods on MNIST: its rows on tiny work."""

from __future__ import annotations

import pytest
import torch

import images
import learning
from harness import Claim, Settings
from helpers.images import bands
from spinlight.datasets import Mnist


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Mnist:
    data = Mnist(bands(500, seed=0), bands(200, seed=1))
    monkeypatch.setattr(images, "mnist", lambda: data)
    return data


def claims(name: str) -> list[Claim]:
    (case,) = (case for case in learning.cases() if case.name == name)
    return case.measure(Settings(quick=True, seeds=1))


def test_the_test_rows_are_one_draw_of_bits(small: Mnist) -> None:
    rows = images.test_rows()
    assert torch.equal(rows, images.test_rows())
    assert set(rows.unique().tolist()) == {0.0, 1.0}
    assert rows.shape == small.test.intensities.shape


def test_the_restricted_machine_is_quoted_with_log_partition_two_errors_higher(small: Mnist) -> None:
    likelihood, minutes = claims("mnist/rbm-784x500")
    assert likelihood.value == pytest.approx(likelihood.peers["mean"] - 2 * likelihood.peers["error of log Z"])
    assert (likelihood.required, minutes.required, minutes.sense) == (-85.0, 30.0, "most")
    assert abs(likelihood.peers["log Z from the data less from a pilot run"]) < 1
    assert abs(likelihood.peers["RAISE less AIS, on 500 rows"]) < 5


def test_learning_ends_at_the_mean_of_the_last_steps_and_the_same_seed_at_the_same_machine(
    small: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = small.train.intensities
    one, again, other = (images.trained_rbm(levels, 2, seed).weight for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    monkeypatch.setattr(images, "AVERAGING", 0.0)
    last = images.trained_rbm(
        levels, 2, 0
    ).weight  # of ten steps; the mean is that of the last one and the one before it
    assert 0 < float((one - last).abs().max()) < 0.1 * float((one - other).abs().max())


def test_both_priors_are_trained_and_judged_alike_but_for_their_own_rate(
    small: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "BITS", 6)
    calls, networks, rates = [], [], []
    bound_of, adam, autoencoder = images.bound_of, torch.optim.Adam, images.QVAE

    def noted(make, *given):
        calls.append((make is None, given))
        return bound_of(make, *given)

    def optimizer(groups, **settings):
        rates.append([group["lr"] for group in groups])
        return adam(groups, **settings)

    def made(encoder, decoder, prior, **settings):
        networks.append((str(encoder), str(decoder), str(settings)))
        return autoencoder(encoder, decoder, prior, **settings)

    monkeypatch.setattr(images, "bound_of", noted)
    monkeypatch.setattr(torch.optim, "Adam", optimizer)
    monkeypatch.setattr(images, "QVAE", made)
    (case,) = (case for case in learning.cases() if case.name == "mnist/qvae")
    case.measure(Settings(quick=True, seeds=2))
    assert [call[0] for call in calls] == [False, True, False, True]
    assert [call[1][-1] for call in calls] == [0, 0, 1, 1]
    for (_, machine), (_, control) in (calls[:2], calls[2:]):
        assert all(a is b if isinstance(a, torch.Tensor) else a == b for a, b in zip(machine, control, strict=True))
    assert len(set(networks)) == 1
    assert rates == 2 * [[2e-3, images.MACHINE_RATE], [2e-3, images.CONTROL_RATE]]


def test_the_gain_of_a_boltzmann_prior_is_two_errors_of_log_partition_lower(
    small: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "BITS", 6)
    (claim,) = claims("mnist/qvae")
    gain = claim.peers["Boltzmann, seed 0"] - claim.peers["independent, seed 0"]
    assert claim.value == pytest.approx(gain - 2 * claim.peers["error of log Z"], abs=1e-5)
    assert (claim.required, claim.sense) == (0.5, "least")
