"""Binary sets are the published ones, however they were packed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from spinlight import FileFormatError, InvalidDataError, UnknownNameError
from spinlight.datasets import DENSITY_SETS, density, density_set
from spinlight.datasets.sources import PublicFile

# Variables and rows as their authors print them: Lowd & Davis (2010), Van Haaren & Davis (2012), Larochelle & Murray (2011).
PUBLISHED = {
    "nltcs": (16, 16181, 2157, 3236),
    "plants": (69, 17412, 2321, 3482),
    "baudio": (100, 15000, 2000, 3000),
    "jester": (100, 9000, 1000, 4116),
    "bnetflix": (100, 15000, 2000, 3000),
    "accidents": (111, 12758, 1700, 2551),
    "dna": (180, 1600, 400, 1186),
    "mushrooms": (112, 2000, 500, 5624),
    "nips": (500, 400, 100, 1240),
}

PARTS = {
    "train": np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1]], np.uint8),
    "valid": np.array([[0, 0, 1]], np.uint8),
}


def text_of(bits: np.ndarray) -> bytes:
    """Return rows as the published files have them."""
    return "".join(",".join(map(str, row)) + "\n" for row in bits.tolist()).encode()


@pytest.fixture
def small(monkeypatch) -> dict[str, np.ndarray]:
    """Return the parts of a set of three variables that takes the place of nltcs, without a test part."""
    pins = {part: hashlib.sha256(bits.tobytes()).hexdigest() for part, bits in PARTS.items()}
    monkeypatch.setitem(density._SETS, "nltcs", density._Set(3, pins))
    return PARTS


def pack(folder, parts: dict[str, np.ndarray]) -> None:
    (folder / "small").mkdir()
    packed = {part: np.packbits(bits, axis=1) for part, bits in parts.items()}
    np.savez(folder / "small" / "debd_nltcs.npz", n_vars=3, **packed)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_sets_have_the_published_sizes(real, name: str) -> None:
    found = density_set(name)
    variables, *rows = PUBLISHED[name]
    assert [part.shape for part in (found.train, found.valid, found.test)] == [(count, variables) for count in rows]
    assert {part.dtype for part in found.parts.values()} == {torch.int8}
    assert set(found.train.unique().tolist()) == {0, 1}


def test_the_published_form_of_the_real_sets_holds_the_same_bits(real, shared, monkeypatch) -> None:
    monkeypatch.setenv("SPINLIGHT_DATA", str(real))
    packed = density_set("nltcs")
    monkeypatch.setenv("SPINLIGHT_DATA", str(shared))
    (shared / "debd").mkdir()
    for part, bits in packed.parts.items():
        (shared / "debd" / f"nltcs.{part}.data").write_bytes(text_of(bits.numpy()))
    published = density_set("nltcs")
    assert all(torch.equal(published.parts[part], bits) for part, bits in packed.parts.items())


def test_a_packed_set_is_unpacked(shared, small) -> None:
    pack(shared, small)
    found = density_set("nltcs")
    assert found.train.tolist() == small["train"].tolist()
    assert found.valid.tolist() == small["valid"].tolist()


def test_a_set_is_downloaded_in_its_published_form(cache, web, small, monkeypatch) -> None:
    monkeypatch.setattr(
        density, "_published", lambda name, part: PublicFile(f"debd/{name}.{part}", (web.url(f"/{name}.{part}"),))
    )
    web.pages |= {f"/nltcs.{part}": text_of(bits) for part, bits in small.items()}
    found = density_set("nltcs")
    assert {part: bits.tolist() for part, bits in found.parts.items()} == {
        part: bits.tolist() for part, bits in small.items()
    }


@pytest.mark.parametrize("text", [b"0,1,1\n1,0,0\n1,1,0\n", b"0,1,1\n", b"0,1\n", b"<html></html>"])
def test_a_download_with_other_bits_is_refused(shared, small, text: bytes) -> None:
    (shared / "debd").mkdir()
    (shared / "debd" / "nltcs.train.data").write_bytes(text)
    with pytest.raises(FileFormatError, match=r"nltcs\.train\.data is damaged"):
        density_set("nltcs")


def test_line_ends_of_another_system_do_not_matter(small) -> None:
    text = text_of(small["train"]).replace(b"\n", b"\r\n")
    assert density._SETS["nltcs"].parsed("train", text).tolist() == small["train"].tolist()


def test_one_flipped_bit_is_noticed(shared, small) -> None:
    pack(shared, small | {"train": small["train"] ^ np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]], np.uint8)})
    with pytest.raises(FileFormatError, match=r"debd_nltcs\.npz is damaged"):
        density_set("nltcs")


def test_a_damaged_npz_file_and_one_without_a_part_are_refused(shared, small) -> None:
    pack(shared, {"train": small["train"]})
    with pytest.raises(FileFormatError, match="valid"):
        density_set("nltcs")
    path = shared / "small" / "debd_nltcs.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileFormatError, match="debd_nltcs"):
        density_set("nltcs")


@pytest.mark.parametrize("array", [np.ones((3, 1)), np.ones(3, np.uint8), np.array("text")])
def test_arrays_of_another_kind_are_refused(shared, small, array: np.ndarray) -> None:
    (shared / "small").mkdir()
    np.savez(shared / "small" / "debd_nltcs.npz", train=array, valid=array)
    with pytest.raises(FileFormatError, match="debd_nltcs"):
        density_set("nltcs")


def test_a_part_that_is_not_known_is_an_error_when_it_is_asked_for(shared, small) -> None:
    pack(shared, small)
    found = density_set("nltcs")
    with pytest.raises(InvalidDataError, match="without its part 'test', only with train and valid"):
        _ = found.test


@pytest.mark.parametrize(("name", "part"), [("adult", "test"), ("connect4", "test"), ("ocr_letters", "train")])
def test_three_of_the_real_sets_lack_a_part(real, name: str, part: str) -> None:
    with pytest.raises(InvalidDataError, match=part):
        getattr(density_set(name), part)


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(UnknownNameError) as caught:
        density_set("netflix")
    assert all(name in str(caught.value) for name in DENSITY_SETS)


def test_every_name_has_its_checksums() -> None:
    assert sorted(DENSITY_SETS) == sorted(density._SETS)
