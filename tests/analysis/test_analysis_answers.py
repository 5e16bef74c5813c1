"""Answers of experiments from planted results: the numbers by hand, and the sentences."""

import math

import pytest
from fake_results import config, row, write_experiment

from bnbench.analysis.answer_words import tell
from bnbench.analysis.answers import answers
from bnbench.analysis.load import load_runs
from bnbench.config.schema import AnswerConfig, Panel, Statistic

T2 = 4.302652729911275  # the 97.5 % quantile of Student's t with two degrees of freedom
BN, NONE = {"norm.name": "batchnorm"}, {"norm.name": "none"}
DIFFERENCE = AnswerConfig(Statistic.difference, treatment=BN, baseline=NONE)


def runs(tree, values, metric="test/accuracy", **more):
    """A run for each value; None is one that was asked for and has no result, NaN one diverged."""
    found = []
    for seed, value in enumerate(values):
        if value is None:
            found.append(row(tree, seed, "missing"))
        elif math.isnan(value):
            found.append(row(tree, seed, "diverged", **{"val/accuracy": None, metric: None}))
        else:
            numbers = {key: own[seed] for key, own in more.items()}
            found.append(row(tree, seed, **{"val/accuracy": value, metric: value, **numbers}))
    return found


@pytest.fixture
def answer(results):
    """The answer of one statistic, from the runs of some arms."""

    def make(spec, *arms):
        folder = write_experiment(results, "one", [run for arm in arms for run in arm])
        (answer,) = answers(load_runs(folder), [spec])
        return answer

    return make


def test_a_difference_is_that_of_a_hand(answer):
    """Differences 5, 4 and 3 points: mean 4, s = 1."""
    found = answer(
        DIFFERENCE,
        runs(config(norm="none"), [0.90, 0.91, 0.92]),
        runs(config(norm="batchnorm"), [0.95, 0.95, 0.95]),
    )
    (one,) = found.rows
    half = T2 / math.sqrt(3)
    assert one.difference == pytest.approx((4.0, 4 - half, 4 + half, 3))
    assert (one.treatment.value, one.baseline.value) == pytest.approx((95.0, 91.0))
    assert str(tell(found)) == (
        "Test accuracy with BatchNorm rather than without a norm: 4.0 points higher "
        "(95.0 % against 91.0 %; 95 % interval 1.5 to 6.5, n = 3)."
    )


def test_planted_results_give_the_sentence_that_they_should(answer):
    none, bn = config(norm="none"), config(norm="batchnorm")
    nan = float("nan")

    def said(one, other):
        return tell(answer(DIFFERENCE, runs(none, other), runs(bn, one))).items

    better, worse = [0.95, 0.95, 0.95], [0.90, 0.91, 0.92]
    assert said(worse, better) == [
        "4.0 points lower (91.0 % against 95.0 %; 95 % interval -6.5 to -1.5, n = 3)"
    ]
    assert said(better, better) == [
        "no difference shown (95.0 % against 95.0 %; 95 % interval 0.0 to 0.0, n = 3)"
    ]
    assert said([0.90, 0.95, 0.91], worse) == [
        "no difference shown (92.0 % against 91.0 %; 95 % interval -5.6 to 7.6, n = 3)"
    ]
    assert said([0.95], [0.9]) == [
        "5.0 points higher (95.0 % against 90.0 %; n = 1, too few seeds to tell)"
    ]
    assert said(better, [nan, nan, 0.9]) == [
        "5.0 points higher (95.0 % against 90.0 %; n = 1, too few seeds to tell; "
        "diverged: 0 of 3 against 2 of 3)"
    ]
    assert said(better, [nan] * 3) == ["nothing to compare (95.0 % against no number)"]
    assert said(better, [None] * 3) == [
        "nothing to compare (95.0 % against an arm without a result)"
    ]
    assert said(better, []) == ["nothing to compare (95.0 % against no arm)"]


def test_without_the_arms_it_says_what_lacks(answer):
    only = runs(config(norm="none"), [0.9, 0.9, 0.9])
    assert str(tell(answer(DIFFERENCE, only))) == (
        "Nothing to compare, since no arm is with BatchNorm."
    )
    empty = [runs(config(norm=n), [None] * 3) for n in ("none", "batchnorm")]
    assert str(tell(answer(DIFFERENCE, *empty))) == "No run has finished yet."
    kept = AnswerConfig(Statistic.kept, treatment=BN, baseline=NONE)
    both = [runs(config(norm=n), [0.9] * 3) for n in ("none", "batchnorm")]
    assert str(tell(answer(kept, *both))) == (
        "Nothing to tell, since no shift of the test images was asked for."
    )


