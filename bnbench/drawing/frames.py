"""From the declaration of a figure to the points that it shows, in panels.

Every table here has the columns of runs.csv beside `x`, `y`, `hue` and `style`.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from bnbench.analysis.load import (
    MEASURED,
    ExperimentData,
    config_columns,
    curve,
    final,
    finished,
)
from bnbench.config.labels import ABSENT, is_accuracy, setting_name
from bnbench.config.points import CLEAN_POLICIES, metric_key, split_key
from bnbench.config.query import parse
from bnbench.config.schema import MAX_PANELS, MAX_TITLE, Figure
from bnbench.drawing import style

ADDED = ("x", "y", "hue", "style")  # columns of a figure beside those of its table
NOT_CONFIG = {
    *(*ADDED, "panel", "value"),
    *("step", "samples", "shift", "severity", "policy", "metric"),
}
Panels = list[tuple[str, pd.DataFrame]]


def effective(spec: Figure) -> Figure:
    """Complete a figure by its kind: `severity` has a panel per shift and a dash per policy.

    Raises:
        ValueError: the title is longer than a name of a file, or `y` is not the key of a metric.
    """
    if len(spec.title) > MAX_TITLE:
        raise ValueError(f"figure {spec.title!r}: expected a title of at most {MAX_TITLE} letters")
    if "/" not in spec.y:
        raise ValueError(f"figure {spec.title!r}: y={spec.y}: expected split/metric")
    if spec.kind != "severity":
        return spec
    _, metric, _ = split_key(spec.y)
    return replace(spec, x="severity", y=metric_key("test", metric), style="policy", col="shift")


def panels(experiment: ExperimentData, spec: Figure) -> tuple[Panels, int]:
    """Make the titles and points of the panels of an `effective` figure, and count them per row.

    Raises:
        ValueError: the figure names a column or metric that there is not, has a bad query, or more
            panels than `MAX_PANELS`.
    """
    frame = SOURCES[spec.kind](experiment, spec)
    _check(frame, spec)
    frame = _where(frame, spec.where, spec.title)
    frame["x"] = frame[spec.x]
    frame["y"] = frame["value"] * (100 if is_accuracy(spec.y) else 1)
    frame["hue"] = _named(frame[spec.hue])
    frame["style"] = _named(frame[spec.style]) if spec.style else ""
    frame = frame[frame["x"].notna()]
    if frame.empty:
        return [], 1
    facets = [frame[column].nunique() for column in (spec.row, spec.col) if column]
    number = len(spec.panels) if spec.panels else math.prod(facets)
    if number > MAX_PANELS:
        raise ValueError(f"figure {spec.title!r}: {number} panels, expected at most {MAX_PANELS}")
    if spec.row and spec.col and not spec.panels:
        return _grid(frame, spec.row, spec.col)
    parts = [(title, part) for title, part in _parts(frame, spec) if not part.empty]
    return parts, _across(len(parts))


def apart(frame: pd.DataFrame, spec: Figure) -> list[str]:
    """Find the settings in which lines of one look and panel differ: each value is a line."""
    look = ["panel", "hue", "style", *(["x"] if spec.kind == "versus" else [])]
    arms = frame.drop_duplicates(["arm", *look])
    columns = [column for column in config_columns(frame) if column not in NOT_CONFIG]
    varies = arms.groupby(look)[columns].nunique(dropna=False).max() > 1
    return [column for column in columns if varies[column]]


def _curves(experiment: ExperimentData, spec: Figure) -> pd.DataFrame:
    runs = experiment.runs.drop(columns=list(MEASURED), errors="ignore")
    return curve(experiment, spec.y).merge(runs, on=["arm", "seed"])


def _versus(experiment: ExperimentData, spec: Figure) -> pd.DataFrame:
    runs = finished(experiment.runs)
    return runs.assign(value=final(runs, spec.y) if len(runs) else np.nan)


def _severity(experiment: ExperimentData, spec: Figure) -> pd.DataFrame:
    """Collect test metrics by severity; the clean metric has severity 0."""
    _, metric, _ = split_key(spec.y)
    shifts = experiment.shifts
    shifts = shifts[(shifts["metric"] == metric) & (shifts["severity"] > 0)]
    shifts = shifts.astype({"shift": object, "policy": object, "metric": object})
    parts = [shifts.merge(experiment.runs, on=["arm", "seed"])]
    for policy, rows in parts[0].groupby("policy"):
        clean = rows.drop_duplicates(["arm", "seed", "shift"])
        key = spec.y if policy in CLEAN_POLICIES else metric_key(f"test@{policy}", metric)
        parts.append(clean.assign(severity=0, value=final(clean, key)))
    return pd.concat(parts, ignore_index=True)


SOURCES: dict[str, Callable[[ExperimentData, Figure], pd.DataFrame]] = {
    "curves": _curves,
    "versus": _versus,
    "severity": _severity,
}


def _check(frame: pd.DataFrame, spec: Figure) -> None:
    named = {"x": spec.x, "hue": spec.hue, "style": spec.style, "col": spec.col, "row": spec.row}
    for role, column in named.items():
        if (column or role in ("x", "hue")) and column not in frame:
            allowed = ", ".join(column for column in map(str, frame) if "/" not in column)
            raise ValueError(
                f"figure {spec.title!r}: {role}={column}: expected a column, one of {allowed}"
            )
    if len(frame) and not pd.api.types.is_numeric_dtype(frame[spec.x]):
        raise ValueError(f"figure {spec.title!r}: x={spec.x}: expected a column of numbers")


def _where(frame: pd.DataFrame, query: str | None, title: str) -> pd.DataFrame:
    if not query:
        return frame.copy()
    columns = [column for column in map(str, frame) if column not in ADDED]
    try:
        return frame[parse(query, columns).rows(frame)]
    except ValueError as error:
        raise ValueError(f"figure {title!r}: where={query}: {error}") from None


def _named(values: pd.Series) -> pd.Series:
    """Name the values to group by; a setting that an arm lacks is a value too."""
    return values.astype(object).where(values.notna(), ABSENT)


def _parts(frame: pd.DataFrame, spec: Figure) -> Panels:
    if spec.panels:
        return [(panel.title, _where(frame, panel.where, spec.title)) for panel in spec.panels]
    facet = spec.col or spec.row
    if not facet:
        return [("", frame)]
    values = _named(frame[facet])
    return [
        (setting_name(facet, value), frame[values == value])
        for value in style.ordered(facet, values)
    ]


def _grid(frame: pd.DataFrame, row: str, col: str) -> tuple[Panels, int]:
    """Arrange panels as rows and columns; if some have no points, one after another."""
    rows, cols = _named(frame[row]), _named(frame[col])
    across = style.ordered(col, cols)
    cells = []
    for down, over in product(style.ordered(row, rows), across):
        title = f"{setting_name(row, down)}, {setting_name(col, over)}"
        cells.append((title, frame[(rows == down) & (cols == over)]))
    full = [(title, part) for title, part in cells if not part.empty]
    return full, len(across) if len(full) == len(cells) else _across(len(full))


def _across(num_panels: int) -> int:
    """Count the panels in a row."""
    return {1: 1, 2: 2, 4: 2}.get(num_panels, 3)
