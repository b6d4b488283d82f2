"""What an epoch of persistent contrastive divergence costs; a case of `benchmarks/learning.py`.

A step multiplies five times: the hidden inputs of the data and of the chains, the chains' visible inputs, and both halves of the
gradient. The bare products are these five by torch, on the same sizes; merged, they are three, rows of data and of chains together, as ours
takes them. Ours runs through `Batches`, `negatives.objective`, `backward` and
an optimiser, as a user's loop does.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import harness
from harness import Case, Claim, Settings
from spinlight.datasets import binarized
from spinlight.models import RestrictedBoltzmannMachine
from spinlight.training import Batches, PersistentContrastiveDivergence

VISIBLE, HIDDEN, BATCH, ROWS = 784, 500, 100, 6_000
"""A tenth of MNIST is enough for an epoch that is timed."""


def cases() -> list[Case]:
    """Return the case."""
    return [Case("epoch/rbm-784x500", _epoch)]


def _epoch(settings: Settings) -> list[Claim]:
    torch.set_num_threads(harness.cores())
    levels = torch.rand(ROWS // (10 if settings.quick else 1), VISIBLE, generator=torch.Generator().manual_seed(0))
    steps = len(levels) // BATCH
    contenders: dict[str, Callable[[int], float]] = {
        "products": partial(_products, steps),
        "merged products": partial(_merged_products, steps),
        "PCD, SGD": _training(binarized(levels, 1), partial(torch.optim.SGD, lr=0.01), None),
        "PCD, Adam": _training(binarized(levels, 1), partial(torch.optim.Adam, lr=1e-3, fused=True), None),
        "PCD, Adam, grey levels": _training(levels, partial(torch.optim.Adam, lr=1e-3, fused=True), binarized),
        "scikit-learn": partial(_scikit_learn, binarized(levels, 1).numpy()),
    }
    start = time.perf_counter()
    rates = harness.alternate(contenders, settings.seeds)
    seconds = time.perf_counter() - start
    known = {f"{name} ms/step": 1e3 / float(np.median(rate)) for name, rate in rates.items()}
    rows = []
    for name in contenders:
        if not name.startswith("PCD"):
            continue
        for peer, required in (("products", 0.75), ("merged products", None), ("scikit-learn", 1.0)):
            ratio = harness.paired_ratio(rates[name], rates[peer])
            row = f"epoch/rbm-784x500/{name}/{peer}"
            rows.append(Claim(row, ratio.median, "x", (ratio.lowest, ratio.highest), required, known, seconds))
    ratio = harness.paired_ratio(rates["scikit-learn"], rates["products"])
    row = "epoch/rbm-784x500/scikit-learn/products"
    return [*rows, Claim(row, ratio.median, "x", (ratio.lowest, ratio.highest), None, known, seconds)]


def _products(steps: int, seed: int) -> float:
    """Take the five products of a step one by one, as its formulas have them."""
    generator = torch.Generator().manual_seed(seed)
    data, chains = (torch.rand(BATCH, VISIBLE, generator=generator) for _ in range(2))
    hidden, weight = torch.rand(BATCH, HIDDEN, generator=generator), torch.rand(VISIBLE, HIDDEN, generator=generator)
    for _ in range(steps):
        _ = data @ weight, hidden @ weight.T, chains @ weight, data.T @ hidden, chains.T @ hidden
    return steps


def _merged_products(steps: int, seed: int) -> float:
    """Take them in three, rows of data and of chains together."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(2 * BATCH, VISIBLE, generator=generator)
    hidden, weight = (
        torch.rand(2 * BATCH, HIDDEN, generator=generator),
        torch.rand(VISIBLE, HIDDEN, generator=generator),
    )
    for _ in range(steps):
        _ = hidden[:BATCH] @ weight.T, rows @ weight, rows.T @ hidden
    return steps


def _training(rows: torch.Tensor, optimizer: Callable, draw: Callable | None) -> Callable[[int], float]:
    def run(seed: int) -> float:
        torch.manual_seed(seed)
        machine = RestrictedBoltzmannMachine(VISIBLE, HIDDEN)
        negatives = PersistentContrastiveDivergence(chains=BATCH, seed=seed)
        descent, batches = optimizer(machine.parameters()), Batches(rows, BATCH, draw=draw, seed=seed)
        for batch in batches:
            loss = negatives.objective(machine, batch)
            descent.zero_grad()
            loss.backward()
            descent.step()
        return len(batches)

    return run


def _scikit_learn(rows: np.ndarray, seed: int) -> float:
    from sklearn.neural_network import BernoulliRBM

    machine = BernoulliRBM(HIDDEN, learning_rate=0.01, batch_size=BATCH, n_iter=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine.fit(rows)
    return len(rows) // BATCH
