from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from helpers.enumeration import random_ising
from spinlight._errors import FileFormatError
from spinlight.ising import read_problem, write_npz

ENTRIES = b"2 1\n1 2 1\n"
BOTH_UP = torch.tensor([1, 1])


@pytest.mark.parametrize("name", ["g.txt", "g.rud", "G1", "g.mc.gz"])
def test_a_list_of_entries_is_max_cut(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(ENTRIES) if name.endswith("gz") else ENTRIES)
    assert read_problem(tmp_path / name).energy(BOTH_UP).item() == 0.0


@pytest.mark.parametrize("name", ["q.sparse", "Q.SPARSE", "q.sparse.gz"])
def test_a_list_of_entries_named_sparse_is_a_qubo(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(ENTRIES) if name.endswith("gz") else ENTRIES)
    assert read_problem(str(tmp_path / name)).energy(BOTH_UP).item() == 2.0


@pytest.mark.parametrize("name", ["p.npz", "p.dat"])
def test_npz_files_are_known_by_their_content(tmp_path: Path, name: str) -> None:
    problem = random_ising(3, seed=1)
    write_npz(problem, tmp_path / name)
    assert torch.equal(read_problem(tmp_path / name).fields, problem.fields)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.npz", b"2 1\n", "npz"),
        ("p.txt", b"hello world\n", "line 1: two integers `n m`.* were expected, got 'hello world'"),
        ("p.csv", b"instance,n,m\n", "line 1"),
        ("p.txt", b"", "empty"),
    ],
)
def test_anything_else_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_problem(tmp_path / name)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_problem(tmp_path / "none.txt")
