"""Principal components, what every latent space must beat."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spinlight.cells.benchmark.chosen import PCA_SIZE
from spinlight.cells.benchmark.models.base import Embedded, Embedding, FitTask
from spinlight.cells.evaluation import principal_components
from spinlight.cells.versions import installed

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Components(Embedding):
    """The first principal components of log(1 + 10^4 x / library), by scanpy."""

    name: str = "pca"
    about: str = "principal components of log-normalised counts"

    @property
    def size(self) -> int:
        """The chosen number of components."""
        return PCA_SIZE

    @property
    def deterministic(self) -> bool:
        """It takes no random number that matters."""
        return True

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides it."""
        return {"model": f"scanpy.pp.pca of scanpy {installed('scanpy') or 'unknown'}", "target_sum": 1e4}

    def refusal(self, cells: int, genes: int, size: int) -> str | None:
        """Refuse more components than there are."""
        most = min(cells, genes) - 1
        return None if size <= most else f"pca has at most {most} components of {cells} cells and {genes} genes"

    def fit(self, cells: AnnData, task: FitTask) -> Embedded:
        """Embed the cells; it takes no epochs, and all cells."""
        started = time.perf_counter()
        latent = principal_components(cells.X, task.seed, components=task.size)
        return Embedded(latent=latent, seconds=time.perf_counter() - started)
