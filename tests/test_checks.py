from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import torch

from spinlight._checks import bits_of, require_extra, spins_of
from spinlight._errors import InvalidStateError, MissingExtraError
from spinlight._files import atomic_file, data_folder
from spinlight._random import bernoulli, positions_of


@pytest.mark.parametrize("value", ["up", [["a"]], [[1, 1], [1]], torch.ones(2, dtype=torch.complex64), object()])
def test_states_that_are_no_real_numbers_are_refused(value: object) -> None:
    for check in (spins_of, bits_of):
        with pytest.raises(InvalidStateError):
            check(value, 2)


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'spinlight\[plot\]'"):
        require_extra("a_module_that_does_not_exist", "plot")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_file(target) as file:
        file.write(b"new" + bytes(1 // 0))
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_a_write_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "result.bin") as file:
        file.write(b"new")
    (tmp_path / "plain.bin").write_bytes(b"")
    assert (tmp_path / "result.bin").stat().st_mode == (tmp_path / "plain.bin").stat().st_mode


def test_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    contents = [bytes([65 + i]) * 100_000 for i in range(4)]

    def write(content: bytes) -> None:
        with atomic_file(tmp_path / "result.bin") as file:
            for start in range(0, len(content), 1000):
                file.write(content[start : start + 1000])

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (tmp_path / "result.bin").read_bytes() in contents
    assert os.listdir(tmp_path) == ["result.bin"]


def test_bits_have_their_probabilities_and_both_halves_of_a_seed_count() -> None:
    probabilities = torch.tensor([0.0, 0.2, 1.0]).expand(20_000, 3)
    bits = bernoulli(probabilities, 1)
    assert abs(float(bits.mean(0)[1]) - 0.2) < 5 * (0.16 / 20_000) ** 0.5
    assert bits.mean(0)[[0, 2]].tolist() == [0.0, 1.0]
    assert not torch.equal(bits, bernoulli(probabilities, 1 + 2**32))


def test_positions_are_those_where_the_cumulated_weights_pass() -> None:
    weights = torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 2.0]])
    targets = torch.tensor([[0.0, 0.24, 0.25, 0.999], [0.0, 0.49, 0.5, 1.0]])
    assert positions_of(weights, targets).tolist() == [[0, 0, 2, 2], [1, 1, 2, 2]]


def test_shared_data_lie_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", None):
        monkeypatch.delenv("SPINLIGHT_DATA", raising=False) if value is None else monkeypatch.setenv(
            "SPINLIGHT_DATA", value
        )
        assert data_folder() == Path("../shared/data")
    monkeypatch.setenv("SPINLIGHT_DATA", "elsewhere")
    assert data_folder() == Path("elsewhere")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32])
def test_unsigned_numbers_are_no_minus_one(dtype: torch.dtype) -> None:
    """Torch finds an unsigned 255 equal to -1."""
    wrapped = torch.tensor([torch.iinfo(dtype).max, 1]).to(dtype)
    with pytest.raises(InvalidStateError, match=r"-1 or \+1"):
        spins_of(wrapped)
    assert spins_of(torch.ones(2, dtype=torch.int64).to(dtype)).tolist() == [1, 1]
    assert bits_of(torch.tensor([0, 1]).to(dtype)).tolist() == [0, 1]


def test_sparse_states_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="dense array"):
        spins_of(torch.eye(2).to_sparse())
