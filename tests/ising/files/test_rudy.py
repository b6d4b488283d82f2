from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, random_ising
from spinlight._errors import FileFormatError, InvalidProblemError, InvalidStateError
from spinlight.ising import Ising, cut_value, read_rudy, write_rudy

WEIGHTED_SQUARE = "4 5\n1 2 3\n2 3 -1\n3 4 2\n4 1 5\n1 3 7\n"
EDGES = [(0, 1, 3), (1, 2, -1), (2, 3, 2), (3, 0, 5), (0, 2, 7)]


def written(folder: Path, text: str) -> Path:
    (folder / "graph.txt").write_text(text)
    return folder / "graph.txt"


def cuts_by_hand(edges: list[tuple[int, int, int]], sites: int) -> list[int]:
    """Return for each state the weight between its sides, edge by edge."""
    return [sum(w for i, j, w in edges if state[i] != state[j]) for state in all_spins(sites).tolist()]


def test_the_energy_is_minus_the_cut_of_every_partition(tmp_path: Path) -> None:
    problem = read_rudy(written(tmp_path, WEIGHTED_SQUARE))
    cuts = cuts_by_hand(EDGES, 4)
    assert problem.energy(all_spins(4)).tolist() == [-cut for cut in cuts]
    assert cut_value(problem, all_spins(4)).tolist() == cuts


def test_a_sign_turned_round_would_be_noticed(tmp_path: Path) -> None:
    problem = read_rudy(written(tmp_path, WEIGHTED_SQUARE))
    assert problem.scaled(-1).energy(all_spins(4)).tolist() != [-cut for cut in cuts_by_hand(EDGES, 4)]


def test_a_missing_weight_is_one(tmp_path: Path) -> None:
    problem = read_rudy(written(tmp_path, "3 2\n1 2\n2 3\n"))
    assert cut_value(problem, torch.tensor([1, -1, 1])).item() == 2


@pytest.mark.parametrize("text", ["\n3 1 \r\n\r\n1\t3   2\n\n", "3 1\n1 3 2.0", "3 1\n3 1 2e0\n"])
def test_white_space_line_ends_and_order_do_not_matter(tmp_path: Path, text: str) -> None:
    assert read_rudy(written(tmp_path, text)).edges()[2].tolist() == [-1.0]


def test_gzip_files_are_read_whatever_their_name(tmp_path: Path) -> None:
    (tmp_path / "graph.txt").write_bytes(gzip.compress(WEIGHTED_SQUARE.encode()))
    assert read_rudy(tmp_path / "graph.txt").sites == 4


def test_a_graph_without_edges_cuts_nothing(tmp_path: Path) -> None:
    assert read_rudy(written(tmp_path, "2 0\n")).energy(all_spins(2)).tolist() == [0.0] * 4


def test_cuts_above_2_to_the_24_are_exact(tmp_path: Path) -> None:
    problem = read_rudy(written(tmp_path, f"3 2\n1 2 {2**40 + 1}\n2 3 1\n"))
    assert cut_value(problem, torch.tensor([1, -1, 1])).item() == 2**40 + 2
    assert problem.energy(torch.tensor([1, -1, 1])).item() == -(2**40) - 2


def test_cut_values_ignore_fields_and_offset() -> None:
    problem = random_ising(5, seed=1)
    bare = Ising(torch.zeros(5), problem.couplings)
    assert torch.equal(cut_value(problem, all_spins(5)), cut_value(bare, all_spins(5)))
    total = -2 * torch.triu(problem.couplings).sum()
    torch.testing.assert_close(cut_value(bare, all_spins(5)), total / 2 - bare.energy(all_spins(5)))


def test_cuts_of_no_states_are_refused() -> None:
    with pytest.raises(InvalidStateError):
        cut_value(random_ising(3, seed=2), torch.zeros(3))


