"""scPoli, by its own package, without labels."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from spinlight._checks import require_extra
from spinlight._errors import MissingExtraError
from spinlight.cells.benchmark.chosen import BATCH_SIZE, ChosenPoli, hyperparameters, warmup_epochs
from spinlight.cells.benchmark.models.base import BATCH, Embedded, FitTask, PackageModel
from spinlight.cells.versions import installed

if TYPE_CHECKING:
    from anndata import AnnData

HINT = (
    "scPoli needs scarches, which is no dependency of spinlight and could not be imported ({}); "
    "install it by: pip install scarches"
)


@dataclass(frozen=True, kw_only=True)
class Poli(PackageModel):
    """`scarches.models.scPoli` without labels; it has no likelihood.

    Args:
        name: what the command calls it.
        about: what it is, in one line.
        chosen: hyperparameters; None for those of the package.
    """

    name: str
    about: str
    chosen: ChosenPoli | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides a fit."""
        return {
            "model": f"scarches.models.scPoli of scarches {installed('scarches') or 'not installed'}",
            "hyperparameters": hyperparameters(self.chosen),
        }

    def own_epochs(self, cells: int) -> int | None:
        """Return scarches' 100 epochs, where all is as the package sets it."""
        return 100 if self.chosen is None else None

    def fit(self, cells: AnnData, task: FitTask) -> Embedded:
        """Embed the cells by the posterior means.

        scPoli splits the data by itself, in another way; here it is given the training cells alone and told to keep none back.
        """
        scvi, anndata = require_extra("scvi", "cells"), require_extra("anndata", "cells")
        scvi.settings.seed = task.seed
        with _quiet():
            models = _scarches_models(anndata)
            if BATCH not in cells.obs:
                cells.obs[BATCH] = "all"  # it has no way without batches
            model = models.scPoli(
                cells[task.split.training].copy(),
                condition_keys=BATCH,
                conditions={BATCH: cells.obs[BATCH].unique().tolist()},
                latent_dim=task.size,
                **self._network(),
            )
            started = time.perf_counter()
            model.train(
                n_epochs=task.epochs,
                pretraining_epochs=task.epochs,
                use_early_stopping=False,
                train_frac=1,
                batch_size=BATCH_SIZE,
                seed=task.seed,
                **self._plan(task.epochs),
            )
            seconds = time.perf_counter() - started
            latent = model.get_latent(_dense(anndata, cells), mean=True)
        losses = model.trainer.logs["epoch_loss"]
        return Embedded(
            latent=np.asarray(latent, dtype=np.float32),
            seconds=seconds,
            curves={"training": [(epoch, float(loss)) for epoch, loss in enumerate(losses)]},
        )

    def _network(self) -> dict[str, Any]:
        if self.chosen is None:
            return {}
        hidden = None if self.chosen.hidden is None else [self.chosen.hidden]
        return {"embedding_dims": self.chosen.embedding, "hidden_layer_sizes": hidden}

    def _plan(self, epochs: int) -> dict[str, Any]:
        if self.chosen is None:
            return {}
        return {"lr": self.chosen.lr, "alpha_epoch_anneal": warmup_epochs(self.chosen, epochs)}


def _scarches_models(anndata: ModuleType) -> Any:
    """Return `scarches.models`; scarches 0.6 imports `anndata.read`, which anndata 0.12 has no more."""
    missing = not hasattr(anndata, "read")
    if missing:
        anndata.read = anndata.read_h5ad  # type: ignore[attr-defined]
    try:
        models = importlib.import_module("scarches.models")
    except ImportError as error:
        raise MissingExtraError(HINT.format(error)) from error
    finally:
        if missing:
            del anndata.read
    return models


def _dense(anndata: ModuleType, cells: AnnData) -> AnnData:
    """Return the cells with a dense matrix: scarches indexes it by torch tensors, which SciPy refuses."""
    values = sparse.csr_matrix(cells.X).toarray()
    dense: AnnData = anndata.AnnData(values, obs=cells.obs[[BATCH]].copy(), var=cells.var[[]].copy())
    return dense


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what scarches prints, logs and warns of away: architectures, bars, and what else could be installed."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    handlers = list(logging.root.handlers)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.handlers[:] = handlers
