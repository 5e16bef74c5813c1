"""Draw lines of one look on their axes: a mean with a band or bars, thin seeds, diverged runs.

A `line` is a table of points with `x`, `y`, `arm`, `seed` and `status`; a `look` is its colour,
dash, width and marker, as keywords of `Axes.plot`. `is_geometric` says that means are geometric.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bnbench.analysis.stats import MIN_SEEDS, interval_table

Look = dict[str, Any]

THIN: Look = {"linewidth": 0.9, "alpha": 0.75, "marker": ""}
DOTS: Look = {"linestyle": "none", "marker": "o", "markersize": 3, "alpha": 0.75}
ON_TOP: Look = {"clip_on": False, "zorder": 5}
CROSS: Look = {"linestyle": "none", "marker": "X", "markersize": 6.5, "markeredgecolor": "white"}
CROSS |= {"markevery": None}  # each is one point


def band(ax: Axes, lines: pd.DataFrame, look: Look, is_geometric: bool = False) -> list[int]:
    """Draw the mean of each line over its runs that did not diverge, with its band.

    The lines, told apart by the column `line`, are one artist: a thousand are drawn in a second.
    Fewer than `MIN_SEEDS` runs are drawn thin, each by itself.

    Returns:
        The number of runs of each line.
    """
    means, runs, counts = [], [], []
    for _, line in lines[lines["status"] != "diverged"].groupby("line", sort=False):
        num_runs = line["seed"].nunique()
        counts.append(num_runs)
        if num_runs >= MIN_SEEDS:
            table = interval_table(line, "x", "y", is_geometric=is_geometric)
            means.append(table[["estimate", "low", "high"]].reset_index().to_numpy())
        else:
            in_order = line.sort_values("x")
            runs += [run[["x", "y"]].to_numpy() for _, run in in_order.groupby("seed")]
    if means:
        x, estimate, low, high = _joined(means).T
        ax.plot(x, estimate, **look)
        edge = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
        ax.fill_between(x, low, high, **edge)
    if runs:
        ax.plot(*_joined(runs).T, **look | THIN)
    return counts


def _joined(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Join the points of all lines, with a gap between one line and the next."""
    first, *others = lines
    gap = np.full((1, first.shape[1]), np.nan)
    return np.concatenate([first, *(part for line in others for part in (gap, line))])


def bars(ax: Axes, line: pd.DataFrame, look: Look, is_geometric: bool = False) -> list[int]:
    """Draw the mean of the final values at each x, with its bar; return their numbers.

    Diverged runs enter as measured. Fewer than `MIN_SEEDS` values are drawn one by one.
    """
    table = interval_table(line, "x", "y", is_geometric=is_geometric)
    ax.plot(table.index, table["estimate"], **look)
    sure = table[table["n"] >= MIN_SEEDS]
    ax.vlines(sure.index, sure["low"], sure["high"], color=look["color"], linewidth=1.3)
    edge: Look = {"linestyle": "none", "color": look["color"], "markersize": 5}
    for end in ("low", "high"):
        ax.plot(sure.index, sure[end], marker="_", **edge)
    few = line[line["x"].isin(table.index[table["n"] < MIN_SEEDS])]
    ax.plot(few["x"], few["y"], **look | DOTS)
    return table["n"].tolist()


def crosses(ax: Axes, line: pd.DataFrame, look: Look) -> None:
    """Draw each diverged run thin, with an × at its end or at the border of the axes.

    Call it when the limits of the axes are settled; it does not move them.
    """
    diverged = line[line["status"] == "diverged"]
    if diverged.empty:
        return
    low, high = ax.get_ylim()
    for _, run in diverged.sort_values("x").groupby(["arm", "seed"]):
        finite = run[np.isfinite(run["y"])]
        ax.plot(finite["x"], finite["y"], **look | THIN)
        x, y = (*finite[["x", "y"]].to_numpy()[-1:], (run["x"].iloc[-1], low))[0]
        ax.plot(x, np.clip(y, low, high), **look | CROSS | ON_TOP)
    ax.set_ylim(low, high)


MARKS: dict[str, Callable[..., list[int]]] = {
    "curves": band,
    "versus": bars,
    "severity": band,
}
