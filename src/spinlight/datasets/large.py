"""Public files of gigabytes: read where they lie, hashed in pieces, and held to the bytes that were first seen."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from spinlight._errors import FileFormatError
from spinlight._files import atomic_file
from spinlight.datasets.sources import PublicFile, cache_path, downloaded_path, shared_path

Parsed = TypeVar("Parsed")


def load_large(
    file: PublicFile, parse: Callable[[Path], Parsed], *, fetch: Callable[[PublicFile], Path] = downloaded_path
) -> Parsed:
    """Return what `parse` makes of a public file, read from the disk and downloaded at need.

    Bytes that no published checksum fixes are fixed by the first load that succeeds: their SHA-256 is kept beside the file, in
    NAME.sha256 (where that folder can be written), and every later load compares. A file of the cache that turns out to be
    damaged or another one is set aside as NAME.refused: a download of hours is not thrown away.

    Args:
        file: name, addresses and checksum.
        parse: raises ValueError for a file that is not what it should be.
        fetch: puts the file into the cache, whole or not at all, and returns its path.

    Raises:
        FileFormatError: the file is there and is not the published one, or not the one that was there before.
        DownloadError: it is not there, and no mirror delivers it.
        MissingExtraError: it is not there, and pooch is not installed.

    Cost:
        One pass over the bytes for each load, before they are read.
    """
    shared = shared_path(file.name)
    path = shared or _cached(file, fetch)
    try:
        digest = _digest_of_known_bytes(path, file)
        parsed = parse(path)
    except ValueError as error:
        what = "restore, rename or remove it"
        if shared is None:
            what = f"it is now {_set_aside(path)}; call again to fetch it anew"
        raise FileFormatError(f"{path} is damaged, or is another file of that name: {error}; {what}") from error
    _remember(path, digest)
    return parsed


def _cached(file: PublicFile, fetch: Callable[[PublicFile], Path]) -> Path:
    path = cache_path(file.name)
    return path if path.is_file() else fetch(file)


def _digest_of_known_bytes(path: Path, file: PublicFile) -> str | None:
    """Return the SHA-256 to be remembered, None where a published checksum fixes the bytes; refuse other bytes."""
    if not path.stat().st_size:
        raise FileFormatError("it is empty; some servers send that to what is no browser: download it in a browser")
    for kind, published in (("sha256", file.sha256), ("md5", file.md5)):
        if published is not None:
            _require_same(kind, _digest(path, kind), published, "the published file's")
            return None
    found, note = _digest(path, "sha256"), _note(path)
    if note.is_file():
        first = (note.read_text(encoding="ascii", errors="replace").split() or [""])[0]
        _require_same("sha256", found, first, f"what {note} says of its first use (remove that if the change is meant)")
    return found


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, kind).hexdigest()


def _require_same(kind: str, found: str, expected: str, whose: str) -> None:
    if found != expected:
        raise FileFormatError(f"its {kind} is {found[:12]}... and not {expected[:12]}..., {whose}")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _remember(path: Path, digest: str | None) -> None:
    """Keep a checksum beside its file, in the format of sha256sum; a folder that cannot be written goes without."""
    if digest is None or _note(path).is_file():
        return
    with suppress(OSError), atomic_file(_note(path)) as note:
        note.write(f"{digest}  {path.name}\n".encode())


def _set_aside(path: Path) -> Path:
    refused = path.with_name(f"{path.name}.refused")
    os.replace(path, refused)
    return refused
