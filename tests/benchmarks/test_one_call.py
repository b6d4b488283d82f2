"""The benchmark of one machine call per epoch: its rows on tiny work."""

from __future__ import annotations

import pytest
import torch

import learning
import one_call
import problems
from harness import Settings
from spinlight.samplers import Gibbs


class Counted(Gibbs):
    """Counts its calls."""

    calls = 0

    def draw(self, *arguments, **settings):
        type(self).calls += 1
        return super().draw(*arguments, **settings)


def test_one_epoch_is_one_call_and_nats_are_lost_to_chains_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "optical_machine", lambda: Counted(sweeps=20, progress=False))
    monkeypatch.setattr(one_call, "DRAWS", 200)
    (case,) = (case for case in learning.cases() if case.name == "one-call/digits")
    threads = torch.get_num_threads()
    claims = case.measure(Settings(quick=True, seeds=1))
    torch.set_num_threads(threads)
    assert Counted.calls == 2 * 2  # of two epochs, without sweeps after the draws and with them
    for claim, sweeps in zip(claims, one_call.SWEEPS, strict=True):
        assert claim.row == f"one-call/digits/{sweeps} sweeps"
        assert (claim.required, claim.sense) == (2.0, "most")
        lost = claim.peers["chains at every step"] - claim.peers["one call per epoch"]
        assert claim.value == pytest.approx(lost + 2 * claim.peers["error of log Z"], abs=0.5)
        assert abs(claim.value) < 3  # after two epochs both are where they began, more or less
