"""The benchmark of one machine call per epoch: its rows on tiny work."""

from __future__ import annotations

from dataclasses import replace

import pytest

import learning
import one_call
import problems
from harness import Settings
from spinlight.samplers import Gibbs
from spinlight.training import AnnealedImportance


class Doubtful(AnnealedImportance):
    """Claims an error of 0.3."""

    def estimate(self, *arguments, **settings):
        return replace(super().estimate(*arguments, **settings), standard_error=0.3)


class Counted(Gibbs):
    """Counts its calls."""

    calls = 0

    def draw(self, *arguments, **settings):
        type(self).calls += 1
        return super().draw(*arguments, **settings)


def test_one_epoch_is_one_call_and_nats_are_lost_to_chains_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "optical_machine", lambda: Counted(sweeps=20, progress=False))
    monkeypatch.setattr(one_call, "DRAWS", 200)
    monkeypatch.setattr(one_call, "AnnealedImportance", Doubtful)
    (case,) = (case for case in learning.cases() if case.name == "one-call/digits")
    claims = case.measure(Settings(quick=True, seeds=1))
    assert Counted.calls == 2 * 2  # of two epochs, without sweeps after the draws and with them
    for claim, sweeps in zip(claims, one_call.SWEEPS, strict=True):
        assert claim.row == f"one-call/digits/{sweeps} sweeps"
        assert (claim.required, claim.sense) == (2.0, "most")
        assert set(one_call.CHAINS) < set(claim.peers)
        lost = max(claim.peers[name] for name in one_call.CHAINS) - claim.peers["one call per epoch"]
        assert claim.value == pytest.approx(lost + 2 * 0.3)
        assert claim.peers["error of log Z"] == 0.3
