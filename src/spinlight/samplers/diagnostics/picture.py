"""The picture of a diagnosis."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spinlight._checks import require_extra
from spinlight.samplers.diagnostics.histograms import Histogram
from spinlight.samplers.diagnostics.mixing import Mixing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#1f2430"
_GREY = "#8a8f9c"
_ACCENT = "#3b5bdb"
_COLOURS = (_ACCENT, "#e8590c", "#2b8a3e", "#862e9c", _GREY)
_TITLE: dict[str, Any] = {"fontsize": 14, "fontweight": "bold", "loc": "left", "color": _INK}

_THINNEST = 0.005
"""Bars are at least this wide, in widths of the panel: levels may lie close together."""

_HEADROOM = 1.15
"""Room for the legend above the highest bar."""


def picture(energies: Histogram, overlaps: Histogram, mixing: Mapping[str, Mixing]) -> bytes:
    """Return a PNG of both histograms with their exact laws and, where chains were recorded, their autocorrelations."""
    # A bare Figure: pyplot would keep it alive and could open a window.
    figures = require_extra("matplotlib.figure", "plot")
    panels = 3 if mixing else 2
    figure = figures.Figure(figsize=(5.2 * panels, 4.2), layout="constrained")
    figure.get_layout_engine().set(wspace=0.09)
    axes = list(figure.subplots(1, panels))
    _histogram(axes[0], energies, "energies", "energy E(s)")
    _histogram(axes[1], overlaps, "overlaps of pairs of draws", "q = s·s' / sites")
    axes[1].set(xlim=(-1.08, 1.08), xticks=[-1, -0.5, 0, 0.5, 1])
    if mixing:
        _autocorrelations(axes[2], mixing)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    return buffer.getvalue()


def _histogram(axes: Axes, histogram: Histogram, title: str, label: str) -> None:
    centres = histogram.centres.numpy()
    gaps = np.diff(centres) if len(centres) > 1 else np.ones(1)
    width = max(0.85 * float(gaps.min()), _THINNEST * float(gaps.sum()))
    axes.bar(centres, histogram.probabilities.numpy(), width=width, color=_ACCENT, alpha=0.45, label="draws")
    if histogram.exact is not None:
        axes.plot(centres, histogram.exact.numpy(), "o", color=_INK, ms=4.5, label="exact law")
    axes.set_title(title, **_TITLE)
    axes.set_xlabel(label, color=_INK, fontsize=12)
    axes.set_ylabel("probability", color=_INK, fontsize=12)
    axes.set_ylim(top=_HEADROOM * axes.get_ylim()[1])
    axes.legend(frameon=False, loc="upper right", ncols=2)
    _light(axes)


def _autocorrelations(axes: Axes, mixing: Mapping[str, Mixing]) -> None:
    for number, (name, chain) in enumerate(mixing.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        lags = chain.sweeps_between * np.arange(len(chain.autocorrelations))
        label = f"{name}: tau {chain.autocorrelation_time:.3g}, R-hat {chain.split_r_hat:.3f}"
        axes.plot(lags, chain.autocorrelations, color=colour, lw=1.8, label=label)
    axes.axhline(0, color=_GREY, lw=0.8)
    axes.set_title("autocorrelation", **_TITLE)
    axes.set_xlabel("sweeps apart", color=_INK, fontsize=12)
    axes.set_ylim(top=1.05)
    axes.legend(frameon=False)
    _light(axes)


def _light(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(labelsize=11)
    axes.grid(axis="y", color="#e6e8ee", lw=0.8)
    axes.set_axisbelow(True)