def test_pairs_are_told_apart_by_what_differs_and_many_are_counted(answer):
    arms = [
        runs(config(norm=norm, optim__lr_mult=mult), values)
        for norm, values in (("none", [0.90, 0.91, 0.92]), ("batchnorm", [0.95, 0.95, 0.95]))
        for mult in (1.0, 5.0)
    ]
    assert [r.label for r in answer(DIFFERENCE, *arms).rows] == ["×1", "×5"]
    reversed_ = [
        runs(config(norm=norm, optim__lr_mult=float(mult)), values)
        for mult in (2, 3, 4)
        for norm, values in (("none", [0.95, 0.95, 0.95]), ("batchnorm", [0.90, 0.85, 0.91]))
    ]
    told = tell(answer(DIFFERENCE, *arms, *reversed_)).items
    assert told[:2] == ["higher in 2 of 5", "no difference shown in 3 of 5"]
    assert told[2].startswith("the largest, ×2: no difference shown (88.7 % against 95.0 %;")


def test_the_mean_over_other_factors_is_taken_seed_by_seed(answer):
    """At both rates differences of (5, 4, 3) and (1, 2, 3) points: 3 for every seed."""
    spec = AnswerConfig(Statistic.difference, treatment=BN, baseline=NONE, by=[])
    arms = [
        *(runs(config(norm="none", optim__lr_mult=m), [0.90, 0.91, 0.92]) for m in (1.0, 5.0)),
        runs(config(norm="batchnorm"), [0.95, 0.95, 0.95]),
        runs(config(norm="batchnorm", optim__lr_mult=5.0), [0.91, 0.93, 0.95]),
    ]
    (one,) = answer(spec, *arms).rows
    assert one.difference == pytest.approx((3.0, 3.0, 3.0, 3))


def test_times_are_compared_by_their_quotient(answer):
    """Twice as fast in each seed; a seed that one side never got there is left out."""
    spec = AnswerConfig(Statistic.difference, treatment=BN, baseline=NONE, metric="steps_to/0.95")
    none = runs(config(norm="none"), [0.9] * 4, **{"steps_to/0.95": [20.0, 40.0, 30.0, None]})
    bn = runs(config(norm="batchnorm"), [0.9] * 4, **{"steps_to/0.95": [10.0, 20.0, 15.0, 9.0]})
    found = answer(spec, none, bn)
    (one,) = found.rows
    assert one.difference == pytest.approx((2.0, 2.0, 2.0, 3))
    assert one.baseline.value == pytest.approx((20 * 40 * 30) ** (1 / 3))
    assert tell(found).lead == (
        "Steps to 95 % of the validation images with BatchNorm rather than without a norm"
    )
    assert tell(found).items[0].startswith("2.0 times as fast (13 steps against 29 steps;")


def stuck(rows):
    return [run | {"stuck": True} for run in rows]


def test_levels_that_train_and_what_they_gain(answer):
    spec = AnswerConfig(
        Statistic.trains, treatment=BN, baseline=NONE, level="optim.lr_mult", reference=1.0
    )
    nan = float("nan")
    arms = [
        runs(config(norm="batchnorm"), [0.95, 0.95, 0.95]),
        runs(config(norm="batchnorm", optim__lr_mult=5.0), [0.90, 0.91, 0.92]),
        runs(config(norm="batchnorm", optim__lr_mult=30.0), [0.90, nan, nan]),
        runs(config(norm="none"), [0.95, 0.95, 0.95]),
        stuck(runs(config(norm="none", optim__lr_mult=5.0), [0.1, 0.1, 0.1])),
        runs(config(norm="none", optim__lr_mult=30.0), [None] * 3),
    ]
    assert str(tell(answer(spec, *arms))) == (
        "Test accuracy compared with ×1: with BatchNorm: ×5 trains, 4.0 points lower "
        "(95 % interval -6.5 to -1.5, n = 3), ×30 trains in 1 of 3 runs; without a norm: "
        "×5 does not train (n = 3), ×30 has no result."
    )


