"""Draw one line of a figure on its axes: a mean with a band or bars, thin seeds, diverged runs.

A `line` is a table of points with `x`, `y`, `arm`, `seed` and `status`; a `look` is its colour,
dash, width and marker, as keywords of `Axes.plot`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bnbench.analysis.stats import MIN_SEEDS, interval_table

Look = dict[str, Any]

THIN: Look = {"linewidth": 0.9, "alpha": 0.75, "marker": ""}
DOTS: Look = {"linestyle": "none", "marker": "o", "markersize": 3, "alpha": 0.75}
ON_TOP: Look = {"clip_on": False, "zorder": 5}
CROSS: Look = {"linestyle": "none", "marker": "X", "markersize": 8, "markeredgecolor": "white"}


def band(ax: Axes, line: pd.DataFrame, look: Look) -> list[int]:
    """The mean over the runs that did not diverge, with its band; returns how many they are.

    Fewer than `MIN_SEEDS` runs are drawn thin, each by itself.
    """
    kept = line[line["status"] != "diverged"]
    num_runs = kept["seed"].nunique()
    if num_runs >= MIN_SEEDS:
        table = interval_table(kept, "x", "y")
        ax.plot(table.index, table["estimate"], **look)
        edge = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
        ax.fill_between(table.index, table["low"], table["high"], **edge)
    else:
        for _, run in kept.sort_values("x").groupby("seed"):
            ax.plot(run["x"], run["y"], **look | THIN)
    return [num_runs] if num_runs else []


def bars(ax: Axes, line: pd.DataFrame, look: Look) -> list[int]:
    """The mean of the final values at each x, with its bar; returns how many they are at each.

    Diverged runs enter as measured. Where there are fewer than `MIN_SEEDS` values each is drawn.
    """
    table = interval_table(line, "x", "y")
    ax.plot(table.index, table["estimate"], **look)
    sure = table[table["n"] >= MIN_SEEDS]
    ax.vlines(sure.index, sure["low"], sure["high"], color=look["color"], linewidth=1.3)
    few = line[line["x"].isin(table.index[table["n"] < MIN_SEEDS])]
    ax.plot(few["x"], few["y"], **look | DOTS)
    return table["n"].tolist()


def crosses(ax: Axes, line: pd.DataFrame, look: Look) -> None:
    """Each diverged run thin, with an × at its end or where that leaves the axes.

    Call it when the limits of the axes are settled; it does not move them.
    """
    low, high = ax.get_ylim()
    diverged = line[line["status"] == "diverged"].sort_values("x")
    for _, run in diverged.groupby(["arm", "seed"]):
        finite = run[np.isfinite(run["y"])]
        ax.plot(finite["x"], finite["y"], **look | THIN)
        x, y = (*finite[["x", "y"]].to_numpy()[-1:], (run["x"].iloc[-1], low))[0]
        ax.plot(x, np.clip(y, low, high), **look | CROSS | ON_TOP)
    ax.set_ylim(low, high)


MARKS: dict[str, Callable[[Axes, pd.DataFrame, Look], list[int]]] = {
    "curves": band,
    "versus": bars,
    "severity": band,
}
