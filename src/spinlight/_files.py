"""Files that are either written whole or not at all, npz files read without pickle, and where shared data lie."""

from __future__ import annotations

import errno
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spinlight._errors import FileFormatError, InvalidSettingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes the place of `path` only when the block ends without an error."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with _opened(draft, target) as file:
            yield file
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise the OSError that `atomic_file` would meet, before there is anything to write."""
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    _opened(draft, target).close()
    draft.unlink()


@contextmanager
def alone_in(folder: Path, what: str) -> Iterator[None]:
    """Refuse a second process that writes into one folder, where it would overwrite the files of the first; a killed one bars nobody.

    Args:
        folder: it is there.
        what: of what there can be one, for the message.

    Raises:
        InvalidSettingError: another one is running there.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InvalidSettingError(
                    f"another {what} is running in {folder}; wait for its end, or choose another folder"
                ) from error
        yield
    finally:
        os.close(descriptor)


def _opened(draft: Path, target: Path) -> IO[bytes]:
    """Open the draft of a file; an error names the file itself, which the user knows."""
    try:
        return open(draft, "xb")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(target)) from error


def data_folder() -> Path:
    """Return the folder of shared datasets: SPINLIGHT_DATA, or ../shared/data beside the working directory."""
    return Path(os.environ.get("SPINLIGHT_DATA") or "../shared/data")


def load_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file, read without pickle.

    Raises:
        FileFormatError: the file is no npz file, a damaged one, or one that unpacks to more than memory holds.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except _DAMAGE as error:
            # NumPy takes whatever is no archive for a pickle, and tells how to load it unsafely.
            reason = "" if "pickle" in str(error) else f": {error}"
            raise FileFormatError(f"{os.fspath(path)} is no whole npz file of plain arrays{reason}") from error


_DAMAGE = (
    ValueError,
    TypeError,
    OSError,
    OverflowError,
    MemoryError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise, depending on which bytes are damaged."""
