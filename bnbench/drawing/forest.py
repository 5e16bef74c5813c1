"""The evidence of one claim at a glance: each part's seeds, mean and interval beside its SESOI.

Parts that measure the same thing in the same unit share a panel and its axis; others never do.
Exact claims have one number and one bound per part, on a logarithmic axis.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from bnbench.analysis.verdict_words import COLOURS, estimate_words, found, n_words, verdict_label
from bnbench.analysis.verdicts import JudgedClaim, PartView, records
from bnbench.config.labels import count_label, plain_label
from bnbench.drawing import style
from bnbench.drawing.bounds import bounds
from bnbench.drawing.canvas import MARKERS, NUM_TOLD, READING, REGION, canvas_of, title_of
from bnbench.drawing.layout import below
from bnbench.drawing.plots import Drawing

LABEL = 30  # characters
SEEDS_AT = 0.24  # distance of a part's seeds below its mean, in rows
BOUNDS = {"": "o", "at least": ">", "at most": "<"}


def forest(claim: JudgedClaim) -> Drawing | None:
    """Draw the evidence of a claim, other choices aside; None without measurements."""
    if claim.is_exact:
        return bounds(claim)
    claim = claim.without_choices()
    rows = [
        (claim.part(row["part"]), row)
        for row in records(claim.parts)
        if math.isfinite(row["estimate"])
    ]
    if not rows:
        return None
    panels: dict[Any, list[tuple[PartView, dict[str, Any]]]] = {}
    for part, row in rows:
        panels.setdefault((row["statistic"], part.unit, part.ratio), []).append((part, row))
    with style.themed():
        canvas, axes = canvas_of(claim, [len(panel) for panel in panels.values()])
        for ax, ((statistic, unit, ratio), panel) in zip(axes, panels.items(), strict=True):
            _panel(ax, panel, claim.evidence)
            unit = "log scale" if ratio else unit
            named = not unit or f"({unit})" in statistic
            ax.set_xlabel(statistic if named else f"{statistic} ({unit})")
        handles = _legend([row for _, row in rows], claim.evidence)
        below(canvas, handles, fontsize="small")
    return Drawing(canvas, title_of(claim), _caption(claim), _alt(claim, rows))


def _panel(ax: Axes, rows: Sequence[tuple[PartView, dict[str, Any]]], seeds: pd.DataFrame) -> None:
    """Draw one axis with a row for each part."""
    part, _ = rows[0]
    if part.ratio:
        ax.set_xscale("log")
    for place, (part, row) in enumerate(rows):
        _row(ax, place, row, _seeds(part, row, seeds))
    nothing = float(part.ratio)  # where the two arms are equal
    low, high, at = ax.transScale.transform([(x, 0) for x in (*ax.get_xlim(), nothing)])[:, 0]
    if 2 * low - high < at < 2 * high - low:  # near enough to be shown
        ax.axvline(nothing, color="#8a8f98", linewidth=0.9, zorder=1)
    _ticks(ax, part.ratio)
    limits = ax.get_xlim()
    ax.set_xlim(*limits)
    for place, (_, row) in enumerate(rows):
        _region(ax, place, row, limits)
    ax.set_yticks(
        range(len(rows)), [textwrap.fill(plain_label(part.label), LABEL) for part, _ in rows]
    )
    for label, (part, row), place in zip(ax.get_yticklabels(), rows, range(len(rows)), strict=True):
        decides = row["role"] == "verdict"
        label.set_color("#1d2329" if decides else READING)
        _beside(ax, place, part, row)


def _row(ax: Axes, place: int, row: dict[str, Any], points: pd.DataFrame) -> None:
    """Draw the seeds of a part, its interval, mean and SESOI; a reading is lighter."""
    decides = row["role"] == "verdict"
    colour = COLOURS.get(row["verdict"], READING) if decides else READING
    for bound, some in points.groupby("bound"):
        ax.plot(
            some["value"],
            np.full(len(some), place + SEEDS_AT),
            linestyle="none",
            marker=BOUNDS[str(bound)],
            markersize=4 if bound == "" else 5.5,
            color=colour,
            alpha=0.4,
            markeredgewidth=0,
            gid="seeds",
        )
    width = 2.4 if decides else 1.3
    if math.isfinite(row["ci_low"]):
        ax.hlines(place, row["ci_low"], row["ci_high"], color=colour, linewidth=width, zorder=3)
    marker = MARKERS.get(row["verdict"], "s") if decides else "s"
    ax.plot(
        row["estimate"],
        place,
        marker=marker,
        markersize=8 if decides else 5,
        color=colour,
        markeredgecolor="white",
        zorder=4,
        gid="mean",
    )
    look = {"color": COLOURS["confirmed"], "linewidth": 1.1, "linestyle": style.DASHED}
    for end in (row["sesoi_low"], row["sesoi_high"]):
        if math.isfinite(end):
            ax.vlines(end, place - 0.5, place + 0.5, zorder=1, **look)


def _region(ax: Axes, place: int, row: dict[str, Any], limits: tuple[float, float]) -> None:
    """Shade the region that confirms an interval inside."""
    low, high = row["sesoi_low"], row["sesoi_high"]
    if math.isnan(low) and math.isnan(high):
        return
    left = limits[0] if math.isnan(low) else low
    right = limits[1] if math.isnan(high) else high
    rows = [place - 0.5, place + 0.5]
    ax.fill_betweenx(rows, left, right, color=REGION, linewidth=0, zorder=0)


def _beside(ax: Axes, place: int, part: PartView, row: dict[str, Any]) -> None:
    """Write right of a row its verdict as symbol and word, its numbers, n."""
    decides = row["role"] == "verdict"
    n = "" if math.isnan(row["n"]) else f", n = {n_words(row)}"
    text = estimate_words(part, row) + n
    where = ax.get_yaxis_transform()
    look = {"va": "center", "fontsize": "small", "clip_on": False}
    if not decides:
        ax.text(1.02, place, f"reading\n{text}", transform=where, color=READING, **look)
        return
    word = verdict_label(row["verdict"])
    colour = COLOURS.get(row["verdict"], READING)
    ax.text(1.02, place - 0.17, word, transform=where, color=colour, weight="bold", **look)
    ax.text(1.02, place + 0.2, text, transform=where, color="#1d2329", **look)


def _seeds(part: PartView, row: dict[str, Any], evidence: pd.DataFrame) -> pd.DataFrame:
    """Select the finite values of a part's seeds, in the unit of the axis, with their bounds."""
    if evidence.empty:
        return pd.DataFrame({"value": [], "bound": []})
    own = evidence[(evidence["part"] == row["part"]) & evidence["bound"].isin(BOUNDS)]
    own = own[np.isfinite(own["value"])]
    with np.errstate(over="ignore"):
        value = np.exp(own["value"]) if part.ratio else own["value"]
    return own.assign(value=value)[np.isfinite(value)]


