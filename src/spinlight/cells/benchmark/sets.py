"""The sets of cells of a benchmark: what models see, and, apart from it, what scores know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra
from spinlight._errors import InvalidDataError, InvalidSettingError, UnknownNameError
from spinlight.cells.benchmark.models.base import BATCH
from spinlight.cells.benchmark.settings import BenchmarkSettings
from spinlight.cells.checks import require_cells
from spinlight.cells.digests import canonical_counts, digest, texts
from spinlight.cells.evaluation import alike_note

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True, eq=False)
class CellSet:
    """A set of cells.

    Args:
        name: unique in the benchmark.
        cells: what models see: raw counts in `X`, and column `batch` where there are several batches.
        labels: text, shape (cells,); None where there are none, or one for all cells.
        batches: the same of batches.
        order: float64, shape (cells,), NaN for cells without a place; None where no two places are known.
        notes: which columns this set lacks, or has one value in.
        data_key: digest of what models see.
        known_key: digest of what scores know.
    """

    name: str
    cells: AnnData
    labels: NDArray[np.str_] | None
    batches: NDArray[np.str_] | None
    order: NDArray[np.float64] | None
    notes: tuple[str, ...]
    data_key: str
    known_key: str

    def seen(self) -> AnnData:
        """Return a copy of what models see."""
        return self.cells.copy()


def prepare_sets(sources: Mapping[str, AnnData], settings: BenchmarkSettings) -> list[CellSet]:
    """Return the sets, checked.

    A key may be missing in some sets, which are then scored without it, and say so, but not in all.

    Args:
        sources: cells by name; not modified.
        settings: the keys.

    Raises:
        InvalidSettingError: no set, a name that is none of a folder, or an order that its column does not have.
        InvalidDataError: cells that no model of counts can be fitted to, or missing values in a column.
        UnknownNameError: a key that no set has, or there is no such layer.
    """
    if not sources:
        raise InvalidSettingError("name at least one set of cells")
    for name in sources:
        if not isinstance(name, str) or not name or name in (".", "..") or {"/", "\\", "\0"} & set(name):
            raise InvalidSettingError(
                f"a set is called {name!r}, which cannot be the name of a folder; call it otherwise"
            )
    for use, key in (
        ("batch key", settings.batch_key),
        ("labels key", settings.labels_key),
        ("order key", settings.order_key),
    ):
        if key is not None and not any(key in cells.obs for cells in sources.values()):
            first = next(iter(sources.values()))
            raise UnknownNameError(
                f"the {use} {key!r} is no column of obs; columns: {', '.join(map(str, first.obs)) or 'none'}"
            )
    return [_prepared(name, cells, settings) for name, cells in sources.items()]


def _prepared(name: str, source: AnnData, settings: BenchmarkSettings) -> CellSet:
    present = {
        use: key if key is not None and key in source.obs else None
        for use, key in (
            ("batch", settings.batch_key),
            ("labels", settings.labels_key),
            ("order", settings.order_key),
        )
    }
    try:
        require_cells(source, settings.layer, batch_key=present["batch"], labels_key=present["labels"])
        order = None if present["order"] is None else _places(source, present["order"], settings.order)
    except (InvalidDataError, UnknownNameError, InvalidSettingError) as error:
        raise type(error)(f"{name}: {error}") from error
    batches, labels = _groups(source, present["batch"]), _groups(source, present["labels"])
    cells = _seen(source, settings.layer, batches)
    wanted = {"batch": settings.batch_key, "labels": settings.labels_key, "order": settings.order_key}
    missing = [key for use, key in wanted.items() if key is not None and present[use] is None]
    grouped = ((present["batch"], batches), (present["labels"], labels))
    notes = [f"no column {key!r}, and no scores that need it" for key in missing]
    notes += [alike_note(key) for key, groups in grouped if key is not None and groups is None]
    if present["order"] is not None and settings.order:
        there = set(texts(source.obs[present["order"]]).tolist())
        if absent := [place for group in settings.order for place in group if place not in there]:
            notes.append(f"no cell is {', '.join(absent)} in column {present['order']!r}, as the order says")
    if present["order"] is not None and order is None:
        notes.append(f"fewer than two places of the order in column {present['order']!r}, and no scores that need one")
    return CellSet(
        name=name,
        cells=cells,
        labels=labels,
        batches=batches,
        order=order,
        notes=tuple(notes),
        data_key=digest(cells.X.data, cells.X.indices, cells.X.indptr, texts(cells.var_names), batches),
        known_key=digest(labels, batches, order),
    )


def _seen(source: AnnData, layer: str | None, batches: NDArray[np.str_] | None) -> AnnData:
    anndata = require_extra("anndata", "cells")
    cells: AnnData = anndata.AnnData(
        canonical_counts(source, layer), obs=source.obs[[]].copy(), var=source.var[[]].copy()
    )
    if batches is not None:
        cells.obs[BATCH] = batches
        cells.obs[BATCH] = cells.obs[BATCH].astype("category")
    return cells


def _groups(source: AnnData, key: str | None) -> NDArray[np.str_] | None:
    """Return a column as text, None where all cells have the same."""
    if key is None:
        return None
    values = texts(source.obs[key])
    return values if len(np.unique(values)) > 1 else None


def _places(source: AnnData, key: str, order: Sequence[Sequence[str]]) -> NDArray[np.float64] | None:
    """Return the place of each cell in the known order, None where this set has no two of its places."""
    column = source.obs[key]
    if order:
        places = {name: float(place) for place, group in enumerate(order) for name in group}
        found = np.array([places.get(str(value), np.nan) for value in column], dtype=np.float64)
    elif column.dtype.kind in "fiu":
        found = column.to_numpy(dtype=np.float64)
    elif getattr(column.dtype, "ordered", False):
        found = np.where(column.cat.codes < 0, np.nan, column.cat.codes).astype(np.float64)
    else:
        raise InvalidSettingError(
            f"the order key {key!r} holds neither numbers nor ordered categories; state the order of its names"
        )
    return found if len(np.unique(found[np.isfinite(found)])) > 1 else None
