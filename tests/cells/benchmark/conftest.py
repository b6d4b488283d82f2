"""What tests of the benchmark share: an embedding that costs nothing, and scIB scores that do not wake JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spinlight.cells.benchmark.models.base import Embedded, Embedding, FitTask, HeldOut

if TYPE_CHECKING:
    from anndata import AnnData

pytest.importorskip("scvi")


@dataclass(frozen=True)
class Counting(Embedding):
    """Random numbers beside the logarithm of the cells' totals; remembers what it was asked, and fails where it is told to."""

    name: str = "counting"
    about: str = "a stand-in"
    strength: float = 1.0
    asked: list[FitTask] = field(default_factory=list, compare=False)
    seen: list[AnnData] = field(default_factory=list, compare=False)
    failing: dict[int, BaseException] = field(default_factory=dict, compare=False)

    @property
    def size(self) -> int:
        return 3

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"strength": self.strength}

    def fit(self, cells: AnnData, task: FitTask) -> Embedded:
        self.asked.append(task)
        self.seen.append(cells)
        if task.seed in self.failing:
            raise self.failing[task.seed]
        random = np.random.default_rng(task.seed)
        latent = random.normal(size=(cells.n_obs, task.size)).astype(np.float32)
        latent[:, 0] += self.strength * np.log(np.asarray(cells.X.sum(1)).ravel())
        task.on_epoch()
        bounds = -100 + self.strength + np.sin(np.asarray(task.split.held_out, dtype=np.float64))
        return Embedded(
            latent=latent,
            seconds=0.5,
            curves={"training": [(epoch, 100.0 - epoch) for epoch in range(task.epochs)]},
            held_out=HeldOut(per_cell=bounds, of="counts given their total"),
            energies=latent[:, 0],
        )


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Return a stand-in that the command knows as `counting`."""
    from spinlight.cells.benchmark import registry

    model = Counting()
    monkeypatch.setitem(registry.MODELS, model.name, model)
    return model


@pytest.fixture
def quick_scib(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, float]]:
    """Put scores that cost nothing in the place of scIB's, and look at one resolution."""

    def scores(latent: np.ndarray, known: Any) -> dict[str, float]:
        value = float(np.tanh(abs(latent).mean()))
        return {"scib_bio": value, "scib_batch": value / 2, "scib_total": 0.8 * value}

    monkeypatch.setattr("spinlight.cells.benchmark.scores.scib.scib_scores", scores)
    monkeypatch.setattr("spinlight.cells.benchmark.scores.clusters.RESOLUTIONS", (1.0,))
    return scores


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw pictures, and write nothing of them."""
    monkeypatch.setattr("spinlight.cells.benchmark.pictures.png_of", lambda figure: b"a picture")
