"""How pictures of cells are drawn: colours, frames, maps."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f2430"
GREY = "#8a8f9c"
FRAME = "#d4d7de"
ACCENT = "#3b5bdb"
SECOND = "#e8590c"

TITLE: dict[str, Any] = {"fontsize": 14, "fontweight": "bold", "loc": "left", "color": INK}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches wide and high."""
    # A bare Figure: pyplot would keep it alive and could open a window.
    figures = require_extra("matplotlib.figure", "cells")
    figure: Figure = figures.Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.09)  # type: ignore[call-arg, union-attr]  # of the constrained engine
    return figure


def png_of(figure: Figure) -> bytes:
    """Return a figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    return buffer.getvalue()


def group_colours(count: int) -> list[Any]:
    """Return colours that can be told apart, as far as so many can be."""
    matplotlib = require_extra("matplotlib", "cells")
    if count <= 10:
        return [matplotlib.colormaps["tab10"](index) for index in range(count)]
    if count <= 20:
        return [matplotlib.colormaps["tab20"](index) for index in range(count)]
    return [matplotlib.colormaps["hsv"](index / count) for index in range(count)]


def batch_colours(count: int) -> list[Any]:
    """Return colours that are not taken for those of groups, as far as there are so many."""
    matplotlib = require_extra("matplotlib", "cells")
    return [matplotlib.colormaps["Dark2"](index) for index in range(count)] if count <= 8 else group_colours(count)


def map_of_groups(
    axes: Axes, positions: NDArray[np.floating], groups: NDArray[Any], colours: dict[Any, Any], size: float
) -> None:
    """Draw a map of cells, shape (cells, 2), in the colours of their groups."""
    axes.scatter(positions[:, 0], positions[:, 1], c=[colours[group] for group in groups], s=size, linewidths=0)
    bare(axes)


_MOST_IN_LEGEND = 12


def map_with_legend(
    axes: Axes, positions: NDArray[np.floating], groups: NDArray[Any], size: float, *, title: str, batches: bool
) -> None:
    """Draw a map of cells, shape (cells, 2), coloured by group or batch, with the names of up to twelve of them below it."""
    names = sorted(np.unique(groups))
    colours = dict(zip(names, (batch_colours if batches else group_colours)(len(names))))
    # In random order: the group drawn last would hide the others.
    order = np.random.default_rng(0).permutation(len(groups))
    map_of_groups(axes, positions[order], groups[order], colours, size)
    axes.set_title(title, **TITLE)
    legend_of(axes, colours)


def legend_of(axes: Axes, colours: dict[Any, Any]) -> None:
    """Write the names of up to twelve groups below a map, beside their colours."""
    if len(colours) > _MOST_IN_LEGEND:
        return
    for name, colour in colours.items():
        axes.scatter([], [], color=[colour], s=40, label=str(name))
    columns = max(1, min(4, len(colours), 40 // (max(len(str(name)) for name in colours) + 3)))
    axes.legend(frameon=False, fontsize=11, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=columns)


def bare(axes: Axes) -> None:
    """Leave a thin frame, and no ticks: positions on a map have no unit."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=FRAME, linewidth=0.8)


def light(axes: Axes) -> None:
    """Leave two axes and thin lines across."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=11)
    axes.grid(axis="x", color="#e6e8ee", lw=0.8)
    axes.set_axisbelow(True)
