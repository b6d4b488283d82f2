"""Contrastive divergence: Markov chains that start at the data, or that live through the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import bits_of, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, uniform
from spinlight.ising import Draws, SupportsDraw, spins_from_bits
from spinlight.ising.bits import random_bits
from spinlight.models import AbstractBoltzmannMachine, SupportsGibbsStep, TrainableMachine
from spinlight.samplers import ChainState, Gibbs, LadderState, MarkovChain, ParallelTempering
from spinlight.training.phases import HiddenLogits, NegativePhase, hidden_spins, require_boltzmann


class ContrastiveDivergence(NegativePhase):
    """CD-k: k sweeps of a Markov chain that starts at the data.

    Hidden units are first drawn given the data, so that the chain starts at the data's distribution: from their exact
    conditional in a restricted machine, and by the sampler's own `draw`, with its own `sweeps`, in any other.

    Args:
        sampler: a Markov chain at beta = 1; with hidden units that are connected, its `sweeps` must let them forget their
            random start. None: block Gibbs in matrix products where the machine has two sides, `Gibbs` in any other.
        sweeps: k, of all units together.
        seed: integer, generator, or None for fresh entropy.

    Law:
        Biased towards the data for every finite k; the bias goes with the chain's mixing time. Enough to start learning,
        not to finish it.

    Raises:
        InvalidSettingError: a sampler that is no Markov chain or at another temperature than 1, or fewer than one sweep.

    References:
        Hinton (2002), Training products of experts by minimizing contrastive divergence.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from spinlight.models import RestrictedBoltzmannMachine
        >>> machine, data = RestrictedBoltzmannMachine(4, 2), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> ContrastiveDivergence(sweeps=5, seed=0).objective(machine, data).backward()
        >>> machine.weight.grad.shape
        torch.Size([4, 2])
    """

    starts_at_data = True

    def __init__(self, sampler: MarkovChain | None = None, *, sweeps: int = 1, seed: Seed = None) -> None:
        if sampler is not None:
            _require_walk(sampler, (MarkovChain,))
        self.sampler, self.sweeps = sampler, positive_integer("sweeps", sweeps)
        super().__init__(seed)

    def negative(self, model: TrainableMachine, data: Tensor) -> Tensor:
        """Return one row per data row: of all units, int8, or of the visible ones from block Gibbs."""
        seed = self.next_seed()
        if self.sampler is None and isinstance(model, SupportsGibbsStep):
            with torch.no_grad():
                return _from_hidden(model, random_bits(model.hidden_logits(data), seed), self.sweeps, seed)
        return self._walked(_sampled(model), data, seed)

    def objective(self, model: TrainableMachine, data: Tensor, positive: Tensor | Draws | None = None) -> Tensor:
        """Return the scalar to descend; block Gibbs and gradient share their matrix products.

        Raises:
            InvalidStateError: data that are no rows.
        """
        if self.sampler is not None or positive is not None or not isinstance(model, SupportsGibbsStep):
            return super().objective(model, data, positive)
        _require_rows(data)
        seed, logits = self.next_seed(), model.hidden_logits(data)
        self.latest = negative = _from_hidden(model, random_bits(logits.detach(), seed), self.sweeps, seed)
        return model.free_energy(data, hidden_logits=logits).mean() - model.free_energy(negative).mean()

    def settings(self) -> dict[str, Any]:
        """Return the sweeps, and the seed."""
        return {"sweeps": self.sweeps} | super().settings()

    def _walked(self, model: AbstractBoltzmannMachine, data: Tensor, seed: int) -> Tensor:
        chain = _DEFAULT if self.sampler is None else self.sampler
        visible = bits_of(data, model.num_visible).reshape(-1, model.num_visible)
        hidden = hidden_spins(model, visible, chain, derive_seed(seed, 0))
        spins = torch.cat([spins_from_bits(visible).to(hidden), hidden], -1)
        problem = model.to_ising()
        state = chain.init(problem, len(spins), seed=derive_seed(seed, 1), initial=spins)
        return chain.step(problem, state, self.sweeps).bits


class PersistentContrastiveDivergence(NegativePhase):
    """Chains that live through the whole of training and follow the model as it changes.

    With `ParallelTempering` it is ladders of them that live, and their coldest chains are the rows: tempered negatives, for machines
    in which chains at one temperature stay in the mode that they are in.

    Args:
        sampler: a Markov chain or `ParallelTempering`, at beta = 1. None: block Gibbs in matrix products where the machine has two
            sides, `Gibbs` in any other.
        chains: how many, each a row of the negative side; as many ladders, where they are tempered. Those of block Gibbs start at
            rows of the first batch, others at random.
        sweeps: sweeps per call.
        seed: integer, generator, or None for fresh entropy.

    Law:
        Asymptotic: right while the model changes more slowly than the chains mix; the learning rate decides.

    Raises:
        InvalidSettingError: a sampler that does not walk or is at another temperature than 1, or sizes below 1.

    References:
        Younes (1989); Tieleman (2008), Training restricted Boltzmann machines using approximations to the likelihood
        gradient; Desjardins, Courville & Bengio (2010), Adaptive parallel tempering for stochastic maximum likelihood learning of
        RBMs.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from spinlight.models import RestrictedBoltzmannMachine
        >>> machine, data = RestrictedBoltzmannMachine(4, 2), torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
        >>> negatives = PersistentContrastiveDivergence(chains=100, seed=0)
        >>> optimizer = torch.optim.SGD(machine.parameters(), lr=0.5)
        >>> for step in range(300):
        ...     optimizer.zero_grad()
        ...     negatives.objective(machine, data).backward()
        ...     optimizer.step()
        >>> likely, unlikely = -machine.free_energy(torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]]))
        >>> bool(likely > unlikely + 2)
        True
    """

    def __init__(
        self,
        sampler: MarkovChain | ParallelTempering | None = None,
        *,
        chains: int = 100,
        sweeps: int = 1,
        seed: Seed = None,
    ) -> None:
        if sampler is not None:
            _require_walk(sampler, (MarkovChain, ParallelTempering))
        self.sampler, self.chains = sampler, positive_integer("chains", chains)
        self.sweeps = positive_integer("sweeps", sweeps)
        super().__init__(seed)
        self._state: ChainState | LadderState | None = None
        self._sides: _Sides | None = None

    def negative(self, model: TrainableMachine, data: Tensor) -> Tensor:
        """Return the chains after some more sweeps, one row each: of all units, int8, or of the visible ones from block Gibbs.

        Raises:
            InvalidStateError: a model of another size than that of the chains.
        """
        if self.sampler is None and isinstance(model, SupportsGibbsStep):
            return self._stepped(model, data).visible
        return self._walked(_sampled(model))

    def objective(self, model: TrainableMachine, data: Tensor, positive: Tensor | Draws | None = None) -> Tensor:
        """Return the scalar to descend; block Gibbs and gradient share their matrix products, three in all.

        Raises:
            InvalidStateError: data that are no rows, or a model of another size than that of the chains.
        """
        if self.sampler is not None or positive is not None or not isinstance(model, SupportsGibbsStep):
            return super().objective(model, data, positive)
        _require_rows(data)
        self.latest = negative = self._stepped(model, data).visible
        rows = torch.cat([data.to(negative), negative])
        logits = model.hidden_logits(rows)
        self.latest_logits = HiddenLogits(data, negative, logits.detach())
        # The hidden units that the next call starts from: drawn by the parameters that the visible ones were drawn by.
        hidden = random_bits(logits.detach()[len(data) :], self.next_seed())
        self._sides = _Sides(negative, hidden)
        energies = model.free_energy(rows, hidden_logits=logits)
        return energies[: len(data)].mean() - energies[len(data) :].mean()

    @torch.no_grad()
    def _stepped(self, model: SupportsGibbsStep, data: Tensor) -> _Sides:
        seed, sides = self.next_seed(), self._sides
        if sides is None:
            picks = (uniform(derive_seed(seed, 2), self.chains) * len(data)).long()
            sides = _Sides(data[picks.to(data.device)], None)
        self._require_size(sides.visible.shape[-1], model.num_visible)
        hidden = sides.hidden
        if hidden is None:
            hidden = random_bits(model.hidden_logits(sides.visible), derive_seed(seed, 3))
        self._sides = _Sides(_from_hidden(model, hidden, self.sweeps, seed), None)
        return self._sides

    def _walked(self, model: AbstractBoltzmannMachine) -> Tensor:
        chain: Any = _DEFAULT if self.sampler is None else self.sampler
        problem = model.to_ising()
        if self._state is None:
            self._state = chain.init(problem, self.chains, seed=self.next_seed())
        self._require_size(self._state.spins.shape[-1], problem.sites)
        self._state = chain.step(problem, self._state, self.sweeps)
        return self._state.bits

    def settings(self) -> dict[str, Any]:
        """Return the chains, the sweeps and the seed."""
        return {"chains": self.chains, "sweeps": self.sweeps} | super().settings()

    def branch(self, number: int) -> None:
        """Take streams of its own, chains that are under way too: they part from where they stand."""
        super().branch(number)
        if self._state is not None:
            self._state = replace(self._state, seed=derive_seed(self._seed, self._state.seed >> 1))

    def _require_size(self, found: int, wanted: int) -> None:
        if found != wanted:
            raise InvalidStateError(
                f"the chains have {found} units and the model {wanted}; "
                "make a new PersistentContrastiveDivergence for another model"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the model: integers and tensors."""
        state = super().state_dict()
        if self._state is not None:
            state["chain"] = dict(vars(self._state))
        if self._sides is not None:
            state["sides"] = {"visible": self._sides.visible, "hidden": self._sides.hidden}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            InvalidStateError: a state of another number of chains, or of another sampler.
        """
        self._require_same_kind(state)
        kind = LadderState if isinstance(self.sampler, ParallelTempering) else ChainState
        chain = kind(**state["chain"]) if "chain" in state else None
        sides = _Sides(**state["sides"]) if "sides" in state else None
        count = self.chains
        count = count if chain is None else len(chain.spins)
        count = count if sides is None else len(sides.visible)
        if count != self.chains:
            raise InvalidStateError(
                f"the saved state has {count} chains and this phase {self.chains}; make it with chains={count} to go on"
            )
        super().load_state_dict(state)
        self._state, self._sides = chain, sides


def _require_rows(data: Tensor) -> None:
    if data.ndim != 2 or not len(data):
        raise InvalidStateError(f"data must be rows, shape (batch, num_visible), at least one; got {tuple(data.shape)}")


@dataclass(frozen=True, eq=False)
class _Sides:
    """Chains of block Gibbs: visible rows, and the hidden units drawn given them, or None where they are still to be drawn."""

    visible: Tensor
    hidden: Tensor | None


@torch.no_grad()
def _from_hidden(model: SupportsGibbsStep, hidden: Tensor, sweeps: int, seed: int) -> Tensor:
    """Return visible rows after some block sweeps that begin with drawing v given `hidden`."""
    visible = model.draw_visible(hidden, seed=derive_seed(seed, 0))
    for sweep in range(1, sweeps):
        visible = model.gibbs_step(visible, seed=derive_seed(seed, 4 + sweep))
    return visible


_DEFAULT = Gibbs(progress=False)


def _sampled(model: TrainableMachine) -> AbstractBoltzmannMachine:
    """Return a machine whose units are all bits, or refuse it: an Ising sampler walks nothing else."""
    if not isinstance(model, AbstractBoltzmannMachine):
        raise InvalidSettingError(
            f"a sampler walks machines whose units are all bits, and {type(model).__name__} has others; leave the sampler out for "
            "block Gibbs in matrix products"
        )
    return model


def _require_walk(sampler: SupportsDraw, kinds: tuple[type, ...]) -> None:
    """Refuse a sampler of another kind, or of another temperature."""
    if not isinstance(sampler, kinds):
        raise InvalidSettingError(
            f"these chains go on from a given state, and {type(sampler).__name__} cannot; use "
            f"{' or '.join(kind.__name__ for kind in kinds)}, such as Gibbs(), or IndependentDraws around this sampler"
        )
    require_boltzmann(sampler, stacklevel=4)
