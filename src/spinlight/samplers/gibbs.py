"""Gibbs sampling: the heat bath, one site at a time."""

from __future__ import annotations

from dataclasses import dataclass

from spinlight.samplers._chains import SweepingChain


@dataclass(frozen=True, kw_only=True)
class Gibbs(SweepingChain):
    """Draws each spin in turn from its conditional law given the others.

    p(s_i = +1 | rest) = 1 / (1 + exp(-2 beta f_i)),  f_i = h_i + sum_j J_ij s_j

    Dense problems are scanned in the order of their sites: on a restricted Boltzmann machine, whose visible units come
    first, that is block Gibbs sampling. Sparse problems are scanned colour by colour. Sixteen chains advance together, so
    counts that are multiples of sixteen cost least per draw.

    Args:
        sweeps: visits of every site per chain in `draw`, at least 0.
        beta: inverse temperature, at least 0.
        threads: how many to use (None: `torch.get_num_threads()`); the draws do not depend on it.
        progress: show a bar on a terminal when a run lasts over two seconds.

    Law:
        Asymptotic: each chain's last state has the Boltzmann law as `sweeps` grows; how fast depends on the problem's
        barriers. Rows are independent.

    Raises:
        InvalidSettingError: a setting outside its domain.

    Cost:
        Per visit O(sites) dense, in proportion to how many visits flip, and O(neighbours) sparse; memory O(chains * sites).
        Measured against other libraries by `benchmarks/samplers.py`.

    References:
        Geman & Geman 1984, "Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images".

    Example:
        >>> from spinlight.ising import Ising
        >>> problem = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> draws = Gibbs(sweeps=50).draw(problem, 1000, seed=0)
        >>> bool(abs(draws.expectation(lambda s: s[..., 0] * s[..., 1]) - 0.7616) < 0.1)  # tanh(1)
        True
    """

    @property
    def heat_bath(self) -> bool:
        """Yes: each visit draws from the conditional law."""
        return True
