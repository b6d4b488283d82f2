"""Densities of binary rows that a Boltzmann machine must beat: independent bits, a Chow-Liu tree, a mixture of Bernoullis.

Each is fitted to training rows and chosen by validation rows; the test rows play no part. Pseudo-counts, components and the
moment to stop are chosen by the validation likelihood. Run as a script, this file prints their test log-likelihoods:

    python benchmarks/densities.py nltcs dna
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from spinlight._random import derive_seed, uniform
from spinlight.datasets import density_set

PSEUDO_COUNTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Numbers of imagined rows of each kind, among which validation picks one."""

COMPONENTS = (4, 8, 16, 32, 64, 128, 256, 512)
"""Sizes of mixtures, among which validation picks one."""

SETS = ("nltcs", "plants", "dna", "mushrooms", "jester", "bnetflix")


class Density(Protocol):
    """A normalised distribution over rows of bits."""

    def log_likelihood(self, rows: Tensor) -> Tensor:
        """Return log p of each row, float64, shape (rows,)."""


Fitted = TypeVar("Fitted", bound=Density)


@dataclass(frozen=True, eq=False)
class Independent:
    """log p(x) = sum_i log p_i(x_i).

    Args:
        probabilities: of a 1, shape (variables,).
        pseudo_count: with which they were estimated.
    """

    probabilities: Tensor
    pseudo_count: float

    def log_likelihood(self, rows: Tensor) -> Tensor:
        x = rows.to(torch.float64)
        return x @ self.probabilities.log() + (1 - x) @ torch.log1p(-self.probabilities)


@dataclass(frozen=True, eq=False)
class ChowLiuTree:
    """log p(x) = log p(x_root) + sum_i log p(x_i | x_parent(i)).

    Args:
        parents: of each variable, shape (variables,); the root is its own.
        log_conditionals: log p(x_i = a | x_parent = b) at [i, b, a]; the root's do not depend on b.
        pseudo_count: with which they were estimated.
    """

    parents: NDArray[np.int64]
    log_conditionals: NDArray[np.float64]
    pseudo_count: float

    def log_likelihood(self, rows: Tensor) -> Tensor:
        x = rows.numpy().astype(np.int64)
        terms = self.log_conditionals[np.arange(x.shape[1]), x[:, self.parents], x]
        return torch.from_numpy(terms.sum(1))

    @property
    def edges(self) -> set[frozenset[int]]:
        """The pairs of the tree."""
        return {frozenset((i, int(parent))) for i, parent in enumerate(self.parents) if parent != i}


@dataclass(frozen=True, eq=False)
class BernoulliMixture:
    """log p(x) = log sum_k w_k prod_i p_ki(x_i).

    Args:
        weights: w, shape (components,).
        probabilities: of a 1, shape (components, variables).
        pseudo_count: with which they were estimated.
    """

    weights: Tensor
    probabilities: Tensor
    pseudo_count: float

    def log_joint(self, rows: Tensor) -> Tensor:
        """Return log w_k p_k(x), shape (rows, components), in the dtype of the rows."""
        on, weights = self.probabilities.to(rows), self.weights.to(rows)
        off = torch.log1p(-on)
        return rows @ (on.log() - off).T + (off.sum(1) + torch.log(weights / weights.sum()))

    def log_likelihood(self, rows: Tensor) -> Tensor:
        return torch.logsumexp(self.log_joint(rows.to(torch.float64)), 1)


def fit_independent(train: Tensor, valid: Tensor) -> Independent:
    """Return independent bits, p_i = (n_i + a) / (n + 2 a)."""
    ones = train.to(torch.float64).sum(0)
    return _best((Independent((ones + a) / (len(train) + 2 * a), a) for a in PSEUDO_COUNTS), valid)


def fit_chow_liu(train: Tensor, valid: Tensor) -> ChowLiuTree:
    """Return the tree of the most mutual information, p_ij = (n_ij + a) / (n + 4 a) for each of the four states of a pair.

    References:
        Chow & Liu (1968), Approximating discrete probability distributions with dependence trees.
    """
    return _best((chow_liu(train, a) for a in PSEUDO_COUNTS), valid)


def chow_liu(train: Tensor, pseudo_count: float) -> ChowLiuTree:
    """Return the Chow-Liu tree with one pseudo-count for each state of a pair."""
    joint, marginal = _pair_tables(train.numpy().astype(np.float64), pseudo_count)
    information = _mutual_information(joint, marginal)
    # A zero is no edge to SciPy, and all spanning trees have equally many edges: a constant changes no choice.
    tree = minimum_spanning_tree(-1 - information)
    _, before = breadth_first_order(tree, 0, directed=False)
    parents = np.where(before < 0, np.arange(len(before)), before).astype(np.int64)
    pairs = joint[parents, np.arange(len(parents))] / marginal[parents][:, :, None]
    pairs[parents == np.arange(len(parents))] = marginal[0]
    return ChowLiuTree(parents, np.log(pairs), pseudo_count)


