from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.ising import ising_from_edges


def test_edges_in_any_order_make_the_problem() -> None:
    dense = random_ising(6, seed=1, density=0.5)
    rows, columns, weights = dense.edges()
    shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(2))
    turned = torch.arange(len(rows)) % 2 == 0
    ends = torch.where(turned, rows, columns), torch.where(turned, columns, rows)
    problem = ising_from_edges(
        6, ends[0][shuffled], ends[1][shuffled].tolist(), weights[shuffled], fields=dense.fields, offset=dense.offset
    )
    torch.testing.assert_close(problem.energy(all_spins(6)), dense.energy(all_spins(6)))


def test_an_edge_listed_twice_adds_up() -> None:
    problem = ising_from_edges(2, [0, 1], [1, 0], [1.0, 2.0])
    assert problem.couplings.to_dense().tolist() == [[0.0, 3.0], [3.0, 0.0]]


def test_no_edges_leave_free_spins() -> None:
    assert ising_from_edges(3, [], [], [], offset=2.0).energy(all_spins(3)).tolist() == [2.0] * 8


@pytest.mark.parametrize(
    ("rows", "columns", "weights", "message"),
    [
        ([0], [3], [1.0], r"columns must lie in \[0, 3\)"),
        ([-1], [1], [1.0], r"rows must lie in \[0, 3\)"),
        ([0.0], [1], [1.0], "rows must be a list of integers"),
        ([[0]], [1], [1.0], "rows must be a list of integers"),
        ([1], [1], [1.0], "diagonal"),
        ([0, 1], [1], [1.0], "one entry per edge"),
        ([0], [1], [1.0, 2.0], "one entry per edge"),
        ([0], [1], [np.nan], "NaN"),
    ],
)
def test_what_is_no_list_of_edges_is_refused(rows: object, columns: object, weights: object, message: str) -> None:
    with pytest.raises(InvalidProblemError, match=message):
        ising_from_edges(3, rows, columns, weights)


@pytest.mark.parametrize("sites", [0, -1, 2.0, 2**40])
def test_a_number_of_sites_that_is_no_positive_integer_is_refused(sites: object) -> None:
    with pytest.raises(InvalidSettingError, match="sites"):
        ising_from_edges(sites, [], [], [])  # type: ignore[arg-type]
