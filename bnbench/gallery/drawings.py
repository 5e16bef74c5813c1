"""The pictures that stand still: planes through nets, the loss along gradients, bands by layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bnbench.gallery import slides
from bnbench.gallery.slides import SIDES, themed

LOW, HIGH = 1e-3, 30.0  # nats; the scale of colours, the same for all planes
BASIN = 0.5  # nats: the basin is the region below
QUANTITIES = {  # of the runs with the loss along the gradient: metric -> heading
    "loss": "training loss (nats)",
    "loss_range": "range of the loss within a step (nats)",
    "predictiveness": "change of the gradient within a step",
    "smoothness": "change of the gradient per distance",
}


@dataclass(frozen=True)
class PlaneOf:
    """The loss on a plane through one net.

    Attributes:
        norm: `none` or `batchnorm`.
        rate: the learning rate that the net was trained at.
        axis: the weights of both directions, (n,).
        loss: in nats, (n, n), a row for each weight of the second.
        others: basins of the same kind of net with other seeds, as shares.
    """

    norm: str
    rate: float
    axis: np.ndarray
    loss: np.ndarray
    others: Sequence[float]

    @property
    def basin(self) -> float:
        """The share of the plane where the loss is below BASIN."""
        return share_below(self.loss)

    @property
    def name(self) -> str:
        """The name of the net: `with BN, rate 0.1`."""
        return f"{SIDES[self.norm][0]}, rate {self.rate:g}"


def share_below(loss: np.ndarray) -> float:
    """Compute the share of points where the loss is below BASIN; NaN is not below.

    >>> share_below(np.array([[0.1, 0.6], [0.4, np.nan]]))
    0.5
    """
    return float((loss < BASIN).mean())


def planes_title(planes: Sequence[PlaneOf]) -> str:
    """Write the title of the planes, with the shares of their basins."""
    told = []
    for norm in dict.fromkeys(plane.norm for plane in planes):
        shares = [f"{100 * plane.basin:.0f}" for plane in planes if plane.norm == norm]
        told.append(f"{' and '.join(shares)} % of the plane {SIDES[norm][0]}")
    return f"The loss stays below {BASIN} nats on {', on '.join(told)}"


def draw_planes(planes: Sequence[PlaneOf], title: str, caption: str) -> Figure:
    """Draw contours of the loss around trained weights, side by side on one scale."""
    levels = np.geomspace(LOW, HIGH, 19)
    with themed():
        figure = slides.slide(title, caption)
        axes = figure.subplots(1, len(planes), sharey=True, squeeze=False)[0]
        for ax, plane in zip(axes, planes, strict=True):
            height = np.clip(np.nan_to_num(plane.loss, nan=HIGH), LOW, HIGH)
            shades = {"levels": levels, "norm": LogNorm(LOW, HIGH), "cmap": "viridis"}
            ax.contourf(plane.axis, plane.axis, height, **shades)
            look = {"colors": "white", "linewidths": [0.9, 2.2, 0.9]}
            lines = ax.contour(plane.axis, plane.axis, height, levels=[0.05, BASIN, 5], **look)
            ax.clabel(lines, fmt="%g", fontsize=12)
            ax.plot(0, 0, "*", color="white", markersize=15, mec="#2b2f36")
            ax.set_title(plane.name, color=SIDES[plane.norm][1], weight="bold")
            ax.set_xticks([-1, 0, 1])
            ax.set_yticks([-1, 0, 1])
            ax.set_aspect("equal")
            ax.grid(visible=False)
            ax.set_xlabel("along direction 1")
        axes[0].set_ylabel("along direction 2")
        look = {"location": "bottom", "shrink": 0.6, "aspect": 45, "pad": 0.02}
        scale = ScalarMappable(LogNorm(LOW, HIGH), "viridis")
        bar = figure.colorbar(scale, ax=list(axes), **look)
        ticks = [0.001, 0.01, 0.1, 1, 10]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.set_label("training loss (nats)")
        bar.minorticks_off()
    return figure


Curves = Mapping[str, np.ndarray]  # norm -> values (seeds, T)


def halves(steps: np.ndarray, curves: Curves) -> tuple[float, float]:
    """Compute the ratio of the medians with BN to those without, in either half of the steps.

    The ratio is a geometric mean over the points of a half; NaN without positive points.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(np.median(curves["batchnorm"], 0) / np.median(curves["none"], 0))
    late = steps > steps[-1] / 2
    parts = (log[part & np.isfinite(log)] for part in (~late, late))
    first, second = (float(np.exp(x.mean())) if len(x) else math.nan for x in parts)
    return first, second


def draw_gradient(
    steps: np.ndarray, quantities: Mapping[str, Curves], title: str, caption: str
) -> Figure:
    """Draw the loss along the gradient over training: a thin line a seed, a thick one the median.

    Args:
        steps: from 1 on, (T,).
        quantities: a key of QUANTITIES -> norm -> values.
        title: of the slide.
        caption: of the slide.
    """
    with themed():
        figure = slides.slide(title, caption)
        axes = figure.subplots(2, 2, sharex=True).ravel()
        for ax, (metric, heading) in zip(axes, QUANTITIES.items(), strict=True):
            for norm, values in quantities[metric].items():
                name, colour = SIDES[norm]
                ax.plot(steps, values.T, color=colour, alpha=0.3, linewidth=1)
                ax.plot(steps, np.median(values, 0), color=colour, linewidth=3, label=name)
            ax.set_yscale("log")
            ax.set_title(heading, fontsize=15)
        for ax in axes[2:]:
            ax.set_xlabel("training step")
        axes[0].legend(loc="lower left", fontsize=14)
    return figure


def draw_bands(
    steps: np.ndarray, bands: Mapping[str, np.ndarray], title: str, caption: str
) -> Figure:
    """Draw percentiles of the inputs of the activations, by layer over training.

    Args:
        steps: (T,).
        bands: norm -> the 15th, 50th and 85th percentile, (T, layers, 3).
        title: of the slide.
        caption: of the slide.
    """
    layers = next(iter(bands.values())).shape[1]
    with themed():
        figure = slides.slide(title, caption)
        grid = figure.subplots(len(bands), layers, sharex=True, sharey=True, squeeze=False)
        for row, (norm, values) in zip(grid, bands.items(), strict=True):
            name, colour = SIDES[norm]
            for layer, ax in enumerate(row):
                low, mid, high = values[:, layer].T
                ax.fill_between(steps, low, high, color=colour, alpha=0.35, linewidth=0)
                ax.plot(steps, mid, color=colour)
                ax.set_xscale("symlog", linthresh=1)
                ax.set_xlim(0, steps[-1])
                ax.minorticks_off()
            row[0].set_ylabel(name, color=colour, weight="bold")
        figure.supylabel("value that enters the sigmoid", fontsize=16)
        for layer, ax in enumerate(grid[0], 1):
            ax.set_title(f"layer {layer}")
        ticks = [tick for tick in (0, 1, 10, 100, 1000, 10000) if tick <= steps[-1]]
        for ax in grid[-1]:
            ax.set_xlabel("step")
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    return figure
