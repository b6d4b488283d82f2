"""A restricted Boltzmann machine summed over all states of its smaller side, the other side in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number
from spinlight._errors import InvalidProblemError, ProblemTooLargeError
from spinlight._random import derive_seed, positions_of, uniform
from spinlight.ising.enumeration import spins_of_numbers
from spinlight.kernels.blocks import Floats, over_blocks
from spinlight.kernels.enumeration import block_log_weights, side_table
from spinlight.models import RestrictedBoltzmannMachine

_MOST_UNITS = 24
_MOST_DRAWN_UNITS = 20
_LOW = 8
"""Units that vary within a block of states: a table of 256 states by a wide side still fits a core's second-level cache."""

_WIDEST = 600.0
"""How far the logarithm of a product may go: exp(-600) and 2^600 are still numbers."""


class SmallerSide:
    """The marginal distribution of an RBM's smaller side x at inverse temperature beta.

    log p(x) + log Z = beta b.x + sum_j softplus(beta (c_j + (x W)_j)),  b the smaller side's biases and c the other's

    Args:
        machine: up to 24 units on its smaller side; the other side may have any size.
        beta: inverse temperature, at least 0.

    Raises:
        ProblemTooLargeError: more than 24 units on both sides.
        InvalidProblemError: parameters that are NaN or infinite.

    Cost:
        2^smaller * larger steps of 1 to 2 ns on each thread where the larger side has hundreds of units: a tenth of a second for 16 by
        784 units, two seconds for 20 by 784. Up to 10 ns where it has tens, and half a microsecond where eight weights of one unit add
        up to more than 600.
    """

    def __init__(self, machine: RestrictedBoltzmannMachine, beta: float) -> None:
        _refuse_above(_MOST_UNITS, machine)
        self.visible_is_smaller = machine.num_visible <= machine.num_hidden
        sides: tuple[Tensor, Tensor, Tensor] = (machine.visible_bias, machine.hidden_bias, machine.weight)
        if not self.visible_is_smaller:
            sides = (machine.hidden_bias, machine.visible_bias, machine.weight.T)
        scale = nonnegative_number("beta", beta)
        self.machine = machine
        self.biases, self.others, self.weight = (scale * part.detach().cpu().to(torch.float64) for part in sides)
        if not all(bool(part.isfinite().all()) for part in (self.biases, self.others, self.weight)):
            raise InvalidProblemError("the machine's parameters hold NaN or infinity; is the learning rate too high?")

    def log_partition(self) -> float:
        """Return log Z.

        Raises:
            InvalidProblemError: it is no number that float64 holds.
        """
        total = torch.tensor(-math.inf, dtype=torch.float64)
        for part in self._over_blocks(lambda values: torch.logsumexp(torch.from_numpy(values), 0)):
            total = torch.logaddexp(total, part)
        if not bool(total.isfinite()):
            raise InvalidProblemError(
                "log Z is beyond float64: divide the machine's parameters by a constant and multiply beta by it"
            )
        return float(total)

    def draw(self, count: int, seed: int) -> Tensor:
        """Return independent exact draws of all units: spins, int8, shape (count, num_nodes).

        Raises:
            ProblemTooLargeError: more than 20 units on both sides.
        """
        _refuse_above(_MOST_DRAWN_UNITS, self.machine)
        probabilities = torch.softmax(torch.cat(list(self._over_blocks(_copied))), 0)
        bits = self._bits(positions_of(probabilities, uniform(derive_seed(seed, 0), count)))
        up = torch.sigmoid(self.others + bits @ self.weight)
        others = (uniform(derive_seed(seed, 1), *up.shape) < up).to(bits)
        both = (bits, others) if self.visible_is_smaller else (others, bits)
        return (2 * torch.cat(both, -1) - 1).to(torch.int8)

    def _over_blocks(self, function: Callable[[Floats], Tensor]) -> Iterator[Tensor]:
        """Yield the function of log p(x) + log Z of all states, in number order, a block at a time; it must not keep the values."""
        biases, others, weight = (part.contiguous().numpy() for part in (self.biases, self.others, self.weight))
        low = min(len(biases), _LOW)
        while low and _spread(weight, low) > _WIDEST:
            low -= 1
        span = int(_WIDEST / max(_spread(weight, low), 1.0))
        table = side_table(low, weight)

        def fill(block: int, values: Floats) -> None:
            block_log_weights(block, low, biases, others, weight, table, span, values)

        blocks = 1 << (len(biases) - low)
        return over_blocks(blocks, 1 << low, fill, lambda _, values: function(values), torch.get_num_threads())

    def _bits(self, numbers: Tensor) -> Tensor:
        return (spins_of_numbers(numbers, len(self.biases)).to(torch.float64) + 1) / 2


def _spread(weight: Floats, low: int) -> float:
    """Return by how much the input of a unit varies with the first `low` units of the other side, at the most."""
    return float(abs(weight[:low]).sum(0).max())


def _copied(values: Floats) -> Tensor:
    return torch.from_numpy(values.copy())


def _refuse_above(limit: int, machine: RestrictedBoltzmannMachine) -> None:
    smaller = min(machine.num_visible, machine.num_hidden)
    if smaller > limit:
        raise ProblemTooLargeError(
            f"the smaller side of this machine has 2^{smaller} states, too many to go through; the limit is {limit} units. "
            "AnnealedImportance bounds log Z at any size"
        )
