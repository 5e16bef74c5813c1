"""Draw the figures that an experiment declares: curves, dependence on a setting, shift severity.

A line is the mean over the seeds of one arm, never over several arms. Where fewer than three
seeds remain each is drawn thin, without a band. A diverged run is no part of a mean curve: it is
drawn thin up to an ×. Final values (`versus`) take a diverged run as measured and mark it too.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from bnbench.analysis.load import ExperimentData
from bnbench.config.labels import ABSENT, SELF_EXPLAINING, column_label, drawn_label, name_label
from bnbench.config.schema import Figure
from bnbench.drawing import frames, layout, style
from bnbench.drawing.captions import alt_text, caption_text, note_text
from bnbench.drawing.interactive import curves
from bnbench.drawing.marks import CROSS, MARKS, Look, crosses

MARK_EVERY = 0.16  # of the axes' diagonal, between the markers of a curve
DODGE = 0.012  # between the error bars of two lines at one x, as a share of the axis
GREY = "#4d4d4d"
DRAWN = ("x", "y", "arm", "seed", "status")  # the columns of a point that marks need

Line = tuple[Axes, pd.DataFrame, Look]


class Drawing(NamedTuple):
    """A drawn figure and the words that go with it; `curves` are its lines as data, if any."""

    canvas: Canvas
    title: str
    caption: str
    alt: str
    curves: dict[str, Any] | None = None


def draw(spec: Figure, experiment: ExperimentData) -> Drawing | None:
    """Draw one declared figure; None if no finished run has a point in it.

    Raises:
        ValueError: the figure names a column or metric that there is not, or a bad query.
    """
    spec = frames.effective(spec)
    experiment = experiment.tuning() if spec.tuning else experiment.reporting()
    panels, across = frames.panels(experiment, spec)
    if not panels:
        return None
    frame = pd.concat([part.assign(panel=place) for place, (_, part) in enumerate(panels)])
    differ = frames.apart(frame, spec)
    hues = style.ordered(spec.hue, frame["hue"])
    dashes = style.ordered(spec.style or "", frame["style"])
    drawn_y = frame.loc[np.isfinite(frame["y"]), "y"]
    is_geometric = spec.logy and bool((drawn_y > 0).all())  # a log axis shows ratios
    with style.themed():
        canvas, axes = layout.canvas_of(len(panels), across)
        keys = ["panel", "hue", "style"]
        drawn = frame[list(dict.fromkeys([*keys, *differ, *DRAWN]))]
        drawn["line"] = drawn.groupby([*keys, *differ], dropna=False, sort=False).ngroup()
        together = [*keys, "line"] if spec.kind == "versus" else keys
        lines: list[Line] = []
        for _, line in drawn.groupby(together, dropna=False, sort=False):
            place, hue, dash = line[keys].iloc[0]
            look = _look(spec, hues, dashes, hue, dash)
            lines.append((axes[place], line, look))
        if spec.kind == "versus":
            lines = _dodged(lines, spec.logx)
        mark = partial(MARKS[spec.kind], is_geometric=is_geometric)
        counts = [n for ax, line, look in lines for n in mark(ax, line, look)]
        if not counts:
            layout.fit(axes[0], frame["y"])
        for ax, (title, part) in zip(axes, panels, strict=True):
            ax.set_title(drawn_label(title), fontsize="medium")
            layout.scale(ax, np.unique(part["x"]), spec)
        for ax, line, look in lines:
            crosses(ax, line, look)
        note = note_text(spec, counts, is_geometric)
        handles = _legend(spec, frame, hues, dashes)
        data_set = name_label("data.name", experiment.data)
        title = f"{spec.title}{layout.HARD}·{layout.HARD}{data_set}"
        layout.inscribe(canvas, axes, across, spec, drawn_label(title), note, handles)
        titles = [title for title, _ in panels]
        ticks = [layout.ticked(np.unique(part["x"]), spec) for _, part in panels]
        data = curves(spec, lines, titles, ticks, across, differ, is_geometric)
    caption = caption_text(spec, note, differ, frame)
    return Drawing(canvas, spec.title, caption, alt_text(spec, hues, panels), data)


def _look(spec: Figure, hues: Sequence[Any], dashes: Sequence[Any], hue: Any, dash: Any) -> Look:
    place = hues.index(hue)
    look: Look = {
        "color": style.colours(spec.hue, hues)[hue],
        "linestyle": style.dashes(spec.style, dashes)[dash],
        "linewidth": 1.6,
        "zorder": 3 - place / 100,
        "marker": style.markers(spec.hue, hues)[hue],
        "markersize": 4.5,
    }
    if spec.kind != "versus":  # lines may coincide: the first is on top and the thinnest
        look["linewidth"] += min(0.2 * place, 0.8)
    if spec.kind == "curves":  # … and each has its markers where the others have none
        look["markevery"] = ((place + 0.5) / len(hues) * MARK_EVERY, MARK_EVERY)
    return look


def _dodged(lines: Sequence[Line], logx: bool) -> list[Line]:
    """Move the lines of each axes apart a little along x, so that no bar covers another."""
    moved = []
    for own in {id(ax): [line for line in lines if line[0] is ax] for ax, _, _ in lines}.values():
        values = pd.concat([line["x"] for _, line, _ in own])
        span = np.ptp(np.log(values)) if logx else np.ptp(values)
        for place, (ax, line, look) in enumerate(own):
            right = (place - (len(own) - 1) / 2) * min(DODGE, 5 * DODGE / len(own)) * span
            x = line["x"] * np.exp(right) if logx else line["x"] + right
            moved.append((ax, line.assign(x=x, told=line["x"]), look))
    return moved


def _legend(
    spec: Figure, frame: pd.DataFrame, hues: Sequence[Any], dashes: Sequence[Any]
) -> list[Line2D]:
    runs = frame.drop_duplicates(["arm", "seed"])
    total = runs["hue"].value_counts()
    lost = runs.loc[runs["status"] == "diverged", "hue"].value_counts()
    handles = []
    for hue in hues:
        look = _look(spec, hues, dashes, hue, dashes[0])
        name = name_label(spec.hue, hue)
        name = name if spec.hue in SELF_EXPLAINING else f"{column_label(spec.hue)}: {name}"
        if hue in lost:
            name += f" ({lost[hue]} of {total[hue]} diverged)"
        look.pop("markevery", None)
        look |= {"linestyle": style.SOLID, "label": drawn_label(name)}
        handles.append(Line2D([], [], **look))
    told = [dash for dash in dashes if dash not in ("none", "", ABSENT)]
    for dash in told if len(told) > 1 or ABSENT in dashes else []:
        dashed = style.dashes(spec.style, dashes)[dash]
        label = f"{column_label(spec.style or '')}: {name_label(spec.style or '', dash)}"
        handles.append(Line2D([], [], color=GREY, linestyle=dashed, label=drawn_label(label)))
    if len(lost):
        cross: Look = CROSS | {"color": GREY, "label": "diverged run"}
        handles.append(Line2D([], [], **cross))
    return handles
