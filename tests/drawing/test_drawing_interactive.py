"""Figures as data: the numbers of the image, thinned, and each line with its arm."""

import hashlib
import json
import re

import numpy as np
import pytest
from fake_results import POINTS, arm_of, config, write_experiment, write_run, write_shifts

from bnbench.analysis.load import load
from bnbench.analysis.stats import mean_interval
from bnbench.config.schema import Figure, FigureKind
from bnbench.drawing import interactive, layout, style
from bnbench.drawing.plots import draw
from bnbench.pages.render import PLOTLY


def drawn(experiment, **changes):
    return both(experiment, **changes)[1]


def both(experiment, kind=FigureKind.curves, **changes):
    """The axes of the image and the data."""
    drawing = draw(Figure(kind, "Curves", **changes), experiment)
    data = drawing.curves
    assert data == json.loads(json.dumps(data, allow_nan=False))
    return drawing.canvas.axes, data


def means(axes):
    """The points of the means that the image draws: its lines with markers."""
    shown = [line for line in axes.lines if line.get_linestyle() != "None" and line.get_marker()]
    return [line.get_xydata().T for line in shown]


def test_a_line_is_the_mean_of_an_arm_with_its_interval(make):
    experiment = make((config(norm="none"), 3, 0), (config(placement="post"), 3, 0))
    data = drawn(experiment)
    none, post = data["lines"]
    assert (none["name"], post["name"]) == ("no norm", "BatchNorm · after activation")
    assert (none["arm"], none["colour"], none["dash"]) == (
        arm_of(config(norm="none")),
        "#4d4d4d",
        [],
    )
    assert post["dash"]
    assert none["x"] == POINTS
    points = experiment.curves
    last = points[
        (points["arm"] == none["arm"])
        & (points["step"] == POINTS[-1])
        & (points["split"] == "val")
        & (points["metric"] == "accuracy")
    ]
    want = mean_interval(100 * last["value"])
    measured = (none["y"][-1], none["low"][-1], none["high"][-1], none["n"][-1])
    assert measured == pytest.approx(want, rel=5e-4)


def test_few_seeds_and_diverged_runs_are_lines_of_their_own(make):
    data = drawn(make((config(norm="none"), 4, 2), (config(), 4, 1)), logx=True)
    of = {
        norm: [line for line in data["lines"] if norm in line["arm"]]
        for norm in ("none", "batchnorm")
    }
    assert [("low" in line, line.get("seed"), line.get("diverged")) for line in of["none"]] == [
        (False, 2, None),
        (False, 3, None),
        (False, 0, True),
        (False, 1, True),
    ]
    assert [("low" in line, line.get("diverged")) for line in of["batchnorm"]] == [
        (True, None),
        (False, True),
    ]
    assert of["batchnorm"][0]["n"] == [3] * len(POINTS)


def test_lines_of_one_look_are_told_by_what_they_differ_in(make):
    data = drawn(make((config(batch_size=8), 1, 0), (config(batch_size=64), 1, 0)), style=None)
    assert [line["name"] for line in data["lines"]] == [
        "BatchNorm · batch size 8",
        "BatchNorm · batch size 64",
    ]


def test_panels_and_scales_are_those_of_the_image(make):
    experiment = make((config("mlp"), 1, 0), (config("vgg"), 1, 0))
    drawing = draw(Figure(FigureKind.curves, "Curves", col="model.name", logx=True), experiment)
    data = drawing.curves
    assert (data["panels"], data["across"], data["logx"], data["logy"]) == (
        ["MLP", "VGG"],
        2,
        True,
        False,
    )
    assert [line["panel"] for line in data["lines"]] == [0, 1]
    assert data["range"] == pytest.approx(drawing.canvas.axes[0].get_ylim(), rel=1e-3)


@pytest.mark.parametrize("logx", [False, True])
def test_a_long_line_is_thinned_to_points_of_its_own(logx):
    x = np.arange(1, 5001)
    chosen = interactive._spread(x, logx)
    assert len(chosen) <= interactive.MAX_POINTS
    assert (chosen[0], chosen[-1]) == (0, 4999)
    assert (np.diff(chosen) > 0).all()
    middle = np.median(x[chosen])
    assert (middle < 300) if logx else (2400 < middle < 2600)


BY_BATCH = {"kind": FigureKind.versus, "x": "batch_size", "y": "test/accuracy", "logx": True}


def test_final_values_are_the_marks_and_bars_of_the_image(make):
    sizes = (8, 32, 64)
    trees = [config(norm=norm, batch_size=size) for norm in ("none", "batchnorm") for size in sizes]
    (axes,), data = both(make(*((tree, 3, 0) for tree in trees)), **BY_BATCH)
    assert (data["bars"], data["ticks"]) == (True, [[8, 32, 64]])
    assert [line["marker"] for line in data["lines"]] == ["square", "circle"]
    bars = [part.get_segments() for part in axes.collections]
    for line, (x, y), ends in zip(data["lines"], means(axes), bars, strict=True):
        assert line["x"] == pytest.approx(x, rel=1e-5)  # moved apart, as in the image
        assert line["told"] == [8, 32, 64]
        assert line["y"] == pytest.approx(y, rel=5e-4)
        assert line["low"] == pytest.approx([part[0, 1] for part in ends], rel=5e-4)
        assert line["high"] == pytest.approx([part[1, 1] for part in ends], rel=5e-4)
        assert line["n"] == [3, 3, 3]
    assert [line["arm"] for line in data["lines"]] == [
        [arm_of(tree) for tree in trees[:3]],
        [arm_of(tree) for tree in trees[3:]],
    ]


