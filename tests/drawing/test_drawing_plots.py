"""Figures: fixed looks, lines that are means over the seeds of one arm, diverged runs in sight."""

import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_results import (
    POINTS,
    arm_of,
    config,
    write_experiment,
    write_probes,
    write_run,
    write_shifts,
)
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from PIL import Image

from bnbench import ROOT
from bnbench.analysis.load import curve, load
from bnbench.analysis.stats import mean_interval
from bnbench.config.schema import NORM_CONFIGS, Figure, FigureKind, Policy
from bnbench.drawing import style
from bnbench.drawing.captions import caption_text
from bnbench.drawing.plots import draw

EXPERIMENTS = ROOT / "configs" / "experiment"


def curves(**changes):
    return Figure(FigureKind.curves, "Curves", **changes)


def versus(**changes):
    return Figure(FigureKind.versus, "Versus", **{"y": "test/accuracy"} | changes)


def lines(drawing, panel=0):
    """The curves of a panel, without the crosses."""
    return [line for line in drawing.canvas.axes[panel].lines if line.get_linestyle() != "None"]


def count(drawing):
    """How many curves there are: those of one look are one artist, with gaps between them."""
    return sum(1 + int(np.isnan(line.get_xdata()).sum()) for line in lines(drawing))


def crosses(drawing, panel=0):
    return [line for line in drawing.canvas.axes[panel].lines if line.get_marker() == "X"]


def legend(drawing):
    return [text.get_text() for text in drawing.canvas.legends[0].texts]


def note(drawing):
    return drawing.canvas.legends[0].get_title().get_text().replace("\n", " ")


def test_every_norm_has_its_own_colour_and_marker():
    assert list(style.NORM_COLOURS) == list(NORM_CONFIGS)
    for look in (style.NORM_COLOURS, style.MARKERS):
        assert len(set(look.values())) == len(NORM_CONFIGS)


# Linear RGB as dichromats see it: Machado, Oliveira & Fernandes 2009, table 1, severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "tritanopia": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}
XYZ = np.array(
    [(0.41246, 0.35758, 0.18044), (0.21267, 0.71515, 0.07217), (0.01933, 0.11919, 0.95030)]
)


