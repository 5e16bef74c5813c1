"""Slides of 16:9 with a title and a caption, and films of them, for all pictures of the gallery.

Matplotlib's own writer gives each frame of a GIF colours of its own, which flicker, and all frames
one duration; so films are put together here, in one palette.
"""

import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from bnbench.drawing import style
from bnbench.tracking.stored import make_folder
from bnbench.tracking.whole_files import write_whole

DEPTH = 2  # below the results folder: gallery/<data>
SIZE = (12.8, 7.2)  # inches
FILM_DPI = 75  # 960 x 540
FILM_COLOURS = 96
TITLE_WIDTH, CAPTION_WIDTH = 68, 150  # characters in a line
THEME: dict[Any, Any] = {
    **style.THEME,
    **sns.plotting_context("talk", font_scale=0.95),
    "axes.titlesize": 17,
    "axes.labelpad": 5.0,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.4,
}
themed = partial(style.themed, THEME)
SIDES = {  # norm -> name of a net with it, and its colour
    "none": ("without BN", style.NORM_COLOURS["none"]),
    "batchnorm": ("with BN", style.NORM_COLOURS["batchnorm"]),
}
ACCENT = style.NORM_COLOURS["lrn"]  # vermilion, for the moving parts


def slide(title: str, caption: str) -> Figure:
    """Make an empty figure of 16:9 with a title above and a caption in small type below."""
    room = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=SIZE, layout=room, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(balanced(title), weight="bold", fontsize=21)
    small = {"fontsize": 11.5, "color": "#4a4f57", "style": "normal", "weight": "normal"}
    figure.supxlabel(textwrap.fill(caption, CAPTION_WIDTH), x=0.01, ha="left", **small)
    return figure


def balanced(title: str) -> str:
    """Break a title into the fewest lines, of about one length.

    >>> balanced("a" * 40 + " " + "b" * 40).count(chr(10))
    1
    """
    lines = -(-len(title) // TITLE_WIDTH)
    return textwrap.fill(title, min(TITLE_WIDTH, len(title) // lines + 6))


def save(figure: Figure, path: Path) -> list[str]:
    """Write a slide as .png and .svg; return the names of the files."""
    style.save(figure, path, THEME, DEPTH)
    return [path.with_suffix(suffix).name for suffix in (".png", ".svg")]


def film(
    figure: Figure, path: Path, show: Callable[[int], None], durations: Sequence[int]
) -> list[str]:
    """Write a slide that moves as an endless GIF, and its last frame as .png and .svg.

    Args:
        figure: the slide; its layout is made for the last frame and then stays as it is.
        path: where to, without a suffix.
        show: a function that puts the artists of a frame in place.
        durations: of each frame, in ms; a browser shows none for less than 20.

    Returns:
        The names of the files.
    """
    last = len(durations) - 1
    with themed():
        show(last)
        figure.canvas.draw()
        figure.set_layout_engine("none")
        figure.set_dpi(FILM_DPI)
        frames = [frame(figure, show, number) for number in range(len(durations))]
    # by this method white is 254 of 255; by the default one it is grey
    palette = frames[-1].quantize(FILM_COLOURS, Image.Quantize.FASTOCTREE)
    one, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in frames)
    make_folder(path.parent, DEPTH)
    moving, content = path.with_suffix(".gif"), BytesIO()
    look = {"duration": list(durations), "loop": 0, "optimize": False}
    one.save(content, "gif", save_all=True, append_images=others, **look)
    write_whole(moving, content.getvalue(), DEPTH)
    show(last)
    return [moving.name, *save(figure, path)]


def frame(figure: Figure, show: Callable[[int], None], number: int) -> Image.Image:
    """Render one frame of a film as pixels."""
    show(number)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
