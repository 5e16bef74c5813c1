"""Curves as data for plotly: the lines of the image, thinned and rounded.

The page (curves.js) has nothing to compute: it places panels, and shows and hides lines by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from bnbench.analysis.stats import MIN_SEEDS, interval_table
from bnbench.config.labels import ABSENT, axis_label, metric_label, setting_name
from bnbench.config.schema import Figure
from bnbench.drawing.marks import Look

MAX_POINTS = 100  # of a line; a curve has about 60, the loss of every training step has more
MAX_LINES = 300  # of a figure; one with more stays an image
DIGITS = 4  # significant ones of a value

Line = tuple[Axes, pd.DataFrame, Look]


def curves(
    spec: Figure,
    lines: Sequence[Line],
    titles: Sequence[str],
    across: int,
    differ: Sequence[str],
    is_geometric: bool = False,
) -> dict[str, Any] | None:
    """Export the lines of a drawn figure as plain values; None for a figure that stays an image.

    Args:
        spec: the figure.
        lines: its lines as they were drawn, with the columns `panel`, `line` and those of `differ`.
        titles: of the panels.
        across: panels in a row.
        differ: settings that lines of one look differ in.
        is_geometric: whether means are geometric.
    """
    if spec.kind != "curves" or sum(table["line"].nunique() for _, table, _ in lines) > MAX_LINES:
        return None
    drawn = []
    for _, table, look in lines:
        drawn += _lines(spec, table, look, differ, is_geometric)
    drawn = [line for line in drawn if line["x"]]
    if not drawn or len(drawn) > MAX_LINES:
        return None
    ends = {id(ax): [float(f"{end:.{DIGITS}g}") for end in ax.get_ylim()] for ax, _, _ in lines}
    return {
        "x": axis_label(spec.x),
        "y": metric_label(spec.y),
        "logx": spec.logx,
        "logy": spec.logy,
        "range": next(iter(ends.values())),  # the panels share it
        "across": across,
        "panels": list(titles),
        "lines": drawn,
    }


def _lines(
    spec: Figure, table: pd.DataFrame, look: Look, differ: Sequence[str], is_geometric: bool
) -> Iterable[dict[str, Any]]:
    """Compute each arm's mean, or single seeds if few; diverged runs are lines of their own."""
    for _, line in table.groupby("line", sort=False):
        head = {
            "panel": int(line["panel"].iloc[0]),
            "name": _name(spec, line.iloc[0], differ),
            "arm": ", ".join(map(str, line["arm"].unique())),
            "colour": to_hex(look["color"]),
            "dash": _dash(look["linestyle"]),
            "width": round(float(look["linewidth"]), 2),
        }
        kept = line[line["status"] != "diverged"]
        if kept["seed"].nunique() >= MIN_SEEDS:
            means = interval_table(kept, "x", "y", is_geometric=is_geometric).reset_index(names="x")
            columns = {"y": "estimate", "low": "low", "high": "high", "n": "n"}
            yield head | _points(spec, means, columns)
            kept = kept.iloc[:0]
        lost = line[line["status"] == "diverged"]
        for runs, outcome in ((kept, {}), (lost, {"diverged": True})):
            for _, run in runs.sort_values("x").groupby(["arm", "seed"], observed=True):
                own = {"seed": int(run["seed"].iloc[0]), **outcome}
                finite = run[np.isfinite(run["y"])]
                yield head | own | _points(spec, finite, {"y": "y"})


def _name(spec: Figure, row: pd.Series, differ: Sequence[str]) -> str:
    """Name a line for the legend, with the settings beyond its look and panel."""
    words = [setting_name(spec.hue, row["hue"])]
    if spec.style and row["style"] not in ("none", "", ABSENT):
        words.append(setting_name(spec.style, row["style"]))
    words += [setting_name(column, row[column]) for column in differ if pd.notna(row[column])]
    return " · ".join(words)


def _dash(linestyle: Any) -> list[float]:
    """Write lengths of dashes and gaps in line widths; an empty text is a solid line."""
    return [] if isinstance(linestyle, str) else list(map(float, linestyle[1]))


def _points(spec: Figure, table: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, Any]:
    """List columns of a table, one item for each point that is shown."""
    if spec.logx:
        table = table[table["x"] > 0]
    if spec.logy:
        table = table[table[columns["y"]] > 0]
    chosen = table.iloc[_spread(table["x"].to_numpy(float), spec.logx)]
    values = {name: [_rounded(v) for v in chosen[column]] for name, column in columns.items()}
    return {"x": [float(x) if x % 1 else int(x) for x in chosen["x"]], **values}


def _spread(x: np.ndarray, logx: bool) -> np.ndarray:
    """Choose at most MAX_POINTS places of the sorted `x`, evenly spread, with both ends."""
    if len(x) <= MAX_POINTS:
        return np.arange(len(x))
    scaled = np.log(x) if logx else x
    return np.unique(np.searchsorted(scaled, np.linspace(scaled[0], scaled[-1], MAX_POINTS)))


def _rounded(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short