def lab(colour, vision):
    """CIELAB of an sRGB colour: distances of 2 are just seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(VISIONS[vision] @ linear, 0, 1) / XYZ.sum(1)
    x, y, z = (v ** (1 / 3) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_whether_batchnorm_replaces_lrn_is_seen_with_any_colour_vision(vision):
    seen = {norm: lab(colour, vision) for norm, colour in style.NORM_COLOURS.items()}
    for one, other in combinations(["none", "lrn", "batchnorm", "batchnorm_lrn"], 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 25
    both = seen.pop("batchnorm_lrn")
    assert min(np.linalg.norm(both - other) for other in seen.values()) > 15


@pytest.mark.parametrize("norms", [["batchnorm"], ["none", "batchnorm"], [*NORM_CONFIGS]])
def test_a_norm_keeps_its_colour_whatever_stands_beside_it(norms):
    assert style.colours("norm.name", norms)["batchnorm"] == "#0072b2"


def norms_together():
    """The norms that each shipped experiment shows in one figure."""
    for path in sorted(EXPERIMENTS.glob("*.yaml")):
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        swept = declared.get("hydra", {}).get("sweeper", {}).get("params", {})
        asked = [
            swept.get("norm", ""),
            *(arm.get("norm", "batchnorm") for arm in declared.get("arms", [])),
        ]
        norms = {name.strip() for names in asked for name in names.split(",")} - {""}
        if len(norms) > 1:
            yield pytest.param(sorted(norms), id=path.stem)


@pytest.mark.parametrize("norms", [*norms_together()])
def test_norms_of_one_figure_are_told_apart_with_any_colour_vision(norms):
    for vision in VISIONS:
        seen = [lab(style.NORM_COLOURS[norm], vision) for norm in norms]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15


@pytest.mark.parametrize("vision", VISIONS)
def test_no_two_colours_are_one_with_any_colour_vision(vision):
    seen = [lab(colour, vision) for colour in style.NORM_COLOURS.values()]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10
    for num in range(2, 7):  # values of another setting
        seen = [lab(colour, vision) for colour in style.colours("x", range(num)).values()]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10


@pytest.mark.parametrize("kind", FigureKind)
def test_a_norm_looks_the_same_in_every_kind_of_figure(results, kind):
    trees = [config(norm=norm) for norm in ("none", "batchnorm", "layernorm")]
    rows = [write_run(results, tree, seed) for tree in trees for seed in range(3)]
    for tree in trees:
        for seed in range(3):
            write_shifts(results, tree, seed, ("none",))
    experiment = load(write_experiment(results, "one", rows))
    x = "step" if kind == "curves" else "batch_size"
    key = "val/accuracy" if kind == "curves" else "test/accuracy"
    drawing = draw(Figure(kind, "One", x=x, y=key), experiment)
    found = {(to_hex(line.get_color()), line.get_marker()) for line in lines(drawing)}
    known = [(style.NORM_COLOURS[norm], style.MARKERS[norm]) for norm in style.NORM_COLOURS]
    assert found == {known[list(style.NORM_COLOURS).index(t["norm"]["name"])] for t in trees}
    assert "95 % t interval, unadjusted" in note(drawing)
    assert note(drawing) in drawing.caption
    assert legend(drawing)[:3] == ["no norm", "BatchNorm", "LayerNorm"]


def test_on_a_log_axis_means_are_geometric_and_no_band_reaches_zero(make):
    experiment = make((config(norm="none"), 3, 0))
    path = next(experiment.folder.parents[2].glob("runs/*/seed-0/metrics.csv"))
    rows = pd.read_csv(path)
    rows.loc[rows["metric"] == "loss", "value"] *= 1e-4  # its t interval reaches below zero
    rows.to_csv(path, index=False)
    experiment = load(experiment.folder)
    drawing = draw(curves(y="val/loss", logy=True), experiment)
    points = curve(experiment, "val/loss")
    first = points.loc[points["step"] == POINTS[0], "value"]
    wanted = mean_interval(np.log(first))
    (line,) = lines(drawing)
    assert line.get_ydata()[0] == pytest.approx(np.exp(wanted.estimate))
    edges = drawing.canvas.axes[0].collections[0].get_paths()[0].vertices
    assert edges[edges[:, 0] == POINTS[0], 1].min() == pytest.approx(np.exp(wanted.low))
    assert "geometric mean over seeds, band: 95 % t interval of the logarithms" in note(drawing)
    (data,) = drawing.curves["lines"]
    assert data["low"][0] == pytest.approx(np.exp(wanted.low), rel=1e-3)
    assert "geometric" not in note(draw(curves(y="val/loss"), experiment))


def test_a_bar_is_cut_at_the_border_of_what_an_accuracy_can_be(make):
    experiment = make((config(), 3, 0))
    experiment.runs["test/accuracy"] = [0.1, 0.9, 1.0]
    assert draw(versus(x="batch_size"), experiment).canvas.axes[0].get_ylim() == (-2, 102)


def test_every_policy_has_its_own_dash():
    known = style.DASHES["policy"]
    assert set(known) == {"none", *Policy}
    assert len({known[policy] for policy in Policy}) == len(Policy)


def test_a_placement_keeps_its_dash():
    assert style.dashes("placement", ["post"])["post"] == style.DASHED
    assert style.dashes("placement", ["none", "pre"]) == {"none": "-", "pre": "-"}


def test_an_arm_without_the_setting_of_the_dash_is_solid_and_not_in_the_legend(make):
    arms = [config(), *(config(norm="lrn", norm__size=size) for size in (3, 5))]
    drawing = draw(curves(style="norm.size"), make(*((arm, 3, 0) for arm in arms)))
    solid = [line for line in lines(drawing) if not line.is_dashed()]
    assert [to_hex(line.get_color()) for line in solid] == [style.NORM_COLOURS["batchnorm"]]
    assert legend(drawing) == ["BatchNorm", "LRN", "norm size: 3", "norm size: 5"]


def test_a_curve_is_the_mean_over_seeds_with_its_t_band(make):
    experiment = make((config(), 4, 0))
    drawing = draw(curves(), experiment)
    (line,) = lines(drawing)
    points = curve(experiment, "val/accuracy")
    for step, y in zip(*line.get_data(), strict=True):
        values = 100 * points.loc[points["step"] == step, "value"]
        interval = mean_interval(values)
        assert y == pytest.approx(interval.estimate)
        (band,) = drawing.canvas.axes[0].collections
        edges = [v[1] for v in band.get_paths()[0].vertices if v[0] == step]
        assert min(edges) == pytest.approx(interval.low)
        assert max(edges) == pytest.approx(interval.high)
    assert line.get_xdata().tolist() == POINTS
    assert to_hex(line.get_color()) == style.NORM_COLOURS["batchnorm"]
    assert note(drawing).startswith("n = 4 seeds per line; mean over seeds, band: 95 % t interval")


def test_fewer_than_three_seeds_are_thin_lines_without_a_band(make):
    drawing = draw(curves(), make((config(), 2, 0)))
    assert count(drawing) == 2
    assert not drawing.canvas.axes[0].collections
    assert note(drawing) == "n = 2 seeds per line; n < 3: each seed, no band"


def test_a_diverged_run_is_no_part_of_the_mean_and_ends_in_a_cross(make):
    experiment = make((config(norm="none"), 5, 2))
    drawing = draw(curves(y="val/loss"), experiment)
    mean, *thin = lines(drawing)
    assert len(thin) == 2
    assert max(mean.get_ydata()) < 2.3 < max(thin[0].get_ydata())
    low, high = drawing.canvas.axes[0].get_ylim()
    assert high < 2.5  # the diverged losses, up to 2.3 e⁸, do not squeeze the mean
    for cross in crosses(drawing):
        assert cross.get_xdata() == [POINTS[3]]
        assert low <= cross.get_ydata()[0] <= high
    assert legend(drawing) == ["no norm (2 of 5 diverged)", "diverged run"]
    assert note(drawing).startswith("n = 3 seeds")
    assert "is not in a mean" in drawing.caption


def test_an_arm_that_always_diverges_is_still_seen(make):
    drawing = draw(curves(), make((config(norm="none"), 3, 3)))
    assert len(crosses(drawing)) == 3
    low, high = drawing.canvas.axes[0].get_ylim()
    assert low < 10 < high  # the accuracy at which they stayed
    assert note(drawing) == "every run diverged"


def test_arms_of_one_look_are_lines_of_their_own(make):
    arms = [(config(optim__lr_mult=m), 3, 0) for m in (1.0, 5.0)]
    drawing = draw(curves(), make(*arms))
    assert count(drawing) == 2
    assert "Lines of one look differ in learning rate multiplier." in drawing.caption
    assert note(drawing).startswith("n = 3 seeds")


def test_samples_are_steps_times_the_batch(make):
    (line,) = lines(draw(curves(x="samples"), make((config(batch_size=8), 3, 0))))
    assert line.get_xdata().tolist() == [8 * step for step in POINTS]


def test_versus_has_the_values_of_runs_csv_on_ticks_of_their_own(make):
    sizes = [2, 8, 32]
    arms = [(config(batch_size=size), 3, 0) for size in sizes]
    experiment = make(*arms)
    drawing = draw(versus(x="batch_size", logx=True), experiment)
    axes = drawing.canvas.axes[0]
    assert axes.get_xaxis().get_transform().base == 2
    assert axes.get_xticks().tolist() == sizes
    runs = experiment.runs
    expected = [100 * runs.loc[runs["batch_size"] == b, "test/accuracy"].mean() for b in sizes]
    assert lines(drawing)[0].get_ydata() == pytest.approx(expected)
    assert len(axes.collections[0].get_segments()) == 3  # one bar each
    assert "per point; mean over seeds, bar" in note(drawing)


def test_a_diverged_run_enters_versus_as_measured(make):
    experiment = make((config(norm="none"), 4, 1))
    runs = experiment.runs
    runs.loc[runs["status"] == "diverged", "test/accuracy"] = 0.1
    drawing = draw(versus(x="optim.lr"), experiment)
    assert lines(drawing)[0].get_ydata()[0] == pytest.approx(100 * runs["test/accuracy"].mean())
    assert [cross.get_ydata()[0] for cross in crosses(drawing)] == [10.0]


def test_severity_starts_at_the_clean_accuracy_of_its_policy(results):
    bn, none = config(), config(norm="none")
    rows = [write_run(results, tree, seed) for tree in (bn, none) for seed in range(3)]
    for seed in range(3):
        write_shifts(results, bn, seed, ("ema", "precise"))
        write_shifts(results, none, seed, ("none",))
    for row in rows[:3]:
        row["test/accuracy"], row["test@precise/accuracy"] = 0.9, 0.8
    experiment = load(write_experiment(results, "one", rows))
    drawing = draw(Figure(FigureKind.severity, "Shift"), experiment)
    drawn = {(to_hex(line.get_color()), line.is_dashed()): line for line in lines(drawing)}
    blue, grey = style.NORM_COLOURS["batchnorm"], style.NORM_COLOURS["none"]
    assert drawn[blue, False].get_ydata().tolist() == pytest.approx([90, 88, 86, 84, 82, 80])
    assert drawn[blue, True].get_ydata().tolist() == pytest.approx([80, 89, 88, 87, 86, 85])
    clean = experiment.runs.loc[experiment.runs["arm"] == arm_of(none), "test/accuracy"]
    assert drawn[grey, False].get_ydata()[0] == pytest.approx(100 * clean.mean())
    assert drawing.canvas.axes[0].get_title() == "blur"
    assert drawn[grey, False].get_xdata().tolist() == [*range(6)]


@pytest.mark.slow
def test_files_are_the_same_bytes_each_time(make, tmp_path):
    experiment = make((config(), 3, 0))
    files = []
    for name in ("a", "b"):
        drawing = draw(curves(), experiment)
        style.save(drawing.canvas, tmp_path / name / "curves.png")
        files.append([(tmp_path / name / f"curves.{kind}").read_bytes() for kind in ("png", "svg")])
    assert files[0] == files[1]


def test_a_figure_is_laid_out_once_and_its_png_is_that_of_savefig(make, tmp_path, monkeypatch):
    figure = draw(curves(), make((config(), 3, 0))).canvas
    engine, dpi, solved = figure.get_layout_engine(), figure.dpi, []
    execute = type(engine).execute
    monkeypatch.setattr(
        type(engine), "execute", lambda self, figure: solved.append(execute(self, figure))
    )
    style.save(figure, tmp_path / "curves.png")
    assert len(solved) == 1
    assert (figure.get_layout_engine(), figure.dpi) == (engine, dpi)
    with style.themed():
        figure.savefig(tmp_path / "pixels.png", dpi=style.DPI)
    small = Image.open(tmp_path / "pixels.png").convert("RGB").quantize(style.NUM_COLOURS)
    saved = Image.open(tmp_path / "curves.png")
    assert small.convert("RGB").tobytes() == saved.convert("RGB").tobytes()


def test_the_last_bit_of_a_layout_is_not_in_a_file(tmp_path):
    """The solver of matplotlib's layouts does not give the same one each time."""
    for name, left in (("a", 0.1), ("b", np.nextafter(0.1, 1))):
        canvas = Canvas()
        for bottom in (0.1, 0.6):
            canvas.add_axes((left, bottom, 0.8, 0.3)).plot([0, 1])
        style.save(canvas, tmp_path / f"{name}.png")
    files = [(tmp_path / f"{name}.svg").read_text() for name in "ab"]
    assert files[0] == files[1]
    used, made = (
        re.findall(pattern, files[0]) for pattern in (r"url\(#(\w+)\)", r"Path id=\"(\w+)")
    )
    assert set(used) == set(made) == {"clip1", "clip2"}


