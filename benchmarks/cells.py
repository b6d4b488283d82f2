"""Single cells: what an epoch costs, what mapped cells are taken for, how good log Z is, and latent spaces beside others.

The hyperparameters of all models are chosen first (`--rows 'tuning/*'`, then `--rows 'sizes/*'`), on one set; then all are compared
(`--rows 'latent/*'`).
"""

from __future__ import annotations

import sys

import cell_epochs
import cell_latents
import cell_mapping
import cell_priors
import cell_tuning
import harness


def cases() -> list[harness.Case]:
    """Return every case, the short ones first."""
    return [
        *cell_epochs.cases(),
        *cell_mapping.cases(),
        *cell_priors.cases(),
        *cell_tuning.cases(),
        *cell_latents.cases(),
    ]


if __name__ == "__main__":
    sys.exit(harness.main(cases(), __doc__ or ""))
