"""The benchmarks are scripts, not a package: their folder goes on the import path."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(autouse=True)
def threads_of_torch() -> Iterator[None]:
    """Give torch back the threads that a case took."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
