"""The same cells have the same digest, whatever form their counts are kept in, and are left as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

pytest.importorskip("anndata")


def unsorted(counts: Any, dtype: Any) -> Any:
    """Return the same numbers in compressed rows whose columns are not in order."""
    backwards = sparse.csr_matrix(counts[:, ::-1].astype(dtype))
    backwards.indices = counts.shape[1] - 1 - backwards.indices
    backwards.has_sorted_indices = False
    assert (backwards.toarray() == counts).all()
    return backwards


def with_zero(counts: Any) -> Any:
    """Return the same numbers with a zero that is stored."""
    matrix = sparse.csr_matrix(np.where(counts == 0, -1, counts))
    matrix.data[matrix.data == -1] = 0
    return matrix


def with_long_indices(counts: Any) -> Any:
    matrix = sparse.csr_matrix(counts)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


FORMS = {
    "dense": lambda counts: counts,
    "columns": sparse.csc_matrix,
    "zeros": with_zero,
    "long": with_long_indices,
    "float32": lambda counts: unsorted(counts, np.float32),
    "float64": lambda counts: unsorted(counts, np.float64),
    "integers": lambda counts: unsorted(counts, np.int64),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_digest_is_of_the_numbers_and_changes_none(cells: AnnData, form: str) -> None:
    from spinlight.cells.digests import cells_digest

    expected, counts = cells_digest(cells, None), cells.X.copy()
    cells.X = FORMS[form](counts)
    arrays = [np.array(part) for part in ([cells.X.data, cells.X.indices] if sparse.issparse(cells.X) else [cells.X])]
    assert cells_digest(cells, None) == expected
    after = [cells.X.data, cells.X.indices] if sparse.issparse(cells.X) else [cells.X]
    assert all(np.array_equal(*pair) for pair in zip(arrays, after))
    cells.X = cells.X.toarray() if sparse.issparse(cells.X) else cells.X
    np.testing.assert_array_equal(cells.X, counts)
    cells.X[0, 0] += 1
    assert cells_digest(cells, None) != expected
