"""How well, and how fast, machines learn: likelihoods with errors beside published ones, exact answers where there are any.

    python benchmarks/learning.py [--rows GLOB] [--quick] [--seeds N] [--json FILE]

Values are medians over the seeds, spreads their range. Likelihoods are quoted on their pessimistic side: log Z two standard errors up.
Models are chosen by validation rows; test rows are looked at once, at the end. Data: SPINLIGHT_DATA.

"epoch" rows: a pass of persistent contrastive divergence beside its bare matrix products and beside scikit-learn's `BernoulliRBM`,
taking turns. "mnist" rows: a restricted machine by annealed importance sampling, and a variational autoencoder with a Boltzmann
prior less the same one with independent bits, by the importance-weighted bound. "bars-and-stripes": KL(data, machine), exactly.
"recovery": the error of learned couplings over the Cramer-Rao bound.
"density" and "rbm-23": machines on sets of binary rows, beside three other densities, and beside published numbers.
"one-call": nats that one call of an Ising machine per epoch costs, beside persistent chains at every step.
"dbn": test digits of MNIST that a deep belief network classifies wrongly.
"qgan": Frechet distance of generated digits to test digits, with independent bits as codes less with a machine's.
"""

from __future__ import annotations

import sys

import adversarial
import deep
import epochs
import harness
import images
import machines
import one_call
import recovery


def cases() -> list[harness.Case]:
    """Return every case, the short ones first."""
    short = [*epochs.cases(), *recovery.cases(), *one_call.cases()]
    return [*short, *machines.cases(), *images.cases(), *adversarial.cases(), *deep.cases()]


if __name__ == "__main__":
    sys.exit(harness.main(cases(), __doc__ or ""))
