"""Pictures of a fitted model: where the cells lie, how much energy they have, how training went."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1f2430"
_GREY = "#8a8f9c"
_ACCENT = "#3b5bdb"
_SECOND = "#e8590c"


def cells_picture(
    positions: NDArray[np.floating], groups: NDArray[Any], group_name: str, energies: NDArray[np.floating]
) -> bytes:
    """Return a PNG: the map coloured by group and by energy, and the energies of each group.

    Args:
        positions: shape (cells, 2).
        groups: shape (cells,).
        group_name: what the groups are, for the title.
        energies: shape (cells,).
    """
    figure = _figure(15.5, 4.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.0, 1.12, 0.95))
    size = float(np.clip(9000 / len(groups), 2, 22))
    names = _by_energy(groups, energies)
    colours = dict(zip(sorted(names), _colours(len(names))))
    _map_of_groups(left, positions, groups, colours, size)
    left.set_title(f"{group_name} (colours as at the right)", **_TITLE)
    shown = middle.scatter(positions[:, 0], positions[:, 1], c=energies, s=size, cmap="viridis", linewidths=0)
    figure.colorbar(shown, ax=middle, shrink=0.75, pad=0.02).outline.set_visible(False)
    _bare(middle)
    middle.set_title("energy E(q)", **_TITLE)
    _energies_of_groups(right, groups, energies, names, colours)
    return _png(figure)


def training_picture(history: dict[str, Any]) -> bytes:
    """Return a PNG of the ELBO, the divergence and log Z over the epochs, from a model's `history`."""
    figure = _figure(15.5, 3.4)
    elbo, divergence, partition = figure.subplots(1, 3)
    for axes, names, title in (
        (elbo, ("elbo_train", "elbo_validation"), "- ELBO per cell (nats)"),
        (divergence, ("kl_local_train", "kl_local_validation"), "KL(q || p) per cell (nats)"),
        (partition, ("log_partition",), "log Z, followed between estimates"),
    ):
        for name, colour in zip(names, (_ACCENT, _SECOND)):
            if name in history:
                series = history[name]
                label = "held out" if name.endswith("validation") else "training"
                axes.plot(series.index, series.to_numpy(dtype=float).ravel(), color=colour, lw=1.8, label=label)
        axes.set_title(title, **_TITLE)
        axes.set_xlabel("epoch", color=_GREY)
        _light(axes)
    values = history["elbo_train"].to_numpy(dtype=float).ravel()
    # The first epochs fall by orders of magnitude; the picture is about what follows.
    elbo.set_ylim(*_range(values[len(values) // 10 :]))
    elbo.legend(frameon=False)
    return _png(figure)


_TITLE: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "loc": "left", "color": _INK}


def _figure(width: float, height: float) -> Figure:
    # A bare Figure: pyplot would keep it alive and could open a window.
    figures = require_extra("matplotlib.figure", "cells")
    figure: Figure = figures.Figure(figsize=(width, height), layout="constrained")
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    return buffer.getvalue()


def _colours(count: int) -> list[Any]:
    matplotlib = require_extra("matplotlib", "cells")
    if count <= 10:
        return [matplotlib.colormaps["tab10"](index) for index in range(count)]
    if count <= 20:
        return [matplotlib.colormaps["tab20"](index) for index in range(count)]
    return [matplotlib.colormaps["hsv"](index / count) for index in range(count)]


def _map_of_groups(
    axes: Axes, positions: NDArray[np.floating], groups: NDArray[Any], colours: dict[Any, Any], size: float
) -> None:
    axes.scatter(positions[:, 0], positions[:, 1], c=[colours[group] for group in groups], s=size, linewidths=0)
    _bare(axes)


def _energies_of_groups(
    axes: Axes, groups: NDArray[Any], energies: NDArray[np.floating], names: Sequence[Any], colours: dict[Any, Any]
) -> None:
    boxes = axes.boxplot(
        [energies[groups == name] for name in names],
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": _INK, "linewidth": 1.5},
        tick_labels=[f"{name} ({int((groups == name).sum())})" for name in names],
    )
    for box, name in zip(boxes["boxes"], names):
        box.set(facecolor=colours[name], edgecolor="none", alpha=0.75)
    axes.set_title("energy, lowest median first", **_TITLE)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
    _light(axes)


def _by_energy(groups: NDArray[Any], energies: NDArray[np.floating]) -> list[Any]:
    return sorted(np.unique(groups), key=lambda name: (float(np.median(energies[groups == name])), str(name)))


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _light(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.grid(axis="x", color="#e6e8ee", lw=0.8)
    axes.set_axisbelow(True)
