"""Energies of all 2^sites states of a dense Ising problem, one block of states at a time (Numba, float64)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
