"""The folder a fit writes to: every file whole or absent, and a list of what is there."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinlight._errors import InvalidSettingError
from spinlight._files import atomic_file

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells.model import QBMVAE


def plain(value: Any) -> Any:
    """Return a value made of dictionaries and lists with None, JSON's null, for every number that is not finite."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Results:
    """A folder of results.

    Args:
        folder: made if need be, with its parents; tried out by writing to it.
        files: the files that will be written.
        folders: the folders that will be written.

    Raises:
        InvalidSettingError: the folder cannot be made or written to, or it holds a folder in the place of a file, or a file in
            the place of a folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, files: Sequence[str] = (), folders: Sequence[str] = ()
    ) -> None:
        self.folder = Path(folder)
        self.saved: list[Path] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise InvalidSettingError(
                f"results cannot be written to {self.folder} ({error.strerror}); choose another folder"
            ) from error
        for names, taken, kind in ((files, Path.is_dir, "folder"), (folders, Path.is_file, "file")):
            for path in (self.folder / name for name in names):
                if taken(path):
                    raise InvalidSettingError(
                        f"there is a {kind} at {path}, where a result will be; move it or choose another folder"
                    )

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        with atomic_file(self.folder / name) as file:
            file.write(content)
        self.saved.append(self.folder / name)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file; every number in it must be finite."""
        self.write(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def write_cells(self, name: str, cells: AnnData) -> None:
        """Write an .h5ad file."""
        with atomic_file(self.folder / name) as file:
            # anndata writes by name, and this name is that of the temporary file.
            cells.write_h5ad(file.name, compression="gzip")
        self.saved.append(self.folder / name)

    def write_model(self, name: str, model: QBMVAE) -> None:
        """Save a model as a folder, by way of another one beside it, so that an old model stays until the new is whole."""
        target = self.folder / name
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=f".{name}.") as beside:
            model.save(beside, overwrite=True)
            target.mkdir(exist_ok=True)
            for file in Path(beside).iterdir():
                file.replace(target / file.name)
        self.saved.append(target)
