"""Images as rows of intensities, and the bits drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight._errors import InvalidDataError
from spinlight._random import Seed, bernoulli, resolve_seed


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with the class of each.

    Args:
        intensities: float32 in [0, 1], shape (count, pixels), row after row of each image.
        labels: int64, shape (count,).
    """

    intensities: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def binarized(intensities: Tensor, seed: Seed = None) -> Tensor:
    """Return bits that are 1 with the probabilities that the intensities are, one draw for each pixel.

    The same seed gives the same bits: a fixed binary data set, whose likelihoods can be compared. As `draw` of `training.Batches` it gives
    new ones at every pass, so that a machine of bits never sees the same image twice.

    Args:
        intensities: floating point in [0, 1], any shape.
        seed: integer, generator, or None for fresh entropy.

    Returns:
        0 or 1, in the dtype, shape and on the device of the intensities.

    Raises:
        InvalidDataError: values outside [0, 1], or integers.
        InvalidSettingError: an impossible seed.

    References:
        Salakhutdinov & Murray (2008), On the quantitative analysis of deep belief networks: section 4.1.

    Example:
        >>> import torch
        >>> binarized(torch.tensor([0.0, 1.0, 0.5, 0.5]), seed=1)[:2]
        tensor([0., 1.])
    """
    if not intensities.is_floating_point():
        raise InvalidDataError(f"intensities must be floating point in [0, 1], got {intensities.dtype}")
    if not bool(((intensities >= 0) & (intensities <= 1)).all()):
        raise InvalidDataError("intensities must lie in [0, 1]; divide pixels of 0 to 255 by 255")
    resolved = resolve_seed(seed)
    if intensities.device.type != "cpu":
        return bernoulli(intensities, resolved)
    from spinlight.kernels.bits import bits_of_probabilities

    levels = intensities.detach().to(torch.float32).contiguous().numpy()
    return torch.from_numpy(bits_of_probabilities(levels, resolved)).to(intensities.dtype)