def _ticks(ax: Axes, is_log: bool) -> None:
    """Choose a few ticks with plain numbers, at 1, 2 and 5 on a long log axis."""
    low, high = ax.get_xlim()
    decades = math.log10(high / low) if is_log else 0
    steps = (1, 2, 5) if decades < 2.5 else (1,)
    ax.xaxis.set_major_locator(LogLocator(subs=steps) if decades > 0.75 else MaxNLocator(5))
    if is_log:
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}×")


def _legend(rows: Sequence[dict[str, Any]], evidence: pd.DataFrame) -> list[Any]:
    def mark(marker: str, label: str, **look: Any) -> Line2D:
        look = {"linestyle": "none", "color": "#4d4d4d", "markeredgecolor": "white"} | look
        return Line2D([], [], marker=marker, label=label, **look)

    levels = sorted(
        {f"{100 * row['ci_level']:.0f} %" for row in rows if row["ci_low"] == row["ci_low"]}
    )
    handles: list[Any] = []
    if not evidence.empty and evidence["bound"].isin(BOUNDS).any():
        handles.append(mark("o", "one seed", alpha=0.5, markersize=4, markeredgewidth=0))
    if not evidence.empty and evidence["bound"].isin(["at least", "at most"]).any():
        handles.append(mark(">", "one seed: at least (or, <, at most) this", alpha=0.5))
    if levels:
        label = f"mean with {' or '.join(levels)} interval, unadjusted"
        handles.append(mark("o", label, linestyle="-", linewidth=2, markersize=7))
    if any(
        row["sesoi_low"] == row["sesoi_low"] or row["sesoi_high"] == row["sesoi_high"]
        for row in rows
    ):
        edge = {"facecolor": REGION, "edgecolor": COLOURS["confirmed"], "linestyle": style.DASHED}
        handles.append(Patch(label="would confirm: beyond the smallest effect of interest", **edge))
    return handles


def _caption(claim: JudgedClaim) -> str:
    """Write the caption, with the number of seeds without a value."""
    words = (
        "Each part of the claim with its seeds, mean and interval (t; of a share of seeds the "
        "exact one), unadjusted; the region that would confirm "
        "is shaded. A part's own verdict is before the adjustment for many claims."
    )
    if lacking := int(claim.parts["estimate"].isna().sum()):
        words += f" {count_label(lacking, 'part')} without a number: not drawn."
    readings = int((claim.parts["role"] != "verdict").sum())
    if readings:
        words += " Readings (grey) stand beside the verdict and decide nothing."
    if not claim.evidence.empty:
        lost = int((claim.evidence["bound"] == "none").sum())
        words += f" Pairs in which neither run got there, and which are not drawn: {lost}." * bool(
            lost
        )
    return words


def _alt(claim: JudgedClaim, rows: Sequence[tuple[PartView, dict[str, Any]]]) -> str:
    told = [
        f"{part.label}: {estimate_words(part, row)}, {row['verdict'] or 'reading'}"
        for part, row in rows[:NUM_TOLD]
    ]
    more = f"; and {len(rows) - NUM_TOLD} more in the table" if len(rows) > NUM_TOLD else ""
    verdict = verdict_label(claim.row["verdict"])
    return f"{title_of(claim)} {verdict}. {found(claim)} {'; '.join(told)}{more}."
