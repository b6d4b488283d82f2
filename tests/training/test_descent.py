"""The plain loop: which parameters are left at the end."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from spinlight._errors import InvalidSettingError
from spinlight.training import Descent

SGD = partial(torch.optim.SGD, lr=1.0)


def path(averaging: float, epochs: int = 2) -> tuple[list[float], float]:
    """Return the places before each step, one per row and pass, and the place that is left."""
    place, seen = nn.Parameter(torch.zeros(1)), list[float]()

    def loss(rows: Tensor) -> Tensor:
        seen.append(place.item())
        return (rows * place).sum()

    steps = Descent(epochs=epochs, batch_size=1, optimizer=SGD, averaging=averaging)
    steps.minimize(loss, [place], torch.tensor([[1.0], [1.0]]), seed=0)
    return seen, place.item()


def test_the_mean_of_the_last_steps_is_left() -> None:
    rates = [1.0, 0.75, 0.5, 0.25]  # of a unit gradient
    places = [-sum(rates[: step + 1]) for step in range(4)]
    assert path(0.0)[1] == pytest.approx(places[-1])
    assert path(0.5)[1] == pytest.approx(sum(places[2:]) / 2)
    assert path(0.99)[1] == pytest.approx(sum(places) / 4)


def test_averaging_changes_no_step_on_the_way() -> None:
    assert path(0.0)[0] == path(0.9)[0]


def test_without_epochs_parameters_stay_as_they_are() -> None:
    assert path(0.5, epochs=0) == ([], 0.0)


def test_groups_with_settings_of_their_own_are_averaged_too() -> None:
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    steps = Descent(epochs=1, batch_size=1, optimizer=SGD, averaging=0.9)
    groups = [{"params": [first], "lr": 1.0}, {"params": [second], "lr": 2.0}]
    steps.minimize(lambda rows: (rows * (first + second)).sum(), groups, torch.ones(2, 1), seed=0)
    assert first.item() == pytest.approx(-1.25)  # after -1 and -1.5
    assert second.item() == pytest.approx(-2.5)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_outside_their_domain_are_refused(share: float) -> None:
    with pytest.raises(InvalidSettingError, match="averaging"):
        Descent(averaging=share)
