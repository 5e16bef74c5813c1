"""The one look of all figures: a colour and marker per norm, a dash per placement, the same theme.

The colours are those of Okabe & Ito (2008) and, for the variants of batch normalisation, ones that
were searched for: far from each other and from these under any colour vision, the farther where a
shipped experiment shows both. A test simulates how people see them.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from bnbench.config.labels import ABSENT
from bnbench.tracking.stored import make_folder
from bnbench.tracking.whole_files import write_whole

NORM_COLOURS = {
    "none": "#4d4d4d",
    "batchnorm": "#0072b2",
    "torch_batchnorm": "#56b4e9",
    "layernorm": "#e69f00",
    "groupnorm": "#009e73",
    "instancenorm": "#cc79a7",
    "lrn": "#d55e00",
    "ghost_batchnorm": "#5700b3",
    "batch_renorm": "#581760",
    "noisy_batchnorm": "#90613d",
    "noise": "#e4ca74",
    "l1_batchnorm": "#9f48ff",
    "linf_batchnorm": "#a91900",
    "sync_batchnorm": "#b1d3ba",
    "l2norm": "#001bff",
    "batchnorm_lrn": "#661100",
}
# matplotlib has no more filled markers with a letter; (4, 1, 0) is a star with four points
MARKERS = dict(zip(NORM_COLOURS, [*"sov^DPX<>phH8d*", (4, 1, 0)], strict=True))
# Norms that the table lacks are those of plugins: results have no more of them than their names.
OTHER_COLOURS = ("#8c6d31", "#e7298a", "#00a6a6", "#7a9a01", "#ff7f6e", "#8e6fb5")
OTHER_MARKERS = ("p", "X", "v", "D", "^", "h")
LIGHT_TO_DARK = (0.75, 0.05)  # range of viridis; lighter colours are lost on white
SOLID, DASHED, DOTTED = "-", (0, (4, 1.6)), (0, (1, 1.3))
DASHDOT = (0, (6, 1.5, 1, 1.5))
DASHES: dict[str, dict[str, Any]] = {
    "placement": {"pre": SOLID, "post": DASHED, "none": SOLID},
    "policy": {
        "none": SOLID,
        "ema": SOLID,
        "precise": DASHED,
        "batch": DOTTED,
        "adabn": DASHDOT,
        "blend": (0, (3, 1, 1, 1, 1, 1)),
        "algorithm2": (0, (9, 2.5)),
        "cumulative": (0, (2, 1)),
        "recalibrated": (0, (6, 1.5, 1, 1.5, 1, 1.5, 1, 1.5)),
    },
}
FREE_DASHES = (SOLID, DASHED, DOTTED, DASHDOT)

THEME: dict[Any, Any] = {
    **sns.plotting_context("paper", font_scale=1.1),
    **sns.axes_style("whitegrid"),
    "agg.path.chunksize": 5000,  # many lines are one path, and longer ones it cannot draw
    "axes.edgecolor": "#8a8f98",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same pixels everywhere
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.handlelength": 2.8,  # two periods of the longest dash
    "svg.hashsalt": "bnbench",
}
DPI = 144
NUM_COLOURS = 128


def ordered(column: str, values: Iterable[Any]) -> list[Any]:
    """Sort distinct values for figures and legends: norms as in the table."""
    known = list(NORM_COLOURS) if column == "norm.name" else ["none", "ema", "pre"]
    rank = {name: place for place, name in enumerate(known)}
    return sorted(
        set(values),
        key=lambda value: (rank.get(value, len(rank)), isinstance(value, str), value),
    )


def colours(column: str, values: Sequence[Any]) -> dict[Any, Any]:
    """Choose a colour for each value: fixed for norms alone, else from light to dark."""
    if column == "norm.name":
        return {value: norm_colour(value) for value in values}
    places = np.linspace(*LIGHT_TO_DARK, len(values))
    return dict(zip(values, map(tuple, mpl.colormaps["viridis"](places)[:, :3]), strict=True))


def norm_colour(name: Any) -> str:
    """Choose the colour of a norm: that of the table, else one that follows from its name alone.

    >>> norm_colour("batchnorm"), norm_colour("a norm of mine") in OTHER_COLOURS
    ('#0072b2', True)
    """
    return NORM_COLOURS.get(name) or own(name, OTHER_COLOURS, 0)


def own(name: Any, looks: Sequence[str], place: int) -> str:
    """Choose one of some looks by a name: the same in every figure, table and process."""
    return looks[hashlib.sha256(str(name).encode()).digest()[place] % len(looks)]


def markers(column: str, values: Sequence[Any]) -> dict[Any, Any]:
    """Choose a marker for each value: fixed for norms, else in turn."""
    if column == "norm.name":
        return {value: MARKERS.get(value) or own(value, OTHER_MARKERS, 1) for value in values}
    return dict(zip(values, cycle(MARKERS.values())))


def dashes(column: str | None, values: Sequence[Any]) -> dict[Any, Any]:
    """Choose a dash for each value: fixed for placements and policies, else in turn.

    An arm without the setting has a solid line.
    """
    fixed = DASHES.get(column or "", {})
    in_turn = sorted(values, key=lambda value: value != ABSENT)
    return {
        value: fixed.get(value, FREE_DASHES[place % len(FREE_DASHES)])
        for place, value in enumerate(in_turn)
    }


@contextmanager
def themed(theme: Mapping[Any, Any] = THEME) -> Iterator[None]:
    """Apply matplotlib's own defaults and our theme, without the user's matplotlibrc.

    Every figure is built and written in this context. The caller's settings are back afterwards.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(theme)
        yield


