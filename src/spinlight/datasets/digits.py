"""Small handwritten digits that ship inside scikit-learn: no download."""

from __future__ import annotations

import torch

from spinlight._checks import require_extra
from spinlight.datasets.images import LabelledImages


def digits() -> LabelledImages:
    """Return 1,797 handwritten digits, as intensities of 64 pixels (8 x 8) with labels 0 to 9.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    References:
        Alpaydin & Kaynak (1998), Optical recognition of handwritten digits: the test part, 16 grey levels and zero.

    Example:
        >>> digits().intensities.shape
        torch.Size([1797, 64])
    """
    pixels, labels = require_extra("sklearn.datasets", "data").load_digits(return_X_y=True)
    return LabelledImages(torch.from_numpy(pixels / 16).to(torch.float32), torch.from_numpy(labels).to(torch.int64))
