"""Which kernels serve which device."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from spinlight._errors import SpinlightWarning
from spinlight.kernels import devices


@pytest.mark.parametrize(("device", "served"), [("cpu", False), ("mps", False), ("cuda", True), ("cuda:1", True)])
def test_cuda_devices_are_served_by_the_gpu_kernels(device: str, served: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert devices.serves(torch.device(device)) is served


def test_without_triton_the_cpu_serves_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not devices.serves(torch.device("cpu"))
    with pytest.warns(SpinlightWarning, match="pip install triton"):
        assert not devices.serves(torch.device("cuda"))