def mutual_information(rows: Tensor, pseudo_count: float = 0.3) -> NDArray[np.float64]:
    """Return that of every pair of variables, in nats, shape (variables, variables)."""
    return _mutual_information(*_pair_tables(rows.numpy().astype(np.float64), pseudo_count))


def _mutual_information(joint: NDArray[np.float64], marginal: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.log(joint) - np.log(marginal[:, None, :, None]) - np.log(marginal[None, :, None, :])
    return (joint * ratio).sum((2, 3))


def _pair_tables(x: NDArray[np.float64], a: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return p(x_i, x_j) at [i, j, x_i, x_j], and p(x_i) at [i, x_i], its marginals exactly."""
    states = np.stack([1 - x, x])
    counts = np.einsum("ani,bnj->ijab", states, states, optimize=True)
    joint = (counts + a) / (len(x) + 4 * a)
    ones = (x.sum(0) + 2 * a) / (len(x) + 4 * a)
    return joint, np.stack([1 - ones, ones], axis=1)


def fit_mixture(
    train: Tensor,
    valid: Tensor,
    *,
    components: Sequence[int] = COMPONENTS,
    pseudo_counts: Sequence[float] = (0.03, 0.3, 1.0, 3.0),
    restarts: int = 3,
    seed: int = 0,
) -> BernoulliMixture:
    """Return the mixture of the best validation likelihood over sizes, pseudo-counts and restarts, each stopped at its best.

    Sizes grow until the validation likelihood falls. float32 is enough for EM: what comes out is a density all the same.
    """
    rows = train.to(torch.float32)
    best: BernoulliMixture | None = None
    for size in components:
        runs = [(a, derive_seed(seed, restart)) for a in pseudo_counts for restart in range(restarts)]
        found = _best((stopped(em(rows, size, a, start), valid) for a, start in runs), valid)
        if best is not None and _mean(found, valid) <= _mean(best, valid):
            break
        best = found
    assert best is not None
    return best


def em(rows: Tensor, components: int, pseudo_count: float, seed: int) -> Iterator[BernoulliMixture]:
    """Yield the mixtures of expectation maximisation, without an end.

    Each step raises the penalised likelihood, sum_rows log p(x) + a sum_k [log w_k + sum_i log p_ki (1 - p_ki)].

    Args:
        rows: floating point, shape (rows, variables).
        components: of the mixture.
        pseudo_count: a, above 0.
        seed: of the first mixture, whose components lean towards rows drawn at random.
    """
    picks = (uniform(seed, components) * len(rows)).long()
    probabilities = 0.75 * rows.mean(0).clamp(0.01, 0.99) + 0.25 * (0.1 + 0.8 * rows[picks])
    mixture = BernoulliMixture(torch.full((components,), 1 / components, dtype=rows.dtype), probabilities, pseudo_count)
    while True:
        mixture = em_step(mixture, rows)
        yield mixture


def em_step(mixture: BernoulliMixture, rows: Tensor) -> BernoulliMixture:
    """Return the mixture of the highest penalised likelihood, given how rows are shared among the components now."""
    a = mixture.pseudo_count
    shares = torch.softmax(mixture.log_joint(rows), 1)
    sizes = shares.sum(0)
    probabilities = (shares.T @ rows + a) / (sizes[:, None] + 2 * a)
    return BernoulliMixture((sizes + a) / (len(rows) + a * len(sizes)), probabilities, a)


def stopped(
    mixtures: Iterable[BernoulliMixture], valid: Tensor, *, patience: int = 4, most: int = 200
) -> BernoulliMixture:
    """Return the best mixture of a sequence, which is left when the validation likelihood has not risen for some steps."""
    best, highest, waited = None, -math.inf, 0
    for step, mixture in enumerate(mixtures):
        likelihood = _mean(mixture, valid)
        if likelihood > highest + 3e-4:
            best, highest, waited = mixture, likelihood, 0
        else:
            waited += 1
        if waited == patience or step == most:
            break
    assert best is not None
    return best


def _best(candidates: Iterable[Fitted], valid: Tensor) -> Fitted:
    return max(candidates, key=lambda candidate: _mean(candidate, valid))


def _mean(density: Density, rows: Tensor) -> float:
    return float(density.log_likelihood(rows).mean())


BASELINES = {"independent": fit_independent, "Chow-Liu": fit_chow_liu, "mixture": fit_mixture}
"""Name -> function of training and validation rows."""


def main(names: Sequence[str]) -> None:
    print("| set | baseline | test log-likelihood | error | chosen | seconds |\n|---|---|---|---|---|---|")
    for name in names:
        data = density_set(name)
        for baseline, fit in BASELINES.items():
            start = time.perf_counter()
            density = fit(data.train, data.valid)
            seconds = time.perf_counter() - start
            values = density.log_likelihood(data.test)
            chosen = f"a = {density.pseudo_count}"
            if isinstance(density, BernoulliMixture):
                chosen += f", k = {len(density.weights)}"
            error = float(values.std()) / len(values) ** 0.5
            print(
                f"| {name} | {baseline} | {float(values.mean()):.3f} | {error:.3f} | {chosen} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:] or SETS)
