"""What the kernels take of a problem is made once, and again where the problem was written to."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from spinlight.ising import Ising
from spinlight.ising.packing import kernel_couplings, kernel_fields, largest_local_field

PAIR = [[0.0, 1.0], [1.0, 0.0]]
SPARSE_PAIR = torch.tensor(PAIR).to_sparse()


@pytest.mark.parametrize("couplings", [PAIR, SPARSE_PAIR])
def test_couplings_are_packed_once(couplings: object) -> None:
    problem = Ising([0.5, 0.0], couplings)
    assert kernel_couplings(problem) is kernel_couplings(problem)
    assert kernel_couplings(problem) is not kernel_couplings(Ising([0.5, 0.0], couplings))


def test_a_problem_that_is_written_to_is_packed_again() -> None:
    problem = Ising([0.5, 0.0], PAIR)
    before = kernel_couplings(problem).matrix, float(largest_local_field(problem)), kernel_fields(problem)
    problem.couplings.mul_(2)
    problem.fields.fill_(1.0)
    after = kernel_couplings(problem).matrix, float(largest_local_field(problem)), kernel_fields(problem)
    assert (before[0][0, 1], after[0][0, 1]) == (1.0, 2.0)
    assert (before[1], after[1]) == (1.5, 3.0)
    assert (before[2].tolist(), after[2].tolist()) == ([0.5, 0.0], [1.0, 1.0])


def test_what_was_packed_goes_with_its_problem() -> None:
    problem = Ising([0.5, 0.0], PAIR)
    packed = weakref.ref(kernel_couplings(problem))
    del problem
    gc.collect()
    assert packed() is None
