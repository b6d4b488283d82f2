"""MNIST: handwritten digits, 28 x 28 pixels."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import numpy as np
import torch

from spinlight.datasets.images import LabelledImages
from spinlight.datasets.sources import PublicFile, load_public

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")

_CHECKSUMS = {
    "train-images": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


@dataclass(frozen=True, eq=False)
class Mnist:
    """The two published parts.

    Args:
        train: 60,000 digits.
        test: 10,000 digits by other writers.
    """

    train: LabelledImages
    test: LabelledImages


def mnist() -> Mnist:
    """Return the handwritten digits, as intensities of 784 pixels (28 x 28) with labels 0 to 9.

    Raises:
        FileFormatError: a file is there and is damaged.
        DownloadError: a file is not there, and no mirror delivers it.
        MissingExtraError: a file is not there, and pooch is not installed.

    References:
        LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition.
    """
    return Mnist(_part("train"), _part("t10k"))


def _part(part: str) -> LabelledImages:
    pixels = load_public(_file(f"{part}-images", "idx3"), lambda data: _bytes_after(data, 16))
    labels = load_public(_file(f"{part}-labels", "idx1"), lambda data: _bytes_after(data, 8))
    return LabelledImages(
        torch.from_numpy(pixels.reshape(-1, 784).astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64))
    )


def _file(stem: str, kind: str) -> PublicFile:
    name = f"{stem}-{kind}-ubyte.gz"
    return PublicFile(f"mnist/{name}", tuple(mirror + name for mirror in _MIRRORS), _CHECKSUMS[stem])


def _bytes_after(data: bytes, header: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the values of an IDX file; its checksum has been verified."""
    return np.frombuffer(gzip.decompress(data), np.uint8, offset=header)
