"""All states of a dense Ising problem, or of one side of a bipartite machine, one block of states at a time (Numba, float64)."""

from __future__ import annotations

import numpy as np
from numba import njit

from spinlight.kernels.blocks import Floats

_LOG_2 = float(np.log(2.0))


@njit(nogil=True, cache=True)
def block_energies(block: int, low: int, fields: Floats, couplings: Floats, offset: float, energies: Floats) -> None:
    """Write the energies of the states whose sites from `low` on spell the block's number.

    Entry x has site i < low up where bit i of x is set. The table grows by doubling: with site i raised,

    E(x + 2^i) = E(x) - 2 (h_i + sum_j J_ij s_j(x)),

    and the local fields in it are doubled in the same way. That is two vectorised additions per state, where a step of a Gray
    code updates one local field for each of the `low` sites, and rounding does not add up from state to state.
    """
    spins = np.full(len(fields), -1.0)
    for site in range(low, len(fields)):
        if (block >> (site - low)) & 1:
            spins[site] = 1.0
    local = fields.copy()
    energies[0] = offset
    for site in range(len(fields)):
        for other in range(len(fields)):
            local[site] += couplings[site, other] * spins[other]
        energies[0] -= 0.5 * spins[site] * (fields[site] + local[site])
    ladder = np.empty(1 << max(low - 1, 0))
    for site in range(low):
        ladder[0] = 2.0 * local[site]
        for lower in range(site):
            half, rise = 1 << lower, 4.0 * couplings[site, lower]
            for state in range(half):
                ladder[half + state] = ladder[state] + rise
        half = 1 << site
        for state in range(half):
            energies[half + state] = energies[state] - ladder[state]


@njit(nogil=True, cache=True)
def side_table(low: int, weight: Floats) -> Floats:
    """Return exp(sum_i x_i W_ij - max(W_ij, 0)) of all states x of the first `low` units, shape (others, 2^low): at most 1.

    Args:
        low: units that vary within a block.
        weight: W, shape (units, others).
    """
    others = weight.shape[1]
    table = np.empty((others, 1 << low))
    for other in range(others):
        row = table[other]
        row[0] = 0.0
        for unit in range(low):
            row[0] -= max(weight[unit, other], 0.0)
        for unit in range(low):
            half, rise = 1 << unit, weight[unit, other]
            for state in range(half):
                row[half + state] = row[state] + rise
        for state in range(1 << low):
            row[state] = np.exp(row[state])
    return table


# Fused multiply-adds and nothing else of fastmath: sums in another order would not be the same for every block size.
@njit(nogil=True, cache=True, fastmath={"contract"})
def block_log_weights(
    block: int, low: int, biases: Floats, others: Floats, weight: Floats, table: Floats, span: int, values: Floats
) -> None:
    """Write b.x + sum_j softplus(c_j + (x W)_j) of the states x whose units from `low` on spell the block's number.

    With m_j the largest c_j + (x W)_j within the block and u_j = max(m_j, 0),

    sum_j softplus(..) = sum_j u_j + log prod_j (exp(-u_j) + exp(m_j - u_j) table_j(x)),

    one multiplication and one addition for each factor, and a logarithm for each state: factors lie between exp(- sum_(i < low) |W_ij|)
    and 2, and after every `span` of them the exponent of the product is set aside, lest it leave the numbers.

    Args:
        block: number of the block.
        low: units that vary within it.
        biases: b, shape (units,).
        others: c, shape (others,).
        weight: W, shape (units, others).
        table: `side_table(low, weight)`.
        span: factors whose product stays between 1e-300 and 1e300.
        values: shape (2^low,).
    """
    inputs, constant = others.copy(), 0.0
    for unit in range(low, len(biases)):
        if (block >> (unit - low)) & 1:
            constant += biases[unit]
            inputs += weight[unit]
    size = 1 << low
    products, exponents = np.ones(size), np.zeros(size, np.int64)
    numbers = products.view(np.int64)
    for first in range(0, len(others), span):
        for other in range(first, min(first + span, len(others))):
            most = inputs[other]
            for unit in range(low):
                most += max(weight[unit, other], 0.0)
            above = max(most, 0.0)
            constant += above
            small, large, row = np.exp(-above), np.exp(most - above), table[other]
            for state in range(size):
                products[state] *= small + large * row[state]
        # A float64 above 0 is 52 bits of mantissa below an exponent with 1023 added: keep the mantissa as a number in [1, 2).
        for state in range(size):
            exponents[state] += (numbers[state] >> 52) - 1023
            numbers[state] = (numbers[state] & 0xFFFFFFFFFFFFF) | (1023 << 52)
    values[0] = constant
    for unit in range(low):
        half = 1 << unit
        for state in range(half):
            values[half + state] = values[state] + biases[unit]
    for state in range(size):
        values[state] += np.log(products[state]) + _LOG_2 * exponents[state]
