"""Centred gradients: learning that does not depend on which state of a unit is called one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed

from spinlight._checks import positive_number
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import Draws
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine, SparseBoltzmannMachine
from spinlight.models.base import unit_values
from spinlight.training.phases import HiddenLogits

Centrable = RestrictedBoltzmannMachine | BoltzmannMachine | SparseBoltzmannMachine


class CentredGradient:
    """Turns the gradient of a Boltzmann machine into that of the same machine written around its units' means.

    E'(x) = - b'.(x - mu) - sum_{i<j} W_ij (x_i - mu_i) (x_j - mu_j) is the machine with b = b' - W mu. A step of gradient
    descent on W and b', written in W and b, is a step along

    W.grad'_ij = W.grad_ij - mu_i b.grad_j - b.grad_i mu_j,  b.grad' = b.grad - W.grad' mu

    where W.grad' is symmetric and zero where units are not connected. mu is a sliding average over batches of (data mean + model
    mean) / 2. With it, gradient descent, with momentum or without, learns as well from data as from the same data with any
    units flipped; optimisers that scale each parameter by itself, such as Adam, lose that exactness.

    The model and its likelihood are the same at every moment; only the direction changes. Melchior et al. found it closer to the
    natural gradient, and likelihoods higher for it.

    Args:
        model: a machine over bits.
        rate: share of the newest batch in mu, in (0, 1]; the first batch sets mu.

    Raises:
        InvalidSettingError: another kind of model, or a rate outside (0, 1].

    References:
        Montavon & Mueller (2012), Deep Boltzmann machines and the centering trick; Cho, Raiko & Ilin (2013), Enhanced gradient
        for training restricted Boltzmann machines (mu as data and model mean of the batch); Melchior, Fischer & Wiskott
        (2016), How to center deep Boltzmann machines (as an update rule of the ordinary machine, and why the average slides).

    Example:
        >>> _ = torch.manual_seed(0)
        >>> machine = RestrictedBoltzmannMachine(4, 2)
        >>> optimizer = torch.optim.SGD(machine.parameters(), lr=0.1)
        >>> centring = CentredGradient(machine)
        >>> data, negative = torch.ones(3, 4), torch.zeros(3, 4)
        >>> machine.objective(data, negative).backward()
        >>> centring.step(data, negative)
        >>> optimizer.step()
    """

    def __init__(self, model: Centrable, *, rate: float = 0.01) -> None:
        if not isinstance(model, Centrable):
            raise InvalidSettingError(
                f"gradients are centred of Boltzmann, sparse and restricted machines, got {type(model).__name__}"
            )
        self.model = model
        self.rate = positive_number("rate", rate)
        if self.rate > 1:
            raise InvalidSettingError(f"rate must be at most 1, got {rate!r}")
        self.means: Tensor | None = None

    @torch.no_grad()
    def step(
        self, positive: Tensor | Draws, negative: Tensor | Draws, *, hidden_logits: HiddenLogits | None = None
    ) -> None:
        """Take a batch into the means, and centre the gradients in place: after `backward()`, before the optimiser's step.

        Args:
            positive: what `model.objective` was given as its positive side.
            negative: what it was given as its negative side.
            hidden_logits: what the phase has found of the hidden units, as `PersistentContrastiveDivergence.latest_logits`; where it is of
                these very rows it saves two matrix products, and else it is not looked at.

        Raises:
            InvalidStateError: no gradients yet, no rows, or rows that the objective would refuse.
        """
        slopes, pulls = self._gradients()
        known = None if hidden_logits is None else hidden_logits.of(positive, negative)
        first, second = (None, None) if known is None else known
        newest = _of_all_processes(0.5 * (self._activity(positive, first) + self._activity(negative, second)))
        self.means = newest if self.means is None else self.means.to(newest).lerp(newest, self.rate)
        if isinstance(self.model, RestrictedBoltzmannMachine):
            visible, hidden = self.means.split([self.model.num_visible, self.model.num_hidden])
            _centre_sides(slopes, pulls[0], pulls[1], visible, hidden)
        else:
            _centre_pairs(slopes, pulls[0], self.means, self.model.pairs)

    def state_dict(self) -> dict[str, Any]:
        """Return the means, None before the first step."""
        return {"means": None if self.means is None else self.means.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            InvalidStateError: means of another number of units.
        """
        means = state["means"]
        if means is not None and means.shape != (self.model.num_nodes,):
            raise InvalidStateError(
                f"the saved means are those of {len(means)} units, and the model has {self.model.num_nodes}"
            )
        self.means = None if means is None else means.clone()

    def _gradients(self) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients of the weights and of the biases."""
        parts = (self.model.weight_parameter, *self.model.bias_parameters)
        found = [part.grad for part in parts if part.grad is not None]
        if len(found) < len(parts):
            raise InvalidStateError("there are no gradients to centre yet; call objective(...).backward() first")
        return found[0], found[1:]

    def _activity(self, rows: Tensor | Draws, logits: Tensor | None) -> Tensor:
        """Return the mean of every unit, hidden ones in closed form where the model sums them out."""
        bits = rows.bits if isinstance(rows, Draws) else torch.as_tensor(rows)
        if not bits.numel():
            raise InvalidStateError(f"centring takes the means of rows, and there are none: shape {tuple(bits.shape)}")
        if isinstance(self.model, RestrictedBoltzmannMachine):
            visible = bits[..., : self.model.num_visible]
            hidden = (
                self.model.hidden_probabilities(visible)
                if logits is None
                else torch.sigmoid(logits.to(self.model.weight))
            )
            units = torch.cat([visible.to(self.model.weight), hidden], -1)
        else:
            units = unit_values(bits, self.model.num_nodes, like=self.model.biases)
        if isinstance(rows, Draws):
            units = (rows.weights.to(units).unsqueeze(-1) * units).sum(-2)
        return units.reshape(-1, self.model.num_nodes).mean(0)


def _of_all_processes(means: Tensor) -> Tensor:
    """Return the mean over the processes that train together, whose gradients are averaged too."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return means
    distributed.all_reduce(means)
    return means / distributed.get_world_size()


def _centre_sides(slopes: Tensor, down: Tensor, up: Tensor, visible: Tensor, hidden: Tensor) -> None:
    """Centre in place the gradients of the weights, the visible and the hidden biases of a restricted machine."""
    slopes.addr_(visible, up, alpha=-1).addr_(down, hidden, alpha=-1)
    down.sub_(slopes @ hidden)
    up.sub_(visible @ slopes)


def _centre_pairs(slopes: Tensor, pulls: Tensor, means: Tensor, pairs: Tensor) -> None:
    """Centre in place the gradients of one weight per pair and of the biases."""
    rows, columns = pairs
    slopes.sub_(means[rows] * pulls[columns] + pulls[rows] * means[columns])
    pulls.index_add_(0, rows, slopes * means[columns], alpha=-1)
    pulls.index_add_(0, columns, slopes * means[rows], alpha=-1)
