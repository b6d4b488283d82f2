"""The restricted Boltzmann machine: connections only between visible and hidden units."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import bits_of, nonnegative_number, positive_integer
from spinlight._errors import InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising.bits import random_bits
from spinlight.models.base import AbstractBoltzmannMachine, require_memory, unit_values


class RestrictedBoltzmannMachine(AbstractBoltzmannMachine):
    """A Boltzmann machine whose hidden units are independent given the visible ones, and the other way round.

    E(v, h) = - a.v - c.h - v W h,  F(v) = - log sum_h exp(-E(v, h)) = - a.v - sum_j softplus(c_j + (v W)_j)

    The hidden units are summed out exactly, so `objective` takes visible rows and averages F instead of E: the same mean,
    less noise.

    Args:
        num_visible: visible units, at least 1.
        num_hidden: hidden units, at least 1.
        initial_scale: standard deviation of the initial weights; biases start at zero.

    Raises:
        InvalidSettingError: sizes below 1, or a negative scale.
        ProblemTooLargeError: more weights than this computer's memory holds.

    References:
        Smolensky (1986), Information processing in dynamical systems; Hinton (2002), Training products of experts.

    Example:
        >>> machine = RestrictedBoltzmannMachine(2, 1, initial_scale=0.0)
        >>> machine.free_energy(torch.tensor([[0, 1]])).item()  # - log 2
        -0.693...
    """

    def __init__(self, num_visible: int, num_hidden: int, *, initial_scale: float = 0.01) -> None:
        scale = nonnegative_number("initial_scale", initial_scale)
        super().__init__(num_visible, positive_integer("num_hidden", num_hidden))
        require_memory(4 * self.num_visible * self.num_hidden)
        self.weight = nn.Parameter(scale * torch.randn(num_visible, num_hidden))
        self.visible_bias = nn.Parameter(torch.zeros(num_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(num_hidden))

    @property
    def needs_hidden(self) -> bool:
        """False: the free energy sums the hidden units out."""
        return False

    @property
    def weight_parameter(self) -> nn.Parameter:
        """`weight`, shape (num_visible, num_hidden)."""
        return self.weight

    @property
    def bias_parameters(self) -> tuple[nn.Parameter, ...]:
        """`visible_bias` and `hidden_bias`."""
        return self.visible_bias, self.hidden_bias

    def biases_and_weights(self) -> tuple[Tensor, Tensor]:
        """Return b, shape (num_nodes,), and W, symmetric with a zero diagonal, shape (num_nodes, num_nodes)."""
        weights = self.weight.new_zeros(self.num_nodes, self.num_nodes)
        weights[: self.num_visible, self.num_visible :] = self.weight
        return torch.cat([self.visible_bias, self.hidden_bias]), weights + weights.T

    def energy(self, bits: Tensor) -> Tensor:
        """Return E(v, h); as `AbstractBoltzmannMachine.energy`, without the blocks of W that are zero."""
        state = unit_values(bits, self.num_nodes, like=self.weight)
        visible, hidden = state.split([self.num_visible, self.num_hidden], -1)
        return -(visible @ self.visible_bias) - ((self.hidden_bias + visible @ self.weight) * hidden).sum(-1)

    def free_energy(self, visible: Tensor, *, hidden_logits: Tensor | None = None) -> Tensor:
        """Return F(v) = - log sum_h exp(-E(v, h)), so that p(v) = exp(-F(v)) / Z.

        Args:
            visible: 0/1, shape (..., num_visible).
            hidden_logits: `hidden_logits(visible)`, where they are known already: the one matrix product, which has also looked
                at the values of `visible`.

        Returns:
            The parameters' dtype, shape `visible.shape[:-1]`.

        Raises:
            InvalidStateError: a last axis that is not `num_visible` long, or values outside [0, 1].
        """
        if hidden_logits is not None:
            return -(visible.to(self.weight) @ self.visible_bias) - functional.softplus(hidden_logits).sum(-1)
        state = unit_values(visible, self.num_visible, like=self.weight)
        return -(state @ self.visible_bias) - functional.softplus(self._hidden_logits(state)).sum(-1)

    def hidden_logits(self, visible: Tensor) -> Tensor:
        """Return the log odds of the hidden units, c_j + (v W)_j, shape (..., num_hidden).

        Raises:
            InvalidStateError: a last axis that is not `num_visible` long, or values outside [0, 1].
        """
        return self._hidden_logits(unit_values(visible, self.num_visible, like=self.weight))

    def visible_logits(self, hidden: Tensor) -> Tensor:
        """Return the log odds of the visible units, a_i + (W h)_i, shape (..., num_visible).

        Raises:
            InvalidStateError: a last axis that is not `num_hidden` long, or values outside [0, 1].
        """
        state = unit_values(hidden, self.num_hidden, like=self.weight)
        return functional.linear(state, self.weight, self.visible_bias)

    def _hidden_logits(self, state: Tensor) -> Tensor:
        return functional.linear(state, self.weight.T, self.hidden_bias)

    def hidden_probabilities(self, visible: Tensor) -> Tensor:
        """Return p(h_j = 1 | v) = sigmoid(c_j + (v W)_j), shape (..., num_hidden).

        Raises:
            InvalidStateError: a last axis that is not `num_visible` long, or values outside [0, 1].
        """
        return torch.sigmoid(self.hidden_logits(visible))

    def visible_probabilities(self, hidden: Tensor) -> Tensor:
        """Return p(v_i = 1 | h) = sigmoid(a_i + (W h)_i), shape (..., num_visible).

        Raises:
            InvalidStateError: a last axis that is not `num_hidden` long, or values outside [0, 1].
        """
        return torch.sigmoid(self.visible_logits(hidden))

    @torch.no_grad()
    def gibbs_step(self, visible: Tensor, seed: Seed = None) -> Tensor:
        """Return visible bits after one step of block Gibbs: all hidden units given v, then all visible units given h.

        h ~ prod_j p(h_j | v), then v' ~ prod_i p(v_i | h)

        Two matrix products on the parameters' device: the better choice for a few steps from given rows, and for large
        machines on an accelerator. `samplers.Gibbs` scans a restricted machine's visible units, then its hidden ones, which
        is block Gibbs too: on the CPU, and the better choice where many sweeps, phases of training or draws of all units
        are wanted.

        Args:
            visible: 0/1, shape (..., num_visible).
            seed: integer, generator, or None for fresh entropy. An integer draws the same noise at every call, so pass one
                generator to all steps of a chain.

        Returns:
            0/1 in the parameters' dtype and on their device, the shape of `visible`.

        Law:
            Asymptotic: leaves the model's distribution unchanged and converges to it. Rows are independent.

        Raises:
            InvalidStateError: a last axis that is not `num_visible` long, or values other than 0 and 1.
            InvalidSettingError: an impossible seed.
        """
        resolved = resolve_seed(seed)
        rows = bits_of(visible, self.num_visible).to(self.weight)
        hidden = random_bits(self._hidden_logits(rows), derive_seed(resolved, 0))
        return self.draw_visible(hidden, derive_seed(resolved, 1))

    @torch.no_grad()
    def draw_visible(self, hidden: Tensor, seed: Seed = None) -> Tensor:
        """Return visible bits drawn given the hidden ones, v ~ prod_i p(v_i | h), shape (..., num_visible).

        Raises:
            InvalidStateError: a last axis that is not `num_hidden` long, or values outside [0, 1].
            InvalidSettingError: an impossible seed.
        """
        return random_bits(self.visible_logits(hidden), resolve_seed(seed))

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"num_visible={self.num_visible}, num_hidden={self.num_hidden}"

    def _set_visible_biases(self, values: Tensor) -> None:
        self.visible_bias.copy_(values)

    def _row_energy(self, bits: Tensor) -> Tensor:
        units = torch.as_tensor(bits).shape[-1:]
        if units not in ((self.num_visible,), (self.num_nodes,)):
            raise InvalidStateError(
                f"rows must have {self.num_visible} visible entries, or {self.num_nodes} of all units; got {tuple(units)}"
            )
        return self.free_energy(bits[..., : self.num_visible])