def save(figure: Figure, path: Path, theme: Mapping[Any, Any] = THEME, depth: int = 0) -> None:
    """Write `path` as .png and .svg, byte for byte the same each time.

    Args:
        figure: the figure.
        path: the file, with either suffix.
        theme: the theme of the figure.
        depth: of the folder below the results folder, see `stored.check_folder`.

    Raises:
        OSError: a file cannot be written; the text names it.
    """
    make_folder(path.parent, depth)
    drawing, small = BytesIO(), BytesIO()
    with themed(theme), arranged(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.array(canvas.buffer_rgba())
        FigureCanvasSVG(figure).print_svg(drawing, metadata={"Date": None, "Creator": None})
    write_whole(path.with_suffix(".svg"), with_numbered_clips(drawing.getvalue()), depth)
    # A palette makes the file, and the report that embeds it, three times smaller.
    image = Image.fromarray(pixels).convert("RGB").quantize(NUM_COLOURS)
    image.save(small, "png", optimize=True)
    write_whole(path.with_suffix(".png"), small.getvalue(), depth)


@contextmanager
def arranged(figure: Figure) -> Iterator[None]:
    """Lay a figure out once, at the resolution of the PNG, for every format that is written.

    `Figure.savefig` would solve the layout for each format anew, and draw each twice.
    """
    dpi, engine = figure.dpi, figure.get_layout_engine()
    figure.dpi = DPI
    try:
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")
        yield
    finally:
        figure.set_layout_engine(engine)
        figure.dpi = dpi


def with_numbered_clips(svg: bytes) -> bytes:
    """Number the clip paths of an SVG in their order.

    Matplotlib names a clip path by a hash of its place, to the last bit, and the solver of
    constrained layouts does not give the same last bit each time.
    """
    names = dict.fromkeys(re.findall(rb'clip-path="url\(#(\w+)\)"', svg))
    numbers = {name: b"clip%d" % number for number, name in enumerate(names, 1)}
    return re.sub(rb'(clip-path="url\(#|<clipPath id=")(\w+)', lambda m: m[1] + numbers[m[2]], svg)
