"""The deep belief network: directed layers of bits below a restricted Boltzmann machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import fraction, integer, nonnegative_number, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import SupportsDraw
from spinlight.ising.bits import random_bits
from spinlight.models.base import require_memory, unit_values
from spinlight.models.restricted import RestrictedBoltzmannMachine


class DeepBeliefNetwork(nn.Module):
    """A restricted Boltzmann machine over the two topmost layers of bits, and directed layers from there down to the data.

    p(h_0, ..., h_L) = p_top(h_{L-1}, h_L) prod_{l < L-1} p(h_l | h_{l+1}),  p(h_l = 1 | h_{l+1}) = sigmoid(a_l + W_l h_{l+1})

    with h_0 = v the data. What a row says of the hidden units is approximated layer by layer on the way up,

    q(h_1, ..., h_{L-1} | v) = prod_{l < L-1} q(h_{l+1} | h_l),  q(h_{l+1} = 1 | h_l) = sigmoid(c_l + R_l h_l)

    and p_top(h_L | h_{L-1}) is exact. `generative[l]` holds W_l and a_l, `recognition[l]` R_l and c_l, `top` the machine. A stack of
    restricted machines, each trained on what the one below makes of the data (`training.pretrain`), is such a network with
    R_l = W_l^T; wake and sleep phases (`training.UpDown`) part the two. With two layers it is a restricted machine.

    Args:
        sizes: units of each layer, the data first; at least two layers.
        initial_scale: standard deviation of the initial weights between m and n units, in units of sqrt(2 / (m + n)); biases start at
            zero. At 4 signals pass through sigmoid layers and back; machines learn from there as well as from small weights.

    Raises:
        InvalidSettingError: fewer than two layers, sizes below 1, or a negative scale.
        ProblemTooLargeError: more weights than this computer's memory holds.

    References:
        Hinton, Osindero & Teh (2006), A fast learning algorithm for deep belief nets; Glorot & Bengio (2010), Understanding the
        difficulty of training deep feedforward neural networks (the initial weights).

    Example:
        >>> network = DeepBeliefNetwork([4, 3, 2])
        >>> network(torch.tensor([[1, 0, 0, 1]])).shape
        torch.Size([1, 2])
        >>> network.top
        RestrictedBoltzmannMachine(num_visible=3, num_hidden=2)
    """

    def __init__(self, sizes: Sequence[int], *, initial_scale: float = 4.0) -> None:
        scale = nonnegative_number("initial_scale", initial_scale)
        super().__init__()
        self.sizes = _layer_sizes(sizes)
        require_memory(2 * 4 * sum(lower * upper for lower, upper in pairwise(self.sizes)))  # one way up and one down
        directed = tuple(pairwise(self.sizes[:-1]))
        self.generative = nn.ModuleList(nn.Linear(upper, lower) for lower, upper in directed)
        self.recognition = nn.ModuleList(nn.Linear(lower, upper) for lower, upper in directed)
        self.top = RestrictedBoltzmannMachine(self.sizes[-2], self.sizes[-1])
        for level, (lower, upper) in enumerate(pairwise(self.sizes)):
            deviation = scale * math.sqrt(2 / (lower + upper))
            self.place(level, RestrictedBoltzmannMachine(lower, upper, initial_scale=deviation))

    @property
    def num_visible(self) -> int:
        """The number of units that data describe."""
        return self.sizes[0]

    @property
    def num_machines(self) -> int:
        """The number of restricted machines in the stack: one less than there are layers."""
        return len(self.sizes) - 1

    def machine(self, level: int) -> RestrictedBoltzmannMachine:
        """Return a restricted machine of the layers `level` and `level + 1`, with copies of W, a and c.

        Raises:
            InvalidSettingError: a level that there is not.
        """
        level = self._level(level)
        found = RestrictedBoltzmannMachine(self.sizes[level], self.sizes[level + 1], initial_scale=0.0)
        found = found.to(self.top.weight)
        with torch.no_grad():
            for target, source in zip(_parts(found), self._parts(level), strict=True):
                target.copy_(source)
        return found

    @torch.no_grad()
    def place(self, level: int, machine: RestrictedBoltzmannMachine) -> None:
        """Copy a restricted machine in between the layers `level` and `level + 1`: W both ways, a downwards, c upwards.

        Raises:
            InvalidSettingError: a level that there is not, or a machine of other sizes.
        """
        level = self._level(level)
        wanted = self.sizes[level : level + 2]
        if not isinstance(machine, RestrictedBoltzmannMachine) or (machine.num_visible, machine.num_hidden) != wanted:
            raise InvalidSettingError(
                f"a restricted machine of {wanted} units belongs at level {level}, got {machine!r}"
            )
        for target, source in zip(self._parts(level), _parts(machine), strict=True):
            target.copy_(source)
        if level < len(self.recognition):
            _linears(self.recognition)[level].weight.copy_(machine.weight.T)

    def forward(self, visible: Tensor) -> Tensor:
        """Return the representation of rows: each layer's probabilities given those of the layer below, up to the topmost.

        Args:
            visible: bits or probabilities in [0, 1], shape (..., num_visible).

        Returns:
            In [0, 1], shape (..., sizes[-1]).

        Raises:
            InvalidStateError: rows of another length, or values outside [0, 1].
        """
        state = unit_values(visible, self.num_visible, like=self.top.weight)
        for weight, bias in self._upward():
            state = torch.sigmoid(functional.linear(state, weight, bias))
        return state

    @torch.no_grad()
    def draw_up(self, visible: Tensor, seed: Seed = None, *, levels: int | None = None) -> list[Tensor]:
        """Return h_0, h_1, ..., each layer drawn from q(h_{l+1} | h_l) given the one below.

        Args:
            visible: h_0, bits or probabilities, shape (..., num_visible).
            seed: integer, generator, or None for fresh entropy.
            levels: how many layers above the data, at most num_machines - 1; all of them by default, up to the visible units of `top`.

        Returns:
            One tensor for each layer, in the parameters' dtype and on their device; all but the first hold bits.

        Raises:
            InvalidStateError: rows of another length, or values outside [0, 1].
            InvalidSettingError: more levels than there are, or an impossible seed.
        """
        count = len(self.recognition)
        count = count if levels is None else integer("levels", levels, least=0, most=count)
        resolved = resolve_seed(seed)
        states = [unit_values(visible, self.num_visible, like=self.top.weight)]
        for level in range(count):
            states.append(random_bits(self.recognition[level](states[-1]), derive_seed(resolved, level)))
        return states

    @torch.no_grad()
    def draw_down(self, hidden: Tensor, seed: Seed = None) -> list[Tensor]:
        """Return h_0, ..., h_{L-1}, each layer drawn from p(h_l | h_{l+1}) given the one above.

        Args:
            hidden: h_{L-1}, the visible units of `top`: bits, shape (..., top.num_visible).
            seed: integer, generator, or None for fresh entropy.

        Returns:
            One tensor for each layer, as `draw_up` has them: the data first, `hidden` last.

        Raises:
            InvalidStateError: rows of another length, or values outside [0, 1].
            InvalidSettingError: an impossible seed.
        """
        resolved = resolve_seed(seed)
        states = [unit_values(hidden, self.top.num_visible, like=self.top.weight)]
        for level in reversed(range(len(self.generative))):
            states.insert(0, random_bits(self.generative[level](states[0]), derive_seed(resolved, level)))
        return states

    @torch.no_grad()
    def sample(self, sampler: SupportsDraw, count: int, *, seed: Seed = None) -> Tensor:
        """Return visible samples: the top machine's units drawn by any sampler, then every layer given the one above.

        Args:
            sampler: draws from `top.to_ising()` at beta = 1; its law is the law of the samples.
            count: samples.
            seed: integer, generator, or None for fresh entropy.

        Returns:
            Bits, int8, shape (count, num_visible).

        Raises:
            InvalidSettingError: no sampler or one at another temperature than 1, or an impossible count or seed.
        """
        resolved = resolve_seed(seed)
        units = self.top.sample(sampler, count, seed=derive_seed(resolved, 0))
        return self.draw_down(units[:, : self.top.num_visible], derive_seed(resolved, 1))[0].to(torch.int8)

    def log_generative(self, states: Sequence[Tensor]) -> Tensor:
        """Return sum_{l < L-1} log p(h_l | h_{l+1}) of layers as `draw_up` and `draw_down` have them, one value per row.

        Raises:
            InvalidStateError: another number of layers.
        """
        self._require_layers(states)
        return _log_probability(self.generative, states[1:], states[:-1], like=self.top.weight)

    def log_recognition(self, states: Sequence[Tensor]) -> Tensor:
        """Return log q(h_1, ..., h_{L-1} | v) of layers as `draw_up` and `draw_down` have them, one value per row.

        Raises:
            InvalidStateError: another number of layers.
        """
        self._require_layers(states)
        return _log_probability(self.recognition, states[:-1], states[1:], like=self.top.weight)

    @torch.no_grad()
    def log_weights(self, visible: Tensor, seed: Seed = None) -> Tensor:
        """Return log p(v, h) + log Z - log q(h | v) for one draw of h per row, the topmost layer summed out.

        w = exp(-F_top(h_{L-1})) prod_{l < L-1} p(h_l | h_{l+1}) / q(h_{l+1} | h_l),  E_q[w] = Z p(v),  E_q[log w] <= log Z + log p(v)

        with Z of `top`. `training.likelihood_bound` makes a bound on log p(v) of it.

        Args:
            visible: bits, shape (..., num_visible).
            seed: integer, generator, or None for fresh entropy.

        Returns:
            The parameters' dtype, shape `visible.shape[:-1]`.

        Raises:
            InvalidStateError: rows of another length, or values outside [0, 1].
            InvalidSettingError: an impossible seed.
        """
        states = self.draw_up(visible, seed)
        return self.log_generative(states) - self.log_recognition(states) - self.top.free_energy(states[-1])

    def encoder(self, *, dropout: float = 0.0, input_dropout: float = 0.0) -> nn.Sequential:
        """Return the way up as a plain network of sigmoid units with weights of its own, for supervised training to go on from.

        `nn.Sequential(network.encoder(), nn.Linear(sizes[-1], classes))` is a classifier whose backpropagation leaves the generative
        model as it is.

        Args:
            dropout: share of each hidden layer's units that a step of training leaves out, in [0, 1).
            input_dropout: share of the inputs.

        Raises:
            InvalidSettingError: shares outside [0, 1).
        """
        shares = [fraction("input_dropout", input_dropout), fraction("dropout", dropout)]
        steps: list[nn.Module] = [nn.Dropout(shares[0])] if shares[0] else []
        for weight, bias in self._upward():
            linear = nn.Linear(weight.shape[1], weight.shape[0]).to(weight)
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
            steps += [linear, nn.Sigmoid()] + ([nn.Dropout(shares[1])] if shares[1] else [])
        return nn.Sequential(*steps)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"sizes={list(self.sizes)}"

    def _parts(self, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return W, a and c of a level."""
        if level == len(self.generative):
            return _parts(self.top)
        down, up = _linears(self.generative)[level], _linears(self.recognition)[level]
        return down.weight, down.bias, up.bias

    def _upward(self) -> list[tuple[Tensor, Tensor]]:
        """Return R and c of every level, W^T and c at the top."""
        return [
            *((each.weight, each.bias) for each in _linears(self.recognition)),
            (self.top.weight.T, self.top.hidden_bias),
        ]

    def _level(self, level: int) -> int:
        return integer("level", level, least=0, most=self.num_machines - 1)

    def _require_layers(self, states: Sequence[Tensor]) -> None:
        if len(states) != self.num_machines:
            raise InvalidStateError(
                f"{self.num_machines} layers were expected, the data first and the visible units of `top` last; got {len(states)}"
            )


def _layer_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence) or len(sizes) < 2:
        raise InvalidSettingError(f"sizes must be those of at least two layers, the data first; got {sizes!r}")
    return tuple(positive_integer("sizes", size) for size in sizes)


def _linears(layers: nn.ModuleList) -> list[nn.Linear]:
    return cast("list[nn.Linear]", list(layers))


def _parts(machine: RestrictedBoltzmannMachine) -> tuple[Tensor, Tensor, Tensor]:
    return machine.weight, machine.visible_bias, machine.hidden_bias


def _log_probability(
    layers: nn.ModuleList, given: Sequence[Tensor], drawn: Sequence[Tensor], *, like: Tensor
) -> Tensor:
    """Return the sum over layers and units of log sigmoid(+-logit), + where the unit drawn is 1."""
    total = like.new_zeros(drawn[0].shape[:-1] if drawn else ())
    for layer, condition, bits in zip(layers, given, drawn, strict=True):
        state = bits.to(like)
        logits = layer(condition.to(like))
        total = total + (state * logits - functional.softplus(logits)).sum(-1)
    return total
