"""The benchmark of the GPU kernels says what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gpu

ROOT = Path(__file__).parents[2]


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in gpu.cases()]
    assert len(set(names)) == len(names)


def test_a_share_of_the_product_is_in_percent() -> None:
    rates = {"GPU": [1e9, 2e9, 3e9], "product": [1e10, 1e10, 1e10]}
    claim = gpu._claim("row", "%", rates, "product", 100.0, None, 1.0)
    assert (claim.value, claim.interval) == (pytest.approx(20), pytest.approx((10, 30)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="would run the benchmark itself")
def test_without_a_gpu_it_ends_with_one_line() -> None:
    ended = subprocess.run([sys.executable, "benchmarks/gpu.py"], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "needs a CUDA device" in ended.stderr
