"""Figures as data for plotly: the marks of the image, thinned and rounded.

The page (curves.js) has nothing to compute: it places panels, and shows and hides lines by name.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.markers import MarkerStyle

from bnbench.analysis.stats import MIN_SEEDS, interval_table
from bnbench.config.labels import ABSENT, axis_label, metric_label, setting_name
from bnbench.config.schema import Figure
from bnbench.drawing.marks import DOTS, THIN, Look

MAX_POINTS = 100  # of a line; a curve has about 60, the loss of every training step has more
MAX_LINES = 300  # of a figure, and marks beside each other; one with more stays an image
DIGITS = 4  # significant ones of a value
OUTLINE_DIGITS = 2  # behind the point
OUTLINE = " MLQC"  # the letters of an SVG's path for matplotlib's codes
SYMBOLS = dict(  # matplotlib's markers in plotly's names
    zip(
        [*"sov^DPX<>phH8d*", (4, 1, 0)],
        [
            *("square", "circle", "triangle-down", "triangle-up", "diamond", "cross", "x"),
            *("triangle-left", "triangle-right", "pentagon", "hexagon", "hexagon2", "octagon"),
            *("diamond-tall", "star", "star-diamond"),
        ],
        strict=True,
    )
)

Line = tuple[Axes, pd.DataFrame, Look]
Part = tuple[dict[str, Any], pd.DataFrame]  # what it is, and its points


def curves(
    spec: Figure,
    lines: Sequence[Line],
    titles: Sequence[str],
    ticks: Sequence[np.ndarray | None],
    across: int,
    differ: Sequence[str],
    is_geometric: bool = False,
) -> dict[str, Any] | None:
    """Export the lines of a drawn figure as plain values; None for a figure that stays an image.

    Args:
        spec: the figure.
        lines: its lines as they were drawn, with the columns `panel`, `line` and those of `differ`.
            Where they were moved apart, `told` is the value of x to tell.
        titles: of the panels.
        ticks: the values of x that the panels label; None leaves them to plotly.
        across: panels in a row.
        differ: settings that lines of one look differ in.
        is_geometric: whether means are geometric.
    """
    if sum(table["line"].nunique() for _, table, _ in lines) > MAX_LINES:
        return None
    drawn, symbols = [], set()
    for _, table, look in lines:
        for part in _lines(spec, table, look, differ, is_geometric):
            drawn += [part] if part["x"] else []
            symbols |= {look["marker"]} if "marker" in part else set()
    if not drawn or max(len(drawn), *(len(part["x"]) for part in drawn)) > MAX_LINES:
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
        "ticks": [None if own is None else list(map(_place, own)) for own in ticks],
        "bars": spec.kind == "versus",
        "outlines": {SYMBOLS[symbol]: _outline(symbol) for symbol in sorted(symbols, key=str)},
        "lines": drawn,
    }


def _lines(
    spec: Figure, table: pd.DataFrame, look: Look, differ: Sequence[str], is_geometric: bool
) -> Iterable[dict[str, Any]]:
    """Describe the marks of each line: its means, then single seeds, then diverged runs."""
    for _, line in table.groupby("line", sort=False):
        head = {
            "panel": int(line["panel"].iloc[0]),
            "name": _name(spec, line.iloc[0], differ),
            "colour": to_hex(look["color"]),
            "dash": _dash(look["linestyle"]),
            "width": round(float(look["linewidth"]), 2),
        }
        parts = _at_values if spec.kind == "versus" else _over_values
        for own, points in parts(line, is_geometric):
            marked = {"marker": SYMBOLS[look["marker"]]} if "low" in points else {}
            marked = {} if spec.kind == "curves" else marked  # its points are too many
            yield head | marked | own | _points(spec, points)


def _over_values(line: pd.DataFrame, is_geometric: bool) -> Iterator[Part]:
    """Yield an arm's mean along x, or single seeds if few; then each diverged run."""
    arm = ", ".join(map(str, line["arm"].unique()))
    kept = line[line["status"] != "diverged"]
    if kept["seed"].nunique() >= MIN_SEEDS:
        yield {"arm": arm}, _means(kept, is_geometric)
        kept = kept.iloc[:0]
    lost = line[line["status"] == "diverged"]
    thin = {"arm": arm, "width": THIN["linewidth"]}
    for runs, outcome in ((kept, {}), (lost, {"diverged": True})):
        for _, run in runs.sort_values("x").groupby(["arm", "seed"], observed=True):
            finite = run[np.isfinite(run["y"])]
            points = run[["x", "y"]].tail(1) if outcome and finite.empty else finite[["x", "y"]]
            yield thin | {"seed": int(run["seed"].iloc[0]), **outcome}, points


def _at_values(line: pd.DataFrame, is_geometric: bool) -> Iterator[Part]:
    """Yield the means at each x, each of another arm; then single seeds and diverged runs."""
    line = line.sort_values("x", kind="stable")
    means = _means(line, is_geometric)
    first = line.drop_duplicates("x").set_index("x")[["told", "arm"]]
    yield {}, means.join(first, on="x")
    few = line["x"].isin(means.loc[means["n"] < MIN_SEEDS, "x"]) & np.isfinite(line["y"])
    columns = ["x", "y", "told", "arm", "seed"]
    yield {"width": 0, "dots": DOTS["markersize"]}, line.loc[few, columns]
    yield {"width": 0, "diverged": True}, line.loc[line["status"] == "diverged", columns]


def _means(line: pd.DataFrame, is_geometric: bool) -> pd.DataFrame:
    table = interval_table(line, "x", "y", is_geometric=is_geometric).reset_index(names="x")
    return table.rename(columns={"estimate": "y"})


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


def _outline(marker: Any) -> str:
    """Write the outline of a marker as the path of an SVG, at most one unit wide."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform())
    words = []
    for vertices, code in path.iter_segments(simplify=False):
        ends = vertices.reshape(-1, 2) * (1, -1)  # on a page y points down
        numbers = " ".join(f"{v:.{OUTLINE_DIGITS}f}" for v in ends.ravel())
        words.append("Z" if code == path.CLOSEPOLY else OUTLINE[int(code)] + numbers)
    return "".join(words)


def _points(spec: Figure, table: pd.DataFrame) -> dict[str, Any]:
    """List the columns of a table, one item for each point that is shown."""
    if spec.logx:
        table = table[table["x"] > 0]
    if spec.logy:
        table = table[~(table["y"] <= 0)]
    if spec.kind != "versus":  # whose points stand for themselves
        table = table.iloc[_spread(table["x"].to_numpy(float), spec.logx)]
    write = {"x": _place, "told": _place, "arm": str}
    return {name: [write.get(name, _rounded)(v) for v in table[name]] for name in map(str, table)}


def _spread(x: np.ndarray, logx: bool) -> np.ndarray:
    """Choose at most MAX_POINTS places of the sorted `x`, evenly spread, with both ends."""
    if len(x) <= MAX_POINTS:
        return np.arange(len(x))
    scaled = np.log(x) if logx else x
    return np.unique(np.searchsorted(scaled, np.linspace(scaled[0], scaled[-1], MAX_POINTS)))


def _place(x: float) -> float | int:
    """Write a place on the x-axis: a whole number in full, as steps are."""
    return float(f"{x:.6g}") if x % 1 else int(x)


def _rounded(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short
