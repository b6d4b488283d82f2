"""The folder a fit writes to: all results of a fit, or those of an older one."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spinlight._errors import InvalidSettingError
from spinlight._signals import interrupts_wait


class Results:
    """A folder of results, which appear together.

    A context manager. Everything is written into a hidden folder inside the folder, from where `commit` moves it into place;
    the hidden folder goes at the end, whatever happens.

    Args:
        folder: made if need be, with its parents; tried out by making the hidden folder in it.
        files: the files that will be written, by paths relative to the folder.
        folders: the folders that will be written.

    Raises:
        InvalidSettingError: the folder cannot be made or written to, or what is in the place of a file is no file, or in the
            place of a folder no folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, files: Sequence[str] = (), folders: Sequence[str] = ()
    ) -> None:
        self.folder = Path(folder)
        self.saved: list[Path] = []
        self._staged: list[str] = []
        for name in files:
            _require_place(self.folder / name, "file", self.folder.joinpath(name).is_file())
        for name in folders:
            _require_place(self.folder / name, "folder", self.folder.joinpath(name).is_dir())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._beside = tempfile.TemporaryDirectory(dir=self.folder, prefix=".unfinished-")
        except OSError as error:
            raise InvalidSettingError(
                f"results cannot be written to {self.folder} ({error.strerror}); choose another folder"
            ) from error

    def __enter__(self) -> Results:
        """Return the results."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the hidden folder and what was not committed."""
        try:
            with interrupts_wait():
                self._beside.cleanup()
        except KeyboardInterrupt:
            if kind is None:  # else what ends the block says more
                raise

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self._draft(name) as draft:
            draft.write_bytes(content)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file; every number in it must be finite."""
        self.write(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def write_by(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file or a folder by a function of its path."""
        with self._draft(name) as draft:
            write(draft)

    def try_out(self, name: str, write: Callable[[Path], object]) -> None:
        """Write something by a function of its path, and throw it away: what cannot be written is found before it is computed."""
        draft = Path(self._beside.name, name)
        try:
            write(draft)
        except OSError as error:
            raise _named(error, draft) from error
        draft.unlink()

    def commit(self, *names: str) -> None:
        """Move what was written into place, or only what is named, over what is there; Ctrl-C waits for it."""
        with interrupts_wait():
            for name in names or self._staged:
                draft, target = Path(self._beside.name, name), self.folder / name
                if draft.is_dir():
                    target.mkdir(exist_ok=True)
                    for file in draft.iterdir():
                        file.replace(target / file.name)
                else:
                    draft.replace(target)
                self.saved.append(target)

    @contextmanager
    def _draft(self, name: str) -> Iterator[Path]:
        """Yield where to write a result before it is committed; a disk's error names the result, not the draft."""
        try:
            yield Path(self._beside.name, name)
        except (OSError, RuntimeError) as error:  # torch.save raises the latter
            raise _named(error, self.folder / name) from error
        self._staged.append(name)


def _named(error: OSError | RuntimeError, path: Path) -> OSError:
    """Return an error of the disk that names a path; h5py and torch leave it out."""
    number = getattr(error, "errno", None) or errno.EIO
    return OSError(number, getattr(error, "strerror", None) or str(error), str(path))


def _require_place(path: Path, kind: str, right: bool) -> None:
    """Refuse a path where something of another kind is in the way, or a folder that cannot be written to."""
    if not os.path.lexists(path):
        return
    if not right:
        raise InvalidSettingError(
            f"{path}, where a result will be, is there and no {kind}; move it or choose another folder"
        )
    if kind == "folder" and not os.access(path, os.W_OK):
        raise InvalidSettingError(f"{path}, where a result will be, cannot be written to; choose another folder")
