"""Negatives for machines that answer slowly: one call serves many steps of training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import bits_of, fraction, nonnegative_integer, positive_integer
from spinlight._errors import InvalidSettingError, SpinlightWarning
from spinlight._random import Seed, derive_seed
from spinlight.ising import DrawInfo, Draws, SupportsDraw
from spinlight.models import AbstractBoltzmannMachine, GaussianBernoulliRBM, SupportsGibbsStep, TrainableMachine
from spinlight.samplers import Calibrated, ChainState, Gibbs
from spinlight.training.flattening import effective_size, flattening_power
from spinlight.training.phases import NegativePhase, require_boltzmann


class ReusedDraws(NegativePhase):
    """The draws of one call of a sampler, reweighted to the machine as it changes for many steps.

    w_i ~ w_i(0) exp(F_0(v_i) - F_t(v_i)),  F the free energy of the visible units, or E where hidden units are not summed out

    Draws for a machine with real visible units are of its hidden ones, and F is theirs, `hidden_energy`.

    A machine behind a queue answers in minutes, and every other parameter is another task to it. Its draws stay useful while the
    parameters move little: `effective` tells how many of them still carry the mean. Where they fall below `least_share` of what they
    were at the call, the ratio is flattened to its p-th power, with a p that keeps so many, which trades variance for bias towards the
    old machine; the first time it says so in a warning.

    The temperature of a machine's draws shifts as its problem changes. A `Calibrated` sampler whose factor is known is followed:
    after each call its own draws correct the factor of the next one, at no further call.

    Args:
        sampler: draws at beta = 1. Its law is the law of the gradient, as far as `sweeps` do not mend it.
        count: draws per call of the sampler.
        steps: calls of `negative` that one call of the sampler serves: the batches of an epoch, for one call per epoch.
        sweeps: Gibbs sweeps that follow the sampler's draws, once, before they are used: they take away what is left of the
            sampler's error.
        least_share: effective draws that weights must keep, as a share of those at the call (all of `count`, where the sampler gives them
            no weights), in [0, 1).
        seed: integer, generator, or None for fresh entropy.

    Raises:
        InvalidSettingError: a sampler at another temperature than 1, or a number outside its domain.

    Warns:
        UncalibratedWarning: the sampler is a heuristic.
        SpinlightWarning: weights had to be flattened; once.

    References:
        Kahn & Marshall (1953), importance sampling; Ionides (2008), Truncated importance sampling; Neal (2001) for tempered weights.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from spinlight.models import RestrictedBoltzmannMachine
        >>> from spinlight.samplers import Exact
        >>> machine, data = RestrictedBoltzmannMachine(4, 2), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> negatives = ReusedDraws(Exact(), count=500, steps=10, seed=0)  # Calibrated(sampler=...) of a machine behind a queue
        >>> negatives.objective(machine, data).backward()
        >>> round(negatives.effective)  # of the draws: fewer as the machine moves on
        500
    """

    def __init__(
        self,
        sampler: SupportsDraw,
        *,
        count: int,
        steps: int,
        sweeps: int = 0,
        least_share: float = 0.1,
        seed: Seed = None,
    ) -> None:
        require_boltzmann(sampler, stacklevel=3)
        self.sampler, self.count = sampler, positive_integer("count", count)
        self.steps = positive_integer("steps", steps)
        self.sweeps = nonnegative_integer("sweeps", sweeps)
        self.least_share = fraction("least_share", least_share)
        super().__init__(seed)
        self.effective = math.nan
        self._draws: Draws | None = None
        self._energies = torch.empty(0)
        self._used = 0
        self._warned = False

    def negative(self, model: TrainableMachine, data: Tensor) -> Draws:
        """Return the kept draws, of all units, weighted for the machine as it is now; the data are not used."""
        if not isinstance(model, AbstractBoltzmannMachine | GaussianBernoulliRBM):
            raise InvalidSettingError(f"ReusedDraws is for Boltzmann machines, got {type(model).__name__}")
        if self._draws is None or self._used >= self.steps:
            self._draws = self._called(model)
            self._energies = _row_energies(model, self._draws.bits)
            self._used = 0
        self._used += 1
        change = self._energies - _row_energies(model, self._draws.bits)
        return replace(self._draws, counts=None, log_weights=self._weighted(self._draws.weights.log(), change))

    def settings(self) -> dict[str, Any]:
        """Return the numbers it was made with, and the seed."""
        return {name: getattr(self, name) for name in ("count", "steps", "sweeps", "least_share")} | super().settings()

    def _called(self, model: AbstractBoltzmannMachine | GaussianBernoulliRBM) -> Draws:
        problem, seed = model.to_ising(), self.next_seed()
        draws = self.sampler.draw(problem, self.count, seed=derive_seed(seed, 0))
        if isinstance(self.sampler, Calibrated) and self.sampler.factor is not None:
            self.sampler = self.sampler.updated(problem, draws, seed=derive_seed(seed, 2))
        if not self.sweeps:
            return draws
        state = ChainState(draws.spins, derive_seed(seed, 1))
        spins = _REFINER.step(problem, state, self.sweeps).spins
        return replace(draws, spins=spins, energies=problem.energy(spins))

    def _weighted(self, known: Tensor, change: Tensor) -> Tensor:
        """Return known + p * change, with p = 1 where that leaves enough effective draws."""
        self.effective, at_call = effective_size(known + change), effective_size(known)
        wanted = self.least_share * at_call
        if self.effective >= wanted:
            return known + change
        if not self._warned:
            warnings.warn(
                f"the machine has moved so far that {self.effective:.1f} of {at_call:.0f} draws carry the mean; their weights are "
                "flattened from here on. Take fewer steps per call, a lower learning rate, or more sweeps after the draws",
                SpinlightWarning,
                stacklevel=4,
            )
            self._warned = True
        return known + flattening_power(known, change, wanted) * change

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the model: plain values and tensors."""
        state = super().state_dict() | {"used": self._used}
        if isinstance(self.sampler, Calibrated):
            state["factor"] = self.sampler.factor
        if self._draws is not None:
            parts = {name: getattr(self._draws, name) for name in ("spins", "energies", "log_weights", "counts")}
            state |= {"draws": parts, "row_energies": self._energies, "info": asdict(self._draws.info)}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        super().load_state_dict(state)
        self._used = int(state["used"])
        if isinstance(self.sampler, Calibrated):
            self.sampler = replace(self.sampler, factor=state["factor"])
        self._draws = Draws(**state["draws"], info=DrawInfo(**state["info"])) if "draws" in state else None
        self._energies = state.get("row_energies", torch.empty(0))


_REFINER = Gibbs(progress=False)


@torch.no_grad()
def _row_energies(model: AbstractBoltzmannMachine | GaussianBernoulliRBM, bits: Tensor) -> Tensor:
    """Return F of the visible units where the machine sums the hidden ones out, of the hidden ones where the visible ones are
    real, E otherwise; float64.
    """
    if isinstance(model, GaussianBernoulliRBM):
        return model.hidden_energy(bits).to(torch.float64)
    rows = bits_of(bits, model.num_nodes)
    if isinstance(model, SupportsGibbsStep):
        return model.free_energy(rows[..., : model.num_visible]).to(torch.float64)
    return model.energy(rows).to(torch.float64)
