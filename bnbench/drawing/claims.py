"""Figures of claims: the evidence, curves beside published ones, an error surface, depths."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from bnbench.drawing import style
from bnbench.drawing.forest import forest
from bnbench.drawing.layout import below, entitle
from bnbench.drawing.plots import Drawing

__all__ = ["by_depth", "forest", "published", "surface"]

DIGITISED = Path(__file__).with_name("ioffe2015_digitised.csv")
NONE, BN = style.NORM_COLOURS["none"], style.NORM_COLOURS["batchnorm"]
SERIES = {  # name of a curve in both panels -> colour of the norm, dash of the rate
    "without BN": (NONE, style.SOLID),
    "with BN": (BN, style.SOLID),
    "BN ×5": (BN, style.DASHED),
    "BN ×30": (BN, style.DOTTED),
    "BN ×5, sigmoid": (BN, style.DASHDOT),
    "without BN ×5": (NONE, style.DASHED),
    "without BN ×30": (NONE, style.DOTTED),
}
THEIRS = {
    "without_bn": "without BN",
    "with_bn": "with BN",
    "Inception": "without BN",
    "BN-Baseline": "with BN",
    "BN-x5": "BN ×5",
    "BN-x30": "BN ×30",
    "BN-x5-Sigmoid": "BN ×5, sigmoid",
}
FIGURES = {  # of the paper: name there, start of the accuracy axis, nets and data
    "fig1a": ("fig. 1a", 70, "MNIST, 3×100 sigmoid"),
    "fig2": ("fig. 2", 40, "ImageNet, Inception"),
}


NETS = {"linear": style.SOLID, "ReLU": style.DASHED}  # layers of untrained nets -> dash

PATH = "#d55e00"
FEW_STEPS = 30  # steps up to which the markers are large
START: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "white"}
LAST: dict[str, Any] = {"marker": "*", "markersize": 13, "markeredgecolor": "white"}


def published(ours: pd.DataFrame, figure: str, what: str, title: str) -> Drawing:
    """Draw our curves beside those of Ioffe & Szegedy 2015, accuracy against training steps.

    Args:
        ours: series (a key of `SERIES`), step, accuracy (a share; the mean over seeds), low, high
            (its interval; NaN where there is none).
        figure: `fig1a` or `fig2`.
        what: our nets, data and number of seeds, `digits, 3×100 sigmoid, n = 10`.
        title: of the figure.
    """
    number, start, theirs_on = FIGURES[figure]
    digitised = pd.read_csv(DIGITISED, comment="#")
    theirs = digitised[digitised["figure"] == figure].replace({"series": THEIRS})
    source = f"Ioffe & Szegedy 2015, {number} (digitised)"
    with style.themed():
        canvas = Canvas(figsize=(8.4, 3.4), layout="constrained", facecolor="white")
        left, right = canvas.subplots(1, 2, sharey=True)
        for ax, table, heading in (
            (left, ours, f"bnbench\n{what}"),
            (right, theirs, f"{source}\n{theirs_on}"),
        ):
            _curves(ax, table)
            ax.set_title(heading, fontsize="medium")
            ax.set_xlabel("training step")
            ax.xaxis.set_major_formatter(EngFormatter(sep=""))
            ax.xaxis.set_major_locator(MaxNLocator(5))
        last = ours.sort_values("step").groupby("series")["accuracy"].last()
        left.set_ylim(min(start, 100 * last.min() - 3), 100)
        left.set_ylabel("accuracy (%)")
        right.tick_params(labelleft=True)
        entitle(canvas, title)
        handles = [
            Line2D([], [], color=colour, linestyle=dash, label=name)
            for name, (colour, dash) in SERIES.items()
            if name in {*ours["series"], *theirs["series"]}
        ]
        below(canvas, handles, "left: mean over seeds, band: 95 % t interval, unadjusted")
    caption = (
        f"Left, bnbench: {what}; mean and 95 % t interval over seeds, unadjusted, validation "
        f"accuracy. Colours are norms, dashes learning rates. Right: {source}, {theirs_on}, one "
        "run each. Both have the same accuracy axis, which "
        "starts above 0, and scales of their own for the steps."
    )
    ends = "; ".join(f"{key} ends at {100 * value:.1f} %" for key, value in last.items())
    return Drawing(canvas, title, caption, f"{title}. {caption} Ours: {ends}.")


def _curves(ax: Axes, table: pd.DataFrame) -> None:
    for series, some in table.groupby("series", sort=False):
        colour, dash = SERIES[str(series)]
        line = some.sort_values("step")
        look: dict[str, Any] = {"color": colour, "linestyle": dash, "linewidth": 1.7}
        ax.plot(line["step"], 100 * line["accuracy"], label=series, **look)
        if "low" in line:
            edges = 100 * line["low"], 100 * line["high"]
            ax.fill_between(line["step"], *edges, color=colour, alpha=0.15, linewidth=0)
    ax.set_xlim(left=0)


def surface(table: pd.DataFrame, title: str) -> Drawing:
    """Draw the error surface and path of gradient descent, raw features beside standardised.

    Args:
        table: features (`scaled`, `standardised`), kind (`loss`: one row per point of a full grid
            of x and y; `path`: one row per step), x, y (the two weights), value (the loss), step.
        title: of the figure.

    Raises:
        ValueError: the grid of a surface is not full, or there is nothing to draw.
    """
    names = [name for name in ("scaled", "standardised") if name in set(table["features"])]
    if not names:
        raise ValueError("features: expected rows of scaled or standardised")
    told = []
    with style.themed():
        canvas = Canvas(figsize=(8.4, 3.8), layout="constrained", facecolor="white")
        grid = canvas.subplots(1, len(names), squeeze=False)[0]
        for ax, name in zip(grid, names, strict=True):
            own = table[table["features"] == name]
            path = own[own["kind"] == "path"].sort_values("step")
            _contours(ax, own[own["kind"] == "loss"])
            _path(ax, path)
            last = path.iloc[-1]
            told.append(f"{name}: loss {last['value']:.3g} after {last['step']:,.0f} steps")
            ax.set_title(f"{name} features\n{told[-1].partition(': ')[2]}", fontsize="medium")
            ax.set_xlabel("weight of feature 1")
        grid[0].set_ylabel("weight of feature 2")
        entitle(canvas, title)
        handles = [
            Line2D([], [], **look, color=PATH, label=label)
            for label, look in {
                "gradient descent, step by step": {"marker": "o", "markersize": 3},
                "start": {**START, "linestyle": "none"},
                "last step": {**LAST, "linestyle": "none"},
            }.items()
        ]
        below(canvas, handles)
    caption = (
        "Contours of the loss, each a constant factor from the next, and the path of gradient "
        f"descent. {'; '.join(told)}."
    )
    return Drawing(canvas, title, caption, f"{title}. {caption}")


def _contours(ax: Axes, loss: pd.DataFrame) -> None:
    square = loss.pivot(index="y", columns="x", values="value")
    if square.isna().any(axis=None) or min(square.shape) < 2:
        raise ValueError("loss: expected one value at each point of a grid of x and y")
    height = square.to_numpy()
    low = max(height[height > 0].min(), 1e-4 * height.max())
    levels = np.geomspace(low, height.max(), 12)
    x, y = square.columns.to_numpy(), square.index.to_numpy()
    at_least = np.maximum(height, low)
    ax.contourf(x, y, np.log(at_least), levels=np.log(levels), cmap="Blues", alpha=0.75)
    ax.contour(x, y, np.log(at_least), levels=np.log(levels), colors="#5f7f9f", linewidths=0.5)
    ax.grid(visible=False)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    if 0.5 < np.ptp(x) / np.ptp(y) < 2:
        ax.set_aspect("equal")


def _path(ax: Axes, path: pd.DataFrame) -> None:
    width, size = (1.1, 3) if len(path) <= FEW_STEPS else (0.5, 1)
    ax.plot(path["x"], path["y"], "-o", color=PATH, zorder=3, linewidth=width, markersize=size)
    for place, mark in ((0, START), (-1, LAST)):
        point = path.iloc[place]
        ax.plot(point["x"], point["y"], color=PATH, zorder=4, linestyle="none", **mark)


def by_depth(table: pd.DataFrame, quantity: str, title: str) -> Drawing:
    """Draw what becomes of a batch with depth in untrained nets, with BN and without.

    Args:
        table: net (a key of `NETS`), arm (`none` or `batchnorm`), depth, estimate (the mean over
            seeds), low, high (its interval), n.
        quantity: what the numbers are, in words.
        title: of the figure.

    Raises:
        ValueError: there is nothing to draw.
    """
    if table.empty:
        raise ValueError("table: expected a row for each net, arm and depth")
    words, handles, told = {"none": "without BN", "batchnorm": "with BN"}, [], []
    with style.themed():
        canvas = Canvas(figsize=(6.4, 3.8), layout="constrained", facecolor="white")
        ax = canvas.subplots()
        for (net, arm), some in table.groupby(["net", "arm"], sort=False):
            line, label = some.sort_values("depth"), f"{net}, {words[str(arm)]}"
            look: dict[str, Any] = {"color": style.NORM_COLOURS[str(arm)], "linewidth": 1.7}
            look["linestyle"] = NETS[str(net)]
            ax.plot(line["depth"], line["estimate"], **look)
            ax.fill_between(
                line["depth"], line["low"], line["high"], color=look["color"], alpha=0.15, lw=0
            )
            handles.append(Line2D([], [], **look, label=label))
            first, last = line.iloc[0], line.iloc[-1]
            told.append(
                f"{label}: {first['estimate']:.2f} at depth {first['depth']:.0f}, "
                f"{last['estimate']:.2f} at depth {last['depth']:.0f}"
            )
        ax.set_xlabel("depth (layers)")
        ax.set_ylabel(quantity)
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
        entitle(canvas, title)
        below(canvas, handles, "mean over seeds, band: 95 % t interval, unadjusted")
    caption = (
        f"The {quantity} of a batch in untrained nets, at what enters the activations; mean and "
        f"95 % t interval over seeds, unadjusted, n = {table['n'].min():.0f}. Colours are norms, "
        "dashes layers."
    )
    return Drawing(canvas, title, caption, f"{title}. {caption} {'; '.join(told)}.")
