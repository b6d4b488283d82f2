"""What is refused of cells that are given to a model of other cells."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scvi import REGISTRY_KEYS

from spinlight._errors import InvalidDataError
from spinlight.cells.checks import require_columns, require_counts, require_covariates, require_values

if TYPE_CHECKING:
    from anndata import AnnData

_OTHER_GENES = "these cells have other genes than the model was made for, or in another order; take cells[:, model.adata.var_names]"
_WARNED = "`var_names` for the loaded `model` does not match"


def require_genes(cells: AnnData, of: AnnData | None) -> None:
    """Refuse cells with other genes than those of a model, or in another order.

    Raises:
        InvalidDataError: such cells.
    """
    if of is not None and not cells.var_names.equals(of.var_names):
        raise InvalidDataError(_OTHER_GENES)


@contextmanager
def same_genes() -> Iterator[None]:
    """Refuse cells of other genes, or in another order, which scvi-tools only warns of and then takes for the model's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=_WARNED)
        try:
            yield
        except UserWarning as warning:
            if not str(warning).startswith(_WARNED):
                raise
            raise InvalidDataError(
                f"{_OTHER_GENES}, or QBMVAE.prepare_query_anndata(cells, model) where some are missing"
            ) from None


def require_registered(cells: AnnData, registry: Mapping[str, Any], *, counts: bool) -> None:
    """Refuse cells that lack what a model was set up with, or are of groups that it does not know.

    Args:
        cells: not those of the model.
        registry: of the model, as scvi-tools keeps it.
        counts: whether values must be raw counts.

    Raises:
        InvalidDataError: missing values, groups that are not known, values that are no counts.
        UnknownNameError: there is no such column or layer.
    """
    known, states = registry["setup_args"], registry["field_registries"]
    require_columns(cells, batch_key=known["batch_key"], labels_key=known["labels_key"])
    covariates = known["categorical_covariate_keys"]
    require_covariates(
        cells, size_factor=known["size_factor_key"], groups=covariates, numbers=known["continuous_covariate_keys"]
    )
    for use, key, field in (
        ("batches", known["batch_key"], REGISTRY_KEYS.BATCH_KEY),
        ("labels", known["labels_key"], REGISTRY_KEYS.LABELS_KEY),
    ):
        if key is not None:
            _require_known(cells, use, key, states[field]["state_registry"]["categorical_mapping"])
    for key in covariates or ():
        mappings = states[REGISTRY_KEYS.CAT_COVS_KEY]["state_registry"]["mappings"]
        _require_known(cells, f"groups of {key!r}", key, mappings[key])
    (require_counts if counts else require_values)(cells, known["layer"])


def _require_known(cells: AnnData, use: str, key: str, known: Iterable[Any]) -> None:
    names, there = list(known), list(cells.obs[key].unique())
    if unknown := sorted({str(name) for name in there} - {str(name) for name in names}):
        raise InvalidDataError(
            f"the model does not know the {use} {', '.join(unknown)}; QBMVAE.load_query_data(cells, model) maps cells of new ones"
        )
    if any(name not in names for name in there):
        raise InvalidDataError(
            f"the {use} in {key!r} are of type {type(there[0]).__name__}, and the model knows them as {type(names[0]).__name__}; "
            "convert the column"
        )
