"""Pictures of a benchmark: each model's map of the cells, and how its training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinlight.cells.drawing import INK, TITLE, group_colours, light, map_with_legend, new_figure, png_of

Curves = Mapping[str, Sequence[Sequence[float]]]
"""Pairs of an epoch and a loss, by "training" and "held out"."""


def maps_picture(name: str, positions: NDArray[np.floating], groups: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a PNG of a map, once for each way of colouring it.

    Args:
        name: of what made the map.
        positions: shape (cells, 2).
        groups: what the cells are coloured by, shape (cells,) each, at least one.
    """
    figure = new_figure(6.0 * len(groups), 5.2)
    size = float(np.clip(9000 / len(positions), 2, 22))
    panels = np.atleast_1d(figure.subplots(1, len(groups)))
    for axes, (words, values) in zip(panels, groups.items()):
        map_with_legend(axes, positions, values, size, title=f"{name}, by {words}", batches=words == "batch")
    return png_of(figure)


def curves_picture(curves: Mapping[str, Sequence[Curves]]) -> bytes | None:
    """Return a PNG of the losses by epoch, training and held out side by side, None where there are none.

    Losses are negative ELBOs, the weight of KL as it was in that epoch, and comparable only between models of the same likelihood.
    The first tenth of the epochs, in which they fall by orders of magnitude, is left out.

    Args:
        curves: of every seed, by model.
    """
    shown = {name: seeds for name, seeds in curves.items() if any(seeds)}
    if not shown:
        return None
    figure = new_figure(13.5, 4.2)
    colours = dict(zip(shown, group_colours(len(shown))))
    panels = figure.subplots(1, 2)
    for axes, part in zip(panels, ("training", "held out")):
        for name, seeds in shown.items():
            for number, seed in enumerate(seeds):
                epochs, losses = _late(seed.get(part, ()))
                label = name if number == 0 else None
                marker = "o" if len(epochs) == 1 else None
                axes.plot(epochs, losses, color=colours[name], lw=1.4, alpha=0.8, label=label, marker=marker)
        axes.set_title(f"loss, {part} cells (nats per cell)", **TITLE)
        axes.set_xlabel("epoch", color=INK)
        axes.locator_params(axis="x", integer=True)
        light(axes)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right upper")
    return png_of(figure)


def _late(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return epochs and losses after the first tenth of the epochs."""
    if not points:
        return [], []
    first = points[-1][0] / 10
    kept = [point for point in points if point[0] >= first]
    return [point[0] for point in kept], [point[1] for point in kept]
