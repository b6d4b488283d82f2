"""The GPU kernels without a GPU: their tests once more, in a process that runs them in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

ROOT = Path(__file__).parents[2]
FILES = ["tests/kernels/test_gpu.py", "tests/kernels/test_gpu_machines.py", "tests/samplers/test_gpu.py"]


def test_the_gpu_kernels_pass_their_tests_in_the_interpreter() -> None:
    """In a process of its own: Triton decides when it is imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-1000:]
    assert "skipped" not in ended.stdout
