"""Ctrl-C in training is never lost, and a nervous finger is forgiven."""

from __future__ import annotations

import signal

import pytest

from spinlight._signals import interrupts_wait

interrupts = pytest.importorskip("spinlight.training.interrupts", exc_type=ImportError)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time in a list that a test may change."""
    now = [100.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    return now


def press(clock: list[float], *times: float) -> None:
    """Press Ctrl-C at each of the times."""
    for clock[0] in times:
        signal.raise_signal(signal.SIGINT)


def train(clock: list[float], *presses: float) -> None:
    """Press Ctrl-C at each of the times during a batch, which ends at time 0."""
    stop = interrupts.StopOnInterrupt()
    with stop:
        press(clock, *presses)
        clock[0] = 0.0
        stop.on_train_batch_end()
        clock[0] = -1.0


def test_presses_within_a_second_wait_for_the_end_of_the_batch(clock: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(clock, 100.0, 100.4, 100.8)
    assert clock[0] == 0.0


def test_a_press_more_than_a_second_later_stops_at_once(clock: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(clock, 100.0, 101.1)
    assert clock[0] == 101.1


def test_a_press_after_the_last_batch_is_not_lost(clock: list[float]) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts.StopOnInterrupt():
        press(clock, 100.0)
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_waits_for_the_end_of_a_block(clock: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        press(clock, 100.0, 100.5)
    assert clock[0] == 100.5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