def test_the_greatest_level_at_which_every_run_trains(answer):
    spec = AnswerConfig(Statistic.greatest, treatment=BN, baseline=NONE, level="hidden_layers")

    def deep(norm, layers, values):
        return runs(config(norm=norm, model__depth=[layers, layers]), values)

    arms = [
        *(deep("batchnorm", k, [0.95, 0.95, 0.95]) for k in (1, 2, 3)),
        deep("none", 1, [0.90, 0.91, 0.92]),
        stuck(deep("none", 2, [0.1] * 3)),
        [*stuck(deep("none", 3, [0.1] * 2)), *deep("none", 3, [0.9] * 3)[2:]],
    ]
    told = tell(answer(spec, *arms))
    assert told.lead == "Greatest number of hidden layers at which every run trains"
    assert told.items[0].startswith(
        "6 with BatchNorm and 2 without a norm, of 2, 4 and 6 tried; at 6: no difference shown"
    )


def test_as_good_is_non_inferiority_where_every_run_trains(answer):
    spec = AnswerConfig(
        Statistic.as_good,
        treatment=BN,
        baseline={"norm.name": "groupnorm"},
        level="batch_size",
        parts=[Panel("ours", "batch_size > 0")],
    )

    def pair(size, one, other):
        changes = {"batch_size": size, "train__steps": 640 // size}  # steps follow from the level
        return [
            runs(config(norm="batchnorm", **changes), one),
            runs(config(norm="groupnorm", **changes), other),
        ]

    near, base = [0.945, 0.946, 0.944], [0.95, 0.95, 0.95]
    arms = [
        *map(stuck, pair(2, [0.1] * 3, [0.1] * 3)),  # as good as chance is not good
        *pair(4, [0.90, 0.91, 0.92], base),
        *pair(8, near, base),  # -0.5 ± 0.25 points
        *pair(16, [0.93, 0.95, 0.96], base),
    ]
    (item,) = tell(answer(spec, *arms)).items
    assert item == (
        "ours: 8, 0.50 points lower (94.5 % against 95.0 %; 95 % interval -0.75 to -0.25, "
        "n = 3); not shown at 16"
    )
    spec.margin = 0.5
    (item,) = tell(answer(spec, *arms)).items
    assert item == "ours: none of 2, 4, 8 or 16"


def test_what_is_kept_under_the_greatest_severity_of_each_shift(answer):
    """With BN 40, 50 and 60 % are kept under contrast, without 90 % by each; -40 ± 24.8."""
    spec = AnswerConfig(Statistic.kept, treatment=BN, baseline=NONE)
    shifts = {
        "batchnorm": {"contrast-5": [0.4, 0.5, 0.6], "contrast-1": [1.0] * 3, "blur-3": [0.9] * 3},
        "none": {"contrast-5": [0.9] * 3, "contrast-1": [0.0] * 3, "blur-3": [0.9] * 3},
    }
    arms = [
        runs(
            config(norm=norm),
            [0.8, 0.8, 0.8],
            **{f"shift/accuracy/{k}": [0.8 * share for share in v] for k, v in own.items()},
        )
        for norm, own in shifts.items()
    ]
    found = answer(spec, *arms)
    contrast = next(r for r in found.rows if r.level == "contrast-5")
    half = T2 * 10 / math.sqrt(3)
    assert contrast.difference == pytest.approx((-40, -40 - half, -40 + half, 3))
    assert str(tell(found)) == (
        "Of its test accuracy on unchanged images a net keeps: 50.0 % with BatchNorm and 90.0 % "
        "without a norm under contrast at severity 5, 40.0 points lower (95 % interval -64.8 to "
        "-15.2, n = 3), no difference shown under blur."
    )


def test_values_and_the_best_arm(answer):
    arms = [
        runs(config(optim__base_lr=rate), [0.95, 0.95, top])
        for rate, top in ((0.1, 0.5), (1, 0.92))
    ]
    found = answer(AnswerConfig(Statistic.best), *arms)
    assert str(tell(found)).startswith(
        "Best by validation accuracy: base learning rate 1, test accuracy 94.0 % (95 % interval"
    )
    found = answer(AnswerConfig(Statistic.value, metric="test/accuracy"), *arms)
    assert [row.label for row in found.rows] == [
        "base learning rate 0.1",
        "base learning rate 1",
    ]
