"""Deep belief networks as scikit-learn has its estimators: `fit`, `transform`, `predict`, pipelines and grid searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from torch.nn import functional

from spinlight._checks import positive_number
from spinlight._errors import InvalidSettingError
from spinlight.models import DeepBeliefNetwork
from spinlight.training.contrastive import PersistentContrastiveDivergence
from spinlight.training.deep import pretrain
from spinlight.training.descent import Descent


class DeepBeliefTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learns layers of binary features without labels: a deep belief network, pre-trained machine by machine.

    `transform` returns the probabilities of the topmost layer, `network_` is the model itself: it samples, it has a bound on its
    likelihood.

    Inputs are probabilities of bits: one linear map takes the smallest number of the training data to 0 and the largest to 1, and
    whatever lies beyond when it comes later is cut off. That suits images, and data in [0, 1] that reach both ends stay as they are.
    Before columns of different units, put `MinMaxScaler`.

    Args:
        hidden: units of each hidden layer, the lowest first.
        epochs: passes over the data for each machine; with 0 the layers stay random.
        batch_size: rows per step, and persistent chains.
        learning_rate: of Adam, falling to zero on a line.
        device: where to train and to run, as torch names it.
        random_state: integer, `RandomState` or None, as in scikit-learn.

    Raises:
        InvalidSettingError: sizes, epochs or rates that are impossible; by `fit`.
        ValueError: data that scikit-learn refuses: NaN, text, another number of columns.

    Example:
        >>> import numpy as np
        >>> rows = np.repeat(np.eye(4), 25, axis=0)
        >>> DeepBeliefTransformer(hidden=(8, 3), random_state=0).fit_transform(rows).shape
        (100, 3)
    """

    def __init__(
        self,
        hidden: Sequence[int] = (500, 500),
        *,
        epochs: int = 20,
        batch_size: int = 50,
        learning_rate: float = 3e-3,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> DeepBeliefTransformer:  # noqa: N803
        """Pre-train a network on the rows; labels are not used."""
        rows = validate_data(self, X, dtype=(np.float64, np.float32))
        descent, seed = _descent(self), _seed(self.random_state)
        self.low_, self.span_ = float(rows.min()), float(np.ptp(rows)) or 1.0
        with _seeded(seed, self.device):
            self.network_ = DeepBeliefNetwork([rows.shape[1], *self.hidden]).to(self.device)
            pretrain(self.network_, self._probabilities(rows), descent, negatives=self._chains, seed=seed)
        return self

    def _chains(self, seed: int) -> PersistentContrastiveDivergence:
        return PersistentContrastiveDivergence(chains=self.batch_size, seed=seed)

    def transform(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the probabilities of the topmost units, in the dtype of X if it is floating, shape (rows, hidden[-1])."""
        return _in_parts(_checked(self, X), self.network_, self._probabilities)

    def _probabilities(self, rows: NDArray[Any]) -> Tensor:
        return torch.from_numpy(((rows - self.low_) / self.span_).clip(0, 1)).to(self.device)

    @property
    def _n_features_out(self) -> int:
        return int(self.network_.sizes[-1])


class DeepBeliefClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that learns its features without labels first: a deep belief network, then a softmax layer and backpropagation.

    p(y | v) = softmax(b + U z(v)),  z the way up of the network, whose weights all follow the labels from where pre-training left them

    Pre-training is what `encoder` does; `DeepBeliefTransformer(epochs=0)` leaves it out. With few labels among many rows, pass one that
    has been fitted to all of them: `FrozenEstimator(DeepBeliefTransformer().fit(all_rows))`.

    Args:
        encoder: unfitted, and cloned; `DeepBeliefTransformer()` by default. Its settings are reached as `encoder__hidden` and so on, its
            network, which fine-tuning leaves as it is, as `encoder_.network_`.
        epochs: passes over the data with labels.
        batch_size: rows per step.
        learning_rate: of Adam, falling to zero on a line.
        dropout: share of hidden units that each step leaves out, in [0, 1).
        input_dropout: share of inputs.
        random_state: integer, `RandomState` or None; also of an encoder that has none of its own.

    Raises:
        InvalidSettingError: epochs, rates or shares that are impossible; by `fit`.
        ValueError: data or labels that scikit-learn refuses.

    References:
        Hinton & Salakhutdinov (2006), Reducing the dimensionality of data with neural networks; Srivastava et al. (2014), Dropout,
        sections 6.1 and B.1 (dropout after pre-training).

    Example:
        >>> import numpy as np
        >>> rows, labels = np.repeat(np.eye(2), 50, axis=0), np.repeat(["left", "right"], 50)
        >>> model = DeepBeliefClassifier(DeepBeliefTransformer(hidden=(8, 8)), random_state=0).fit(rows, labels)
        >>> model.predict(np.eye(2)).tolist()
        ['left', 'right']
    """

    def __init__(
        self,
        encoder: DeepBeliefTransformer | None = None,
        *,
        epochs: int = 50,
        batch_size: int = 50,
        learning_rate: float = 3e-3,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.encoder = encoder
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> DeepBeliefClassifier:  # noqa: N803
        """Pre-train on the rows, then follow the labels."""
        rows, labels = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(labels)
        descent, seed = _descent(self), _seed(self.random_state)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.encoder_ = self._fitted_encoder(rows, seed)
        inputs = self.encoder_._probabilities(rows).to(torch.float32)
        with _seeded(seed, self.encoder_.device):
            self.classifier_ = self._fine_tuned(inputs, codes, descent, seed)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the probability of each class, shape (rows, classes), in the order of `classes_`."""
        rows = _checked(self, X)
        return _in_parts(rows, nn.Sequential(self.classifier_, nn.Softmax(-1)), self.encoder_._probabilities)

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each row."""
        likeliest = self.predict_proba(X).argmax(1)
        return self.classes_[likeliest]

    def _fitted_encoder(self, rows: NDArray[Any], seed: int) -> DeepBeliefTransformer:
        encoder = DeepBeliefTransformer() if self.encoder is None else clone(self.encoder)
        if not isinstance(getattr(encoder, "estimator", encoder), DeepBeliefTransformer):
            raise InvalidSettingError(
                f"encoder must be a DeepBeliefTransformer, alone or in a FrozenEstimator, got {type(encoder).__name__}; other "
                "transformers go before this classifier in a pipeline"
            )
        if encoder.get_params().get("random_state", seed) is None:
            encoder.set_params(random_state=seed)
        return encoder.fit(rows, None)  # FrozenEstimator wants labels too

    def _fine_tuned(self, inputs: Tensor, codes: NDArray[Any], descent: Descent, seed: int) -> nn.Sequential:
        network = self.encoder_.network_
        encoder = network.encoder(dropout=self.dropout, input_dropout=self.input_dropout)
        classifier = nn.Sequential(encoder, nn.Linear(network.sizes[-1], len(self.classes_)).to(inputs))
        targets = torch.from_numpy(codes).to(inputs.device)

        def loss(picks: Tensor) -> Tensor:
            return functional.cross_entropy(classifier(inputs[picks[:, 0]]), targets[picks[:, 0]])

        numbers = torch.arange(len(inputs), device=inputs.device)[:, None]
        descent.minimize(loss, classifier.parameters(), numbers, seed=seed, title="Fine-tuning")
        return classifier.eval()


def _descent(estimator: DeepBeliefTransformer | DeepBeliefClassifier) -> Descent:
    rate = positive_number("learning_rate", estimator.learning_rate)
    adam = partial(torch.optim.Adam, lr=rate, fused=True)
    return Descent(epochs=estimator.epochs, batch_size=estimator.batch_size, optimizer=adam)


def _checked(estimator: Any, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
    """Return rows of as many columns as a fitted estimator knows."""
    check_is_fitted(estimator)
    return validate_data(estimator, X, dtype=(np.float64, np.float32), reset=False)


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))


@contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Let torch's own generators, of initial weights and of dropout, start at a seed, and put them back."""
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@torch.no_grad()
def _in_parts(rows: NDArray[Any], module: nn.Module, probabilities: Callable[[NDArray[Any]], Tensor]) -> NDArray[Any]:
    """Return what a module makes of rows, some thousands at a time, in the rows' dtype and at its precision."""
    precise = deepcopy(module).to(torch.from_numpy(rows[:0]).dtype)
    parts = (probabilities(rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS))
    return np.concatenate([precise(part).cpu().numpy() for part in parts])


_ROWS = 4096
