"""Single cells: what an epoch of a QBM-VAE costs."""

from __future__ import annotations

import sys

import cell_epochs
import harness


def cases() -> list[harness.Case]:
    """Return every case, the short ones first."""
    return [*cell_epochs.cases()]


if __name__ == "__main__":
    sys.exit(harness.main(cases(), __doc__ or ""))
