"""What is refused of cells before a model sees them: columns, groups, covariates, and values that are no counts."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from spinlight._checks import require_extra
from spinlight._errors import InvalidDataError, InvalidSettingError, UnknownNameError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from torch import Tensor

FEWEST_CELLS = 20
"""Fewer have no neighbourhoods: graph, map and clusters of the cells are made of fifteen neighbours each."""

_STRETCH = 10_000
"""Cells whose values are checked at a time: some tens of megabytes, wherever the matrix lies."""


def require_cells(
    cells: AnnData, layer: str | None = None, *, batch_key: str | None = None, labels_key: str | None = None
) -> None:
    """Refuse cells that a model of counts cannot be fitted to, naming what is wrong.

    Raises:
        InvalidDataError: too few cells or genes, counts that are negative, fractional, NaN or infinite, a cell without any
            count, missing values in a key's column, or batches that are none.
        InvalidSettingError: one column for batches and labels.
        UnknownNameError: a key that is no column of `obs`, or there is no such layer.
    """
    if cells.n_obs < FEWEST_CELLS or cells.n_vars < 2:
        raise InvalidDataError(
            f"the data hold {cells.n_obs} cells and {cells.n_vars} genes; at least {FEWEST_CELLS} cells and 2 genes are needed"
        )
    require_columns(cells, batch_key=batch_key, labels_key=labels_key)
    if batch_key is not None:
        require_groups(cells, "batch key", batch_key)
        if cells.obs[batch_key].nunique() == cells.n_obs:  # from which a decoder learns nothing
            raise InvalidDataError(
                f"the batch key {batch_key!r} has another value for each of {cells.n_obs} cells; name a column of groups"
            )
    require_counts(cells, layer)


def require_columns(cells: AnnData, *, batch_key: str | None, labels_key: str | None) -> None:
    """Refuse keys that are no column of `obs`, one with missing values, and one column for two uses.

    Raises:
        UnknownNameError: there is no such column.
        InvalidDataError: cells without a value.
        InvalidSettingError: one column for both.
    """
    if batch_key is not None and batch_key == labels_key:
        raise InvalidSettingError(
            f"{batch_key!r} is both the batch key and the labels key; name two columns: a model that is told one cannot integrate over it"
        )
    for use, key in (("batch key", batch_key), ("labels key", labels_key)):
        if key is not None:
            _require_column(cells, use, key)


def _require_there(cells: AnnData, use: str, key: str) -> None:
    if key not in cells.obs:
        raise UnknownNameError(
            f"the {use} {key!r} is no column of obs; columns: {', '.join(map(str, cells.obs)) or 'none'}"
        )


def _require_column(cells: AnnData, use: str, key: str) -> None:
    _require_there(cells, use, key)
    if cells.obs[key].ndim != 1:
        raise InvalidDataError(f"the {use} {key!r} is the name of several columns of obs; rename all but one")
    missing = int(cells.obs[key].isna().sum())
    if missing:
        raise InvalidDataError(
            f"the {use} {key!r} has no value for {missing} of {cells.n_obs} cells; fill or drop them"
        )


def require_anndata(cells: object) -> None:
    """Refuse what is no AnnData, or one without cells.

    Raises:
        InvalidDataError: it is none, or empty.
    """
    kind = require_extra("anndata", "cells").AnnData
    if not isinstance(cells, kind):
        raise InvalidDataError(
            f"cells must be an AnnData, got {type(cells).__name__}; anndata.AnnData(counts) makes one"
        )
    if not cells.n_obs or not cells.n_vars:
        raise InvalidDataError(f"the data hold {cells.n_obs} cells and {cells.n_vars} genes; give some of both")


def require_groups(cells: AnnData, use: str, key: str, *, like: object = None) -> None:
    """Refuse a column whose values are no names of groups: fractional numbers, or names of several types.

    Args:
        cells: cells by genes.
        use: of the column, for the message.
        key: the column.
        like: one more name, which must be of the type that the column's names have.

    Raises:
        InvalidDataError: such a column.
    """
    column = cells.obs[key]
    if column.dtype.kind == "O" and not all(isinstance(value, Hashable) for value in column):
        raise InvalidDataError(f"the {use} {key!r} holds values that are no names; name a column of groups")
    if column.dtype.kind == "f":
        raise InvalidDataError(
            f"the {use} {key!r} holds fractional numbers, of type {column.dtype}; name a column of groups"
        )
    names = [*column.unique(), *([] if like is None else [like])]
    kinds = sorted({type(name.item() if hasattr(name, "item") else name).__name__ for name in names})
    if len(kinds) > 1:
        raise InvalidDataError(
            f"the {use} {key!r} holds names of the types {', '.join(kinds)}"
            f"{'' if like is None else f', {like!r} among them'}; make text of them: cells.obs[{key!r}].astype(str)"
        )


def require_groups_of(cells: AnnData, key: str, *groups: str | Sequence[str] | None) -> None:
    """Refuse groups of a column that no cell is of.

    Args:
        cells: with the column.
        key: of the column.
        groups: values of it, each one or several, or None.

    Raises:
        UnknownNameError: there is no such column or group.
    """
    _require_there(cells, "groupby", key)
    there = sorted(map(str, cells.obs[key].dropna().unique()))
    for group in groups:
        for name in [group] if isinstance(group, str) else group or ():
            if str(name) not in there:
                raise UnknownNameError(f"no cell has {name!r} in {key!r}; there are: {', '.join(there)}")


def require_covariates(
    cells: AnnData, *, size_factor: str | None, groups: Sequence[str] | None, numbers: Sequence[str] | None
) -> None:
    """Refuse covariates that are no columns of `obs`, with missing values, or that are not what they are used as.

    Args:
        cells: cells by genes.
        size_factor: column of factors above zero.
        groups: columns of categories.
        numbers: columns of finite numbers.

    Raises:
        UnknownNameError: there is no such column.
        InvalidDataError: missing, infinite or non-numeric values, or a size factor that is not above zero.
        InvalidSettingError: a name in place of a list of names, or one twice.
    """
    for use, keys in (("categorical", groups), ("continuous", numbers)):
        if isinstance(keys, str):
            raise InvalidSettingError(f"{use} covariates must be a list of columns, got {keys!r}; write [{keys!r}]")
    for use, keys in (("categorical", groups or ()), ("continuous", numbers or ())):
        if len(set(keys)) < len(keys):
            raise InvalidSettingError(f"{use} covariates name a column twice: {', '.join(keys)}")
    for key in groups or ():
        _require_column(cells, "categorical covariate", key)
    for use, keys in (("size factor", [size_factor] if size_factor else []), ("continuous covariate", numbers or ())):
        for key in keys:
            _require_column(cells, use, key)
            column = cells.obs[key]
            if column.dtype.kind not in "fiu" or not np.isfinite(column).all():
                raise InvalidDataError(f"the {use} {key!r} holds values that are no finite numbers")
    if size_factor and not (cells.obs[size_factor] > 0).all():
        raise InvalidDataError(f"the size factor {size_factor!r} must be above zero for every cell; drop the others")


def require_values(cells: AnnData, layer: str | None = None) -> None:
    """Refuse a matrix that no likelihood fits, naming what is wrong.

    Args:
        cells: cells by genes; a matrix in a file is read a stretch at a time.
        layer: where the values should be; `X` by default.

    Raises:
        InvalidDataError: no matrix, values that are negative, NaN or infinite, or a cell of nothing but zeros.
        UnknownNameError: there is no such layer.
    """
    for _ in _checked_values(cells, layer):
        pass


def require_counts(cells: AnnData, layer: str | None = None) -> None:
    """Refuse a matrix that holds no raw counts, naming what is wrong.

    Args:
        cells: cells by genes; a matrix in a file is read a stretch at a time.
        layer: where the counts should be; `X` by default.

    Raises:
        InvalidDataError: as of `require_values`, or fractions.
        UnknownNameError: there is no such layer.
    """
    for values in _checked_values(cells, layer):
        if (values != np.round(values)).any():
            raise InvalidDataError(
                f"{_place(cells, layer)} holds values that are no counts (fractions): normalised data? "
                f"{_other_places(cells, layer)}. A model of log-normalised values has gene_likelihood='normal'"
            )


def _checked_values(cells: AnnData, layer: str | None) -> Iterator[NDArray[Any]]:
    """Yield the stored values, some thousand cells at a time, once they are known to be finite and not negative."""
    place, stored = _place(cells, layer), _stored(cells, layer)
    if stored is None:
        raise InvalidDataError(f"{place} is empty; raw counts are needed there")
    empty = 0
    for first in range(0, cells.n_obs, _STRETCH):
        part = stored[first : first + _STRETCH]
        values = np.asarray(part.data if hasattr(part, "tocsr") else part)
        if values.dtype.kind not in "fiub":
            raise InvalidDataError(f"{place} holds values of type {values.dtype}; numbers are needed")
        if not np.isfinite(values).all():
            raise InvalidDataError(f"{place} holds NaN or infinity; raw counts are needed")
        if (values < 0).any():
            raise InvalidDataError(f"{place} holds negative values: scaled data? {_other_places(cells, layer)}")
        yield values
        empty += int((np.asarray(part.sum(axis=1)).ravel() == 0).sum())
    if empty:
        raise InvalidDataError(
            f"{empty} cells have no count at all; drop them, by scanpy.pp.filter_cells(min_counts=1)"
        )


def _place(cells: AnnData, layer: str | None) -> str:
    """Return the name of a matrix for messages; refuse a layer that is not there."""
    if layer is not None and layer not in cells.layers:
        raise UnknownNameError(f"there is no layer {layer!r}; layers: {', '.join(_layers(cells)) or 'none'}")
    return "X" if layer is None else f"layer {layer!r}"


def _layers(cells: AnnData) -> list[str]:
    """Return the names of the layers; from anndata 0.13 on, X is one of them, under None."""
    return [name for name in cells.layers if name is not None]


def counts_of(cells: AnnData, layer: str | None) -> Any:
    """Return the matrix that holds the counts, a SciPy or NumPy array, None where there is none."""
    stored = _stored(cells, layer)
    if stored is None or sparse.issparse(stored):
        return stored
    return stored.to_memory() if hasattr(stored, "to_memory") else np.asarray(stored)


def _stored(cells: AnnData, layer: str | None) -> Any:
    """Return the matrix as it is: an array, or what reads it from a file by slices."""
    return cells.X if layer is None else cells.layers[layer]


def _other_places(cells: AnnData, layer: str | None) -> str:
    """Say where else raw counts might be."""
    layers = [name for name in _layers(cells) if name != layer]
    if layers:
        return f"The data have other layers, of which one may hold them: {', '.join(layers)}"
    if cells.raw is not None:
        return "The data have .raw, which may hold them: cells.raw.to_adata() makes it X"
    return "Put the raw counts there"


def require_mini_batch(values: Tensor, *, counts: bool) -> None:
    """Refuse a mini-batch of cells that nobody could check before, naming what is wrong.

    Args:
        values: shape (cells, genes).
        counts: whether they must be raw counts.

    Raises:
        InvalidDataError: values that are negative, NaN or infinite, or, of counts, fractions; or a cell of nothing but zeros.
    """
    if not bool(values.isfinite().all()):
        raise InvalidDataError("the data module yields NaN or infinity; raw counts are needed")
    if bool((values < 0).any()):
        raise InvalidDataError("the data module yields negative values: scaled data? Raw counts are needed")
    if counts and bool((values != values.round()).any()):
        raise InvalidDataError(
            "the data module yields values that are no counts (fractions): normalised data? Give it the layer of raw counts; a model "
            "of log-normalised values has gene_likelihood='normal'"
        )
    if empty := int((values == 0).all(1).sum()):
        raise InvalidDataError(
            f"{empty} cells of a mini-batch have no count at all; drop them from the files, by scanpy.pp.filter_cells(min_counts=1)"
        )
