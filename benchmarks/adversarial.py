"""The Frechet distance of two sets of images in a classifier's features.

The distance of finite samples is biased upwards, by an amount that falls as 1 / samples and depends on the law: compare sets of one
size, and take the distance between two sets of real images as the floor.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared Frechet distance of two Gaussians that have the means and covariances of two sets of rows.

    |m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)

    Args:
        first: shape (rows, features), at least two rows.
        second: shape (rows, features).

    References:
        Dowson & Landau (1982); Heusel et al. (2017), GANs trained by a two time-scale update rule (features of a classifier); Chong &
        Forsyth (2020), Effectively unbiased FID (the bias of finite samples).
    """
    rows = [part.detach().to(torch.float64).numpy() for part in (first, second)]
    means, covariances = [part.mean(0) for part in rows], [np.atleast_2d(np.cov(part, rowvar=False)) for part in rows]
    root = _root(covariances[0])
    overlap = np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)
    spread = sum(np.trace(covariance) for covariance in covariances) - 2 * np.sqrt(overlap).sum()
    return float(((means[0] - means[1]) ** 2).sum() + spread)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric root; eigenvalues that rounding has made negative count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
