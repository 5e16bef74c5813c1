"""The surroundings of the lines of a figure: grid of axes, scales, ticks, legend."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from bnbench.config.labels import axis_label, drawn_label, is_accuracy, metric_label
from bnbench.config.schema import Figure

# inches; these widths print at 6 points or more in a column of 3.3, on a page of 6.8 inches
COLUMN, PAGE = 4.8, 9.8
MARGIN = 0.5  # of a panel's width, for the labels beside its axes
EDGE, GAP = 0.06, 0.04  # of the canvas; between two labels
HARD = "\N{NO-BREAK SPACE}"
MAX_TICKS = 8  # the most distinct values that get a tick each
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def canvas_of(num_panels: int, across: int) -> tuple[Canvas, list[Axes]]:
    """Make an empty figure with one axes per panel, `across` in a row, and a common y-axis."""
    down = -(-num_panels // across)
    size = (COLUMN, 3.4) if num_panels == 1 else (min(3.5 * across + 0.5, PAGE), 2.7 * down)
    canvas = Canvas(figsize=size, layout="constrained", facecolor="white")
    grid = canvas.subplots(down, across, sharey=True, squeeze=False).ravel()
    for ax in grid[num_panels:]:
        ax.remove()
    return canvas, list(grid[:num_panels])


def scale(ax: Axes, values: np.ndarray, spec: Figure) -> None:
    """Set scales, ticks and limits for the distinct x `values` of the axes."""
    if spec.logx:
        powers = (values > 0).all() and (np.log2(values) % 1 == 0).all()
        ax.set_xscale("log", base=2 if powers and spec.kind == "versus" else 10)
    if spec.kind == "curves":
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    elif len(values) <= MAX_TICKS:
        ax.xaxis.set_major_locator(FixedLocator(list(values)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(PLAIN)
    elif spec.logx:
        ax.xaxis.set_major_formatter(PLAIN)
        ax.xaxis.set_minor_locator(NullLocator())
    if spec.logy:
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        ax.yaxis.set_major_formatter(PLAIN)
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.yaxis.set_minor_formatter(PLAIN if high < 1000 * low else NullFormatter())
    elif is_accuracy(spec.y):
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -2), min(high, 102))


def fit(ax: Axes, y: pd.Series) -> None:
    """Set limits around the finite values, for axes whose artists set none."""
    finite = y[np.isfinite(y)]
    if len(finite):
        ax.set_ylim(finite.min() - 1, finite.max() + 1)


def inscribe(
    canvas: Canvas,
    axes: Sequence[Axes],
    across: int,
    spec: Figure,
    title: str,
    note: str,
    handles: Sequence[Line2D],
) -> None:
    """Write the title, the labels of the axes, and below them the note and the legend.

    Long texts are wrapped, by the extents of the letters as drawn; the canvas grows by the height
    of title and legend.
    """
    panel = canvas.get_figwidth() / min(across, len(axes))
    tall = canvas.get_figheight() / -(-len(axes) // across)
    for ax in axes[::across]:
        words = drawn_label(metric_label(spec.y))
        ax.set_ylabel(wrapped(canvas, words, 0.8 * tall, fontsize="medium"))
    for ax in axes[-across:]:
        ax.set_xlabel(drawn_label(axis_label(spec.x)))
    for ax in axes:
        given = ax.get_title()
        settings = given.replace(" ", HARD).replace(f",{HARD}", ", ")
        for words in (settings, given):  # breaks within a setting only if it is too long
            ax.set_title(wrapped(canvas, words, panel - MARGIN, fontsize="medium"))
            if extent(canvas, ax.title)[0] <= panel - MARGIN:
                break
    entitle(canvas, title)
    below(canvas, handles, note)
    if any(isinstance(ax.xaxis.get_major_locator(), FixedLocator) for ax in axes):
        canvas.draw_without_rendering()  # places the artists that are measured below
        for ax in axes:
            thin(ax)


def entitle(canvas: Canvas, title: str) -> None:
    """Write the title over all panels, in as many lines as it needs; the canvas grows."""
    font = {"weight": "bold", "fontsize": "large"}
    text = canvas.suptitle(wrapped(canvas, title, canvas.get_figwidth() - 2 * EDGE, **font), **font)
    grow(canvas, text)


def below(canvas: Canvas, handles: Sequence[Artist], note: str = "", **look: Any) -> Legend:
    """Draw the legend under all panels, in as many columns as fit; the canvas grows."""
    room = canvas.get_figwidth() - 2 * EDGE
    note = wrapped(canvas, note, room, fontsize="small")
    look = {"loc": "outside lower center", "title": note, "title_fontsize": "small"} | look
    ncols = len(handles)
    while True:
        legend = canvas.legend(handles=handles, ncols=max(ncols, 1), **look)
        if extent(canvas, legend)[0] <= room or ncols <= 1:
            break
        legend.remove()
        ncols = balanced(len(handles), ncols - 1)
    legend.get_title().set_multialignment("center")
    grow(canvas, legend)
    return legend


def balanced(num: int, ncols: int) -> int:
    """Find the fewest columns, at most `ncols`, that need no more rows: 4 in 3 are 2 and 2."""
    return -(-num // -(-num // ncols)) if ncols > 1 else 1


def grow(canvas: Canvas, artist: Artist) -> None:
    """Make a canvas higher by the height over or under its axes."""
    canvas.set_figheight(canvas.get_figheight() + extent(canvas, artist)[1] + 2 * EDGE)


def extent(canvas: Canvas, artist: Artist) -> tuple[float, float]:
    """Measure width and height of an artist, in inches."""
    box = artist.get_window_extent(FigureCanvasAgg(canvas).get_renderer())
    return box.width / canvas.dpi, box.height / canvas.dpi


def wrapped(canvas: Canvas, text: str, width: float, **font: Any) -> str:
    """Break a text into lines of at most `width` inches, except for a longer word."""
    probe = canvas.text(0, 0, "", **font)
    lines: list[str] = []
    for word in text.split(" ") if text else ():  # a hard space does not break
        longer = f"{lines[-1]} {word}" if lines else word
        probe.set_text(longer)
        if lines and extent(canvas, probe)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    probe.remove()
    return "\n".join(lines)


def thin(ax: Axes) -> None:
    """Keep every n-th label of fixed ticks, with the smallest n at which labels do not touch."""
    if not isinstance(ax.xaxis.get_major_locator(), FixedLocator):
        return
    labels = ax.get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    gap = GAP * ax.figure.dpi
    every = 1
    while any(b.x0 < a.x1 + gap for a, b in pairwise(boxes[::every])):
        every += 1
    words = [label.get_text() * (k % every == 0) for k, label in enumerate(labels)]
    ax.set_xticks(ax.get_xticks(), words)
