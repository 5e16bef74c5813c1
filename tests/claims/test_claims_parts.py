"""What parts declare: bounds, and the other choices that would decide in their place."""

import math

import pytest

from bnbench.claims.records import Above, Below, Between, Sizing
from bnbench.claims.registry.parts import (
    LADDER,
    as_good,
    gains_more_speed,
    ladder,
    learns_faster,
    more_accurate,
)
from bnbench.claims.study import LackingError, StudyArm

NONE = StudyArm("x", {"norm.name": "none"})
BN = NONE.but(norm__name="batchnorm")
RATES = (0.01, 0.1, 1.0)
ENDS = {"none": (0.5, 0.7, 0.6), "batchnorm": (0.6, 0.8, 0.9)}  # at the rates
SIZING = Sizing(2.0, 1.0, 10, "twenty seeds of another board")


@pytest.fixture
def tuned(study):
    """Both arms at three rates: without BN 0.1 is best, with it 1; curves of ten points."""
    for norm, ends in ENDS.items():
        for rate, end in zip(RATES, ends, strict=True):
            arm = f"{norm}{rate:g}"
            for seed in (*range(100, 105), *range(20, 24)):
                study.run(arm, seed, norm__name=norm, optim__lr=rate, val=end, acc=end)
                reached = 20 if norm == "batchnorm" else 60
                study.points += [
                    (arm, seed, step, "val/accuracy", end * min(1, step / reached))
                    for step in range(10, 101, 10)
                ]
    return study


def test_the_area_decides_and_thresholds_and_rates_are_other_choices(tuned):
    part = learns_faster(BN, NONE, Above(1.0), interest=2.0, sizing=SIZING, words="with BN")
    assert (part.scale, part.interest, part.sizing) == ("linear", 2.0, SIZING)
    assert part.statistic == "mean validation accuracy over the run (pp), with BN"
    names = ["threshold 0.8", "threshold 0.9", "threshold 0.95", "rate below", "rate above"]
    assert list(part.choices) == names
    rows = part.measure(tuned)
    assert list(rows["seed"]) == [20, 21, 22, 23]
    # curves rise linearly for 20 and 60 of 100 steps and are at their end then; flat to step 10
    none, bn = (end * (100 - r / 2 + 50 / r) for end, r in ((0.7, 60), (0.9, 20)))
    assert list(rows["value"]) == pytest.approx([bn - none] * 4)
    for share in (0.8, 0.9, 0.95):
        choice = part.choices[f"threshold {share:g}"]
        assert (choice.scale, choice.target, choice.sizing) == ("log", Above(0.0), None)
        assert choice.distance > 0
        steps = choice.measure(tuned)
        assert list(steps["baseline"]) == pytest.approx([60 * share] * 4)
        assert list(steps["treatment"]) == pytest.approx([20 * share * 0.7 / 0.9] * 4)


def test_beside_the_tuned_rate_the_tuning_seeds_are_read(tuned):
    part = learns_faster(BN, NONE, Above(1.0), interest=2.0, sizing=SIZING)
    below = part.choices["rate below"]
    assert (below.target, below.interest, below.sizing) == (Above(1.0), 2.0, None)
    rows = below.measure(tuned)
    assert list(rows["seed"]) == list(range(100, 105))
    assert set(rows["treatment_rate"]) == set(rows["baseline_rate"]) == {0.1}
    with pytest.raises(LackingError, match="no rate was tried above"):
        part.choices["rate above"].measure(tuned)
    gap = more_accurate(BN, NONE, Above(0.0), interest=1.0, words="with BN")
    assert list(gap.choices) == ["rate below", "rate above"]
    assert list(gap.choices["rate below"].measure(tuned)["value"]) == pytest.approx([10] * 5)
    assert list(gap.measure(tuned)["value"]) == pytest.approx([20] * 4)


def test_a_net_at_the_rate_of_another_has_the_neighbours_of_that_rate(tuned):
    common = BN.but(rate=NONE)
    rows = more_accurate(common, NONE, Above(0.0)).choices["rate above"].measure(tuned)
    assert set(rows["treatment_rate"]) == {1.0}
    assert set(rows["baseline_rate"]) == {0.1}


def test_given_rates_and_readings_have_no_neighbours():
    fixed = more_accurate(BN.but(rate=0.1), NONE.but(rate=0.1), Above(0.0))
    assert fixed.choices == {}
    assert list(learns_faster(BN.but(rate=0.1), NONE, Above(0.0)).choices) == [
        *("threshold 0.8", "threshold 0.9", "threshold 0.95")
    ]
    assert learns_faster(BN, NONE).choices == more_accurate(BN, NONE).choices == {}
    assert learns_faster(BN, NONE, at=NONE).choices == {}


@pytest.mark.parametrize(
    ("target", "ratio"),
    [
        (Above(0.0), Above(0.0)),
        (Below(-1.0), Below(0.0)),
        (Above(-1.0), None),
        (Below(1.0), None),
        (Between(-1.0, 1.0), None),
    ],
)
def test_a_ratio_lies_on_the_side_of_the_difference(target, ratio):
    choices = learns_faster(BN, NONE, target).choices
    found = choices["threshold 0.9"].target if "threshold 0.9" in choices else None
    assert found == ratio
    given = Between(-math.log(1.1), math.log(1.1))
    assert learns_faster(BN, NONE, target, ratio=given).choices["threshold 0.9"].target == given


def test_as_good_is_at_most_so_much_worse():
    assert as_good() == Above(-1.0)
    assert as_good(0.5) == Above(-0.5)


def test_a_ladder_of_readings(tuned):
    parts = ladder(BN, NONE, "MLP")
    assert list(parts) == [f"MLP, speed to {share:g} of that accuracy" for share in LADDER]
    values = [part.measure(tuned)["value"][0] for part in parts.values()]
    assert values == pytest.approx([math.log(60 / (20 * 0.7 / 0.9))] * 5)
    assert {(part.target, part.scale) for part in parts.values()} == {(None, "log")}
    assert next(iter(ladder(BN, NONE))) == "speed to 0.7 of that accuracy"


def test_a_gain_in_area_minus_another(tuned):
    part = gains_more_speed((BN, NONE), (NONE, NONE), Above(0.0), words="x")
    one = learns_faster(BN, NONE).measure(tuned)["value"]
    assert list(part.measure(tuned)["value"]) == pytest.approx(list(one))
