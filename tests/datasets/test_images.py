"""Images are what was published, and their bits follow their intensities."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import struct

import numpy as np
import pytest
import torch

from helpers.statistics import mean_p_value, threshold
from spinlight import FileFormatError, InvalidDataError, InvalidSettingError
from spinlight.datasets import binarized, digits, frey_faces, mnist
from spinlight.datasets.sources import PublicFile

faces = importlib.import_module("spinlight.datasets.faces")
written = importlib.import_module("spinlight.datasets.mnist")

INTENSITIES = torch.tensor([0.1, 0.5, 0.83])


def test_bits_have_the_intensities_as_probabilities() -> None:
    rows = INTENSITIES.expand(20_000, 3)
    bits = binarized(rows, seed=1)
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert mean_p_value(bits.double(), INTENSITIES.double()) > threshold()
    assert mean_p_value(bits.double(), 1.1 * INTENSITIES.double()) < threshold()


def test_bits_of_one_pixel_are_independent_of_those_of_another() -> None:
    first, second = binarized(torch.full((20_000, 2), 0.5), seed=2).double().T
    assert mean_p_value((first == second).double(), 0.5) > threshold()
    assert mean_p_value((first == first).double(), 0.5) < threshold()


def test_the_same_seed_draws_the_same_bits() -> None:
    rows = INTENSITIES.expand(100, 3)
    first, second, other = (binarized(rows, seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_keep_dtype_and_shape_and_the_intensities_are_left_alone(dtype: torch.dtype) -> None:
    rows = INTENSITIES.to(dtype).reshape(3, 1)
    before = rows.clone()
    bits = binarized(rows, seed=1)
    assert (bits.dtype, bits.shape) == (dtype, rows.shape)
    assert torch.equal(rows, before)


@pytest.mark.parametrize("values", [[-0.1], [1.5], [float("nan")]])
def test_what_is_no_intensity_is_refused(values: list[float]) -> None:
    with pytest.raises(InvalidDataError, match="divide"):
        binarized(torch.tensor(values), seed=1)


def test_integers_and_impossible_seeds_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="uint8"):
        binarized(torch.tensor([0, 255], dtype=torch.uint8), seed=1)
    with pytest.raises(InvalidSettingError):
        binarized(INTENSITIES, seed=-1)


def test_mnist_has_the_published_digits(real) -> None:
    found = mnist()
    # The counts of the digits are on the set's own page; mean and deviation are the constants that everyone normalises by.
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert found.train.labels.bincount().tolist() == counts
    assert (len(found.test), found.test.intensities.shape) == (10_000, (10_000, 784))
    assert float(found.train.intensities.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(found.train.intensities.std()) == pytest.approx(0.3081, abs=5e-5)
    assert found.train.intensities.dtype == torch.float32
    assert found.train.labels.dtype == torch.int64


def test_mnist_is_read_row_after_row(shared, monkeypatch) -> None:
    (shared / "mnist").mkdir()
    pixels = np.arange(2 * 784, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
    for part in ("train", "t10k"):
        images = gzip.compress(struct.pack(">4i", 2051, 2, 28, 28) + pixels.tobytes())
        labels = gzip.compress(struct.pack(">2i", 2049, 2) + bytes([7, 3]))
        for stem, kind, data in ((f"{part}-images", "idx3", images), (f"{part}-labels", "idx1", labels)):
            (shared / "mnist" / f"{stem}-{kind}-ubyte.gz").write_bytes(data)
            monkeypatch.setitem(written._CHECKSUMS, stem, hashlib.sha256(data).hexdigest())
    found = mnist()
    assert torch.equal(found.train.intensities.reshape(2, 28, 28), torch.from_numpy(pixels).float() / 255)
    assert found.test.labels.tolist() == [7, 3]


def test_damaged_digits_are_refused(shared) -> None:
    (shared / "mnist").mkdir()
    (shared / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"no digits")
    with pytest.raises(FileFormatError, match="train-images"):
        mnist()


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    found = digits()
    assert torch.equal(found.intensities.reshape(-1, 8, 8) * 16, torch.from_numpy(load_digits().images).float())
    assert found.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # its documentation
    assert len(found) == 1797


def test_neighbouring_frames_and_pixels_of_the_faces_are_alike(real) -> None:
    rows = frey_faces()
    assert (rows.shape, rows.dtype) == ((1965, 560), torch.float32)
    assert (rows[1:] - rows[:-1]).abs().mean() < 0.7 * (rows[1:] - rows.roll(1000, 0)[1:]).abs().mean()
    upright, turned = rows.reshape(-1, 28, 20), rows.reshape(-1, 20, 28)
    assert upright.diff(dim=1).abs().mean() < 0.7 * turned.diff(dim=1).abs().mean()


FRAMES = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.fixture
def film(shared, monkeypatch):
    """Return the folder of a film of two frames of three pixels."""
    monkeypatch.setattr(faces, "_PIXELS", hashlib.sha256(FRAMES.tobytes()).hexdigest())
    (shared / "small").mkdir()
    return shared / "small"


def test_faces_are_read_from_the_published_file_and_from_a_packed_one(film) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(film / "frey_rawface.mat", {"ff": FRAMES.T})
    published = frey_faces()
    (film / "frey_rawface.mat").unlink()
    np.savez(film / "freyfaces.npz", x=FRAMES)
    assert torch.equal(published, torch.from_numpy(FRAMES).float() / 255)
    assert torch.equal(frey_faces(), published)


def test_damaged_faces_are_refused(film) -> None:
    (film / "frey_rawface.mat").write_bytes(b"no faces")
    with pytest.raises(FileFormatError, match="frey_rawface"):
        frey_faces()
    np.savez(film / "freyfaces.npz", x=FRAMES + 1)
    with pytest.raises(FileFormatError, match="freyfaces"):
        frey_faces()


def test_faces_that_are_not_there_come_from_where_they_were_published(cache, web, film, monkeypatch) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(film / "elsewhere.mat", {"ff": FRAMES.T})
    web.pages["/frey"] = (film / "elsewhere.mat").read_bytes()
    monkeypatch.setattr(faces, "_PUBLISHED", PublicFile("small/frey_rawface.mat", (web.url("/frey"),)))
    assert torch.equal(frey_faces(), torch.from_numpy(FRAMES).float() / 255)
