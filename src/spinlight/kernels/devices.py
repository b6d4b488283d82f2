"""Which kernels serve which device."""

from __future__ import annotations

import importlib.util
import warnings

import torch

from spinlight._errors import SpinlightWarning


def serves(device: torch.device) -> bool:
    """Return whether the GPU kernels (`gpu_run`, `gpu_machines`) serve a device: a CUDA one, beside an installed Triton.

    Every other device is served by the CPU's kernels, on copies; a CUDA device without Triton too, with a warning.
    """
    if device.type != "cuda":
        return False
    if importlib.util.find_spec("triton") is not None:
        return True
    warnings.warn(
        f"the problem is on {device}, but Triton is not installed: sampling on the CPU; install it by: pip install triton "
        "(Windows: pip install triton-windows)",
        SpinlightWarning,
        stacklevel=2,
    )
    return False
