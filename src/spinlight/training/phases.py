"""The two averages of a Boltzmann machine's gradient: hidden units given data, and samples of the model."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import bits_of, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError, UncalibratedWarning
from spinlight._random import Seed, bernoulli, derive_seed, resolve_seed
from spinlight.ising import Draws, SupportsDraw, spins_from_bits
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.models.base import require_unit_beta
from spinlight.samplers import ChainState, MarkovChain


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


class NegativePhase(ABC):
    """Makes the samples of the model that `objective` sets against the data.

    Each call draws from streams of its own, derived from one seed; `state_dict` and `load_state_dict` let a training run
    stop and go on as if it had not.
    """

    def __init__(self, sampler: SupportsDraw, seed: Seed) -> None:
        require_boltzmann(sampler, stacklevel=4)
        self.sampler = sampler
        self._seed = resolve_seed(seed)
        self._calls = 0

    @abstractmethod
    def negative(self, model: AbstractBoltzmannMachine, data: Tensor) -> Tensor | Draws:
        """Return rows of all units for the negative side of `model.objective`.

        Args:
            model: the machine as it is now.
            data: the visible bits of the positive side, shape (batch, num_visible).
        """

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the model: integers and tensors."""
        return {"seed": self._seed, "calls": self._calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._seed, self._calls = int(state["seed"]), int(state["calls"])

    def _next_seed(self) -> int:
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
    """

    def __init__(self, sampler: SupportsDraw, *, count: int, seed: Seed = None) -> None:
        self.count = positive_integer("count", count)
        super().__init__(sampler, seed)

    def negative(self, model: AbstractBoltzmannMachine, data: Tensor) -> Draws:
        """Return `count` draws of the model, with their weights; the data are not used."""
        return self.sampler.draw(model.to_ising(), self.count, seed=self._next_seed())


class ContrastiveDivergence(NegativePhase):
    """CD-k: k sweeps of a Markov chain that starts at the data.

    Hidden units are first drawn given the data, so that the chain starts at the data's distribution: from their exact
    conditional in a restricted machine, and by the sampler's own `draw`, with its own `sweeps`, in any other.

    Args:
        sampler: a Markov chain at beta = 1; with hidden units that are connected, its `sweeps` must let them forget their
            random start.
        sweeps: k, of all units together.
        seed: integer, generator, or None for fresh entropy.

    Law:
        Biased towards the data for every finite k; the bias goes with the chain's mixing time. Enough to start learning,
        not to finish it.

    Raises:
        InvalidSettingError: a sampler that is no Markov chain or at another temperature than 1, or fewer than one sweep.

    References:
        Hinton (2002), Training products of experts by minimizing contrastive divergence.
    """

    def __init__(self, sampler: MarkovChain, *, sweeps: int = 1, seed: Seed = None) -> None:
        self.chain, self.sweeps = require_chain(sampler), positive_integer("sweeps", sweeps)
        super().__init__(sampler, seed)

    def negative(self, model: AbstractBoltzmannMachine, data: Tensor) -> Tensor:
        """Return one row of all units, int8, per data row."""
        seed = self._next_seed()
        visible = bits_of(data, model.num_visible).reshape(-1, model.num_visible)
        hidden = hidden_spins(model, visible, self.chain, derive_seed(seed, 0))
        spins = torch.cat([spins_from_bits(visible).to(hidden), hidden], -1)
        problem = model.to_ising()
        state = self.chain.init(problem, len(spins), seed=derive_seed(seed, 1), initial=spins)
        return self.chain.step(problem, state, self.sweeps).bits


class PersistentContrastiveDivergence(NegativePhase):
    """Chains that live through the whole of training and follow the model as it changes.

    Args:
        sampler: a Markov chain at beta = 1.
        chains: how many, each a row of the negative side.
        sweeps: sweeps per call.
        seed: integer, generator, or None for fresh entropy.

    Law:
        Asymptotic: right while the model changes more slowly than the chains mix; the learning rate decides.

    Raises:
        InvalidSettingError: a sampler that is no Markov chain or at another temperature than 1, or sizes below 1.

    References:
        Younes (1989); Tieleman (2008), Training restricted Boltzmann machines using approximations to the likelihood
        gradient.
    """

    def __init__(self, sampler: MarkovChain, *, chains: int, sweeps: int = 1, seed: Seed = None) -> None:
        self.chain, self.chains = require_chain(sampler), positive_integer("chains", chains)
        self.sweeps = positive_integer("sweeps", sweeps)
        super().__init__(sampler, seed)
        self._state: ChainState | None = None

    def negative(self, model: AbstractBoltzmannMachine, data: Tensor) -> Tensor:
        """Return the chains after some more sweeps, int8, shape (chains, num_nodes); the data are not used.

        Raises:
            InvalidStateError: a model of another size than that of the chains.
        """
        problem = model.to_ising()
        if self._state is None:
            self._state = self.chain.init(problem, self.chains, seed=self._next_seed())
        if self._state.spins.shape[-1] != problem.sites:
            raise InvalidStateError(
                f"the chains have {self._state.spins.shape[-1]} units and the model {problem.sites}; "
                "make a new PersistentContrastiveDivergence for another model"
            )
        self._state = self.chain.step(problem, self._state, self.sweeps)
        return self._state.bits

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the model: integers and tensors."""
        state = super().state_dict()
        if self._state is not None:
            state["chain"] = {"spins": self._state.spins, "seed": self._state.seed, "sweeps": self._state.sweeps}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            InvalidStateError: a state of another number of chains.
        """
        chain = ChainState(**state["chain"]) if "chain" in state else None
        if chain is not None and len(chain.spins) != self.chains:
            raise InvalidStateError(
                f"the saved state has {len(chain.spins)} chains and this phase {self.chains}; make it with "
                f"chains={len(chain.spins)} to go on"
            )
        super().load_state_dict(state)
        self._state = chain


def hidden_spins(model: AbstractBoltzmannMachine, visible: Tensor, chain: MarkovChain, seed: int) -> Tensor:
    """Return one draw of the hidden units given each row, int8, shape (batch, num_hidden)."""
    if model.needs_hidden:
        return chain.draw(model.to_ising(clamped=visible), 1, seed=seed).spins.squeeze(1)
    if isinstance(model, RestrictedBoltzmannMachine):
        probabilities = model.hidden_probabilities(visible).detach()
        return spins_from_bits(bernoulli(probabilities, seed))
    return torch.empty(len(visible), 0, dtype=torch.int8, device=visible.device)


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


def require_chain(sampler: object) -> MarkovChain:
    """Return a sampler that walks, or refuse it."""
    if not isinstance(sampler, MarkovChain):
        raise InvalidSettingError(
            f"contrastive divergence walks Markov chains from a given state, and {type(sampler).__name__} cannot; use a MarkovChain "
            "such as Gibbs, or IndependentDraws around this sampler"
        )
    return sampler
