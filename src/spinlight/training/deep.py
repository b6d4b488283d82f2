"""Deep belief networks: one machine after the other, all layers together, and a bound on their likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import bits_of, positive_integer
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.datasets.images import binarized
from spinlight.ising import Draws, LogPartition
from spinlight.models import DeepBeliefNetwork
from spinlight.models.base import equal_rows, unit_values
from spinlight.training.contrastive import PersistentContrastiveDivergence
from spinlight.training.descent import Descent
from spinlight.training.likelihood import ImportanceWeightedBound
from spinlight.training.phases import NegativePhase, require_phase


def pretrain(
    network: DeepBeliefNetwork,
    rows: Tensor,
    descent: Descent | None = None,
    *,
    negatives: Callable[[int], NegativePhase] | None = None,
    seed: Seed = None,
) -> None:
    """Train the stack from below: each restricted machine on what the layers below it make of the data.

    The machine of level l learns draws of q(h_l | v), where every batch is drawn anew: pixels from grey levels, then layer after layer.
    Raising the likelihood of such rows raises the bound on log p(v), as long as the layers below stay as they are. Each machine goes on
    from the weights that it has; its visible biases start at the log odds of what it learns.

    Args:
        network: changed in place.
        rows: bits, or probabilities, shape (count, num_visible).
        descent: of every machine; `Descent()` by default.
        negatives: makes the negative phase of a machine from a seed; 100 persistent chains of block Gibbs by default.
        seed: integer, generator, or None for fresh entropy.

    Raises:
        InvalidStateError: no rows, rows of another length than num_visible, or values outside [0, 1].
        InvalidSettingError: no deep belief network, or an impossible seed.

    References:
        Hinton, Osindero & Teh (2006), A fast learning algorithm for deep belief nets, section 4.
    """
    data, resolved = _probabilities(network, rows), resolve_seed(seed)
    steps, make = descent or Descent(), negatives or _persistent
    for level in range(network.num_machines if steps.epochs else 0):
        machine, stream, draw = network.machine(level), derive_seed(resolved, level), partial(_drawn, network, level)
        machine.initialize_biases(draw(data, derive_seed(stream, 0)))
        steps.minimize(
            partial(make(derive_seed(stream, 1)).objective, machine),
            machine.parameters(),
            data,
            draw=draw,
            seed=derive_seed(stream, 2),
            title=f"Machine {level + 1} of {network.num_machines}",
        )
        network.place(level, machine)


def _persistent(seed: int) -> NegativePhase:
    return PersistentContrastiveDivergence(chains=100, seed=seed)


def _drawn(network: DeepBeliefNetwork, level: int, rows: Tensor, seed: int) -> Tensor:
    """Return one draw of q(h_level | v) per row, v itself drawn from its probabilities."""
    visible = binarized(rows, derive_seed(seed, 0))
    return network.draw_up(visible, derive_seed(seed, 1), levels=level)[-1]


class UpDown:
    """Wake and sleep phases that train all layers of a network at once, without ties between the ways up and down.

    Wake: h ~ q(h | v) for the data v; sleep: h_{L-1} from the negatives of the top machine, then down to v. Both ways learn to undo
    the other,

    L = - <sum_{l < L-1} log p(h_l | h_{l+1})>_wake + L_top(h_{L-1} of wake, negatives) - <log q(h | v)>_sleep

    where L_top is the machine's `objective`. With negatives that are samples of `top`, the gradient of the first two terms is that of
    minus the bound on log p(v) at this q, exactly; the third makes q follow the posterior of the model's own fantasies. With
    `ContrastiveDivergence`, as published, fantasies start at the data's top layer.

    Args:
        negatives: the negative phase of the top machine; any sampler through `IndependentDraws`.
        seed: integer, generator, or None for fresh entropy.

    Raises:
        InvalidSettingError: no negative phase, or an impossible seed.

    References:
        Hinton, Osindero & Teh (2006), A fast learning algorithm for deep belief nets, section 5 and appendix B; Hinton, Dayan, Frey
        & Neal (1995), The wake-sleep algorithm for unsupervised neural networks.

    Example:
        >>> from spinlight.training import ContrastiveDivergence
        >>> network, phases = DeepBeliefNetwork([4, 3, 2]), UpDown(ContrastiveDivergence(sweeps=3, seed=0), seed=0)
        >>> optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        >>> phases.objective(network, torch.eye(4)).backward()
        >>> optimizer.step()
    """

    def __init__(self, negatives: NegativePhase, *, seed: Seed = None) -> None:
        self.negatives = require_phase(negatives)
        self._seed, self._calls = resolve_seed(seed), 0

    def objective(self, network: DeepBeliefNetwork, data: Tensor) -> Tensor:
        """Return the scalar to descend; its value is no likelihood.

        Args:
            network: as it is now.
            data: visible bits, shape (batch, num_visible).

        Raises:
            InvalidStateError: rows of another length, or values outside [0, 1].
        """
        self._calls += 1
        seed = derive_seed(self._seed, self._calls)
        wake = network.draw_up(data, derive_seed(seed, 0))
        negative = self.negatives.negative(network.top, wake[-1])
        rows = equal_rows(negative, len(negative), derive_seed(seed, 1)) if isinstance(negative, Draws) else negative
        sleep = network.draw_down(rows[..., : network.top.num_visible], derive_seed(seed, 2))
        directed = network.log_generative(wake).mean() + network.log_recognition(sleep).mean()
        return network.top.objective(wake[-1], negative) - directed

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next call depends on, besides the network."""
        return {"seed": self._seed, "calls": self._calls, "negatives": self.negatives.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._seed, self._calls = int(state["seed"]), int(state["calls"])
        self.negatives.load_state_dict(state["negatives"])


@torch.no_grad()
def likelihood_bound(
    network: DeepBeliefNetwork, rows: Tensor, *, partition: LogPartition, draws: int = 1, seed: Seed = None
) -> ImportanceWeightedBound:
    """Return a lower bound on the mean over data rows of log p(v), by importance sampling from the way up.

    log p(v) >= E log (1/K sum_k w_k) - log Z,  w_k = exp(-F_top(h_{L-1})) prod_{l < L-1} p(h_l | h_{l+1}) / q(h_{l+1} | h_l)

    with h ~ q(h | v), F_top and Z of the top machine. One draw is the variational bound of Salakhutdinov & Murray; more come closer to
    log p(v). It is a bound in expectation, and where Z is estimated from below, as by `AnnealedImportance`, as far as that goes:
    compare by its `pessimistic` side. A network of two layers has no way up, and its bound is log p(v) itself.

    Args:
        network: the network.
        rows: data bits, shape (rows, num_visible).
        partition: log Z of `network.top` as it is now, at beta = 1.
        draws: K.
        seed: integer, generator, or None for fresh entropy.

    Raises:
        InvalidStateError: rows of the wrong shape, none, or other than bits.
        InvalidSettingError: no deep belief network, a partition that is no `LogPartition`, or an impossible number of draws or seed.
        InvalidProblemError: parameters that are NaN or infinite.

    Cost:
        K passes up and down for each row.

    References:
        Salakhutdinov & Murray (2008), On the quantitative analysis of deep belief networks, section 4; Burda, Grosse & Salakhutdinov
        (2016), Importance weighted autoencoders (the mean of several weights).

    Example:
        >>> from spinlight.training import ExactPartition
        >>> network = DeepBeliefNetwork([2, 3, 1], initial_scale=0.0)  # four states, all equally likely
        >>> print(likelihood_bound(network, torch.eye(2), partition=ExactPartition().estimate(network.top), seed=0))
        >= -1.386 +/- 0.000 (2 rows) +/- 0.000 (log Z by enumeration), 1 draws per row
    """
    if not isinstance(partition, LogPartition):
        raise InvalidSettingError(
            "partition must be a LogPartition, as an estimator's estimate(network.top) returns it, got "
            f"{type(partition).__name__}"
        )
    count, resolved = positive_integer("draws", draws), resolve_seed(seed)
    parts = bits_of(_probabilities(network, rows)).split(_ROWS)
    seeds = [[derive_seed(derive_seed(resolved, part), draw) for draw in range(count)] for part in range(len(parts))]
    weights = [
        torch.stack([network.log_weights(part, seed).to("cpu", torch.float64) for seed in chosen])
        for part, chosen in zip(parts, seeds, strict=True)
    ]
    sums = torch.logsumexp(torch.cat(weights, -1), 0) - math.log(count)
    if not bool(sums.isfinite().all()):
        raise InvalidProblemError("the weights of the rows are NaN or infinite; is the learning rate too high?")
    return ImportanceWeightedBound(sums - partition.value, partition.standard_error, partition.method, count)


_ROWS = 4096
"""Rows taken at once."""


def _probabilities(network: DeepBeliefNetwork, rows: Tensor) -> Tensor:
    """Return rows in [0, 1], or refuse them or what is no network."""
    if not isinstance(network, DeepBeliefNetwork):
        raise InvalidSettingError(f"a DeepBeliefNetwork is needed here, got {type(network).__name__}")
    data = unit_values(rows, network.num_visible, like=network.top.weight)
    if data.ndim != 2 or not len(data):
        raise InvalidStateError(f"data must have shape (rows, num_visible), at least one row, got {tuple(data.shape)}")
    return data
