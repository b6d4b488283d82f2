"""Tempered negatives: chains that live through the training on a ladder of laws, and trade places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spinlight._checks import bits_of, integer, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, uniform
from spinlight.ising.bits import random_bits
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.models.base import Machine
from spinlight.samplers.tempering import respaced
from spinlight.training.phases import NegativePhase

_MOST_RUNGS = 4096

_RESPACED_EVERY = 50
"""Calls over which swaps are counted before the rungs are spaced anew."""


class TemperedContrastiveDivergence(NegativePhase):
    """Persistent chains of a restricted machine on every rung of a ladder of laws, from independent bits to the model.

    p_b(v, h) ~ exp(-b E(v, h) + (1 - b) sum_i g_i v_i),  0 = b_1 < ... < b_rungs = 1

    Each call lets neighbouring rungs swap their visible rows, with the chance that leaves both laws right and the hidden units
    summed out, for even and odd rungs in turn, and then makes block Gibbs sweeps on all rungs at once, in matrix products. The rows on
    the last rung are the negatives. Where data fall into groups that are far apart, the single chains of
    `PersistentContrastiveDivergence` stay in the group that they are in, and these go through independent bits to another one.

    The rungs are moved during training until all swaps are equally likely; `swap_rates` has the chances of late.

    Args:
        ladders: rows of the negative side.
        rungs: chains per ladder, 2 to 4096; a call costs as many times what single chains do.
        sweeps: block Gibbs sweeps per call.
        seed: integer, generator, or None for fresh entropy.

    Law:
        Asymptotic: right while the model changes more slowly than rows go from the first rung to the last. The g are the log odds
        of the first batch's means; any would be right.

    Raises:
        InvalidSettingError: sizes outside their domain; on drawing, a machine that is not restricted.

    References:
        Desjardins et al. (2010), Tempered Markov chain Monte Carlo for training of restricted Boltzmann machines; Cho, Raiko & Ilin
        (2010), Parallel tempering is efficient for learning restricted Boltzmann machines.
    """

    def __init__(self, *, ladders: int = 100, rungs: int = 8, sweeps: int = 1, seed: Seed = None) -> None:
        self.ladders, self.sweeps = positive_integer("ladders", ladders), positive_integer("sweeps", sweeps)
        self.rungs = integer("rungs", rungs, least=2, most=_MOST_RUNGS)
        super().__init__(seed)
        self._visible: Tensor | None = None
        self._reference = torch.empty(0)
        self._betas = torch.linspace(0, 1, self.rungs, dtype=torch.float64)
        self._chances = torch.zeros(2, self.rungs - 1, dtype=torch.float64)
        self.swap_rates = [float("nan")] * (self.rungs - 1)

    @torch.no_grad()
    def negative(self, model: Machine, data: Tensor) -> Tensor:
        """Return the visible rows on the last rung after swaps and sweeps, shape (ladders, num_visible).

        Raises:
            InvalidStateError: a model of another size than that of the chains.
        """
        if not isinstance(model, RestrictedBoltzmannMachine):
            raise InvalidSettingError(
                f"tempered negatives are for RestrictedBoltzmannMachine, got {type(model).__name__}; use "
                "IndependentDraws(ParallelTempering()) for other machines"
            )
        seed, visible = self.next_seed(), self._started(model, data)
        logits = model.hidden_logits(visible)
        order = self._swaps(model, visible, logits, derive_seed(seed, 0))
        columns = torch.arange(self.ladders, device=visible.device)
        visible, logits = visible[order, columns], logits[order, columns]
        betas = self._betas.to(logits)[:, None, None]
        base = betas * model.visible_bias + (1 - betas) * self._reference.to(logits)
        for sweep in range(self.sweeps):
            if sweep:
                logits = model.hidden_logits(visible)
            hidden = random_bits(betas * logits, derive_seed(seed, 2 * sweep + 1))
            visible = random_bits(
                base + betas * functional.linear(hidden, model.weight), derive_seed(seed, 2 * sweep + 2)
            )
        self._visible = visible
        return visible[-1]

    def _started(self, model: RestrictedBoltzmannMachine, data: Tensor) -> Tensor:
        """Return the chains; at first every rung has rows of the batch."""
        if self._visible is None:
            rows = bits_of(data, model.num_visible).to(model.weight)
            self._reference = torch.logit((rows.sum(0) + 0.5) / (len(rows) + 1))
            picks = (uniform(derive_seed(self.next_seed(), 0), self.rungs * self.ladders) * len(rows)).long()
            self._visible = rows[picks.to(rows.device)].reshape(self.rungs, self.ladders, -1)
        if self._visible.shape[-1] != model.num_visible:
            raise InvalidStateError(
                f"the chains have {self._visible.shape[-1]} units and the model {model.num_visible}; make a new "
                "TemperedContrastiveDivergence for another model"
            )
        return self._visible.to(model.weight)

    def _swaps(self, model: RestrictedBoltzmannMachine, visible: Tensor, logits: Tensor, seed: int) -> Tensor:
        """Return the rung whose row each place takes, shape (rungs, ladders), and count the chances of swaps."""
        lower = torch.arange(self._calls % 2, self.rungs - 1, 2)
        partner = torch.arange(self.rungs)
        partner[lower], partner[lower + 1] = lower + 1, lower
        linear = visible @ torch.stack([model.visible_bias, self._reference.to(visible)], 1)
        betas = self._betas.to(logits)
        own, other = _log_weights(linear, logits, betas), _log_weights(linear, logits, betas[partner])
        gain = (other - own)[lower] + (other - own)[lower + 1]
        chances = gain.clamp(max=0).exp()
        self._count(lower, chances)
        taken = uniform(seed, chances.numel()).to(chances).reshape(chances.shape) < chances
        order = torch.arange(self.rungs, device=visible.device)[:, None].repeat(1, self.ladders)
        order[lower] += taken.long()
        order[lower + 1] -= taken.long()
        return order

    def _count(self, lower: Tensor, chances: Tensor) -> None:
        """Add up the chances of swaps; after some calls, space the rungs anew."""
        self._chances[0, lower] += chances.mean(1).cpu().double()
        self._chances[1, lower] += 1
        if self._calls % _RESPACED_EVERY == 0 and bool((self._chances[1] > 0).all()):
            rates = self._chances[0] / self._chances[1]
            self._betas = torch.from_numpy(respaced(self._betas.numpy(), rates.numpy()))
            self.swap_rates = rates.tolist()
            self._chances.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the model: integers and tensors."""
        parts = {"betas": self._betas, "chances": self._chances, "reference": self._reference}
        state = super().state_dict() | {name: part.clone() for name, part in parts.items()}
        return state if self._visible is None else state | {"visible": self._visible}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            InvalidStateError: a state of another number of ladders or rungs.
        """
        visible = state.get("visible")
        found = (len(state["betas"]), self.ladders) if visible is None else tuple(visible.shape[:2])
        if found != (self.rungs, self.ladders):
            raise InvalidStateError(
                f"the saved state has {found[0]} rungs of {found[1]} ladders and this phase {self.rungs} of {self.ladders}; make it "
                f"with rungs={found[0]}, ladders={found[1]} to go on"
            )
        super().load_state_dict(state)
        self._betas, self._chances, self._reference = (
            state[name].clone() for name in ("betas", "chances", "reference")
        )
        self._visible = visible


def _log_weights(linear: Tensor, logits: Tensor, betas: Tensor) -> Tensor:
    """Return the unnormalised log probability of visible rows on rungs, shape (rungs, ladders).

    Args:
        linear: v.a and v.g, shape (rungs, ladders, 2).
        logits: of the hidden units at b = 1, shape (rungs, ladders, hidden).
        betas: b of each, shape (rungs,).
    """
    b = betas[:, None]
    return b * linear[..., 0] + (1 - b) * linear[..., 1] + functional.softplus(b[..., None] * logits).sum(-1)
