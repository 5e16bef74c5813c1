"""The layer's benchmark as a figure: speed beside torch's for each pass, and error far from 0."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bnbench.drawing.layout import PAGE, below, entitle
from bnbench.drawing.style import save, themed

COLOURS = {"native": "#56b4e9", "cpp": "#d55e00", "reference": "#0072b2"}
MARKERS = {"native": "o", "cpp": "s", "reference": "D"}
NOTE = "median of the rounds, bar: 10th to 90th percentile"
STEP = 0.2  # between the backends of one case


def draw(table: Path, folder: Path) -> None:
    """Draw `bench_layer.csv` into `bench_layer.png` and `.svg`."""
    rows = pd.read_csv(table)
    rows["case"] = rows["shape"] + "\n" + rows["layout"]
    cases = list(dict.fromkeys(rows["case"]))
    works = list(dict.fromkeys(rows["work"]))
    with themed():
        figure = Figure(figsize=(PAGE, 0.5 * len(cases) + 0.8), layout="constrained")
        axes = figure.subplots(1, len(works) + 1, sharey=True)
        for axis, work in zip(axes, works, strict=False):
            draw_numbers(axis, rows[rows["work"] == work], cases, "ratio", ("p10", "p90"))
            axis.set_title(work)
            axis.axvline(1, color="#8a8f98", linewidth=0.8)
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
            axis.set_xlabel("times as fast\nas torch's")
        draw_numbers(axes[-1], rows[rows["work"] == works[0]], cases, "far_y_error")
        axes[-1].set_title("error of y at mean 10⁴")
        axes[-1].set_xscale("log")
        axes[-1].xaxis.set_major_locator(LogLocator(numticks=4))
        axes[-1].set_xlabel("share of the\ngreatest |y|")
        axes[0].set_yticks(range(len(cases)), cases)
        axes[0].set_ylim(len(cases) - 0.5, -0.5)
        entitle(figure, "BatchNorm by backend, float32 on one CPU thread")
        below(figure, axes[0].get_legend_handles_labels()[0], NOTE)
    save(figure, folder / "bench_layer")


def draw_numbers(
    axis: Axes, rows: pd.DataFrame, cases: list[str], column: str, ends: Sequence[str] = ()
) -> None:
    """Draw a column as a point for each case and backend, with bars between two others."""
    for place, backend in enumerate(COLOURS):
        part = rows[rows["backend"] == backend].set_index("case").reindex(cases)
        value = part[column]
        spread = [np.clip(abs(value - part[end]), 0, None) for end in ends]
        axis.errorbar(
            value,
            np.arange(len(cases)) + STEP * (place - 1),  # a little apart
            xerr=spread or None,
            fmt=MARKERS[backend],
            color=COLOURS[backend],
            markersize=5,
            label=backend,
        )