def test_few_final_values_are_dots_and_diverged_ones_crosses(make):
    experiment = make((config(batch_size=8), 2, 0), (config(batch_size=64), 5, 1))
    (axes,), data = both(experiment, **BY_BATCH)
    mean, dots, lost = data["lines"]
    assert mean["low"][0] is None  # two values have no interval
    assert mean["n"] == [2, 4]
    assert (dots["told"], dots["seed"], dots["width"]) == ([8, 8], [0, 1], 0)
    assert dots["y"] == pytest.approx(axes.lines[3].get_ydata(), rel=5e-4)
    assert (lost["told"], lost["seed"], lost["y"]) == ([64], [0], [None])
    assert lost["diverged"]


@pytest.mark.parametrize("num_seeds", [2, 3])
def test_severity_has_a_panel_for_each_shift_and_a_dash_for_each_policy(results, num_seeds):
    rows = [write_run(results, config(), seed) for seed in range(num_seeds)]
    for seed in range(num_seeds):
        write_shifts(results, config(), seed, ("ema", "precise"))
    experiment = load(write_experiment(results, "one", rows))
    (axes,), data = both(experiment, kind=FigureKind.severity, y="test/accuracy")
    assert (data["panels"], data["ticks"], data["bars"]) == (["blur"], [[*range(6)]], False)
    words = ["BatchNorm · statistics EMA", "BatchNorm · statistics precise"]
    assert list(dict.fromkeys(line["name"] for line in data["lines"])) == words
    assert [bool(line["dash"]) for line in data["lines"]] in (
        [False, True],
        [False] * 2 + [True] * 2,
    )
    if num_seeds < 3:
        assert [line["seed"] for line in data["lines"]] == [0, 1, 0, 1]
        assert not any("marker" in line or "low" in line for line in data["lines"])
        return
    for line, (x, y), edge in zip(data["lines"], means(axes), axes.collections, strict=True):
        assert (line["x"], line["marker"], line["n"]) == (list(x), "circle", [3] * 6)
        assert line["y"] == pytest.approx(y, rel=5e-4)
        outline = edge.get_paths()[0].vertices[:, 1]
        assert [min(line["low"]), max(line["high"])] == pytest.approx(
            [outline.min(), outline.max()], rel=5e-4
        )


def test_many_values_of_x_have_the_ticks_of_their_scale(make):
    sizes = 2 ** np.arange(layout.MAX_TICKS + 1)
    experiment = make(*((config(batch_size=int(size)), 1, 0) for size in sizes))
    assert drawn(experiment, **BY_BATCH)["ticks"] == [None]


def test_every_marker_has_a_symbol_and_an_outline():
    for marker in style.MARKERS.values():
        assert interactive.SYMBOLS[marker]
        outline = interactive._outline(marker)
        assert re.fullmatch(r"(M[-. 0-9]+([LQC][-. 0-9]+)+Z)+", outline)
        assert 0.3 < max(map(float, re.findall(r"[-.0-9]+", outline))) < 0.8


def test_a_run_that_diverged_at_once_has_its_cross(results):
    rows = [write_run(results, config(), 0, diverges=True)]
    path = next(results.glob("runs/*/seed-0/metrics.csv"))
    path.write_text(path.read_text().splitlines()[0] + "\n1,64,val,,accuracy,nan\n")
    (line,) = drawn(load(write_experiment(results, "one", rows)))["lines"]
    assert (line["x"], line["y"], line["diverged"]) == ([1], [None], True)


@pytest.mark.parametrize("changes", [{}, BY_BATCH])
def test_a_crowd_of_lines_stays_an_image(make, monkeypatch, changes):
    experiment = make((config(), 2, 0))
    monkeypatch.setattr(interactive, "MAX_LINES", 1)
    assert (
        draw(Figure(**{"kind": FigureKind.curves, "title": "Curves", **changes}), experiment).curves
        is None
    )


def test_what_has_no_logarithm_is_left_out(results):
    rows = [write_run(results, config(), 0)]
    path = next(results.glob("runs/*/seed-0/metrics.csv"))
    path.write_text(path.read_text() + "0,0,val,,accuracy,0.1\n256,16384,val,,accuracy,0.0\n")
    data = drawn(load(write_experiment(results, "one", rows)), logx=True, logy=True)
    assert data["lines"][0]["x"] == POINTS


def test_plotly_is_what_the_registry_has():
    """As in package/ of `npm pack plotly.js-basic-dist-min@4.1.1`."""
    assert hashlib.sha256(PLOTLY.read_bytes()).hexdigest() == (
        "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
    )
    assert b"plotly.js (basic - minified) v4.1.1" in PLOTLY.read_bytes()[:100]
