"""The surroundings of the lines of a figure: grid of axes, scales, ticks, legend."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
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
EDGE = 0.06  # of the canvas
HARD = "\N{NO-BREAK SPACE}"
MAX_TICKS = 8  # the most distinct values that get a tick each …
GAP = 0.12  # inches between the labels of ticks, at least
LETTER = 0.51  # the width of a letter, as a share of the size of its font; bold is wider
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
        if spec.logx and values.max() > 10 * values.min() > 0:  # else they are what is labelled
            ax.xaxis.set_minor_locator(NullLocator())
    elif ticked(values, spec) is not None:
        widest = max(len(PLAIN(value)) for value in values) * letter("small")
        some = int(ax.bbox.width / ax.figure.dpi / (widest + GAP))
        ax.xaxis.set_major_locator(FixedLocator(list(values), nbins=max(some, 1)))
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


def ticked(values: np.ndarray, spec: Figure) -> np.ndarray | None:
    """Choose the values of x that get a tick each; None where there are none such."""
    return values if spec.kind != "curves" and len(values) <= MAX_TICKS else None


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

    Long texts are wrapped; the canvas grows by the height of title and legend.
    """
    panel = canvas.get_figwidth() / min(across, len(axes))
    tall = canvas.get_figheight() / -(-len(axes) // across)
    for ax in axes[::across]:
        ax.set_ylabel(wrapped(drawn_label(metric_label(spec.y)), 0.8 * tall, "medium"))
    for ax in axes[-across:]:
        ax.set_xlabel(drawn_label(axis_label(spec.x)))
    for ax in axes:
        given = ax.get_title()
        settings = ", ".join(words.replace(" ", HARD) for words in given.split(", "))
        for words in (settings, given):  # breaks within a setting only if it is too long
            lines = wrapped(words, panel - MARGIN, "medium")
            if max(map(len, lines.split("\n"))) * letter("medium") <= panel - MARGIN:
                break
        ax.set_title(lines, fontsize="medium")
    entitle(canvas, title)
    below(canvas, handles, note)


def entitle(canvas: Canvas, title: str) -> None:
    """Write the title over all panels, in as many lines as it needs; the canvas grows."""
    words = wrapped(title, 0.8 * canvas.get_figwidth(), "large")
    grow(canvas, canvas.suptitle(words, weight="bold", fontsize="large"))


def below(canvas: Canvas, handles: Sequence[Artist], note: str = "", **look: Any) -> Legend:
    """Draw the legend under all panels, in as few rows as fit; the canvas grows."""
    room = canvas.get_figwidth() - 2 * EDGE
    note = wrapped(note, room, "small")
    look = {"loc": "outside lower center", "title": note, "title_fontsize": "small"} | look
    num, rows = len(handles), 1
    legend = canvas.legend(handles=handles, ncols=max(num, 1), **look)
    while extent(canvas, legend)[0] > room and rows < num:
        legend.remove()
        rows += 1
        legend = canvas.legend(handles=handles, ncols=-(-num // rows), **look)
    legend.get_title().set_multialignment("center")
    grow(canvas, legend)
    return legend


def grow(canvas: Canvas, artist: Artist) -> None:
    """Make a canvas higher by the height over or under its axes."""
    canvas.set_figheight(canvas.get_figheight() + extent(canvas, artist)[1] + 2 * EDGE)


def extent(canvas: Canvas, artist: Artist) -> tuple[float, float]:
    """Measure width and height of an artist, in inches."""
    box = artist.get_window_extent(FigureCanvasAgg(canvas).get_renderer())
    return box.width / canvas.dpi, box.height / canvas.dpi


def wrapped(text: str, width: float, size: str) -> str:
    """Break a text into lines of about `width` inches, except for a longer word.

    Args:
        text: where a hard space does not break.
        width: in inches.
        size: of the font, as matplotlib names it.
    """
    num = max(round(width / letter(size)), 1)
    return textwrap.fill(text, num, break_long_words=False, break_on_hyphens=False)


def letter(size: str) -> float:
    """Estimate the width of a letter in inches; the size of its font is as matplotlib names it."""
    return LETTER * FontProperties(size=size).get_size_in_points() / 72
