"""The layer's benchmark as a figure: speed beside torch's for each pass, and error far from 0."""

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
            speed(axis, rows[rows["work"] == work], cases)
            axis.set_title(work)
        accuracy(axes[-1], rows[rows["work"] == works[0]], cases)
        axes[0].set_yticks(range(len(cases)), cases)
        axes[0].set_ylim(len(cases) - 0.5, -0.5)
        entitle(figure, "BatchNorm by backend, float32 on one CPU thread")
        below(figure, axes[0].get_legend_handles_labels()[0], NOTE)
    save(figure, folder / "bench_layer")


def speed(axis: Axes, rows: pd.DataFrame, cases: list[str]) -> None:
    """Draw the speed relative to torch's, with the 10th to 90th percentile of the rounds."""
    for backend in rows["backend"].unique():
        part = rows[rows["backend"] == backend].set_index("case").loc[cases]
        ratio, low, high = (part[key].to_numpy() for key in ("ratio", "p10", "p90"))
        axis.errorbar(
            ratio,
            places(backend, cases),
            xerr=np.clip([ratio - low, high - ratio], 0, None),
            fmt=MARKERS[backend],
            color=COLOURS[backend],
            markersize=5,
            label=backend,
        )
    axis.axvline(1, color="#8a8f98", linewidth=0.8)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("times as fast\nas torch's")


def accuracy(axis: Axes, rows: pd.DataFrame, cases: list[str]) -> None:
    """Draw the greatest error of y in training, at mean 10,000 and spread 1."""
    for backend in rows["backend"].unique():
        part = rows[rows["backend"] == backend].set_index("case").loc[cases]
        axis.plot(
            part["far_y_error"],
            places(backend, cases),
            MARKERS[backend],
            color=COLOURS[backend],
            markersize=5,
        )
    axis.set_xscale("log")
    axis.set_title("error of y at mean 10⁴")
    axis.xaxis.set_major_locator(LogLocator(numticks=4))
    axis.set_xlabel("share of the\ngreatest |y|")


def places(backend: str, cases: list[str]) -> list[float]:
    """Compute the height of each case, a little apart for each backend."""
    shift = STEP * (list(COLOURS).index(backend) - 1)
    return [place + shift for place in range(len(cases))]
