from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.enumeration import all_bits, all_spins
from spinlight._errors import FileFormatError
from spinlight.ising import read_biqmac


def written(folder: Path, text: str) -> Path:
    (folder / "form.sparse").write_text(text)
    return folder / "form.sparse"


def test_off_diagonal_entries_count_twice_and_diagonal_ones_once(tmp_path: Path) -> None:
    problem = read_biqmac(written(tmp_path, "3 4\n1 1 -5\n1 2 3\n3 2 -1\n3 3 2\n"))
    assert problem.is_sparse
    form = torch.tensor([[-5, 3, 0], [3, 0, -1], [0, -1, 2]])
    expected = [int(x @ form @ x) for x in all_bits(3).long()]
    once = [int(x @ torch.triu(form) @ x) for x in all_bits(3).long()]
    assert problem.energy(all_spins(3)).tolist() == expected
    assert problem.energy(all_spins(3)).tolist() != once


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 1\n1 3 1\n", "line 2"),
        ("2 2\n1 1 1\n1 1 1\n", "line 3: the pair 1 1 was listed before"),
        ("2 2\n1 2 1\n", "promises 2"),
    ],
)
def test_a_line_that_breaks_the_format_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_biqmac(written(tmp_path, text))
