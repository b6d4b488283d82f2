"""Pictures of a fitted model: where the cells lie, how much energy they have, how training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spinlight.cells.drawing import (
    ACCENT,
    FRAME,
    INK,
    SECOND,
    TITLE,
    bare,
    group_colours,
    legend_of,
    light,
    map_of_groups,
    map_with_legend,
    new_figure,
    png_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def cells_picture(
    positions: NDArray[np.floating],
    groups: NDArray[Any],
    group_name: str,
    energies: NDArray[np.floating],
    batches: NDArray[Any] | None = None,
) -> bytes:
    """Return a PNG: the map coloured by group, by batch if there are any, and by energy, and the energies of each group.

    Args:
        positions: shape (cells, 2).
        groups: shape (cells,).
        group_name: what the groups are, for the title.
        energies: shape (cells,).
        batches: shape (cells,).
    """
    widths = [1.0, 1.15, 0.95] if batches is None else [1.0, 1.0, 1.15, 0.95]
    figure = new_figure(4.9 * len(widths), 5.0)
    panels = list(figure.subplots(1, len(widths), width_ratios=widths))
    size = float(np.clip(9000 / len(groups), 2, 22))
    names = _by_energy(groups, energies)
    colours = dict(zip(sorted(names), group_colours(len(names))))
    map_of_groups(panels[0], positions, groups, colours, size)
    panels[0].set_title(group_name, **TITLE)
    panels[0].set_xlabel("colours: the boxes at the right", color=INK)
    if batches is not None:
        map_with_legend(panels[1], positions, batches, size, title="batch", batches=True)
    shown = panels[-2].scatter(positions[:, 0], positions[:, 1], c=energies, s=size, cmap="viridis", linewidths=0)
    figure.colorbar(shown, ax=panels[-2], shrink=0.75, pad=0.02).outline.set_visible(False)
    bare(panels[-2])
    panels[-2].set_title("energy E(q)", **TITLE)
    _energies_of_groups(panels[-1], groups, energies, names, colours)
    return png_of(figure)


def embedded_picture(
    title: str,
    there: tuple[NDArray[np.floating], NDArray[Any]],
    new: tuple[NDArray[np.floating], NDArray[Any]],
    energies: NDArray[np.floating],
) -> bytes:
    """Return a PNG: the cells of a fit in the colours of their groups, new cells among them in grey and in theirs, and their energies.

    Args:
        title: what the new cells are.
        there: positions, shape (cells, 2), and groups of the cells of the fit.
        new: the same of the new cells, on the same map.
        energies: of the new cells.
    """
    figure = new_figure(14.7, 5.0)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.0, 1.0, 0.95])
    sizes = [float(np.clip(9000 / len(groups), 2, 22)) for _, groups in (there, new)]
    names = sorted({*there[1].tolist(), *new[1].tolist()})
    colours = dict(zip(names, group_colours(len(names))))
    map_of_groups(left, *there, colours, sizes[0])
    left.set_title("cells of the fit", **TITLE)
    legend_of(left, colours)
    middle.scatter(there[0][:, 0], there[0][:, 1], c=FRAME, s=sizes[0], linewidths=0)
    map_of_groups(middle, *new, colours, sizes[1])
    middle.set(xlim=left.get_xlim(), ylim=left.get_ylim())
    middle.set_title(title, **TITLE)
    _energies_of_groups(right, new[1], energies, _by_energy(new[1], energies), colours)
    return png_of(figure)


def training_picture(history: dict[str, Any]) -> bytes:
    """Return a PNG of the ELBO, the divergence and log Z over the epochs, from a model's `history`."""
    figure = new_figure(15.5, 3.8)
    elbo, divergence, partition = figure.subplots(1, 3)
    for axes, names, sign, title in (
        (elbo, ("elbo_train", "elbo_validation"), -1, "ELBO per cell (nats)"),  # scvi-tools logs the loss, - ELBO
        (divergence, ("kl_local_train", "kl_local_validation"), 1, "KL(q || p) per cell (nats)"),
        (partition, ("log_partition",), 1, "log Z, followed between estimates"),
    ):
        for name, colour in zip(names, (ACCENT, SECOND)):
            if name in history:
                series = history[name]
                label = "held out" if name.endswith("validation") else "training"
                axes.plot(series.index, sign * series.to_numpy(dtype=float).ravel(), color=colour, lw=1.8, label=label)
        axes.set_title(title, **TITLE)
        axes.set_xlabel("epoch", color=INK)
        light(axes)
    _leave_out_the_climb(elbo, [history[name] for name in ("elbo_train", "elbo_validation") if name in history])
    elbo.legend(frameon=False, loc="lower right")
    return png_of(figure)


def _leave_out_the_climb(axes: Axes, losses: Sequence[Any]) -> None:
    """Start the axes after the first tenth of the epochs, where the ELBO rises by orders of magnitude, and say so."""
    epochs = losses[0].index
    first = len(epochs) // 10
    if first:
        shown = [-series[series.index >= epochs[first]].to_numpy(dtype=float).ravel() for series in losses]
        axes.set_xlim(epochs[first], epochs[-1])
        axes.set_ylim(*_range(np.concatenate(shown)))
        axes.set_title(f"ELBO per cell (nats), from epoch {epochs[first]}", **TITLE)


def _energies_of_groups(
    axes: Axes, groups: NDArray[Any], energies: NDArray[np.floating], names: Sequence[Any], colours: dict[Any, Any]
) -> None:
    boxes = axes.boxplot(
        [energies[groups == name] for name in names],
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": INK, "linewidth": 1.5},
        tick_labels=[f"{name} ({int((groups == name).sum())})" for name in names],
    )
    for box, name in zip(boxes["boxes"], names):
        box.set(facecolor=colours[name], edgecolor="none", alpha=0.75)
    axes.set_title("energy, lowest median first", **TITLE)
    axes.set_xlabel("energy E(q), lower is\nmore probable under the prior", color=INK, fontsize=12)
    axes.locator_params(axis="x", nbins=5)
    axes.invert_yaxis()
    light(axes)


def _by_energy(groups: NDArray[Any], energies: NDArray[np.floating]) -> list[Any]:
    return sorted(np.unique(groups), key=lambda name: (float(np.median(energies[groups == name])), str(name)))


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
