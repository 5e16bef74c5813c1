"""The figure of an exact claim: measured numbers beside their bounds, on a logarithmic axis."""

import math
import textwrap
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import SymmetricalLogLocator

from bnbench.analysis.verdict_words import COLOURS, SYMBOLS, exact_words, found, verdict_label
from bnbench.analysis.verdicts import JudgedClaim, records
from bnbench.drawing import style
from bnbench.drawing.canvas import MARKERS, NUM_TOLD, REGION, canvas_of, title_of
from bnbench.drawing.layout import below
from bnbench.drawing.plots import Drawing

LABEL = 30  # characters


def bounds(claim: JudgedClaim) -> Drawing:
    """Draw measured numbers beside their bounds."""
    rows = records(claim.evidence)
    pairs = [_magnitudes(row) for row in rows]
    sizes = [size for pair in pairs for size in pair if size > 0 and math.isfinite(size)] or [1.0]
    least, most = (10.0 ** math.floor(math.log10(size)) for size in (min(sizes), max(sizes)))
    has_zero = any(size <= 0 for pair in pairs for size in pair)
    limits = (-least / 4 if has_zero else least / 2, 30 * most)
    with style.themed():
        canvas, (ax,) = canvas_of(claim, [len(rows)])
        # zero stands at the left: below the least number the axis is linear
        ax.set_xscale("symlog", linthresh=least, linscale=2)
        ax.set_xlim(*limits)
        for place, (row, (size, bound)) in enumerate(zip(rows, pairs, strict=True)):
            size, bound = (min(max(value, 0), limits[1]) for value in (size, bound))
            is_upper = (row["direction"] == "<=") == (row["bound"] >= 0)
            ends = (limits[0], bound) if is_upper else (bound, limits[1])
            top, bottom = place - 0.4, place + 0.4
            ax.fill_betweenx([top, bottom], *ends, color=REGION, linewidth=0, zorder=0)
            ax.vlines(bound, top, bottom, color=COLOURS["confirmed"], linewidth=1.6)
            verdict = "confirmed" if row["holds"] else "contrary"
            look = {"markersize": 8, "markeredgecolor": "white", "gid": "mean", "zorder": 4}
            ax.plot(size, place, MARKERS[verdict], color=COLOURS[verdict], **look)
            text = f"{SYMBOLS[verdict]} {' '.join(exact_words(row))}"
            where = ax.get_yaxis_transform()
            ax.text(1.02, place, text, transform=where, va="center", color=COLOURS[verdict])
        labels = [textwrap.fill(claim.part(row["part"]).label, LABEL) for row in rows]
        ax.set_yticks(range(len(rows)), labels)
        ax.set_xlabel("measured number, log scale; each row against its own bound")
        ticks = SymmetricalLogLocator(base=10, linthresh=least)
        ticks.set_params(numticks=7)
        ax.xaxis.set_major_locator(ticks)
        ax.xaxis.set_major_formatter("{x:g}")
        green: dict[str, Any] = {"linestyle": "none", "color": COLOURS["confirmed"]}
        handles = [
            Line2D([], [], **green, marker="o", label="measured"),
            Line2D([], [], **green, marker="|", markersize=12, markeredgewidth=1.6, label="bound"),
            Patch(facecolor=REGION, label="keeps the bound"),
        ]
        below(canvas, handles, fontsize="small")
    caption = (
        "Every measured number beside the bound that it must keep. There are no seeds: the numbers "
        "are the same at every call."
    )
    if any(row["bound"] < 0 for row in rows):
        caption += " A negative number with a negative bound is drawn by its size."
    told = "; ".join(f"{row['part']}: {' '.join(exact_words(row))}" for row in rows[:NUM_TOLD])
    verdict = verdict_label(claim.row["verdict"])
    alt = f"{title_of(claim)} {verdict}. {found(claim)} {told}."
    return Drawing(canvas, title_of(claim), caption, alt)


def _magnitudes(row: dict[str, Any]) -> tuple[float, float]:
    """Make a number and its bound fit for a log axis: one on the other side of 0 becomes 0."""
    sign = -1 if row["bound"] < 0 else 1
    size = sign * row["estimate"]
    return (math.inf if math.isnan(size) else size), sign * row["bound"]
