"""Fixtures that the whole suite shares."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from spinlight import _files

# A shell without job control starts background jobs with Ctrl-C ignored, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data, or skip: `SPINLIGHT_DATA`, by default ../shared/data beside the working directory."""
    folder = _files.data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name its folder by SPINLIGHT_DATA")
    return folder
