"""Values as plain JSON."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import torch

from spinlight._plain import plain


def test_everything_becomes_strict_json() -> None:
    value = {
        1: (math.inf, -math.inf, math.nan, 0.5),
        "arrays": [np.array([1, 2]), torch.tensor([True]), np.float32(0.5), np.int8(3), np.nan],
        "numbers": [True, None, Fraction(1, 2), 2**70],
        "text": Ellipsis,
    }
    expected = {
        "1": [None, None, None, 0.5],
        "arrays": [[1, 2], [True], 0.5, 3, None],
        "numbers": [True, None, 0.5, 2**70],
        "text": "Ellipsis",
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected
