"""The best arm of an experiment against values worked out by hand, and how it is shown."""

import io

import pytest
from fake_results import config, row, write_experiment
from rich.console import Console

from bnbench.analysis.stats import Interval
from bnbench.analysis.summary import summarise
from bnbench.pages.answer_text import WIDTH, percent, points, show_answers
from bnbench.pages.report import write_report

T2 = 4.302652729911275  # the 97.5 % quantile of Student's t with two degrees of freedom
COMPARED = [{"baseline": {"norm.name": "none"}}]
COMPARE = {"report": {"question": "?", "figures": [], "compare": COMPARED}}


def runs(tree, validation, test, **changes):
    steps = {"steps_to/0.8": 4.0, "steps_to/0.95": 8.0}
    seconds = {"steps": 128, "samples": 8192, "seconds": 1.0}
    return [
        row(tree, seed, **{"val/accuracy": v, "test/accuracy": t}, **steps, **seconds) | changes
        for seed, (v, t) in enumerate(zip(validation, test, strict=True))
    ]


@pytest.fixture
def chosen(results):
    def choose(*arms, **info):
        rows = [run for arm in arms for run in arm]
        return summarise(write_experiment(results, "one", rows, **{**COMPARE, **info}))

    return choose


NONE = runs(config(norm="none"), [0.7, 0.7, 0.7], [0.70, 0.80, 0.75])
PRE = runs(config(placement="pre"), [0.9, 0.9, 0.9], [0.80, 0.84, 0.88])
POST = runs(config(placement="post"), [0.8, 0.8, 0.8], [0.98, 0.99, 0.97])


def test_it_is_chosen_on_validation_and_told_on_test(chosen):
    """POST is the best on test; PRE has mean 0.84 and s = 0.04, differences mean 0.09, s = 0.0458.

    The differences are 0.10, 0.04 and 0.13: squares about 0.09 are 1, 25 and 16 in 1e-4.
    """
    found = chosen(NONE, PRE, POST)
    best = found.best
    assert (best.arm, best.against) == ("BatchNorm · before activation", "no norm")
    assert best.validation == pytest.approx(0.9)
    half = T2 * 0.04 / 3**0.5
    assert best.accuracy == pytest.approx((0.84, 0.84 - half, 0.84 + half, 3))
    half = T2 * 100 * (42e-4 / 2) ** 0.5 / 3**0.5
    assert best.difference == pytest.approx((9.0, 9.0 - half, 9.0 + half, 3))
    assert (found.num_arms, found.num_runs, found.diverged, found.stuck) == (3, 9, 0, 0)


def test_an_arm_is_not_better_for_the_runs_that_it_lost(chosen):
    lost = runs(config(placement="post"), [0.99, 0.99, None], [0.99, 0.99, None])
    lost[2]["status"] = "diverged"
    found = chosen(NONE, PRE, lost)
    assert found.best.arm == "BatchNorm · before activation"
    assert (found.diverged, found.num_runs, found.failed) == (1, 9, 0)


def test_the_arm_that_others_are_compared_with_may_be_the_best(chosen):
    best = chosen(runs(config(norm="none"), [0.95] * 3, [0.9] * 3), PRE).best
    assert (best.arm, best.against, best.difference) == ("no norm", None, None)


def test_runs_that_rates_were_tuned_on_count_for_nothing(chosen):
    tuning = [run | {"seed": 100 + run["seed"]} for run in POST]
    tune = {"seeds": [100, 101, 102], "low": 0.1, "high": 1.0, "arms": []}
    assert chosen(NONE, PRE, tuning, tune=tune).num_runs == 6


def test_nothing_is_the_best_of_nothing(chosen):
    assert chosen([run | {"status": "failed", "val/accuracy": None} for run in NONE]) is None


def test_words_and_numbers_are_those_of_the_report(chosen, results):
    best = chosen(NONE, PRE, POST).best
    page = write_report(results).page.read_text(encoding="utf-8")
    half = 100 * (best.accuracy.high - best.accuracy.estimate)
    assert f"{100 * best.accuracy.estimate:.2f} ± {half:.2f}" in page
    assert f"[{best.difference.low:+.2f}, {best.difference.high:+.2f}]" in page
    assert best.arm in page


def shown(found, width=None):
    out = io.StringIO()
    options = {"force_terminal": True, "width": width} if width else {}
    show_answers(found, Console(file=out, color_system=None, markup=False, **options))
    return out.getvalue()


@pytest.mark.parametrize("width", [None, 60, 80, 120])
def test_the_table_fits(chosen, width):
    found = chosen(NONE, PRE, POST, question="Does [bold]it[/] matter? " * 9)
    lines = shown([found, found], width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= min(width or WIDTH, WIDTH)
    assert sum(line.startswith("best     BatchNorm · before") for line in lines) == 2
    assert "84.00 % [74.06, 93.94]" in "\n".join(lines)
    assert any("+9.00 pp [-2.38, +20.38]" in line for line in lines)
    assert any("[bold]it[/]" in line for line in lines)
    assert any("3 arms, 9 runs" in line for line in lines)
    assert sum("No statistic answers it yet" in line for line in lines) == 2


def test_without_a_terminal_there_are_no_colours(chosen):
    assert "\x1b" not in shown([chosen(NONE, PRE)])


def test_a_single_arm_is_a_line(chosen):
    text = shown([chosen([run | {"stuck": run["seed"] == 1} for run in PRE])])
    assert text == (
        "MLP · BatchNorm · before activation: test accuracy 84.00 % [74.06, 93.94] over 3 seeds, "
        "validation 90.00 %, 1 stuck\n"
    )


def test_runs_that_failed_diverged_or_got_stuck_are_counted(chosen):
    odd = [run | {"seed": run["seed"] + 3} for run in NONE]
    odd[0]["status"], odd[1]["status"], odd[2]["stuck"] = "failed", "diverged", True
    text = shown([chosen(NONE, PRE, odd)])
    assert "one on digits  2 arms, 8 runs, 1 failed, 1 diverged, 1 stuck\n" in text


def test_few_seeds_have_no_interval():
    nan = float("nan")
    assert percent(Interval(0.5, nan, nan, 2)) == "50.00 %"
    assert points(Interval(-0.5, nan, nan, 2)) == "-0.50 pp"
    assert percent(Interval(nan, nan, nan, 0)) == "–"
