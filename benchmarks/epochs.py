"""What an epoch of persistent contrastive divergence costs; a case of `benchmarks/learning.py`.

A step multiplies five times: the hidden inputs of the data and of the chains, the chains' visible inputs, and both halves of the
gradient. The bare products are these five by torch, on the same sizes, written into results that are there already: no memory is
asked for. Merged, they are three, rows of data and of chains together, as ours takes them. Ours runs through `Batches`,
`negatives.objective`, `backward` and an optimiser, as a user's loop does; by hand, the same step is written out without any of these
but `Batches` and the optimiser.
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
from spinlight.ising.bits import random_bits
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
        "products, new results": partial(_products_anew, steps),
        "merged products": partial(_merged_products, steps),
        "PCD, SGD": _training(binarized(levels, 1), partial(torch.optim.SGD, lr=0.01), None),
        "PCD, Adam": _training(binarized(levels, 1), partial(torch.optim.Adam, lr=1e-3, fused=True), None),
        "PCD, Adam, grey levels": _training(levels, partial(torch.optim.Adam, lr=1e-3, fused=True), binarized),
        "by hand, SGD": partial(_by_hand, binarized(levels, 1)),
        "scikit-learn": partial(_scikit_learn, binarized(levels, 1).numpy()),
    }
    start = time.perf_counter()
    rates = harness.alternate(contenders, settings.seeds, rest=0.3)
    seconds = time.perf_counter() - start
    known = {f"{name} ms/step": 1e3 / float(np.median(rate)) for name, rate in rates.items()}
    rows = []
    for name in contenders:
        if not name.startswith("PCD"):
            continue
        for peer, required in (
            ("products", 0.75),
            ("products, new results", None),
            ("merged products", None),
            ("scikit-learn", 1.0),
        ):
            ratio = harness.paired_ratio(rates[name], rates[peer])
            row = f"epoch/rbm-784x500/{name}/{peer}"
            rows.append(Claim(row, ratio.median, "x", (ratio.lowest, ratio.highest), required, known, seconds))
    for name in ("by hand, SGD", "scikit-learn"):
        ratio = harness.paired_ratio(rates[name], rates["products"])
        row = f"epoch/rbm-784x500/{name}/products"
        rows.append(Claim(row, ratio.median, "x", (ratio.lowest, ratio.highest), None, known, seconds))
    return rows


def _products(steps: int, seed: int) -> float:
    """Take the five products of a step one by one, as its formulas have them, into results that are there already."""
    data, chains, hidden, weight = _operands(seed, BATCH)
    inputs, gradient, back = torch.empty(BATCH, HIDDEN), torch.empty(VISIBLE, HIDDEN), torch.empty(BATCH, VISIBLE)
    for _ in range(steps):
        torch.mm(data, weight, out=inputs)
        torch.mm(hidden, weight.T, out=back)
        torch.mm(chains, weight, out=inputs)
        torch.mm(data.T, hidden, out=gradient)
        torch.mm(chains.T, hidden, out=gradient)
    return steps


def _products_anew(steps: int, seed: int) -> float:
    """Take the same five with a new result each time, as `a @ b` does: a new page of memory can cost as much as a product."""
    data, chains, hidden, weight = _operands(seed, BATCH)
    for _ in range(steps):
        _ = data @ weight, hidden @ weight.T, chains @ weight, data.T @ hidden, chains.T @ hidden
    return steps


def _merged_products(steps: int, seed: int) -> float:
    """Take them in three, rows of data and of chains together."""
    rows, _, hidden, weight = _operands(seed, 2 * BATCH)
    inputs, gradient, back = torch.empty(2 * BATCH, HIDDEN), torch.empty(VISIBLE, HIDDEN), torch.empty(BATCH, VISIBLE)
    for _ in range(steps):
        torch.mm(hidden[:BATCH], weight.T, out=back)
        torch.mm(rows, weight, out=inputs)
        torch.mm(rows.T, hidden, out=gradient)
    return steps


def _operands(seed: int, rows: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shapes = (rows, VISIBLE), (rows, VISIBLE), (rows, HIDDEN), (VISIBLE, HIDDEN)
    return tuple(torch.rand(shape, generator=generator) for shape in shapes)


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


def _by_hand(rows: torch.Tensor, seed: int) -> float:
    """Write the same step out: no values looked at, no autograd, no likelihood; what is left beside the products is the floor."""
    torch.manual_seed(seed)
    machine, batches = RestrictedBoltzmannMachine(VISIBLE, HIDDEN), Batches(rows, BATCH, seed=seed)
    weight, visible_bias, hidden_bias = machine.weight, machine.visible_bias, machine.hidden_bias
    descent = torch.optim.SGD(machine.parameters(), lr=0.01)
    with torch.no_grad():
        hidden = torch.zeros(BATCH, HIDDEN)
        for number, batch in enumerate(batches):
            chains = random_bits(torch.addmm(visible_bias, hidden, weight.T), 2 * number)
            both = torch.cat([batch, chains])
            logits = torch.addmm(hidden_bias, both, weight)
            hidden = random_bits(logits[BATCH:], 2 * number + 1)
            signed = torch.sigmoid(logits)
            signed[:BATCH] /= -BATCH
            signed[BATCH:] /= BATCH
            weight.grad, hidden_bias.grad = both.T @ signed, signed.sum(0)
            visible_bias.grad = chains.mean(0) - batch.mean(0)
            descent.step()
    return len(batches)


def _scikit_learn(rows: np.ndarray, seed: int) -> float:
    from sklearn.neural_network import BernoulliRBM

    machine = BernoulliRBM(HIDDEN, learning_rate=0.01, batch_size=BATCH, n_iter=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine.fit(rows)
    return len(rows) // BATCH
