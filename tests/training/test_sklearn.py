"""The scikit-learn estimators: scikit-learn's own checks, and what its checks do not know."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from spinlight import training
from spinlight._errors import InvalidSettingError, MissingExtraError
from spinlight.training import DeepBeliefClassifier, DeepBeliefTransformer

SMALL = DeepBeliefTransformer(hidden=(16, 8))


def small(encoder: object = SMALL, **settings) -> DeepBeliefClassifier:
    """Return a classifier that learns a few hundred rows at once."""
    chosen = {"epochs": 100, "learning_rate": 0.01, "random_state": 0} | settings
    return DeepBeliefClassifier(encoder, **chosen)


def corners(count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of a quarter of ones in one of four places, and the place."""
    return np.repeat(np.eye(4), count, axis=0), np.repeat(np.arange(4), count)


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks call what is deprecated, and skip what is not installed
@parametrize_with_checks([SMALL, small()])
def test_the_checks_of_scikit_learn_hold(estimator, check) -> None:
    check(estimator)


def test_an_encoder_that_is_no_network_is_refused_before_anything_is_fitted() -> None:
    with pytest.raises(InvalidSettingError, match="got StandardScaler"):
        small(StandardScaler()).fit(*corners())


def test_one_map_takes_all_inputs_to_probabilities_and_cuts_off_what_lies_beyond() -> None:
    rows = np.array([[-2.0, 0.0], [6.0, 2.0]])
    model = DeepBeliefTransformer(hidden=(3,), random_state=0).fit(rows)
    inputs = torch.tensor([[0.0, 0.25], [1.0, 0.5], [1.0, 0.0]])
    expected = model.network_(inputs).detach().numpy()
    found = model.transform(np.array([[-2.0, 0.0], [6.0, 2.0], [100.0, -100.0]]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    images = np.array([[0.0, 0.2], [1.0, 0.7]])
    assert DeepBeliefTransformer(hidden=(3,)).fit(images)._probabilities(images).tolist() == [
        pytest.approx(row) for row in images.tolist()
    ]


def test_inputs_that_never_vary_are_no_division_by_zero() -> None:
    model = DeepBeliefTransformer(hidden=(3,)).fit(np.full((5, 2), 7.0))
    assert np.isfinite(model.transform(np.full((5, 2), 7.0))).all()


def test_results_have_the_dtype_of_the_rows_and_columns_have_names() -> None:
    model = DeepBeliefTransformer(hidden=(3, 2)).fit(corners()[0])
    for dtype in (np.float32, np.float64):
        assert model.transform(corners()[0].astype(dtype)).dtype == dtype
    assert model.get_feature_names_out().tolist() == ["deepbelieftransformer0", "deepbelieftransformer1"]


def test_many_rows_are_taken_in_parts_without_a_trace() -> None:
    rows, places = corners()
    model = small().fit(rows, places)
    np.testing.assert_allclose(model.predict_proba(np.tile(rows, (50, 1)))[-200:], model.predict_proba(rows), rtol=1e-5)


def test_a_random_state_makes_the_same_model_again_and_leaves_the_state_of_torch() -> None:
    rows, places = corners()
    before = torch.get_rng_state()
    results = [small(dropout=0.2, random_state=state).fit(rows, places).predict_proba(rows) for state in (1, 1, 2)]
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_fine_tuning_leaves_the_generative_network_and_the_caller_s_encoder_as_they_are() -> None:
    rows, places = corners()
    encoder = DeepBeliefTransformer(hidden=(16, 8), random_state=3)
    model = DeepBeliefClassifier(encoder, random_state=0).fit(rows, places)
    assert not hasattr(encoder, "network_")
    expected = clone(encoder).fit(rows).network_.state_dict()
    assert all(torch.equal(part, expected[name]) for name, part in model.encoder_.network_.state_dict().items())


def test_an_encoder_that_was_fitted_to_other_rows_is_kept() -> None:
    rows, places = corners()
    fitted = DeepBeliefTransformer(hidden=(16, 8), random_state=3).fit(np.random.default_rng(0).random((30, 4)))
    model = small(FrozenEstimator(fitted)).fit(rows, places)
    assert model.encoder_.network_ is fitted.network_
    assert model.score(rows, places) == 1.0


def test_labels_may_be_words_and_pickles_keep_them() -> None:
    rows, places = corners()
    words = np.array(["north", "east", "south", "west"])[places]
    model = pickle.loads(pickle.dumps(small().fit(rows, words)))
    assert model.classes_.tolist() == ["east", "north", "south", "west"]
    assert model.score(rows, words) == 1.0
    assert model.predict_proba(rows).sum(1) == pytest.approx(1.0)


def test_estimators_stand_in_pipelines_and_searches() -> None:
    rows, places = corners()
    pipeline = make_pipeline(MinMaxScaler(), small())
    search = GridSearchCV(pipeline, {"deepbeliefclassifier__encoder__hidden": [(8, 8), (16,)]}, cv=2).fit(rows, places)
    assert search.best_score_ == 1.0


def test_digits_are_classified_better_than_by_their_nearest_mean() -> None:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:1300], order[1300:]
    means = np.stack([images[train][labels[train] == digit].mean(0) for digit in range(10)])
    nearest = ((images[test][:, None] - means) ** 2).sum(-1).argmin(1)
    model = DeepBeliefClassifier(DeepBeliefTransformer((100, 100)), dropout=0.2, random_state=0)
    score = model.fit(images[train], labels[train]).score(images[test], labels[test])
    baseline = float((nearest == labels[test]).mean())
    assert score > baseline + 3 * (baseline * (1 - baseline) / len(test)) ** 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -1),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("dropout", 1.0),
        ("input_dropout", -0.1),
        ("encoder__hidden", (0,)),
        ("encoder__hidden", ()),
        ("encoder__epochs", 0.5),
        ("encoder__learning_rate", float("nan")),
    ],
)
def test_impossible_settings_are_refused_by_fit(name: str, value) -> None:
    model = DeepBeliefClassifier(DeepBeliefTransformer(hidden=(3, 3))).set_params(**{name: value})
    with pytest.raises(InvalidSettingError):
        model.fit(*corners())


def test_without_scikit_learn_the_names_say_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match="train"):
        training.__getattr__("DeepBeliefClassifier")
