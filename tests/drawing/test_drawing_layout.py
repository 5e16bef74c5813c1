"""What is written in a figure: on its canvas, apart from the rest, large enough in print."""

from itertools import combinations, pairwise

import pandas as pd
import pytest
from fake_claims import part, write_folder
from fake_results import config
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.text import Text

from bnbench.analysis.verdicts import ClaimView, PartView, read_claims
from bnbench.config.labels import metric_label, name_label, plain_label, setting_name
from bnbench.config.schema import NORM_CONFIGS, PROBED, Figure, FigureKind, ModelName, ShiftName
from bnbench.drawing import layout, style
from bnbench.drawing.claims import SERIES, forest, published
from bnbench.drawing.plots import draw

LONG = "Test accuracy with the statistics of the test batch against a long learning rate multiplier"
COLUMN, PAGE, SMALLEST = 3.3, 6.8, 6.0  # of print: inches, and points


def check(canvas):
    """Every letter is on the canvas, none on another's place, and none too small in print."""
    FigureCanvasAgg(canvas)
    canvas.draw_without_rendering()
    renderer = canvas.canvas.get_renderer()
    paper = canvas.bbox
    legend = canvas.legends[0].get_window_extent(renderer)
    title = canvas._suptitle.get_window_extent(renderer)
    axes = [ax.get_tightbbox(renderer) for ax in canvas.axes]
    for box in (legend, title, *axes):
        assert paper.x0 <= box.x0 < box.x1 <= paper.x1 + 1
        assert paper.y0 <= box.y0 < box.y1 <= paper.y1 + 1
    boxes = [legend, title, *axes]
    for one, other in combinations(boxes, 2):
        both = min(one.x1, other.x1) - max(one.x0, other.x0)
        high = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(both, high) <= 1.5, "two parts of the figure overlap"
    for ax in canvas.axes:
        ticks = [tick for tick in ax.get_xticklabels() if tick.get_text()]
        places = [tick.get_window_extent(renderer) for tick in ticks]
        assert all(left.x1 <= right.x0 for left, right in pairwise(places))
    width = canvas.get_figwidth()
    shrunk = min(1, (COLUMN if width <= layout.COLUMN else PAGE) / width)
    texts = [text for text in canvas.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) * shrunk >= SMALLEST
    assert all(ax.bbox.height > 0.9 * canvas.dpi for ax in canvas.axes)  # something is left to see


@pytest.mark.slow
def test_the_longest_legend_there_can_be_stays_on_its_canvas(make):
    experiment = make(*((config(norm=norm), 1, 1) for norm in NORM_CONFIGS))
    check(draw(Figure(FigureKind.curves, LONG, logx=True), experiment).canvas)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rates", [[0.1, 0.3], [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]])
@pytest.mark.parametrize("models", [["mlp"], ["mlp", "vgg"], ["mlp", "sigmoid_mlp", "sigmoid_vgg"]])
def test_labels_of_many_rates_in_many_panels_do_not_touch(make, models, rates):
    arms = [
        config(model, norm, optim__base_lr=rate, batch_size=size)
        for model in models
        for norm in ("none", "batchnorm")
        for rate in rates
        for size in ((8, 64) if len(models) > 1 else (64,))
    ]
    spec = Figure(FigureKind.versus, LONG, x="optim.lr", y="test/accuracy", logx=True)
    spec.row, spec.col = ("batch_size", "model.name") if len(models) > 1 else (None, None)
    drawing = draw(spec, make(*((arm, 1, 0) for arm in arms)))
    check(drawing.canvas)
    title = drawing.canvas._suptitle.get_text()
    assert " ".join(title.split()) == f"{LONG} · digits"
    labels = [label.get_text() for label in drawing.canvas.axes[0].get_xticklabels()]
    assert len([label for label in labels if label]) >= 2


def test_a_legend_of_settings_with_long_names_wraps(make):
    arms = [config(optim__lr_mult=m, norm="none") for m in (1.0, 5.0, 30.0)]
    spec = Figure(FigureKind.curves, "Curves", hue="optim.lr_mult", style=None)
    canvas = draw(spec, make(*((arm, 4, 1) for arm in arms))).canvas
    check(canvas)
    assert canvas.legends[0]._ncols < 4  # it would not fit in one row


def test_a_claim_with_long_words_stays_on_its_canvas(tmp_path):
    parts = [part(name, "confirmed", 1.0) for name in ("gaussian_noise and all of the others", "b")]
    view = ClaimView("C1", "Speed", LONG * 2, "says", "rule", "what", (PartView("b", "b"),))
    write_folder(tmp_path, [(view, "confirmed", parts, 0.9)])
    canvas = forest(read_claims(tmp_path)[0]).canvas
    check(canvas)
    assert canvas.axes[0].get_yticklabels()[0].get_text().startswith("Gaussian noise")


def test_published_curves_and_all_ours_stay_on_their_canvas():
    points = [(name, step, 0.9, 0.8, 1.0) for name in SERIES for step in (1, 100)]
    ours = pd.DataFrame(points, columns=["series", "step", "accuracy", "low", "high"])
    drawing = published(ours, "fig2", "Fashion-MNIST, VGG of 2+2 convolutions, n = 10", LONG)
    check(drawing.canvas)
    note = drawing.canvas.legends[0].get_title().get_text()
    assert "95 % t interval, unadjusted" in note
    assert "95 % t interval" in drawing.caption


def test_a_legend_has_rows_of_about_one_length():
    canvas = Canvas(figsize=(7, 3), layout="constrained")
    handles = [Line2D([], [], label="a label of some length") for _ in range(4)]
    assert layout.below(canvas, handles)._ncols == 2  # three would fit beside one


def test_a_text_is_wrapped_to_its_width_and_not_at_hard_spaces():
    assert layout.wrapped("aaaa bbbb " * 4, 1, "medium").count("\n") == 2
    assert layout.wrapped("aaaa\N{NO-BREAK SPACE}b-c", 0.01, "small") == "aaaa\N{NO-BREAK SPACE}b-c"
    assert layout.wrapped("", 1, "large") == ""


def test_figures_name_things_in_words():
    """No name of the configuration with an underscore is left."""
    assert name_label("data.name", "fashion_mnist") == "Fashion-MNIST"
    assert setting_name("shift", "gaussian_noise") == "Gaussian noise"
    assert setting_name("norm.affine", 0.0) == "gamma and beta off"
    assert plain_label("gaussian_noise at 5 on fashion_mnist") == (
        "Gaussian noise at 5 on Fashion-MNIST"
    )
    names = [name_label("norm.name", norm) for norm in style.NORM_COLOURS]
    assert len(set(names)) == len(names)
    named = [
        name_label(c, v)
        for c, own in (("model.name", ModelName), ("shift", ShiftName))
        for v in own
    ]
    probed = [metric_label(f"train@batch/{key}/1") for own in PROBED.values() for key in own]
    assert not [name for name in names + named + probed if "_" in name]
    assert metric_label("train@batch/loss_range") == "range of the loss (nats)"
    assert metric_label("val_task_12/accuracy") == "validation accuracy of task 12 (%)"
    assert (
        metric_label("test_tasks@precise/loss")
        == "test loss among the classes of a task, precise statistics (nats)"
    )
    assert (
        metric_label("train@batch/drift/3")
        == "drift of the median of layer 3 (share of the spread)"
    )
