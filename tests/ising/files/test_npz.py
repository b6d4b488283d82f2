from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import random_ising
from spinlight._errors import FileFormatError
from spinlight.ising import Ising, read_npz, write_npz

DENSE = {"fields": np.zeros(2), "offset": np.zeros(()), "couplings": np.zeros((2, 2))}
SPARSE = {"fields": np.zeros(2), "offset": np.zeros(()), "rows": [0], "columns": [1], "weights": [1.0]}


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("batch", [None, 3])
def test_problems_come_back_to_the_last_bit(tmp_path: Path, sparse: bool, batch: int | None) -> None:
    problem = random_ising(6, seed=1, density=0.5, batch=batch)
    problem = problem.to_sparse() if sparse else problem
    write_npz(problem, tmp_path / "problem.npz")
    back = read_npz(tmp_path / "problem.npz")
    assert back.is_sparse == sparse
    for name in ("fields", "offset", "couplings"):
        assert torch.equal(getattr(back, name).to_dense(), getattr(problem, name).to_dense())


def test_a_sparse_problem_without_edges_comes_back(tmp_path: Path) -> None:
    write_npz(Ising([1.0, 2.0], torch.zeros(2, 2)).to_sparse(), tmp_path / "problem.npz")
    assert read_npz(tmp_path / "problem.npz").fields.tolist() == [1.0, 2.0]


def test_the_files_of_the_next_test_are_right_but_for_one_array(tmp_path: Path) -> None:
    for arrays in (DENSE, SPARSE):
        np.savez(tmp_path / "problem.npz", **arrays)
        assert read_npz(tmp_path / "problem.npz").sites == 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"J_upper": np.zeros(3)},
        DENSE | {"extra": np.zeros(1)},
        DENSE | {"couplings": np.array([[0.0, 1.0], [0.0, 0.0]])},
        DENSE | {"fields": np.array([np.nan, 0.0])},
        DENSE | {"fields": np.array(["a", "b"])},
        DENSE | {"couplings": np.array([[None]], dtype=object)},
        SPARSE | {"columns": [2]},
        SPARSE | {"fields": np.zeros(())},
        SPARSE | {"weights": [1.0, 2.0]},
    ],
)
def test_arrays_that_are_no_problem_are_named(tmp_path: Path, arrays: dict[str, object]) -> None:
    np.savez(tmp_path / "problem.npz", **arrays)
    with pytest.raises(FileFormatError, match=r"problem\.npz"):
        read_npz(tmp_path / "problem.npz")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    write_npz(random_ising(20, seed=2), tmp_path / "problem.npz")
    whole = (tmp_path / "problem.npz").read_bytes()
    (tmp_path / "problem.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"problem\.npz"):
        read_npz(tmp_path / "problem.npz")
