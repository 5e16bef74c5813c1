"""Experiments that tune learning rates: what is reported is not what was tuned on."""

import pytest
from fake_results import arm_of, config, write_experiment, write_run, write_shifts
from report_page import Page

from bnbench.analysis.load import load
from bnbench.analysis.stats import comparisons
from bnbench.config.labels import ranges_label
from bnbench.config.schema import Figure, FigureKind
from bnbench.drawing.frames import panels
from bnbench.drawing.plots import draw
from bnbench.pages.report import write_report

RATES = (0.03, 0.1, 0.3)
BEST = {"none": 0.1, "batchnorm": 0.3}
ON = (100, 101, 102)
ACCURACY = {"none": 0.90, "batchnorm": 0.95}


def tree(norm, rate, **changes):
    return config(norm=norm, optim__base_lr=rate, **changes)


FOUND = {norm: arm_of(tree(norm, rate)) for norm, rate in BEST.items()}
TUNE = {"seeds": list(ON), "low": 0.03, "high": 0.3, "by": "area"}
TUNE |= {"arms": sorted(FOUND.values())}
GRID = {
    "kind": "versus",
    "title": "Validation accuracy against the learning rate",
    "x": "optim.lr",
    "y": "val/accuracy",
    "logx": True,
    "tuning": True,
}


def experiment(results, untuned=(), reported=(0, 1, 2), **info):
    """Both norms tuned and trained at their best rates, beside arms that are not tuned."""
    rows = []
    for norm, best in BEST.items():
        for rate in RATES:
            for seed in ON:
                rows.append(write_run(results, tree(norm, rate), seed))
                rows[-1]["test/accuracy"] = 0.5  # seen nowhere
        for seed in reported:
            rows.append(write_run(results, tree(norm, best), seed))
            rows[-1]["test/accuracy"] = ACCURACY[norm] + 0.01 * seed
    for other in untuned:
        rows += [write_run(results, other, seed) for seed in reported]
    return write_experiment(results, "tuned", rows, tune=TUNE, **info)


def test_what_was_tuned_on_and_what_is_reported_are_apart(results):
    folder = experiment(results)
    for seed in (0, 100):
        write_shifts(results, tree("none", 0.1), seed)
    whole = load(folder)
    reported, tuning = whole.reporting(), whole.tuning()
    for table in ("runs", "curves", "shifts"):
        sizes = [len(getattr(one, table)) for one in (whole, reported, tuning)]
        assert sizes[0] == sum(sizes[1:])
        assert set(getattr(reported, table)["seed"]) <= {0, 1, 2}
        assert set(getattr(tuning, table)["seed"]) <= set(ON)
        assert min(sizes) > 0
    assert set(reported.runs["arm"]) == whole.found == set(FOUND.values())
    assert len(set(tuning.runs["arm"])) == 6


def test_without_tuning_all_is_reported(make):
    one = make((config(), 2, 0))
    assert one.reporting() is one
    assert one.tuning().runs.empty
    assert one.found == frozenset()


@pytest.mark.slow
def test_the_page_says_what_was_tuned_and_shows_what_is_reported(results):
    curves = {"kind": "curves", "title": "Curves"}
    report = {"figures": [curves, GRID], "compare": [{"baseline": {"norm.name": "none"}}]}
    experiment(results, report=report)
    report = write_report(results)
    assert report.problems == []
    page = Page(report.page)
    rows = page.table("arm")
    named = ["no norm · base learning rate 0.1", "BatchNorm · base learning rate 0.3"]
    assert [row["arm"] for row in rows] == named
    assert "runs 3" in page.text
    assert [row["test accuracy (%)"] for row in rows] == ["91.00 ± 2.48", "96.00 ± 2.48"]
    (pair,) = page.table("treatment")
    assert (pair["difference (points)"], pair["pairs"]) == ("+5.00", "3")
    assert pair["baseline"] == "no norm · base learning rate 0.1"
    words = " ".join(page.text.split())
    tuned = "tuned on seeds 100–102 over half decades from 0.03 to 0.3"
    assert f"{tuned}, by the area under the validation curve" in words
    assert "24 runs of 6 arms" in words
    assert words.count("The runs that learning rates were tuned on.") == 1


def test_figures_show_one_or_the_other(results):
    whole = load(experiment(results))
    spec = Figure(FigureKind.curves, "Curves")
    drawing = draw(spec, whole)
    assert drawing is not None
    assert "n = 3 seeds per line" in drawing.caption
    grid = Figure(**GRID)
    ((_, points),), _ = panels(whole.tuning(), grid)
    assert sorted(set(points["x"])) == list(RATES)
    drawing = draw(grid, whole)
    assert drawing is not None
    bars = [line.get_xdata() for line in drawing.canvas.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(bars) >= 2  # a line of three rates for each norm
    assert draw(Figure(FigureKind.versus, "Shown", x="seed", where="seed >= 100"), whole) is None


def test_while_rates_are_being_found_nothing_is_reported_yet(results):
    report = {"figures": [{"kind": "curves", "title": "Curves"}, GRID]}
    experiment(results, reported=(), report=report)
    report = write_report(results)
    assert report.problems == []
    text = " ".join(Page(report.page).text.split())
    assert "Curves: nothing to draw yet" in text
    assert "No run has finished yet." in text
    assert "18 runs of 6 arms" in text


def test_tuned_arms_are_compared_whatever_their_rates_and_others_at_theirs(results):
    apart = tree("batchnorm", 1.0)  # nothing without a norm was reported at this rate
    equal = config("mlp", "batchnorm", "post", optim__base_lr=0.1)
    fast = tree("none", 3.0)  # no tuned arm is compared with it
    runs = load(experiment(results, untuned=[apart, equal, fast])).reporting().runs
    table = comparisons(runs, {"norm.name": "none"}, FOUND.values()).set_index("treatment")
    assert table["baseline"].dropna().to_dict() == {
        FOUND["batchnorm"]: FOUND["none"],
        arm_of(equal): FOUND["none"],
    }
    assert table.loc[arm_of(apart), "n"] == 0
    assert table.loc[FOUND["batchnorm"], "estimate"] == pytest.approx(5)
    without = comparisons(runs, {"norm.name": "none"}).set_index("treatment")
    assert without.loc[FOUND["batchnorm"], "n"] == 0


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([100, 101, 102], "100–102"), ([7], "7"), ([0, 1, 5, 7, 8], "0–1, 5, 7–8"), ([], "")],
)
def test_ranges_in_words(numbers, words):
    assert ranges_label(numbers) == words
