"""The one look of all figures: a colour and marker per norm, a dash per placement, the same theme.

The colours are those of Okabe & Ito (2008) and, for the variants of batch normalisation, of Tol's
schemes "muted" (2021) and of twelve colours (2012): people with any colour vision tell those of one
scheme apart.
"""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

NORM_COLOURS = {
    "none": "#4d4d4d",
    "batchnorm": "#0072b2",
    "torch_batchnorm": "#56b4e9",
    "layernorm": "#e69f00",
    "groupnorm": "#009e73",
    "instancenorm": "#cc79a7",
    "lrn": "#d55e00",
    "ghost_batchnorm": "#332288",
    "batch_renorm": "#882255",
    "noisy_batchnorm": "#999933",
    "noise": "#ddcc77",
    "l1_batchnorm": "#44aa99",
    "linf_batchnorm": "#117733",
    "sync_batchnorm": "#88ccee",
    "l2norm": "#aa4499",
    "batchnorm_lrn": "#661100",
}
# there are no more filled markers by a letter than these: (4, 1, 0) is a star with four points
MARKERS = dict(zip(NORM_COLOURS, [*"sov^DPX<>phH8d*", (4, 1, 0)], strict=True))
OTHER_NORM = "#8c6d31"  # one that the table does not know yet
SOLID, DASHED, DOTTED = "-", (0, (4, 1.6)), (0, (1, 1.3))
DASHES: dict[str, dict[str, Any]] = {
    "placement": {"pre": SOLID, "post": DASHED, "none": SOLID},
    "policy": {
        "none": SOLID,
        "ema": SOLID,
        "precise": DASHED,
        "batch": DOTTED,
        "adabn": (0, (6, 1.5, 1, 1.5)),
        "blend": (0, (3, 1, 1, 1, 1, 1)),
        "algorithm2": (0, (8, 2)),
        "cumulative": (0, (2, 1)),
        "recalibrated": (0, (5, 1, 2, 1)),
    },
}
FREE_DASHES = (SOLID, DASHED, DOTTED, (0, (6, 1.5, 1, 1.5)))

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
    "svg.hashsalt": "bnbench",
}
DPI = 144
NUM_COLOURS = 128


def ordered(column: str, values: Iterable[Any]) -> list[Any]:
    """Distinct values of a column in the order of figures and legends: norms as in the table."""
    known = list(NORM_COLOURS) if column == "norm.name" else ["none", "ema", "pre"]
    rank = {name: place for place, name in enumerate(known)}
    return sorted(
        set(values),
        key=lambda value: (rank.get(value, len(rank)), isinstance(value, str), value),
    )


def colours(column: str, values: Sequence[Any]) -> dict[Any, Any]:
    """The colour of each value: fixed for norms, light to dark for numbers, else a palette."""
    if column == "norm.name":
        return {value: NORM_COLOURS.get(value, OTHER_NORM) for value in values}
    if any(isinstance(value, str) for value in values):
        return dict(zip(values, sns.color_palette("colorblind", len(values)), strict=True))
    return dict(zip(values, sns.color_palette("viridis_r", len(values) + 1)[1:], strict=True))


def dashes(column: str | None, values: Sequence[Any]) -> dict[Any, Any]:
    """The dash of each value: fixed for placements and policies, else in turn."""
    fixed = DASHES.get(column or "", {})
    return {
        value: fixed.get(value, FREE_DASHES[place % len(FREE_DASHES)])
        for place, value in enumerate(values)
    }


def save(figure: Figure, path: Path, theme: dict[Any, Any] = THEME) -> None:
    """Write `path` as .png and .svg, byte for byte the same each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = BytesIO()
    with mpl.rc_context(theme):
        figure.savefig(pixels, format="png", dpi=DPI)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    # A palette makes the file, and the report that embeds it, three times smaller.
    image = Image.open(pixels).convert("RGB").quantize(NUM_COLOURS)
    image.save(path.with_suffix(".png"), optimize=True)
