"""Learn human 5'UTR sequences with a Boltzmann machine, and generate new ones.

A 5'UTR is the stretch of messenger RNA before the start codon. Two bits stand for each of the 100 nucleotides, so every state of the
machine is a sequence. Generated sequences are compared with ones that were held out: how often each triplet occurs, how positions vary
together, and how well a predictor, trained on measured messengers, thinks that they are translated. The control has the same
frequency of each nucleotide at each position, and no couplings. Of triplets the machine gets most, of the predictions little: they
spread more among real sequences than couplings between pairs of bits can make them.

    python examples/learn_utr5.py
"""

from __future__ import annotations

from functools import partial

import torch
from scipy.stats import ks_2samp
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from torch import Tensor

from spinlight.datasets import human_utr5, human_utr5_pieces, nucleotides_from_two_bits, two_bits_from_nucleotides
from spinlight.models import BoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import Descent, PersistentContrastiveDivergence

LENGTH, EPOCHS, CHAINS = 100, 97, 400


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
    adam = partial(torch.optim.Adam, lr=5e-3, weight_decay=1e-4)
    steps = Descent(epochs=EPOCHS, batch_size=200, optimizer=adam)
    steps.minimize(partial(negatives.objective, machine), machine.parameters(), bits.float(), seed=2)


def correlations(bits: Tensor) -> Tensor:
    """Return the covariance of every pair of bits, which is zero for positions that vary independently."""
    centred = bits.double() - bits.double().mean(0)
    rows, columns = torch.triu_indices(bits.shape[1], bits.shape[1], 2)
    return (centred.T @ centred / len(bits))[rows, columns]


def agreement(generated: Tensor, real: Tensor) -> float:
    """Return the correlation coefficient of two sets' pair covariances."""
    return float(torch.corrcoef(torch.stack([correlations(generated), correlations(real)]))[0, 1])


def letters(bits: Tensor) -> Tensor:
    """Return the numbers, 0 to 3, of the nucleotides."""
    return 2 * bits[:, 0::2].long() + bits[:, 1::2].long()


def words(bits: Tensor) -> Tensor:
    """Return the numbers, 0 to 63, of the triplets that begin at each position."""
    codes = letters(bits)
    return 16 * codes[:, :-2] + 4 * codes[:, 1:-1] + codes[:, 2:]


def triplets(bits: Tensor) -> Tensor:
    """Return the share of each of the 64 triplets, smoothed by one count."""
    counts = torch.bincount(words(bits).flatten(), minlength=64).double() + 1
    return counts / counts.sum()


def distance(generated: Tensor, real: Tensor) -> float:
    """Return the Jensen-Shannon divergence of the triplets, in nats."""
    one, other = triplets(generated), triplets(real)
    middle = (one + other) / 2
    return float((one * (one / middle).log() + other * (other / middle).log()).sum() / 2)


def features(bits: Tensor) -> Tensor:
    """Return how often each triplet occurs in each reading frame, and the eight nucleotides before the start codon."""
    frames = [torch.nn.functional.one_hot(words(bits)[:, frame::3], 64).sum(1) for frame in range(3)]
    last = torch.nn.functional.one_hot(letters(bits)[:, -8:], 4).flatten(1)
    return torch.cat([*frames, last], 1)


def predictor() -> tuple[RandomForestClassifier, float]:
    """Return what tells well translated messengers of HEK293 cells from badly translated ones, and its area under the curve.

    The area is of genes that it was not trained on. A hundred nucleotides do not say much about translation.
    """
    data = human_utr5()
    whole = zip(data.sequences, data.cell_types, strict=True)
    kept = [k for k, (letters, cell) in enumerate(whole) if len(letters) >= LENGTH and cell == "HEK293"]
    seen = features(two_bits_from_nucleotides([data.sequences[k][-LENGTH:] for k in kept]))
    well, genes = (data.efficiency[kept] > 1).numpy(), [data.genes[k] for k in kept]
    forest = RandomForestClassifier(200, min_samples_leaf=3, max_features=0.3, random_state=0)
    guessed = cross_val_predict(forest, seen, well, groups=genes, cv=GroupKFold(5), method="predict_proba")[:, 1]
    return forest.fit(seen, well), float(roc_auc_score(well, guessed))


def main() -> None:
    torch.manual_seed(0)
    learned, held_out = sequences()
    machine = BoltzmannMachine(learned.shape[1], initial_scale=0.0)
    machine.initialize_biases(learned)
    control = machine.sample(Gibbs(sweeps=5, progress=False), len(held_out), seed=3)
    train(machine, learned)
    generated = machine.sample(Gibbs(sweeps=500, progress=False), len(held_out), seed=4)
    forest, area = predictor()
    scores = [forest.predict_proba(features(bits))[:, 1] for bits in (held_out, learned, generated, control)]
    gaps = [float(ks_2samp(scores[0], other).statistic) for other in scores[1:]]
    print("a generated 5'UTR:", nucleotides_from_two_bits(generated[:1])[0])
    print(
        f"predicted translation: area under the curve {area:.2f} on other genes; distances are Kolmogorov and Smirnov's"
    )
    print(f"{'':22}{'triplets (nats)':>18}{'pair covariances':>20}{'predicted translation':>24}")
    rows = (("real, another half", learned), ("machine", generated), ("independent sites", control))
    for (name, bits), gap in zip(rows, gaps, strict=True):
        print(f"{name:22}{distance(bits, held_out):>18.5f}{agreement(bits, held_out):>20.3f}{gap:>24.3f}")
    assert distance(generated, held_out) < 0.5 * distance(control, held_out)
    assert agreement(generated, held_out) > 0.6 * agreement(learned, held_out) > 0.3  # real ones agree best
    assert abs(agreement(control, held_out)) < 0.1
    assert area > 0.55
    assert gaps[1] < gaps[2]


if __name__ == "__main__":
    main()
