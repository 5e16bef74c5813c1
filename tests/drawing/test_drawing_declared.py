"""What a report declares is checked before training: what passes can be drawn, and no more."""

import math
from unittest import mock

import pytest
from fake_results import config, write_experiment, write_run, write_shifts
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.analysis.load import load
from bnbench.analysis.stats import comparisons
from bnbench.config.arms import flatten
from bnbench.config.checks import RequestError
from bnbench.config.schema import Comparison, Figure, FigureKind, Panel, ReportConfig
from bnbench.drawing.frames import effective, panels
from bnbench.request.declared import check_figure, check_report, metrics

TREES = [config(norm=norm) for norm in ("none", "batchnorm")] + [config(batch_size=32)]
SETTINGS = [flatten(tree) for tree in TREES]
COLUMNS = (
    *(
        "step",
        "samples",
        "steps",
        "seconds",
        "seed",
        "epochs",
        "optim.lr",
        "hidden_layers",
        "value",
    ),
    *("batch_size", "norm.eps", "norm.momentum", "norm.name", "placement", "model.widths", "arm"),
    *("status", "shift", "severity", "policy", "train.steps", "test/accuracy", "nope", "norm", ""),
)
QUERIES = (
    None,
    "batch_size == 64",
    "batch_size == 64 and step > 3",
    "`norm.name` == 'none' or batch_size in [32, 64]",
    "not (`optim.lr` > 1)",
    "`norm.nme` == 'none'",
    "batch_sizes == 64",
    "batch_size ==",
    "batch_size = 64",
    "@print == 1",
    "step.abs() > 3",
    "stuck or not stuck",
    "`norm.name` < 3",
    "placement > 'a'",
    "`norm.momentum` != 0.1",
    "x == 1",
    "64",
    "",
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    rows = [write_run(results, tree, seed) for tree in TREES for seed in (0, 1)]
    for tree in TREES:
        write_shifts(results, tree, 0, ("ema", "precise"))
    return load(write_experiment(results, "one", rows))


columns = st.sampled_from(COLUMNS)
figures = st.builds(
    Figure,
    st.sampled_from(list(FigureKind)),
    st.just("T"),
    x=columns,
    y=st.sampled_from(["val/accuracy", "val@precise/accuracy", "accuracy"]),
    hue=columns,
    style=st.none() | columns,
    col=st.none() | columns,
    row=st.none() | columns,
    where=st.sampled_from(QUERIES),
    panels=st.none() | st.lists(st.builds(Panel, st.just("P"), st.sampled_from(QUERIES[1:]))),
)


def drawn(experiment, figure):
    """Draw it, however many panels it has: their number is known from the runs alone."""
    with mock.patch("bnbench.drawing.frames.MAX_PANELS", math.inf):
        panels(experiment, effective(figure))


def is_refused(check, *arguments, by):
    try:
        check(*arguments)
    except by:
        return True
    return False


@pytest.mark.slow
def test_a_figure_passes_where_it_can_be_drawn(experiment):
    of_arms = {key: [s.get(key) for s in SETTINGS] for s in SETTINGS for key in s}
    answers = []

    @settings(max_examples=600)
    @given(figures)
    def is_right(figure):
        asked = ("report.figures[0]", figure, of_arms, metrics({0.8}))
        refused = is_refused(check_figure, *asked, by=RequestError)
        answers.append(refused)
        assert refused == is_refused(drawn, experiment, figure, by=(ValueError, KeyError))

    is_right()
    assert min(answers.count(True), answers.count(False)) > 40


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"y": "test/acc"}, "y=test/acc: expected a metric, one of train/loss, train/accuracy"),
        ({"y": "steps_to/0.7"}, "y=steps_to/0.7: expected a metric"),
        ({"x": "norm.name"}, "x=norm.name: expected a column of numbers"),
        ({"x": "shift"}, "x=shift: expected a column, one of arm, seed"),
        ({"hue": "norm"}, "hue=norm: expected a column, one of"),
        ({"title": "x" * 201}, "title=xxx"),
        ({"where": "sizes == 8"}, "where=sizes == 8: sizes: expected a column, one of"),
        ({"where": "batch_size"}, "where=batch_size: expected a comparison such as"),
        ({"where": "seed.to_csv('x') == 0"}, "where=seed.to_csv"),
        ({"where": "seed ** 10 ** 10 > 0"}, "where=seed "),
        ({"where": "`norm.name` < 3"}, "where=`norm.name` < 3: norm.name < 3: a text is neither"),
        ({"panels": [Panel("P", "@pd.io")]}, r"panels\[0\].where=@pd.io: expected a query of"),
        ({"where": "(" * 300}, r"where=\({300}: expected a query of columns"),
        ({"panels": [Panel("P", "`a b` > 1")]}, r"panels\[0\].where=`a b` > 1: a b: expected a"),
    ],
)
def test_a_bad_figure_is_named(change, complaint):
    given = {"kind": FigureKind.versus, "title": "T", "x": "batch_size", "y": "test/loss"}
    report = ReportConfig("", [], [Figure(**given | change)], [])
    with pytest.raises(RequestError, match=r"^report\.figures\[0\]\." + complaint):
        check_report(report, SETTINGS)


