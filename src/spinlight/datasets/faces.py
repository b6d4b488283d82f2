"""Frey faces: one man's face in 1,965 frames of a film, 28 x 20 pixels."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._errors import FileFormatError
from spinlight.datasets.sources import PublicFile, load_public, load_repacked, require_numbers

_PIXELS = "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"

_PUBLISHED = PublicFile("small/frey_rawface.mat", ("https://cs.nyu.edu/~roweis/data/frey_rawface.mat",))


def frey_faces() -> Tensor:
    """Return the frames in the order of the film, as intensities of 560 pixels (28 rows of 20).

    Neighbouring frames are alike: parts for training and testing that are drawn at random are not independent.

    Returns:
        float32 in [0, 1], multiples of 1/255, shape (1965, 560).

    Raises:
        FileFormatError: the file is there and is damaged.
        DownloadError: it is not there and cannot be downloaded.
        MissingExtraError: it is not there, and pooch is not installed.

    References:
        Roweis, Saul & Hinton (2002), Global coordination of local linear models.
    """
    pixels = load_repacked("small/freyfaces.npz", lambda arrays: require_numbers(arrays["x"], _PIXELS))
    if pixels is None:
        pixels = load_public(_PUBLISHED, _from_matlab)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def _from_matlab(data: bytes) -> NDArray[np.uint8]:
    from scipy.io import loadmat

    try:
        columns = loadmat(io.BytesIO(data))["ff"]  # type: ignore[arg-type]  # the stubs know paths only
    except Exception as error:  # SciPy raises whatever the damaged part of a file leads it to
        raise FileFormatError(f"it is no MATLAB file of faces: {error}") from error
    return require_numbers(columns.T, _PIXELS)
