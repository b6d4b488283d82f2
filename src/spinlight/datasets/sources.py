"""Public files: from the data folder, or downloaded once into a cache; the same numbers from wherever they come.

A file is looked for below the folder of shared data (`SPINLIGHT_DATA`), then in pooch's cache for spinlight, and is downloaded
where it is in neither. Every file is checked against a SHA-256: of its bytes where the published file is known to the byte, else
of the numbers it holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra
from spinlight._errors import DownloadError, FileFormatError
from spinlight._files import data_folder, load_arrays

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class PublicFile:
    """A file that anyone can download.

    Args:
        name: its path below the data folder and below the cache.
        urls: where it is published; mirrors are tried in turn.
        sha256: of its bytes; None where its reader checks the numbers it holds (`require_numbers`).
        md5: of its bytes, where nothing better is published.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    md5: str | None = None


def load_public(file: PublicFile, parse: Callable[[bytes], Parsed]) -> Parsed:
    """Return what `parse` makes of the bytes of a public file, downloading it at need.

    A file that turns out to be damaged is removed if it lies in the cache, so that the next call downloads it again.

    Args:
        file: name, addresses and checksum.
        parse: raises ValueError for bytes that are not what they should be.

    Raises:
        FileFormatError: the file is there and is not the published one.
        DownloadError: it is not there, and no mirror delivers it.
        MissingExtraError: it is not there, and pooch is not installed.
    """
    shared = shared_path(file.name)
    path = shared or downloaded_path(file)
    try:
        data = path.read_bytes()
        if file.sha256 is not None:
            require_sha256(data, file.sha256)
        return parse(data)
    except ValueError as error:
        if shared is None:
            path.unlink()
        what = "restore or remove it" if shared else "it has been removed; call again to download it anew"
        raise FileFormatError(f"{path} is damaged, or is another file of that name: {error}; {what}") from error


def load_repacked(name: str, parse: Callable[[dict[str, NDArray[Any]]], Parsed]) -> Parsed | None:
    """Return what `parse` makes of the arrays of an npz file below the data folder, None where it is not there.

    Args:
        name: its path below the data folder.
        parse: raises ValueError or TypeError for arrays that are not what they should be, KeyError for one that is missing.

    Raises:
        FileFormatError: the file is there and does not hold the published data.
    """
    path = shared_path(name)
    if path is None:
        return None
    try:
        return parse(load_arrays(path))
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(
            f"{path} is damaged, or is another file of that name: {error}; restore or remove it"
        ) from error


def require_numbers(numbers: NDArray[np.uint8], sha256: str) -> NDArray[np.uint8]:
    """Return the numbers if their bytes, row after row, have this checksum.

    Raises:
        FileFormatError: they have another.
    """
    require_sha256(np.ascontiguousarray(numbers).tobytes(), sha256)
    return numbers


def require_sha256(data: bytes, sha256: str) -> None:
    """Refuse bytes with another checksum.

    Raises:
        FileFormatError: they have another.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise FileFormatError(f"its SHA-256 is {found[:12]}..., that of the published data {sha256[:12]}...")


def shared_path(name: str) -> Path | None:
    """Return the path of a file below the folder of shared data, None where it is not there."""
    path = data_folder() / name
    return path if path.is_file() else None


def cache_path(name: str) -> Path:
    """Return where a file lies in the cache, or would lie."""
    return Path(require_extra("pooch", "data").os_cache("spinlight")) / name


def downloaded_path(file: PublicFile) -> Path:
    """Return the path of a file in the cache; pooch writes it whole or not at all, and checks what it finds there."""
    pooch = require_extra("pooch", "data")
    failures = []
    known = file.sha256 or (file.md5 and f"md5:{file.md5}")
    for url in file.urls:
        store: Any = pooch.create(
            path=pooch.os_cache("spinlight"), base_url="", registry={file.name: known}, urls={file.name: url}
        )
        try:
            return Path(store.fetch(file.name, downloader=_not_empty))
        except (OSError, ValueError) as error:  # no network, no such page, no room; another checksum
            failures.append(f"{url}: {error}")
    raise DownloadError(
        f"{file.name} is not in {data_folder()} (SPINLIGHT_DATA) and could not be downloaded:\n  "
        + "\n  ".join(failures)
        + f"\nWithout a network, download it elsewhere and put it at {data_folder() / file.name}"
    )


def _not_empty(url: str, output_file: str, store: object) -> None:
    """Download a file in pieces of a megabyte; figshare sends an empty one where it wants to see a browser."""
    require_extra("pooch", "data").HTTPDownloader(chunk_size=2**20)(url, output_file, store)
    if not Path(output_file).stat().st_size:
        raise ValueError(
            "an empty answer, which some servers give to what is no browser: open the address in a browser"
        )
