"""What every Boltzmann machine is: an energy over bits, its Ising problem, and a gradient made of samples."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from spinlight._checks import bits_of, nonnegative_integer, positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight._random import Seed, derive_seed, positions_of, resolve_seed, uniform
from spinlight.ising import Draws, Ising, SupportsDraw, ising_from_bits, kaiwu_from_ising


class AbstractBoltzmannMachine(nn.Module, ABC):
    """A distribution over bits x in {0, 1}: p(x) proportional to exp(-E(x)), the first units visible, the others hidden.

    E(x) = - b.x - sum_{i<j} W_ij x_i x_j,  log p(v) = log sum_h exp(-E(v, h)) - log Z

    Args:
        num_visible: units that data describe, at least 1.
        num_hidden: units that data leave open.

    Raises:
        InvalidSettingError: fewer than one visible unit or a negative number of hidden ones.

    References:
        Ackley, Hinton & Sejnowski (1985), A learning algorithm for Boltzmann machines.
    """

    def __init__(self, num_visible: int, num_hidden: int) -> None:
        super().__init__()
        self.num_visible = positive_integer("num_visible", num_visible)
        self.num_hidden = nonnegative_integer("num_hidden", num_hidden)

    @property
    def num_nodes(self) -> int:
        """The number of units, visible and hidden."""
        return self.num_visible + self.num_hidden

    @property
    @abstractmethod
    def needs_hidden(self) -> bool:
        """Whether `objective` needs data rows completed with samples of the hidden units."""

    @property
    @abstractmethod
    def weight_parameter(self) -> nn.Parameter:
        """The parameter that holds the weights, each connected pair once: what weight decay is for."""

    @property
    @abstractmethod
    def bias_parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that hold the biases, which make b when put one after the other."""

    @abstractmethod
    def biases_and_weights(self) -> tuple[Tensor, Tensor]:
        """Return b, shape (num_nodes,), and W, symmetric with a zero diagonal, shape (num_nodes, num_nodes)."""

    def energy(self, bits: Tensor) -> Tensor:
        """Return E(x), differentiable in the parameters and in x.

        E is linear in each unit by itself, so a row of probabilities q gives the expected energy of independent units:
        E_q[E(x)] = E(q), exactly.

        Args:
            bits: 0/1, or probabilities in [0, 1], shape (..., num_nodes).

        Returns:
            The parameters' dtype, shape `bits.shape[:-1]`.

        Raises:
            InvalidStateError: a last axis that is not `num_nodes` long, or values outside [0, 1].
        """
        biases, weights = self.biases_and_weights()
        state = unit_values(bits, self.num_nodes, like=biases)
        return -((biases + 0.5 * (state @ weights)) * state).sum(-1)

    def forward(self, bits: Tensor) -> Tensor:
        """Return `energy(bits)`."""
        return self.energy(bits)

    def to_ising(self, clamped: Tensor | None = None) -> Ising:
        """Return the Ising problem of all units, or of the hidden ones while the visible ones are held.

        The held bits are put into E before bits become spins: b'_h = b_h + W_hv v with offset -b_v.v - v.W_vv.v / 2. So the
        problem's energy of the hidden spins is E(v, h), row by row.

        Args:
            clamped: visible bits, shape (num_visible,), or (batch, num_visible) for one problem per row.

        Returns:
            A problem without gradients; batched fields and offsets when the clamped bits are batched.

        Raises:
            InvalidStateError: clamped bits of the wrong shape or other than 0/1.
            InvalidSettingError: clamping a machine that has no hidden units.
        """
        biases, weights = (part.detach().to(torch.float64) for part in self.biases_and_weights())
        if clamped is None:
            return ising_from_bits(biases, weights)
        held = self._clamped(clamped).to(biases)
        visible, hidden = slice(None, self.num_visible), slice(self.num_visible, None)
        offset = -((biases[visible] + 0.5 * (held @ weights[visible, visible])) * held).sum(-1)
        return ising_from_bits(biases[hidden] + held @ weights[visible, hidden], weights[hidden, hidden], offset)

    def get_ising_matrix(self) -> Tensor:
        """Return the matrix M of H(s) = - s^T M s over both triangles, as the Kaiwu SDK's solvers take it.

        An auxiliary last spin carries the fields, M_ij = J_ij / 2 and M_i,last = h_i / 2; a solution times its own last
        spin has E(x) = H(s) + offset, with the offset of `to_ising()`.

        Returns:
            float64, symmetric with a zero diagonal, shape (num_nodes + 1, num_nodes + 1).
        """
        matrix, _ = kaiwu_from_ising(self.to_ising())
        return matrix

    def objective(self, positive: Tensor | Draws, negative: Tensor | Draws) -> Tensor:
        """Return a scalar whose gradient is that of the mean negative log-likelihood.

        L = <E>_positive - <E>_negative,  dL/dtheta = -d<log p(v)>/dtheta  for model samples as negatives.

        Its value is no likelihood: that needs log Z.

        Args:
            positive: data; rows of all units where `needs_hidden`, else of the visible ones. A tensor of bits, shape
                (..., units), or `Draws`, whose weights count and whose problems count alike.
            negative: samples of the model, rows of all units; as `positive`.

        Raises:
            InvalidStateError: no rows at all, rows of a number of units that is not expected, or values outside [0, 1].
        """
        return self._mean_energy(positive) - self._mean_energy(negative)

    def mean_energy(self, bits: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the mean over rows of what `objective` averages: E(x), or F(v) = -log sum_h exp(-E(v, h)) where h is summed out.

        Over samples of the model its gradient is that of -log Z.

        Args:
            bits: 0/1, shape (..., units): of all units, or of the visible ones for a machine that sums the hidden ones out.
            weights: of the rows, shape `bits.shape[:-1]`; they sum to one over the last axis. None: the rows count alike.

        Raises:
            InvalidStateError: as `objective`, or weights of another shape.
        """
        return weighted_mean(self._row_energy(bits), weights)

    def sample(self, sampler: SupportsDraw, count: int, *, clamped: Tensor | None = None, seed: Seed = None) -> Tensor:
        """Return samples of all units, drawn by any sampler.

        Weighted draws are resampled in proportion to their weights, so that every row counts alike.

        Args:
            sampler: draws at beta = 1; its law decides what the samples are worth.
            count: samples, per clamped row where there are many.
            clamped: visible bits to hold, shape (num_visible,) or (batch, num_visible).
            seed: integer, generator, or None for fresh entropy.

        Returns:
            Bits, int8, shape (count, num_nodes), or (batch, count, num_nodes).

        Raises:
            InvalidStateError: clamped bits of the wrong shape or other than 0/1.
            InvalidSettingError: clamping a machine that has no hidden units, no sampler or one at another temperature than 1, or an
                impossible count or seed.
        """
        require_unit_beta(sampler)
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        bits = equal_rows(sampler.draw(self.to_ising(clamped), count, seed=resolved), count, derive_seed(resolved, 1))
        if clamped is None:
            return bits
        held = self._clamped(clamped).to(bits).unsqueeze(-2)
        return torch.cat([held.expand(*bits.shape[:-1], self.num_visible), bits], -1)

    @torch.no_grad()
    def initialize_biases(self, visible: Tensor) -> None:
        """Set the visible biases to the log odds of the data's means, from which learning starts faster.

        b_i = log((n_i + 1) / (n - n_i + 1)) for n_i ones among n rows: the log odds of (n_i + 1) / (n + 2), Laplace's rule of
        succession, which is the mean smoothed towards 1/2 and so never infinite.

        Raises:
            InvalidStateError: rows that are not `num_visible` bits.

        References:
            Hinton (2012), A practical guide to training restricted Boltzmann machines, section 8.
        """
        rows = bits_of(visible, self.num_visible).reshape(-1, self.num_visible)
        ones = rows.to(torch.float64).sum(0)
        self._set_visible_biases(((ones + 1) / (len(rows) - ones + 1)).log())

    @abstractmethod
    def _set_visible_biases(self, values: Tensor) -> None:
        """Overwrite the visible biases in place."""

    def _row_energy(self, bits: Tensor) -> Tensor:
        """Return the energy that the objective averages; machines that sum hidden units out do it here."""
        return self.energy(bits)

    def _mean_energy(self, rows: Tensor | Draws) -> Tensor:
        return self.mean_energy(rows.bits, rows.weights) if isinstance(rows, Draws) else self.mean_energy(rows)

    def _clamped(self, clamped: Tensor) -> Tensor:
        if self.num_hidden == 0:
            raise InvalidSettingError("every unit of this machine is visible: clamping them leaves nothing to sample")
        bits = bits_of(clamped, self.num_visible)
        if bits.ndim > 2:
            raise InvalidStateError(
                f"clamped bits must have shape (num_visible,) or (batch, num_visible), got {tuple(bits.shape)}"
            )
        return bits


class TrainableMachine(Protocol):
    """What training needs of any machine: every `AbstractBoltzmannMachine` has it, and machines of real numbers too."""

    num_visible: int

    def to_ising(self) -> Ising:
        """Return the Ising problem of the units that are bits."""
        ...

    def objective(self, positive: Tensor | Draws, negative: Tensor | Draws) -> Tensor:
        """Return a scalar whose gradient is that of the mean negative log-likelihood."""
        ...


@runtime_checkable
class SupportsGibbsStep(TrainableMachine, Protocol):
    """A machine with no connections within its visible or its hidden side, whatever values its visible units take.

    Its hidden units are bits and summed out in closed form, and one block-Gibbs step moves all units of a side at once.
    """

    num_hidden: int

    def hidden_logits(self, visible: Tensor) -> Tensor:
        """Return log(p(h_j = 1 | v) / p(h_j = 0 | v)), shape (..., num_hidden)."""
        ...

    def draw_visible(self, hidden: Tensor, seed: Seed = None) -> Tensor:
        """Return visible rows drawn given hidden bits, shape (..., num_visible)."""
        ...

    def gibbs_step(self, visible: Tensor, seed: Seed = None) -> Tensor:
        """Return visible rows after one step of block Gibbs."""
        ...

    def free_energy(self, visible: Tensor, *, hidden_logits: Tensor | None = None) -> Tensor:
        """Return F(v) with p(v) = exp(-F(v)) / Z, one value per row; `hidden_logits` where they are known already."""
        ...


def mean_over(rows: Tensor | Draws, energies: Tensor) -> Tensor:
    """Return the mean of one energy per row, each row of draws by its weight; the problems of a batch count alike."""
    return weighted_mean(energies, rows.weights if isinstance(rows, Draws) else None)


def weighted_mean(energies: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of energies whose weights sum to one over the last axis, or which count alike."""
    _require_rows(energies.numel())
    _require_weights(weights, energies.shape)
    return energies.mean() if weights is None else (weights.to(energies) * energies).sum(-1).mean()


def row_shares(rows: Tensor, weights: Tensor | None) -> Tensor:
    """Return what each row counts for in `weighted_mean`, flat, in the rows' dtype and on their device; they sum to one."""
    count = rows.shape[:-1].numel()
    _require_rows(count)
    _require_weights(weights, rows.shape[:-1])
    if weights is None:
        return rows.new_full((count,), 1 / count)
    return (weights.to(rows) / (count // weights.shape[-1])).reshape(-1)


def _require_weights(weights: Tensor | None, shape: torch.Size) -> None:
    if weights is not None and weights.shape != shape:
        raise InvalidStateError(f"weights must have the shape of the rows, {tuple(shape)}, got {tuple(weights.shape)}")


def _require_rows(count: int) -> None:
    if count == 0:
        raise InvalidStateError("the objective is a mean over rows, and one side has none; pass at least one row")


def require_unit_beta(sampler: SupportsDraw) -> None:
    """Refuse what draws nothing, and a sampler whose draws do not follow a machine's own exp(-E), at beta = 1."""
    if isinstance(sampler, type) or not callable(getattr(sampler, "draw", None)):
        raise InvalidSettingError(f"a sampler such as spinlight.samplers.Gibbs() is needed, got {sampler!r}")
    beta = getattr(sampler, "beta", 1.0)
    if beta != 1.0:
        raise InvalidSettingError(
            f"samples of a machine follow exp(-E), at beta = 1; this {type(sampler).__name__} draws at beta = {beta}. For another "
            "temperature scale the machine's parameters, or draw from its to_ising()"
        )


def require_memory(size: int) -> None:
    """Refuse parameters that take more bytes than this computer's whole memory, before any are made.

    Raises:
        ProblemTooLargeError: naming both.
    """
    if not hasattr(os, "sysconf"):
        return
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > total:
        raise ProblemTooLargeError(
            f"the weights take {size / 2**30:,.0f} GiB, and this computer has {total / 2**30:,.0f}; take fewer units"
        )


def unit_values(values: Tensor, units: int, *, like: Tensor) -> Tensor:
    """Return bits or probabilities in the dtype and on the device of `like`, or refuse them."""
    state = torch.as_tensor(values)
    if state.ndim == 0 or state.shape[-1] != units:
        raise InvalidStateError(f"rows must have {units} entries, one per unit; got shape {tuple(state.shape)}")
    if state.numel() and not _within_unit(state):
        raise InvalidStateError("bits must lie in [0, 1]; for spins in {-1, +1} use spinlight.ising.bits_from_spins")
    return state.to(like)


def _within_unit(state: Tensor) -> bool:
    """Return whether all values lie in [0, 1], in one pass; NaN does not."""
    low, high = (float(end) for end in torch.aminmax(state.detach()))
    return 0 <= low <= high <= 1


def equal_rows(draws: Draws, count: int, seed: int) -> Tensor:
    """Return `count` bit rows that count alike: those of unweighted draws, or draws resampled by their weights."""
    if draws.log_weights is None and draws.counts is None:
        return draws.bits
    weights = draws.weights
    picks = positions_of(weights, uniform(seed, *weights.shape[:-1], count))
    return draws.bits.gather(-2, picks.unsqueeze(-1).expand(*picks.shape, draws.sites))
