"""Files that are either written whole or not at all, npz files read without pickle, and where shared data lie."""

from __future__ import annotations

import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spinlight._errors import FileFormatError


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes the place of `path` only when the block ends without an error."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "xb") as file:
            yield file
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def data_folder() -> Path:
    """Return the folder of shared datasets: SPINLIGHT_DATA, or ../shared/data beside the working directory."""
    return Path(os.environ.get("SPINLIGHT_DATA") or "../shared/data")


def load_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file, read without pickle.

    Raises:
        FileFormatError: the file is no npz file, or a damaged one.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise FileFormatError(f"{os.fspath(path)} is no whole npz file without pickled objects: {error}") from error