@pytest.mark.parametrize("sparse", [False, True])
def test_written_problems_come_back_up_to_the_constant_that_is_returned(tmp_path: Path, sparse: bool) -> None:
    drawn = random_ising(5, seed=3, density=0.6)
    problem = Ising(torch.zeros(5), drawn.to_sparse().couplings if sparse else drawn.couplings, drawn.offset)
    constant = write_rudy(problem, tmp_path / "graph.txt")
    back = read_rudy(tmp_path / "graph.txt")
    torch.testing.assert_close(back.couplings.to_dense(), drawn.couplings, rtol=0, atol=0)
    torch.testing.assert_close(back.energy(all_spins(5)) + constant, problem.energy(all_spins(5)))


def test_a_problem_that_was_read_loses_nothing_when_written(tmp_path: Path) -> None:
    problem = read_rudy(written(tmp_path, WEIGHTED_SQUARE))
    assert write_rudy(problem, tmp_path / "again.txt").item() == 0.0
    lines = (tmp_path / "again.txt").read_text().splitlines()
    assert lines == ["4 5", "1 2 3", "1 3 7", "1 4 5", "2 3 -1", "3 4 2"]


def test_fields_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidProblemError, match="no fields"):
        write_rudy(random_ising(3, seed=4), tmp_path / "graph.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("4\n", "line 1: two integers"),
        ("4 x\n", "line 1: two integers"),
        ("0 0\n", "line 1: two integers"),
        ("4 5 6\n", "line 1: two integers"),
        ("99999999999 0\n", "line 1: two integers `n m` with n from 1 to 100,000,000"),
        ("3 2\n1 2 1\n", "promises 2 entries in its first line and holds 1"),
        ("3 1\n1 2 1\n2 3 1\n", "promises 1 entries in its first line and holds 2"),
        ("3 2\n1 2 1\n\n1 4 1\n", "line 4: .*got '1 4 1'"),
        ("3 1\n0 1 1\n", "line 2: .*got '0 1 1'"),
        ("3 1\n1 2 one\n", "line 2: .*got '1 2 one'"),
        ("3 1\n1 2 nan\n", "line 2: .*a finite w"),
        ("3 1\n1 2 inf\n", "line 2: .*a finite w"),
        ("3 1\n1\n", "line 2: .*got '1'"),
        ("3 1\n1 2 3 4\n", "line 2: .*got '1 2 3 4'"),
        ("1_0 1\n1 2\n", "line 1: two integers"),
        ("30 1\n1_0 2\n", "line 2: .*got '1_0 2'"),
        ("3 1\n1.5 2 3\n", "line 2: .*got '1.5 2 3'"),
        ("3 2\n1 2 3\n2 1 3\n", "line 3: the pair 2 1 was listed before, on line 2"),
        ("3 1\n2 2 3\n", "line 2: an edge from node 2 to itself.*read_biqmac"),
    ],
)
def test_a_line_that_breaks_the_format_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=rf"graph\.txt.*{message}"):
        read_rudy(written(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(WEIGHTED_SQUARE.encode())[:30], "damaged gzip"),
        (gzip.compress(WEIGHTED_SQUARE.encode())[:-8] + b"\0" * 8, "damaged gzip"),
        (b"3 1\n1 2 \xff\n", "no text file: byte 255 at 8"),
    ],
)
def test_files_that_are_no_text_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "graph.txt").write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_rudy(tmp_path / "graph.txt")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_rudy(tmp_path / "none.txt")


def test_energies_of_a_random_graph_are_those_of_numpy(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    upper = np.triu(generator.integers(-9, 10, (20, 20)), 1)
    rows, columns = upper.nonzero()
    lines = [f"{i + 1} {j + 1} {upper[i, j]}" for i, j in zip(rows, columns)]
    problem = read_rudy(written(tmp_path, "\n".join([f"20 {len(lines)}", *lines])))
    spins = generator.choice([-1, 1], (100, 20))
    cuts = [(upper * (s[:, None] != s)).sum() for s in spins]
    assert problem.energy(torch.from_numpy(spins)).tolist() == [-cut for cut in cuts]
