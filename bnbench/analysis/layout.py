"""What surrounds the lines of a figure: its grid of axes, their scales and ticks, its legend."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from bnbench.labels import column_label, is_accuracy, metric_label
from bnbench.schema import Figure

MAX_TICKS = 8  # up to so many distinct values each is its own tick
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def canvas_of(num_panels: int, across: int) -> tuple[Canvas, list[Axes]]:
    """An empty figure with one axes per panel, `across` in a row, and a common y-axis."""
    down = -(-num_panels // across)
    size = (6.4, 4.6) if num_panels == 1 else (3.5 * across + 0.5, 2.7 * down + 1.2)
    canvas = Canvas(figsize=size, layout="constrained", facecolor="white")
    grid = canvas.subplots(down, across, sharey=True, squeeze=False).ravel()
    for ax in grid[num_panels:]:
        ax.remove()
    return canvas, list(grid[:num_panels])


def scale(ax: Axes, values: np.ndarray, spec: Figure) -> None:
    """Scales, ticks and limits, for the distinct x `values` that the axes shows."""
    if spec.logx:
        powers = (values > 0).all() and (np.log2(values) % 1 == 0).all()
        ax.set_xscale("log", base=2 if powers and spec.kind == "versus" else 10)
    if spec.kind == "curves":
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    elif len(values) <= MAX_TICKS:
        ax.xaxis.set_major_locator(FixedLocator(list(values)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(PLAIN)
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
    """Limits around the finite values, for axes on which nothing is drawn that sets them."""
    finite = y[np.isfinite(y)]
    if len(finite):
        ax.set_ylim(finite.min() - 1, finite.max() + 1)


def inscribe(
    canvas: Canvas,
    axes: Sequence[Axes],
    across: int,
    spec: Figure,
    note: str,
    handles: Sequence[Line2D],
) -> None:
    """The title, what the axes measure, and below them the legend under its note."""
    for ax in axes[::across]:
        ax.set_ylabel(textwrap.fill(metric_label(spec.y), 26))
    for ax in axes[-across:]:
        ax.set_xlabel(column_label(spec.x))
    width = canvas.get_figwidth()
    title = textwrap.fill(spec.title, int(10 * width))
    canvas.suptitle(title, weight="bold", fontsize="large")
    canvas.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), int(width // 1.9)),
        title=textwrap.fill(note, int(14 * width)),
        title_fontsize="small",
    )
