"""Where tests of the GPU kernels run: on a CUDA device, or in Triton's interpreter on the CPU."""

from __future__ import annotations

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")

ON_DEVICE = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not (INTERPRETED or torch.cuda.is_available()),
        reason="needs a CUDA device; test_gpu_interpreted.py runs this file without one",
    ),
]
"""The marks of such a file: `pytestmark = ON_DEVICE`."""
