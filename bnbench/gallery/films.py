"""The two pictures that move: gradient descent step by step, and densities over training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bnbench.gallery import slides
from bnbench.gallery.descent import Descent
from bnbench.gallery.slides import ACCENT, SIDES, themed
from bnbench.measured.problems.least_squares import TOLERANCE

CURVE = 0.6  # the width of the curve beside the surfaces
HOLD_FIRST, HOLD_LAST = 1200, 3500  # ms
SATURATED = 2.887  # from here on the derivative of the sigmoid is below 0.05: 2 artanh(sqrt(0.8))
INK = "#2b2f36"


@dataclass(frozen=True)
class Densities:
    """The distributions of the inputs of the activations of one net, over training.

    Attributes:
        norm: `none` or `batchnorm`.
        steps: of each point in time, (T,).
        shares: of the values in each bin, (T, layers, bins); the first and last bin are open.
        edges: between the bins, (bins - 1,).
        accuracy: on the validation images in percent, NaN where it was not measured, (T,).
    """

    norm: str
    steps: np.ndarray
    shares: np.ndarray
    edges: np.ndarray
    accuracy: np.ndarray

    def density(self) -> np.ndarray:
        """Share per unit of the axis, (T, layers, bins - 2)."""
        return self.shares[:, :, 1:-1] / np.diff(self.edges)


def chosen(steps: Sequence[int], count: int) -> list[int]:
    """Choose the places of about `number` steps, even in their logarithm, with first and last.

    >>> chosen([0, 1, 2, 3, 4, 5, 6, 7, 8], 4)
    [0, 1, 3, 8]
    """
    known = np.asarray(steps)
    grid = np.geomspace(1, max(known[-1], 1), count - 1)
    nearest = {int(np.abs(known - step).argmin()) for step in grid}
    return sorted({0, len(known) - 1} | nearest)


def descent_film(ways: Sequence[Descent], title: str, caption: str, path: Path) -> list[str]:
    """Draw two paths side by side with their losses; return the names of the files."""
    raw, _ = ways
    looks = {0: SIDES["none"][1], 1: SIDES["batchnorm"][1]}
    with themed():
        figure = slides.slide(title, caption)
        left, right, curve = figure.subplots(1, 3, width_ratios=(1, 1, CURVE))
        moving = []
        left.set_ylabel("weight of feature 2")
        for ax, way in zip((left, right), ways, strict=True):
            contours(ax, way)
            ax.set_xlabel("weight of feature 1")
            (line,) = ax.plot([], [], "-o", color=ACCENT, linewidth=1.8, markersize=5, zorder=3)
            (head,) = ax.plot([], [], "o", color=ACCENT, markersize=12, mec="white", zorder=6)
            moving.append((way, line, head, ax.set_title("")))
        marks = []
        for number, way in enumerate(ways):
            share = way.excess / way.excess[0]
            (line,) = curve.plot([], [], "-o", color=looks[number], markersize=5, label=way.name)
            marks.append((share.numpy(), line))
        curve.set_yscale("log")
        curve.set_ylim(TOLERANCE / 6, 30)  # the legend stands above
        curve.set_xlim(-0.03 * raw.steps, 1.03 * raw.steps)
        curve.axhline(TOLERANCE, color="#8a8f98", linestyle="--", linewidth=1.2)
        curve.set_xlabel("step")
        curve.set_title("excess loss (share)")
        curve.legend(loc="upper right", fontsize=12, handlelength=1)
        curve.set_box_aspect(1 / CURVE)

    def show(step: int) -> None:
        for way, line, head, heading in moving:
            now = min(step, way.steps)
            walked = way.path[: now + 1].numpy()
            line.set_data(*walked.T)
            head.set_data(*walked[-1:].T)
            heading.set_text(f"{way.name}: step {now}")
        for share, line in marks:
            walked = share[: step + 1]
            line.set_data(np.arange(len(walked)), walked)

    slow = [HOLD_FIRST, *[600] * 5]
    durations = [*[*slow, *[180] * raw.steps][: raw.steps], HOLD_LAST]
    return slides.film(figure, path, show, durations)


def contours(ax: Axes, way: Descent) -> None:
    """Draw the surface of one problem, at the same levels for all problems."""
    levels = 2.0 ** np.arange(-8, 6)
    height = np.clip(way.surface.numpy(), levels[0], levels[-1])
    one, other = (axis.numpy() for axis in way.axes)
    shades = {"levels": np.log2(levels), "cmap": "Blues", "alpha": 0.8}
    ax.contourf(one, other, np.log2(height), **shades)
    ax.contour(one, other, height, levels=levels, colors="#5f7f9f", linewidths=0.6)
    low = way.axes[0].mean().item(), way.axes[1].mean().item()
    ax.plot(*low, "*", color=INK, markersize=15, zorder=5, mec="white")
    ax.grid(visible=False)
    ax.set_aspect("equal")


def densities_film(
    nets: Sequence[Densities], title: str, caption: str, path: Path, count: int = 44
) -> list[str]:
    """Draw the densities of all layers of two nets side by side over training.

    Raises:
        ValueError: the nets were not measured at the same steps.
    """
    steps = nets[0].steps
    if any(not np.array_equal(net.steps, steps) for net in nets):
        raise ValueError("nets that are shown together are measured at the same steps")
    places = chosen(steps.tolist(), count)
    highest = max(float(np.nanmax(net.density(), initial=0)) for net in nets) or 1.0
    layers = nets[0].shares.shape[1]
    with themed():
        figure = slides.slide(title, caption)
        axes = figure.subplots(1, len(nets), sharey=True)
        ridges = [ridge_axes(ax, net, layers) for ax, net in zip(axes, nets, strict=True)]
        axes[0].set_ylabel("layer")

    def show(number: int) -> None:
        place = places[number]
        for net, (fills, lines, heading) in zip(nets, ridges, strict=True):
            centres = (net.edges[1:] + net.edges[:-1]) / 2
            density = np.nan_to_num(net.density()[place])
            for layer, (fill, line) in enumerate(zip(fills, lines, strict=True)):
                height = layer + 0.92 * density[layer] / highest
                fill.set_data(centres, np.full_like(height, layer), height)
                line.set_data(centres, height)
            accuracy = net.accuracy[place]
            told = "" if np.isnan(accuracy) else f", accuracy {accuracy:.0f} %"
            heading.set_text(f"{SIDES[net.norm][0]}: step {steps[place]}{told}")

    durations = [HOLD_FIRST, *[220] * (len(places) - 2), HOLD_LAST]
    return slides.film(figure, path, show, durations)


def ridge_axes(ax: Axes, net: Densities, layers: int):
    """Draw the fixed parts of one side of the film; return the artists that move."""
    colour = SIDES[net.norm][1]
    fills, lines = [], []
    for layer in range(layers):
        ax.axhline(layer, color="#c9cdd3", linewidth=0.8, zorder=1)
        fills.append(ax.fill_between([0, 1], [0, 0], color=colour, alpha=0.45, linewidth=0))
        lines.extend(ax.plot([], [], color=colour, linewidth=1.8))
    ends = net.edges[0], net.edges[-1]
    for low, high in ((ends[0], -SATURATED), (SATURATED, ends[1])):
        ax.axvspan(low, high, color="#f3ead9", zorder=0, linewidth=0)
    note = {"ha": "center", "va": "top", "fontsize": 12, "color": "#7a6a45"}
    for centre in ((ends[0] - SATURATED) / 2, (ends[1] + SATURATED) / 2):
        ax.text(centre, layers + 0.02, "saturated (σ′ < 0.05)", **note)
    ax.set_xlim(*ends)
    ax.set_ylim(-0.05, layers + 0.08)
    ax.set_yticks(range(layers), [str(layer) for layer in range(1, layers + 1)])
    ax.grid(visible=False)
    ax.set_xlabel("value that enters the sigmoid")
    return fills, lines, ax.set_title("", color=colour, weight="bold")