def test_numbers_are_coloured_from_light_to_dark():
    brightness = [sum(style.colours("batch_size", [2, 8, 32])[size]) for size in (2, 8, 32)]
    assert np.all(np.diff(brightness) < 0)


@pytest.mark.parametrize(
    ("y", "policies", "said", "has_policy"),
    [
        ("val@batch/accuracy", [], "batch", True),
        ("test/accuracy", ["adabn", "ema", "precise", "blend"], "adabn, blend", False),
        ("val@precise/accuracy", ["none"], None, True),
        ("train@batch/loss", [], None, False),  # of the training steps
    ],
)
def test_a_caption_says_what_is_transductive(y, policies, said, has_policy):
    frame = pd.DataFrame({"status": "done", "policy": [*policies, "ema"]})
    caption = caption_text(curves(y=y), "n = 3", [], frame)
    assert ("Transductive" in caption) == bool(said)
    assert not said or f"Transductive, statistics of the evaluated images: {said}." in caption
    assert ("Nets without population statistics are shown" in caption) == has_policy


def test_a_caption_says_who_is_not_recalibrated():
    frame = pd.DataFrame({"status": ["done"]})
    caption = caption_text(curves(y="test@recalibrated/accuracy"), "n = 3", [], frame)
    assert "Test accuracy, recalibrated layers (%)" in caption
    assert "Nets with population statistics are not recalibrated. Transductive" in caption
    assert "Nets without" not in caption


@pytest.mark.parametrize("logx", [False, True])
def test_a_probe_is_drawn_from_the_start_on(results, logx):
    """Step 0 has no place on a logarithmic axis; the rest of the curve does not mind."""
    rows = [write_run(results, config(), seed) for seed in range(3)]
    for seed in range(3):
        write_probes(results, config(), seed)
    experiment = load(write_experiment(results, "one", rows))
    drawing = draw(curves(y="train@batch/gradient_norm/3", logx=logx, logy=True), experiment)
    drawing.canvas.savefig(results / "figure.png")
    (line,) = lines(drawing)
    assert line.get_xdata().tolist() == [0, *POINTS]
    assert line.get_ydata() == pytest.approx([3 + step for step in (0, *POINTS)])
    label = drawing.canvas.axes[0].get_ylabel().replace("\n", " ")
    assert label == "gradient norm of layer 3"
    assert drawing.canvas.axes[0].get_xlim()[1] >= POINTS[-1]