@pytest.mark.parametrize(
    ("baseline", "passes"),
    [
        ({"norm.name": "none"}, True),
        ({"norm.name": "x", "placement": 3}, True),
        ({"norm": "none"}, False),
        ({"epochs": 3}, False),
        ({"norm.name": "none", "a": 1}, False),
    ],
)
def test_a_comparison_passes_where_it_can_be_made(experiment, baseline, passes):
    report = ReportConfig("", [], [], [Comparison(baseline)])
    if passes:
        check_report(report, SETTINGS)
        comparisons(experiment.runs, baseline)
        return
    with pytest.raises(
        RequestError, match=r"^report\.compare\[0\]\.baseline: \w+: expected one of"
    ):
        check_report(report, SETTINGS)
    with pytest.raises(ValueError, match="to compare by"):
        comparisons(experiment.runs, baseline)


def test_a_comparison_with_nothing_is_refused():
    with pytest.raises(RequestError, match=r"baseline=\{\}: expected settings such as"):
        check_report(ReportConfig("", [], [], [Comparison({})]), SETTINGS)


def test_tasks_are_drawn_where_an_arm_has_as_many():
    arms = [*SETTINGS, SETTINGS[0] | {"data.tasks": 2}]
    for key in ("test_task_2/accuracy", "val_tasks@precise/loss", "val_all_tasks/accuracy"):
        report = ReportConfig("", [], [Figure(FigureKind.curves, "T", y=key)], [])
        check_report(report, arms)
        with pytest.raises(RequestError, match="expected a metric"):
            check_report(report, SETTINGS)
    for key in ("test_task_3/accuracy", "train_tasks/accuracy"):
        with pytest.raises(RequestError, match="expected a metric"):
            check_report(ReportConfig("", [], [Figure(FigureKind.curves, "T", y=key)], []), arms)


def test_averaged_weights_are_drawn_where_an_arm_has_them():
    arms = [*SETTINGS, SETTINGS[0] | {"train.averages": ["swa"]}]
    for key in ("test_swa/accuracy", "test_swa@precise/loss"):
        report = ReportConfig("", [], [Figure(FigureKind.curves, "T", y=key)], [])
        check_report(report, arms)
        with pytest.raises(RequestError, match="expected a metric"):
            check_report(report, SETTINGS)
    figure = Figure(FigureKind.curves, "T", y="test_weight_ema/accuracy")
    with pytest.raises(RequestError, match="expected a metric"):
        check_report(ReportConfig("", [], [figure], []), arms)


def test_a_probe_is_drawn_where_an_arm_has_it():
    arms = [*SETTINGS, SETTINGS[0] | {"probes": ["gradients", "landscape"], "model.depth": [1, 2]}]
    known = [f"gradient_norm/{layer}" for layer in ("1", "2", "3", "head")]
    for metric in (*known, "gradient_growth", "smoothness"):
        figure = Figure(FigureKind.curves, "T", y=f"train@batch/{metric}")
        check_report(ReportConfig("", [], [figure], []), arms)
        with pytest.raises(RequestError, match=r"y=train@batch/\w+(/\w+)?: expected a metric"):
            check_report(ReportConfig("", [], [figure], []), SETTINGS)
    for metric in ("gradient_norm", "gradient_norm/4", "gradient_growth/1", "saturation/1"):
        figure = Figure(FigureKind.curves, "T", y=f"train@batch/{metric}")
        with pytest.raises(RequestError, match=r"y=train@batch/\w+(/\w+)?: expected a metric"):
            check_report(ReportConfig("", [], [figure], []), arms)
