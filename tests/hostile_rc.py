"""Settings of matplotlib that no figure may follow, and figures of every kind to try it on.

`python hostile_rc.py FOLDER` draws the figures.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fake_claims import part, write_folder
from fake_results import config, write_experiment, write_run

from bnbench import ROOT
from bnbench.analysis.verdicts import ClaimView, read_claims
from bnbench.drawing import bench_figure, style
from bnbench.drawing.claims import forest, surface
from bnbench.gallery import drawings, slides
from bnbench.gallery.drawings import PlaneOf
from bnbench.gallery.films import Densities, densities_film
from bnbench.pages.report import write_report

mpl = style.mpl  # as the project imports it

# of windows, animations and other programs: no figure follows them
ELSEWHERE = (
    *("animation", "backend", "date", "docstring", "interactive", "keymap", "macosx", "timezone"),
    *("tk", "toolbar", "webagg", "figure.max_open_warning", "figure.raise_window"),
    "savefig.directory",
    *("text.hinting_factor", "text.kerning_factor"),  # matplotlib warns of them
)
# the first of them that a key takes, and that is another than its default, is its hostile value
OTHERS: tuple[Any, ...] = (
    *("red", "serif", "bold", "x-large", "round", "oblique", "center", "--", "cm", "stix"),
    *("bf", "random", "top", "right", "magma", "lower", "data", "both", "x", "in", "none", "path"),
    *("round_numbers", "small-caps", "condensed", "bevel", "landscape", "tight", "mpl2005"),
    *(7, 0.25, True, False, "3, 4", "[-3, 4]", "cycler(color=['r', 'g'])", (1, 100, 2)),
)


def hostile() -> dict[str, Any]:
    """Every key of matplotlib that bears on figures, with another value than by default."""
    found = {}
    for key, default in mpl.rcParamsDefault.items():
        if key.startswith(ELSEWHERE):
            continue
        for value in (*near(default), *OTHERS):
            with suppress(Exception):  # not a value of this key: there are many kinds of refusals
                if mpl.RcParams({key: value})[key] != default:
                    found[key] = value
                    break
    return found


def near(default: Any) -> Iterator[Any]:
    """Another value of the kind of a default."""
    if isinstance(default, bool):
        yield not default
    elif isinstance(default, int | float):
        yield from (default * 2 + 1, 0.5)


def written(settings: dict[str, Any]) -> str:
    """Settings as the lines of a matplotlibrc."""
    plain = {k: ", ".join(map(str, v)) if isinstance(v, tuple) else v for k, v in settings.items()}
    return "".join(f"{key}: {value}\n" for key, value in plain.items())


def claim(folder: Path) -> None:
    """Draw a claim with a log axis and one with a linear one."""
    parts = [
        part("a", "confirmed", 0.9, ratio=True, sesoi=(1.5, None)),
        part("b", "confirmed", 2.0, unit="pp"),
    ]
    write_folder(folder, [(ClaimView("C1", "F", "BN helps.", "X"), "confirmed", parts, 0.9)])
    style.save(forest(read_claims(folder)[0]).canvas, folder / "C1")


def contours(folder: Path) -> None:
    """Draw an error surface, and a slide and a film of the gallery."""
    axis = np.linspace(-1, 1, 9)
    grid = [("scaled", "loss", x, y, x**2 + y**2, None) for x in axis for y in axis]
    path = [("scaled", "path", 0.9 / 2**k, 0.5 / 2**k, 1 / 2**k, k) for k in range(4)]
    table = pd.DataFrame([*grid, *path], columns=["features", "kind", "x", "y", "value", "step"])
    style.save(surface(table, "M8").canvas, folder / "surface")
    loss = axis[:, None] ** 2 + axis**2 + 0.01
    planes = [PlaneOf(norm, 0.01, axis, loss, []) for norm in ("none", "batchnorm")]
    slides.save(drawings.draw_planes(planes, "A title", "A caption."), folder / "planes")
    shares = np.zeros((3, 2, 10))
    shares[:, :, 4] = 1
    edges, accuracy = np.linspace(-8, 8, 9), np.array([np.nan, 10.0, 20.0])
    nets = [
        Densities(norm, np.arange(3), shares, edges, accuracy) for norm in ("none", "batchnorm")
    ]
    densities_film(nets, "A title", "A caption.", folder / "film")


def report(folder: Path) -> None:
    """Draw the report of an experiment: curves, and a final value by batch size."""
    trees = [config(norm=norm, batch_size=n) for norm in ("none", "batchnorm") for n in (8, 64)]
    rows = [write_run(folder, tree, seed, seed < 1) for tree in trees for seed in range(3)]
    figures = [
        {"kind": "curves", "title": "Curves", "x": "step", "y": "val/accuracy"},
        {"kind": "versus", "title": "Versus", "x": "batch_size", "y": "test/accuracy"},
    ]
    asked = {"question": "?", "figures": figures}
    write_experiment(folder, "one", rows, report=asked)
    write_report(folder)


def bench(folder: Path) -> None:
    """Draw the timings of the layer."""
    table = ROOT / "results" / "reference" / "bench_layer.csv"
    bench_figure.draw(table, folder)


DRAWN = (report, claim, contours, bench)

if __name__ == "__main__":
    for draw in DRAWN:
        draw(Path(sys.argv[1]) / draw.__name__)
