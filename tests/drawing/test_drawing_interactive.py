"""Curves as data: the numbers of the image, thinned, and each line with its arm."""

import hashlib
import json

import numpy as np
import pytest
from fake_results import POINTS, arm_of, config, write_experiment, write_run

from bnbench.analysis.load import load
from bnbench.analysis.stats import mean_interval
from bnbench.config.schema import Figure, FigureKind
from bnbench.drawing import interactive
from bnbench.drawing.plots import draw
from bnbench.pages.render import PLOTLY


def drawn(experiment, **changes):
    data = draw(Figure(FigureKind.curves, "Curves", **changes), experiment).curves
    assert data == json.loads(json.dumps(data, allow_nan=False))
    return data


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


def test_other_figures_and_a_crowd_of_lines_stay_images(make, monkeypatch):
    experiment = make((config(), 2, 0))
    versus = Figure(FigureKind.versus, "Versus", x="batch_size", y="test/accuracy")
    assert draw(versus, experiment).curves is None
    monkeypatch.setattr(interactive, "MAX_LINES", 1)
    assert draw(Figure(FigureKind.curves, "Curves"), experiment).curves is None


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
