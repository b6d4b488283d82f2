"""Single cells: what an epoch of a QBM-VAE costs, and what a query that is mapped onto it is taken for."""

from __future__ import annotations

import sys

import cell_epochs
import cell_mapping
import cell_tuning
import harness


def cases() -> list[harness.Case]:
    """Return every case, the short ones first."""
    return [*cell_epochs.cases(), *cell_mapping.cases(), *cell_tuning.cases()]


if __name__ == "__main__":
    sys.exit(harness.main(cases(), __doc__ or ""))
