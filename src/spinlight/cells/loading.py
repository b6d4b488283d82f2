"""Mini-batches of chosen cells, in the order in which they were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scvi.model.base import BaseModelClass
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidDataError, InvalidSettingError

_AT_ONCE = 128


def mini_batches(
    model: BaseModelClass, cells: AnnData, indices: Sequence[int] | NDArray[np.intp] | None, batch_size: int | None
) -> Iterator[dict[str, Tensor]]:
    """Yield mini-batches of scvi-tools' loader, chosen cells in their order and as often as they are named.

    Of cells in a file scvi-tools reads each mini-batch in the file's order, whatever was asked for, and h5py refuses a cell that is named
    twice.

    Args:
        model: whose loader it is.
        cells: registered with the model.
        indices: which cells, integers or a mask; all by default.
        batch_size: cells at a time; by default scvi-tools' setting for cells in order, and 128 for others.

    Raises:
        InvalidDataError: no cell.
        InvalidSettingError: indices that are no cells of these, or no cell at a time.
    """
    chosen = None if indices is None else _chosen(cells, indices)
    if batch_size is not None:
        positive_integer("batch_size", batch_size)
    if chosen is None or (np.diff(chosen) > 0).all():
        yield from model._make_data_loader(adata=cells, indices=chosen, batch_size=batch_size, shuffle=False)
        return
    size = batch_size or _AT_ONCE
    for first in range(0, len(chosen), size):
        once, places = np.unique(chosen[first : first + size], return_inverse=True)
        (tensors,) = model._make_data_loader(adata=cells, indices=once, batch_size=len(once), shuffle=False)
        yield {name: values[places] for name, values in tensors.items()}


def _chosen(cells: AnnData, indices: Sequence[int] | NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the numbers of chosen cells."""
    wanted = np.asarray(indices)
    if wanted.ndim == 1 and not len(wanted):
        raise InvalidDataError("indices name no cell")
    try:
        found: NDArray[np.intp] = np.arange(cells.n_obs)[wanted]
        if wanted.ndim == 1:
            return found
    except IndexError:
        pass
    raise InvalidSettingError(
        f"indices must be a list of integers below {cells.n_obs}, the number of cells, or a mask of as many; got an array of "
        f"{wanted.dtype} of shape {wanted.shape}"
    )
