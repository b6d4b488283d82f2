"""Models see counts and batches, and nothing else; scores know the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spinlight._errors import InvalidDataError, InvalidSettingError, UnknownNameError
from spinlight.cells.benchmark.sets import CellSet, prepare_sets
from spinlight.cells.benchmark.settings import BenchmarkSettings

if TYPE_CHECKING:
    from anndata import AnnData

KEYS = {"batch_key": "batch", "labels_key": "kind"}


def prepared(cells: AnnData, **settings: object) -> CellSet:
    (data,) = prepare_sets({"some": cells}, BenchmarkSettings(**settings))  # type: ignore[arg-type]
    return data


def test_models_see_counts_and_batches_alone(cells: AnnData) -> None:
    cells.obsm["X_pca"] = np.zeros((90, 2))
    cells.layers["other"] = cells.X
    seen = prepared(cells, **KEYS).seen()
    assert list(seen.obs) == ["batch"]
    assert not seen.obsm
    assert not seen.layers
    assert not seen.uns
    np.testing.assert_array_equal(seen.X.toarray(), cells.X)


def test_a_single_batch_or_label_counts_as_none(cells: AnnData) -> None:
    cells.obs["batch"], cells.obs["kind"] = "same", "same"
    data = prepared(cells, **KEYS)
    assert data.batches is None
    assert data.labels is None
    assert list(data.seen().obs) == []


def test_counts_are_taken_from_their_layer(cells: AnnData) -> None:
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X / 7
    np.testing.assert_array_equal(prepared(cells, layer="counts").seen().X.toarray(), cells.layers["counts"])


def test_the_keys_change_with_what_they_stand_for(cells: AnnData) -> None:
    data = prepared(cells, **KEYS)
    relabelled = cells.copy()
    relabelled.obs["kind"] = relabelled.obs["kind"].to_numpy()[::-1]
    other = prepared(relabelled, **KEYS)
    assert other.data_key == data.data_key
    assert other.known_key != data.known_key
    recounted = cells.copy()
    recounted.X[0, 0] += 1
    assert prepared(recounted, **KEYS).data_key != data.data_key
    rebatched = cells.copy()
    rebatched.obs["batch"] = rebatched.obs["batch"].to_numpy()[::-1]
    assert prepared(rebatched, **KEYS).data_key != data.data_key


def test_dense_and_sparse_counts_are_the_same_data(cells: AnnData) -> None:
    from scipy import sparse

    other = cells.copy()
    other.X = sparse.csc_matrix(other.X)
    assert prepared(other).data_key == prepared(cells).data_key


def test_a_key_that_one_set_has_may_be_missing_in_another_which_says_so(cells: AnnData) -> None:
    bare = cells.copy()
    del bare.obs["kind"]
    first, second = prepare_sets({"labelled": cells, "bare": bare}, BenchmarkSettings(**KEYS))
    assert first.notes == ()
    assert second.labels is None
    assert second.notes == ("no column 'kind', and no scores that need it",)


def test_a_column_with_one_value_gives_no_groups_and_says_so(cells: AnnData) -> None:
    cells.obs["batch"] = "only"
    data = prepared(cells, **KEYS)
    assert data.batches is None
    assert data.notes == ("column 'batch' has one value: no scores that compare several",)


def test_a_key_that_no_set_has_is_refused(cells: AnnData) -> None:
    with pytest.raises(UnknownNameError, match="labels key 'cell_type' is no column of obs; columns: kind, batch"):
        prepared(cells, labels_key="cell_type")
    with pytest.raises(UnknownNameError, match="order key 'age' is no column"):
        prepared(cells, order_key="age")


def test_data_that_are_no_counts_are_refused_with_the_name_of_the_set(cells: AnnData) -> None:
    cells.X[0, 0] = 0.5
    with pytest.raises(InvalidDataError, match=r"^some: X holds values that are no counts"):
        prepared(cells)


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "/tmp/there", "a\\b", 3], ids=str)
def test_names_that_are_none_of_a_folder_are_refused(cells: AnnData, name: Any) -> None:
    with pytest.raises(InvalidSettingError, match="cannot be the name of a folder"):
        prepare_sets({name: cells}, BenchmarkSettings())


def test_no_set_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="at least one set"):
        prepare_sets({}, BenchmarkSettings())


def test_orders_are_numbers_ordered_categories_or_stated_names(cells: AnnData) -> None:
    import pandas

    cells.obs["age"] = np.arange(90) % 3 * 1.5
    cells.obs["stage"] = pandas.Categorical(cells.obs["kind"], ["kind 2", "kind 1", "kind 0"], ordered=True)
    np.testing.assert_array_equal(prepared(cells, order_key="age").order, np.arange(90) % 3 * 1.5)
    np.testing.assert_array_equal(prepared(cells, order_key="stage").order, 2 - np.arange(90) % 3)
    stated = prepared(cells, order_key="kind", order=(("kind 2",), ("kind 0", "elsewhere"))).order
    np.testing.assert_array_equal(stated, np.array([1.0, np.nan, 0.0])[np.arange(90) % 3])


def test_names_without_an_order_are_refused_and_without_two_places_are_none(cells: AnnData) -> None:
    with pytest.raises(InvalidSettingError, match="state the order of its names"):
        prepared(cells, order_key="kind")
    data = prepared(cells, order_key="kind", order=(("kind 1",), ("elsewhere",)))
    assert data.order is None
    assert data.notes[0] == "no cell is elsewhere in column 'kind', as the order says"
    assert data.notes[1:] == ("fewer than two places of the order in column 'kind', and no scores that need one",)
