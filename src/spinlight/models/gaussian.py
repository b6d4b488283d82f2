"""The Gaussian-Bernoulli restricted Boltzmann machine: real visible units, bits hidden."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import nonnegative_number, positive_integer
from spinlight._errors import InvalidDataError, InvalidStateError
from spinlight._random import Seed, derive_seed, gaussian, resolve_seed
from spinlight.ising import Draws, Ising, SupportsDraw, ising_from_bits
from spinlight.ising.bits import random_bits
from spinlight.models.base import equal_rows, mean_over, require_memory, require_unit_beta, unit_values


class GaussianBernoulliRBM(nn.Module):
    """A mixture of 2^hidden Gaussians that share their variances: real visible units v, hidden bits h.

    E(v, h) = sum_i (v_i - a_i)^2 / (2 s_i) - c.h - sum_ij v_i W_ij h_j / s_i,  s_i = sigma_i^2 = exp(log_variances_i)

    p(v_i | h) = Normal(a_i + (W h)_i, s_i),  p(h_j = 1 | v) = sigmoid(c_j + sum_i v_i W_ij / s_i)

    The integral over v is Gaussian, so the hidden units alone are a Boltzmann machine in which every pair is connected:

    E(h) = - log int exp(-E(v, h)) dv = - b.h - sum_{j<k} K_jk h_j h_k - sum_i log(2 pi s_i) / 2

    with K_jk = sum_i W_ij W_ik / s_i and b_j = c_j + sum_i (a_i W_ij + W_ij^2 / 2) / s_i.

    `to_ising` returns that problem, offset included: its log Z is the log Z of the whole machine, and log p(v) = - F(v) - log Z.
    Every sampler and every estimator of log Z therefore works on a machine with real data.

    Args:
        num_visible: real units, at least 1.
        num_hidden: bits, at least 1.
        initial_scale: standard deviation of the initial weights; biases start at zero, variances at one.

    Raises:
        InvalidSettingError: sizes below 1, or a negative scale.
        ProblemTooLargeError: more weights than this computer's memory holds.

    References:
        Welling, Rosen-Zvi & Hinton (2005), Exponential family harmoniums; Cho, Ilin & Raiko (2011), Improved learning of
        Gaussian-Bernoulli restricted Boltzmann machines (learned variances); Liao, Kornblith, Ren, Fleet & Hinton (2022),
        Gaussian-Bernoulli RBMs without tears, whose energy this is.

    Example:
        >>> machine = GaussianBernoulliRBM(1, 1, initial_scale=0.0)
        >>> machine.free_energy(torch.tensor([[2.0]])).item()  # 2^2 / 2 - log 2
        1.306...
    """

    def __init__(self, num_visible: int, num_hidden: int, *, initial_scale: float = 0.01) -> None:
        scale = nonnegative_number("initial_scale", initial_scale)
        super().__init__()
        self.num_visible = positive_integer("num_visible", num_visible)
        self.num_hidden = positive_integer("num_hidden", num_hidden)
        require_memory(4 * self.num_visible * self.num_hidden)
        self.weight = nn.Parameter(scale * torch.randn(num_visible, num_hidden))
        self.visible_bias = nn.Parameter(torch.zeros(num_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(num_hidden))
        self.log_variances = nn.Parameter(torch.zeros(num_visible))

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return E(v, h), differentiable in the parameters and in both arguments.

        Args:
            visible: real, shape (..., num_visible).
            hidden: 0/1, or probabilities, for which this is the expected energy; shape (..., num_hidden).

        Returns:
            The parameters' dtype, the shape of the rows.

        Raises:
            InvalidStateError: visible rows that are not finite floating-point numbers, hidden ones outside [0, 1], or either of
                the wrong length.
        """
        rows, bits = self._visible(visible), unit_values(hidden, self.num_hidden, like=self.weight)
        return self._confinement(rows) - (self._hidden_logits(rows) * bits).sum(-1)

    def forward(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return `energy(visible, hidden)`."""
        return self.energy(visible, hidden)

    def free_energy(self, visible: Tensor, *, hidden_logits: Tensor | None = None) -> Tensor:
        """Return F(v) = - log sum_h exp(-E(v, h)), so that the density is p(v) = exp(-F(v)) / Z.

        F(v) = sum_i (v_i - a_i)^2 / (2 s_i) - sum_j softplus(c_j + sum_i v_i W_ij / s_i)

        Args:
            visible: real, shape (..., num_visible).
            hidden_logits: `hidden_logits(visible)`, where they are known already: the one matrix product.

        Returns:
            The parameters' dtype, shape `visible.shape[:-1]`.

        Raises:
            InvalidStateError: rows of the wrong length, or that are not finite floating-point numbers.
        """
        rows = self._visible(visible)
        logits = self._hidden_logits(rows) if hidden_logits is None else hidden_logits
        return self._confinement(rows) - functional.softplus(logits).sum(-1)

    def hidden_energy(self, hidden: Tensor) -> Tensor:
        """Return - log int exp(-E(v, h)) dv, so that p(h) = exp(-hidden_energy(h)) / Z with the same Z.

        E(h) = - c.h - sum_i (a_i m_i + m_i^2 / 2) / s_i - sum_i log(2 pi s_i) / 2,  m = W h

        Args:
            hidden: 0/1, shape (..., num_hidden).

        Returns:
            The parameters' dtype, shape `hidden.shape[:-1]`; `to_ising()` has the same energies.

        Raises:
            InvalidStateError: a last axis that is not `num_hidden` long, or values outside [0, 1].
        """
        bits = unit_values(hidden, self.num_hidden, like=self.weight)
        shifts = bits @ self.weight.T
        gain = self._scaled((self.visible_bias + 0.5 * shifts) * shifts).sum(-1)
        return -(bits @ self.hidden_bias) - gain - 0.5 * (math.log(2 * math.pi) + self.log_variances).sum()

    def hidden_logits(self, visible: Tensor) -> Tensor:
        """Return the log odds of the hidden units, c_j + sum_i v_i W_ij / s_i, shape (..., num_hidden).

        Raises:
            InvalidStateError: rows of the wrong length, or that are not finite floating-point numbers.
        """
        return self._hidden_logits(self._visible(visible))

    def hidden_probabilities(self, visible: Tensor) -> Tensor:
        """Return p(h_j = 1 | v), shape (..., num_hidden).

        Raises:
            InvalidStateError: rows of the wrong length, or that are not finite floating-point numbers.
        """
        return torch.sigmoid(self.hidden_logits(visible))

    def visible_means(self, hidden: Tensor) -> Tensor:
        """Return the means a + W h of p(v | h), whose variances are exp(log_variances); shape (..., num_visible).

        Raises:
            InvalidStateError: a last axis that is not `num_hidden` long, or values outside [0, 1].
        """
        return self.visible_bias + unit_values(hidden, self.num_hidden, like=self.weight) @ self.weight.T

    def to_ising(self) -> Ising:
        """Return the Ising problem of the hidden units, whose log Z is that of the whole machine.

        Returns:
            A dense problem of `num_hidden` sites, without gradients, whose energies are `hidden_energy`.

        Raises:
            InvalidProblemError: parameters that are NaN or infinite, or variances that vanish.

        Cost:
            num_visible * num_hidden^2.
        """
        weight, means, biases, logs = (
            part.detach().to(torch.float64)
            for part in (self.weight, self.visible_bias, self.hidden_bias, self.log_variances)
        )
        scaled = weight / logs.exp()[:, None]
        fields = biases + means @ scaled + 0.5 * (weight * scaled).sum(0)
        pairs = (weight.T @ scaled).fill_diagonal_(0.0)
        return ising_from_bits(fields, pairs, -0.5 * (math.log(2 * math.pi) + logs).sum())

    def objective(self, positive: Tensor | Draws, negative: Tensor | Draws) -> Tensor:
        """Return a scalar whose gradient is that of the mean negative log-likelihood.

        L = <F>_positive - <F>_negative for visible rows; draws of the hidden units, whose visible units are integrated out
        exactly, put <hidden_energy>_negative in the place of the second mean. Its value is no likelihood: that needs log Z.

        Args:
            positive: data, real, shape (..., num_visible).
            negative: samples of the model: visible rows as a tensor, or `Draws` of `to_ising()`, whose weights count.

        Raises:
            InvalidStateError: no rows at all, rows of the wrong length, or visible rows that are not finite floating-point
                numbers.
        """
        if isinstance(positive, Draws):
            raise InvalidStateError(
                "the positive side is data: real visible rows. Draws are hidden bits, and stand on the negative side"
            )
        energies = self.hidden_energy(negative.bits) if isinstance(negative, Draws) else self.free_energy(negative)
        return mean_over(positive, self.free_energy(positive)) - mean_over(negative, energies)

    @torch.no_grad()
    def gibbs_step(self, visible: Tensor, seed: Seed = None) -> Tensor:
        """Return visible rows after one step of block Gibbs: all hidden units given v, then all visible units given h.

        h ~ prod_j p(h_j | v), then v' ~ prod_i Normal(a_i + (W h)_i, s_i)

        Args:
            visible: real, shape (..., num_visible).
            seed: integer, generator, or None for fresh entropy. An integer draws the same noise at every call, so pass one
                generator to all steps of a chain.

        Returns:
            Rows in the parameters' dtype and on their device, the shape of `visible`.

        Law:
            Asymptotic: leaves the model's distribution unchanged and converges to it. Rows are independent.

        Raises:
            InvalidStateError: rows of the wrong length, or that are not finite floating-point numbers.
            InvalidSettingError: an impossible seed.
        """
        resolved = resolve_seed(seed)
        hidden = random_bits(self.hidden_logits(visible), derive_seed(resolved, 0))
        return self.draw_visible(hidden, derive_seed(resolved, 1))

    @torch.no_grad()
    def draw_visible(self, hidden: Tensor, seed: Seed = None) -> Tensor:
        """Return visible rows drawn given the hidden bits, v ~ prod_i p(v_i | h), shape (..., num_visible).

        Raises:
            InvalidStateError: a last axis that is not `num_hidden` long, or values outside [0, 1].
            InvalidSettingError: an impossible seed.
        """
        return gaussian(self.visible_means(hidden), (0.5 * self.log_variances).exp(), resolve_seed(seed))

    @torch.no_grad()
    def sample(self, sampler: SupportsDraw, count: int, *, seed: Seed = None) -> Tensor:
        """Return visible samples: hidden bits drawn by any sampler, then v | h.

        Weighted draws are resampled in proportion to their weights, so that every row counts alike.

        Args:
            sampler: draws the hidden units at beta = 1; its law decides what the samples are worth.
            count: samples.
            seed: integer, generator, or None for fresh entropy.

        Returns:
            Rows in the parameters' dtype and on their device, shape (count, num_visible).

        Raises:
            InvalidSettingError: no sampler or one at another temperature than 1, or an impossible count or seed.
        """
        require_unit_beta(sampler)
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        draws = sampler.draw(self.to_ising(), count, seed=resolved)
        return self.draw_visible(equal_rows(draws, count, derive_seed(resolved, 1)), derive_seed(resolved, 2))

    @torch.no_grad()
    def initialize_from_data(self, visible: Tensor) -> None:
        """Set the visible biases and variances to the data's means and variances, from which learning starts faster.

        With small weights the machine then is the Gaussian of greatest likelihood among those of independent units.

        Raises:
            InvalidStateError: rows of the wrong length, or that are not finite floating-point numbers.
            InvalidDataError: a unit that has the same value in every row, whose density has no bound.
        """
        rows = self._visible(visible).reshape(-1, self.num_visible).to(torch.float64)
        constant = (rows == rows[:1]).all(0).nonzero().flatten().tolist()
        if constant:
            raise InvalidDataError(
                f"every visible unit must vary over the rows; {len(constant)} units do not over {len(rows)} rows, the first of them "
                f"unit {constant[0]}. Leave such units out, or add noise to them"
            )
        variances, means = torch.var_mean(rows, 0, correction=0)
        self.visible_bias.copy_(means)
        self.log_variances.copy_(variances.log())

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"num_visible={self.num_visible}, num_hidden={self.num_hidden}"

    def _hidden_logits(self, rows: Tensor) -> Tensor:
        return self.hidden_bias + self._scaled(rows) @ self.weight

    def _confinement(self, rows: Tensor) -> Tensor:
        """Return sum_i (v_i - a_i)^2 / (2 s_i)."""
        return 0.5 * self._scaled((rows - self.visible_bias) ** 2).sum(-1)

    def _scaled(self, rows: Tensor) -> Tensor:
        """Return rows over the variances s."""
        return rows * (-self.log_variances).exp()

    def _visible(self, values: Tensor) -> Tensor:
        """Return real rows in the parameters' dtype and on their device, or refuse them."""
        rows = torch.as_tensor(values)
        if not rows.is_floating_point():
            raise InvalidStateError(
                f"visible units are real: pass floating-point rows, not {rows.dtype}. Hidden bits of the negative side go as Draws"
            )
        if rows.ndim == 0 or rows.shape[-1] != self.num_visible:
            raise InvalidStateError(
                f"visible rows must have {self.num_visible} entries, one per unit; got shape {tuple(rows.shape)}"
            )
        if not bool(rows.isfinite().all()):
            raise InvalidStateError("visible rows hold NaN or infinity; every value must be finite")
        return rows.to(self.weight)
