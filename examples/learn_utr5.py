"""Learn human 5'UTR sequences with a Boltzmann machine, and generate new ones.

A 5'UTR is the stretch of messenger RNA before the start codon. Two bits stand for each of the 100 nucleotides, so every state of the
machine is a sequence. Generated sequences are compared with ones that were held out: how often each triplet occurs, and how
positions vary together. The control has the same frequency of each nucleotide at each position, and no couplings.

    python examples/learn_utr5.py
"""

from __future__ import annotations

import torch
from torch import Tensor

from spinlight.datasets import human_utr5_pieces, nucleotides_from_two_bits, two_bits_from_nucleotides
from spinlight.models import BoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import Batches, PersistentContrastiveDivergence, linear_decay

STEPS, BATCH, CHAINS = 1_500, 200, 400


def sequences() -> tuple[Tensor, Tensor]:
    """Return bits of the sequences to learn from and of those to compare with, shape (sequences, 200)."""
    whole = [piece for piece in human_utr5_pieces() if "N" not in piece]
    bits = two_bits_from_nucleotides(whole)
    order = torch.randperm(len(bits), generator=torch.Generator().manual_seed(0))
    half = len(bits) // 2
    return bits[order[:half]], bits[order[half:]]


def train(machine: BoltzmannMachine, bits: Tensor) -> None:
    """Follow the gradient of the likelihood with chains that live through the training."""
    negatives = PersistentContrastiveDivergence(Gibbs(progress=False), chains=CHAINS, seed=1)
    optimizer = torch.optim.Adam(machine.parameters(), lr=5e-3, weight_decay=1e-4)
    schedule, batches, step = linear_decay(optimizer, STEPS), Batches(bits.float(), BATCH, seed=2), 0
    while step < STEPS:
        for batch in batches:
            loss = negatives.objective(machine, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1


def correlations(bits: Tensor) -> Tensor:
    """Return the covariance of every pair of bits, which is zero for positions that vary independently."""
    centred = bits.double() - bits.double().mean(0)
    rows, columns = torch.triu_indices(bits.shape[1], bits.shape[1], 2)
    return (centred.T @ centred / len(bits))[rows, columns]


def agreement(generated: Tensor, real: Tensor) -> float:
    """Return the correlation coefficient of two sets' pair covariances."""
    return float(torch.corrcoef(torch.stack([correlations(generated), correlations(real)]))[0, 1])


def triplets(bits: Tensor) -> Tensor:
    """Return the share of each of the 64 triplets, smoothed by one count."""
    codes = 2 * bits[:, 0::2].long() + bits[:, 1::2].long()
    words = 16 * codes[:, :-2] + 4 * codes[:, 1:-1] + codes[:, 2:]
    counts = torch.bincount(words.flatten(), minlength=64).double() + 1
    return counts / counts.sum()


def distance(generated: Tensor, real: Tensor) -> float:
    """Return the Jensen-Shannon divergence of the triplets, in nats."""
    one, other = triplets(generated), triplets(real)
    middle = (one + other) / 2
    return float((one * (one / middle).log() + other * (other / middle).log()).sum() / 2)


def main() -> None:
    torch.manual_seed(0)
    learned, held_out = sequences()
    machine = BoltzmannMachine(learned.shape[1], initial_scale=0.0)
    machine.initialize_biases(learned)
    control = machine.sample(Gibbs(sweeps=5, progress=False), len(held_out), seed=3)
    train(machine, learned)
    generated = machine.sample(Gibbs(sweeps=500, progress=False), len(held_out), seed=4)
    print("a generated 5'UTR:", nucleotides_from_two_bits(generated[:1])[0])
    print(f"{'':22}{'triplets (nats)':>18}{'pair covariances':>20}")
    for name, bits in (("real, another half", learned), ("machine", generated), ("independent sites", control)):
        print(f"{name:22}{distance(bits, held_out):>18.5f}{agreement(bits, held_out):>20.3f}")
    assert distance(generated, held_out) < 0.5 * distance(control, held_out)
    assert (
        agreement(generated, held_out) > 0.6 * agreement(learned, held_out) > 0.3
    )  # no set agrees better than real ones do
    assert abs(agreement(control, held_out)) < 0.1


if __name__ == "__main__":
    main()
