"""The two averages of a Boltzmann machine's gradient: hidden units given data, and samples of the model."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from spinlight._checks import bits_of, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError, UncalibratedWarning
from spinlight._random import Seed, bernoulli, derive_seed, resolve_seed
from spinlight.ising import Draws, SupportsDraw, spins_from_bits
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine, TrainableMachine
from spinlight.models.base import require_unit_beta


def complete(
    model: AbstractBoltzmannMachine, visible: Tensor, sampler: SupportsDraw, *, count: int = 1, seed: Seed = None
) -> Tensor | Draws:
    """Return data rows as the positive side of `model.objective`: with hidden units sampled where the model needs them.

    h ~ p(h | v) for every row, all rows in one call of the sampler.

    Args:
        model: any Boltzmann machine; fully visible and restricted ones need no samples.
        visible: bits, shape (batch, num_visible).
        sampler: draws the hidden units at beta = 1.
        count: hidden samples per row.
        seed: integer, generator, or None for fresh entropy.

    Returns:
        `visible` itself, or draws of all units with spins of shape (batch, count, num_nodes).

    Raises:
        InvalidStateError: rows that are not bits of shape (batch, num_visible).
        InvalidSettingError: a sampler at another temperature than 1.

    Warns:
        UncalibratedWarning: the sampler is a heuristic.
    """
    rows = bits_of(visible, model.num_visible)
    if rows.ndim != 2:
        raise InvalidStateError(f"data must have shape (batch, num_visible), got {tuple(rows.shape)}")
    if not model.needs_hidden:
        return rows
    require_boltzmann(sampler, stacklevel=3)
    hidden = sampler.draw(model.to_ising(clamped=rows), positive_integer("count", count), seed=seed)
    held = spins_from_bits(rows).to(hidden.spins).unsqueeze(1).expand(-1, len(hidden), -1)
    return replace(hidden, spins=torch.cat([held, hidden.spins], -1))


def hidden_spins(model: AbstractBoltzmannMachine, visible: Tensor, sampler: SupportsDraw, seed: int) -> Tensor:
    """Return one draw of the hidden units given each row, int8, shape (batch, num_hidden)."""
    if model.needs_hidden:
        return sampler.draw(model.to_ising(clamped=visible), 1, seed=seed).spins.squeeze(1)
    if isinstance(model, RestrictedBoltzmannMachine):
        probabilities = model.hidden_probabilities(visible).detach()
        return spins_from_bits(bernoulli(probabilities, seed))
    return torch.empty(len(visible), 0, dtype=torch.int8, device=visible.device)


@dataclass(frozen=True, eq=False)
class HiddenLogits:
    """Log odds of the hidden units of a restricted machine given rows of both sides, which are held beside them.

    Args:
        positive: rows of data.
        negative: rows of the machine.
        logits: given the former, then the latter, shape (rows of both, num_hidden).
    """

    positive: Tensor
    negative: Tensor
    logits: Tensor

    def of(self, positive: object, negative: object) -> tuple[Tensor, Tensor] | None:
        """Return the logits of each side if these are the very rows, else None."""
        if positive is not self.positive or negative is not self.negative:
            return None
        first, second = self.logits.split([len(self.positive), len(self.negative)])
        return first, second


class NegativePhase(ABC):
    """Makes the samples of the model that `objective` sets against the data.

    Each call draws from streams of its own, derived from one seed; `state_dict` and `load_state_dict` let a training run
    stop and go on as if it had not. `latest` are the negatives of the latest objective, and `latest_logits` what it has found of the
    hidden units, if anything: for what else wants them, as `CentredGradient` does.
    """

    latest: Tensor | Draws | None = None
    latest_logits: HiddenLogits | None = None
    sampler: Any = None
    """Where the samples come from, for phases that have one."""
    starts_at_data: ClassVar[bool] = False
    """Whether every call begins at rows of data: of no use where there are none, as for the prior of a latent space."""

    def __init__(self, seed: Seed) -> None:
        self._seed = resolve_seed(seed)
        self._calls = 0

    @abstractmethod
    def negative(self, model: TrainableMachine, data: Tensor) -> Tensor | Draws:
        """Return rows for the negative side of `model.objective`: of all units, or of the visible ones where the machine sums the rest out.

        Args:
            model: the machine as it is now.
            data: the visible bits of the positive side, shape (batch, num_visible).
        """

    def objective(self, model: TrainableMachine, data: Tensor, positive: Tensor | Draws | None = None) -> Tensor:
        """Return `model.objective` of the data and the next negatives: the scalar whose gradient training follows.

        Args:
            model: the machine as it is now.
            data: visible rows, shape (batch, num_visible).
            positive: the data with their hidden units, from `complete`, for machines that need it; the data themselves where None.
        """
        self.latest, self.latest_logits = self.negative(model, data), None
        return model.objective(data if positive is None else positive, self.latest)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the model: plain values and tensors."""
        return {"phase": self._kind, "seed": self._seed, "calls": self._calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            InvalidStateError: a state of another kind of phase, or of one with another sampler.
        """
        self._require_same_kind(state)
        self._seed, self._calls = int(state["seed"]), int(state["calls"])

    def settings(self) -> dict[str, Any]:
        """Return what the phase was made with, the sampler aside, as plain JSON values: a fit goes on with the same or not at all."""
        return {"seed": self._seed}

    def _require_same_kind(self, state: Mapping[str, Any]) -> None:
        if state["phase"] != self._kind:
            raise InvalidStateError(
                f"the saved state is of {state['phase']} and these negatives are {self._kind}; go on with those of before"
            )

    @property
    def _kind(self) -> str:
        """The class, and that of the sampler where there is one."""
        return type(self).__name__ + (f"({type(self.sampler).__name__})" if self.sampler is not None else "")

    def branch(self, number: int) -> None:
        """Take streams that no phase of the same seed and another number takes: for processes that train together."""
        self._seed = derive_seed(self._seed, (1 << 40) + number)

    def next_seed(self) -> int:
        """Return a seed that was not returned before; one more call of this phase."""
        self._calls += 1
        return derive_seed(self._seed, self._calls)


class IndependentDraws(NegativePhase):
    """Fresh draws of any sampler at every call.

    Args:
        sampler: draws at beta = 1. Its law is the law of the gradient.
        count: draws per call.
        seed: integer, generator, or None for fresh entropy.

    Raises:
        InvalidSettingError: a sampler at another temperature than 1, or a count below 1.

    Warns:
        UncalibratedWarning: the sampler is a heuristic.

    Example:
        >>> from spinlight.models import BoltzmannMachine
        >>> from spinlight.samplers import Exact
        >>> negatives = IndependentDraws(Exact(), count=200, seed=0)
        >>> negatives.negative(BoltzmannMachine(4), torch.empty(0, 4)).bits.shape
        torch.Size([200, 4])
    """

    def __init__(self, sampler: SupportsDraw, *, count: int, seed: Seed = None) -> None:
        require_boltzmann(sampler, stacklevel=3)
        self.sampler, self.count = sampler, positive_integer("count", count)
        super().__init__(seed)

    def negative(self, model: TrainableMachine, data: Tensor) -> Draws:
        """Return `count` draws of the model, with their weights; the data are not used."""
        return self.sampler.draw(model.to_ising(), self.count, seed=self.next_seed())

    def settings(self) -> dict[str, Any]:
        """Return the draws per call, and the seed."""
        return {"count": self.count} | super().settings()


def require_phase(negatives: object) -> NegativePhase:
    """Return a negative phase, or refuse what is none."""
    if not isinstance(negatives, NegativePhase):
        raise InvalidSettingError(
            f"negatives must be a negative phase such as PersistentContrastiveDivergence(), got {negatives!r}; "
            "IndependentDraws(sampler, count=...) makes one of a sampler"
        )
    return negatives


def require_boltzmann(sampler: SupportsDraw, *, stacklevel: int) -> None:
    """Refuse a sampler at another temperature than 1, and warn of one that is no Boltzmann sampler."""
    require_unit_beta(sampler)
    if sampler.law == "heuristic" and not getattr(sampler, "corrected", False):
        warnings.warn(
            f"{type(sampler).__name__} is a heuristic: its draws do not follow exp(-E), and a gradient made of them is not that of "
            "the likelihood. Use a Boltzmann sampler such as Gibbs, or put Reweighted or Calibrated around this one",
            UncalibratedWarning,
            stacklevel=stacklevel,
        )
