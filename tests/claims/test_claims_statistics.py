import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.claims.curves import generalisation_gap
from bnbench.claims.statistics import (
    area_contrast,
    area_gap,
    at_start,
    contrast,
    curve_gap,
    gap,
    level,
    of_problem,
    over_phase,
    slope,
    speedup,
    steps_contrast,
)
from bnbench.claims.study import IntegrityError, LackingError, StudyArm, mean_over_run
from bnbench.claims.under_shift import change, cost, recovered, recovered_gap, retained_gap

NONE = StudyArm("x", {"norm.name": "none"}, 0.1)
BN = NONE.but(norm__name="batchnorm")


@pytest.fixture
def two_arms(study):
    for seed, none, bn in ((0, 0.5, 0.6), (1, 0.7, 0.9), (2, 0.8, 0.8)):
        study.run("a", seed, acc=none)
        study.run("b", seed, acc=bn, norm__name="batchnorm")
    return study


def test_a_gap_is_paired(two_arms):
    rows = gap(BN, NONE)(two_arms)
    assert list(rows["value"]) == pytest.approx([10, 20, 0])
    assert list(rows["treatment"]) == pytest.approx([60, 90, 80])
    assert list(rows["baseline"]) == pytest.approx([50, 70, 80])
    assert set(rows["treatment_arm"]) == {"b"}
    assert set(rows["baseline_arm"]) == {"a"}
    assert set(rows["bound"]) == {""}
    assert list(level(BN)(two_arms)["value"]) == pytest.approx([60, 90, 80])


def draw(study, arm, seed, values, key="val/accuracy", steps=(20, 40, 60, 80, 100)):
    study.points += [(arm, seed, s, key, v) for s, v in zip(steps, values, strict=False)]


def test_an_accuracy_is_the_mean_of_the_last_five_evaluations(two_arms):
    # seed 0 by hand; 0.95 and 0.5 lie before the last five; a net that broke off can but guess
    draw(
        two_arms, "b", 0, [0.95, 0.5, 0.6, 0.7, 0.8, 0.7, 0.7], "test/accuracy", range(40, 101, 10)
    )
    draw(two_arms, "b", 1, [0.6, 0.0], "test/accuracy")
    two_arms.diverge("b", 1)
    draw(two_arms, "b", 2, [0.6, math.nan, 0.7, 0.7, 0.7], "test/accuracy")
    rows = gap(BN, NONE)(two_arms)
    assert list(rows["treatment"]) == pytest.approx([70, (60 + 0 + 3 * 10) / 5, (270 + 10) / 5])
    assert list(rows["value"]) == pytest.approx([20, 18 - 70, 56 - 80])
    assert list(level(BN)(two_arms)["value"]) == pytest.approx([70, 18, 56])


def test_a_curve_that_ends_before_its_run_stops_the_board(two_arms):
    for number in (area_gap, gap):
        draw(two_arms, "b", 0, [0.5] * 4)
        draw(two_arms, "b", 0, [0.5] * 4, "test/accuracy")
        with pytest.raises(IntegrityError, match=r"ends at step 80.* of 100: not all of the run"):
            number(BN, NONE)(two_arms)


def test_rates_stand_beside_the_arms(two_arms):
    rows = gap(BN, NONE)(two_arms)
    assert list(rows["treatment_rate"]) == list(rows["baseline_rate"]) == [0.1] * 3
    one = level(BN)(two_arms)
    assert list(one["treatment_rate"]) == [0.1] * 3
    assert one["baseline_rate"].isna().all()
    for seed in range(3):
        two_arms.run("c", seed, batch_size=2, optim__lr=0.3)
        two_arms.run("d", seed, batch_size=4)
    same, other = NONE.but(batch_size=4), NONE.but(batch_size=2, rate=0.3)
    first = NONE.but(batch_size=64)
    rows = contrast([(1.0, BN), (1.0, other), (-1.0, first), (-1.0, same)])(two_arms)
    assert rows["treatment_rate"].isna().all()  # 0.1 and 0.3
    assert list(rows["baseline_rate"]) == [0.1] * 3
    assert set(rows["baseline_arm"]) == {"a+d"}


def test_the_area_between_two_curves_by_hand(two_arms):
    for seed in range(3):
        draw(two_arms, "a", seed, [0.2, 0.6, 0.6, 0.6, 0.6])
    # before its first point a curve has its first value; straight lines join the points
    plain = (20 * 0.2 + 20 * 0.4 + 60 * 0.6) / 100
    draw(two_arms, "b", 0, [0.4, 0.8, 0.8, 0.8, 0.8])
    draw(two_arms, "b", 1, [0.4, 0.8])  # diverges after step 40
    draw(two_arms, "b", 2, [math.nan])  # at the first step
    two_arms.diverge("b", 1, 2)
    rows = area_gap(BN, NONE)(two_arms)
    assert list(rows["baseline"]) == pytest.approx([100 * plain] * 3)
    assert list(rows["treatment"]) == pytest.approx(
        [20 * 0.4 + 20 * 0.6 + 60 * 0.8, 20 * 0.4 + 20 * 0.6 + 60 * 0.1, 10]
    )
    assert list(rows["value"]) == pytest.approx(list(rows["treatment"] - rows["baseline"]))
    assert set(rows["bound"]) == {""}


def test_a_run_without_a_point_counts_with_its_guess(two_arms):
    for seed in (0, 1):
        draw(two_arms, "b", seed, [0.5] * 5, "val@precise/accuracy")
        draw(two_arms, "a", seed, [0.5] * 5)
    draw(two_arms, "a", 2, [0.5] * 5)
    two_arms.diverge("b", 2)
    rows = area_gap(BN, NONE, "val@precise/accuracy")(two_arms)
    assert list(rows["treatment"]) == pytest.approx([50, 50, 10])
    assert list(rows["baseline"]) == pytest.approx([50, 50, 50])  # has one curve for all policies


def test_an_area_contrast_is_that_of_its_terms(two_arms):
    for arm, level_of in (("a", 0.5), ("b", 0.8)):
        for seed in range(3):
            draw(two_arms, arm, seed, [level_of] * 5)
    rows = area_contrast([(1.0, BN), (-0.5, NONE)])(two_arms)
    assert list(rows["value"]) == pytest.approx([80 - 25] * 3)
    assert list(rows["baseline"]) == pytest.approx([25] * 3)


@given(st.lists(st.floats(0, 1), max_size=5))
def test_a_mean_over_the_run_is_among_its_values_and_the_guess(values):
    steps = list(range(20, 101, 20))[: len(values)]
    mean = mean_over_run(steps, values, 100)
    seen = [*values, *[0.1] * (len(values) < 5)]
    assert min(seen) - 1e-12 <= mean <= max(seen) + 1e-12


def test_a_contrast_is_the_difference_of_differences(two_arms):
    for seed, none, bn in ((0, 0.4, 0.3), (1, 0.6, 0.5), (2, 0.7, 0.5)):
        study = two_arms
        study.run("c", seed, acc=none, batch_size=2)
        study.run("d", seed, acc=bn, norm__name="batchnorm", batch_size=2)
    one, other = NONE.but(batch_size=64), BN.but(batch_size=64)
    small, small_bn = NONE.but(batch_size=2), BN.but(batch_size=2)
    terms = [(1.0, other), (-1.0, small_bn), (-1.0, one), (1.0, small)]
    rows = contrast(terms)(two_arms)
    assert list(rows["value"]) == pytest.approx([30 - 10, 40 - 10, 30 - 10])
    assert rows["treatment_arm"][0] == "b+c"


def draw_curves(study, crossings):
    """Curves of ten points that are at 0 and, from a step on, at 1; None: always 0."""
    for arm, norm, steps in crossings:
        for seed, reached in enumerate(steps):
            study.run(arm, seed, norm__name=norm)
            for step in range(10, 101, 10):
                value = float(reached is not None and step >= reached)
                study.points.append((arm, seed, step, "val/accuracy", value))
    for seed in (100, 101):
        study.run("a", seed, val=0.5)


def test_steps_to_the_accuracy_that_the_baseline_ends_at(study):
    # the median of three does not move a step function; at 0.5 it crosses half an interval before
    draw_curves(
        study, [("a", "none", [80, 60, None, None]), ("b", "batchnorm", [20, 30, 50, None])]
    )
    rows = speedup(BN, NONE)(study)
    assert list(rows["treatment"][:3]) == [15, 25, 45]
    assert list(rows["baseline"][:2]) == [75, 55]
    expected = [math.log(75 / 15), math.log(55 / 25), math.log(100 / 45)]
    assert list(rows["value"][:3]) == pytest.approx(expected)
    assert list(rows["bound"]) == ["", "", "at least", "none"]
    assert math.isnan(rows["value"][3])


def test_a_lower_share_of_that_accuracy_is_reached_sooner(study):
    draw_curves(study, [("a", "none", [80, 60, 80, 80]), ("b", "batchnorm", [20, 30, 50, 20])])
    rows = speedup(BN, NONE, share=0.5)(study)
    assert list(rows["treatment"]) == [12.5, 22.5, 42.5, 12.5]


def test_who_is_slower_than_the_budget_is_known_from_above(study):
    draw_curves(study, [("a", "none", [80, 60]), ("b", "batchnorm", [None, 20])])
    rows = speedup(BN, NONE)(study)
    assert list(rows["bound"]) == ["at most", ""]
    assert rows["value"][0] == pytest.approx(math.log(75 / 100))


def test_a_slope_is_that_of_least_squares(study):
    y = {8: [0.5, 0.9, 0.1], 32: [0.6, 0.7, 0.4], 128: [0.9, 0.8, 0.3]}
    for size, values in y.items():
        for seed, value in enumerate(values):
            study.run(f"g{size}", seed, acc=value, norm__ghost_size=size)
    points = [(math.log2(m), NONE.but(norm__ghost_size=m)) for m in y]
    rows = slope(points, generalisation_gap)(study)
    gaps = 100 * (1 - np.array(list(y.values())))
    assert list(rows["value"]) == pytest.approx(list(np.polyfit([3, 5, 7], gaps, 1)[0]))


def probe(study, arm, seed, values, key="train@batch/drift/3"):
    study.points += [(arm, seed, step, key, value) for step, value in values.items()]


def test_a_phase_is_a_share_of_the_run(two_arms):
    for seed in range(3):
        probe(two_arms, "a", seed, {0: 99, 5: 2, 50: 4, 100: 8})
        probe(two_arms, "b", seed, {0: 99, 5: 1, 50: 1, 100: 1})
    key = "train@batch/drift/3"
    early = over_phase(BN, NONE, key, (0.0, 0.05))(two_arms)
    late = over_phase(BN, NONE, key, (0.05, 1.0))(two_arms)
    assert list(early["value"]) == pytest.approx([math.log(50 / 50.5)] * 3)  # with the start
    assert list(late["value"]) == pytest.approx([math.log(1 / 6)] * 3)
    middle = over_phase(BN, NONE, key, (0.01, 1.0), log=False, median=True)(two_arms)
    assert list(middle["value"]) == pytest.approx([1 - 4] * 3)


def test_a_phase_ends_where_the_baseline_has_fitted(two_arms):
    key = "train@batch/drift/3"
    for seed, losses in enumerate(([2.0, 1.0, 0.5], [2.0, 0.1, 0.7], [0.4, 0.3, 0.2])):
        probe(two_arms, "a", seed, {0: 1, 20: 2, 50: 4, 100: 8}, key)
        probe(two_arms, "b", seed, {0: 3, 20: 4, 50: 6, 100: 99}, key)
        probe(two_arms, "a", seed, dict(zip((20, 50, 100), losses, strict=True)), "val/loss")
        probe(two_arms, "b", seed, {20: 0, 50: 0, 100: 0}, "val/loss")  # is not asked
    measure = over_phase(BN, NONE, key, log=False, while_above=("val/loss", 0.5))
    rows = measure(two_arms)
    # all of the run; until the loss was first below, though it rises again; no point at all
    assert list(rows["value"][:2]) == pytest.approx([(3 + 4 + 6 + 99 - 1 - 2 - 4 - 8) / 4, 2])
    assert list(rows["bound"]) == ["", "", "none"]
    assert math.isnan(rows["value"][2])
    late = over_phase(BN, NONE, key, (0.4, 1.0), log=False, while_above=("val/loss", 0.5))
    assert list(late(two_arms)["bound"]) == ["", "none", "none"]


def test_a_seed_without_a_number_says_nothing(two_arms):
    for seed in range(3):
        probe(two_arms, "a", seed, {50: 1.0})
        probe(two_arms, "b", seed, {50: math.nan if seed == 1 else 2.0})  # diverged
    rows = over_phase(BN, NONE, "train@batch/drift/3")(two_arms)
    assert list(rows["bound"]) == ["", "none", ""]


def test_layers_are_averaged_before_time(two_arms):
    for seed in range(3):
        for arm, values in (("a", {50: 1.0, 100: 1.0}), ("b", {50: 2.0, 100: 4.0})):
            probe(two_arms, arm, seed, values)
            probe(two_arms, arm, seed, {50: 4.0, 100: 0.0}, "train@batch/drift/2")
    keys = ["train@batch/drift/2", "train@batch/drift/3"]
    rows = over_phase(BN, NONE, keys, log=False)(two_arms)
    assert list(rows["treatment"]) == pytest.approx([2.5] * 3)
    assert list(rows["baseline"]) == pytest.approx([1.5] * 3)


def test_two_curves_of_one_run(two_arms):
    for seed in range(3):
        probe(two_arms, "b", seed, {10: 0.5, 50: 0.7, 100: 0.9}, "val@precise/accuracy")
        probe(two_arms, "b", seed, {10: 0.1, 50: 0.6, 100: 0.9}, "val/accuracy")
    rows = curve_gap(BN, "val@precise/accuracy", "val/accuracy", (0.02, 0.5))(two_arms)
    assert list(rows["value"]) == pytest.approx([25] * 3)


def test_before_the_first_step(two_arms):
    for seed in range(3):
        probe(two_arms, "b", seed, {0: 1.2 + seed, 1: 9}, "train@batch/gradient_growth")
    rows = at_start(BN, "train@batch/gradient_growth")(two_arms)
    assert list(rows["value"]) == pytest.approx([1.2, 2.2, 3.2])
    with pytest.raises(LackingError, match="no curve"):
        at_start(NONE, "train@batch/gradient_growth")(two_arms)


def test_a_contrast_of_steps_over_three_arms(study):
    draw_curves(
        study,
        [("a", "none", [80, None]), ("b", "batchnorm", [20, 20]), ("c", "noisy", [40, 40])],
    )
    noisy = NONE.but(norm__name="noisy")
    rows = steps_contrast([(0.5, NONE), (0.5, BN), (-1.0, noisy)], NONE)(study)
    kept = math.log(75 / 35) - 0.5 * math.log(75 / 15)
    assert rows["value"][0] == pytest.approx(kept)
    assert list(rows["bound"]) == ["", "at least"]
    assert list(rows["treatment"]) == [35, 35]


def test_a_problem_is_read_seed_by_seed(study):
    table = [(s, q, v) for s in (0, 1) for q, v in (("a", 2.0 + s), ("b", 3.0))]
    study.tables["toy"] = pd.DataFrame(table, columns=["seed", "quantity", "value"])
    rows = of_problem("toy", lambda q: q["a"] * q["b"])(study)
    assert rows["treatment_rate"].isna().all()
    assert list(rows["value"]) == [6, 9]
    assert list(rows["seed"]) == [0, 1]


@pytest.fixture
def shifted(study):
    """Clean 0.9 and 0.8; under one shift 0.3 and 0.6, adapted 0.6; the other costs nothing."""
    for seed in range(3):
        study.run("a", seed, acc=0.8, **{"test@recalibrated/accuracy": 0.8})
        study.run("b", seed, acc=0.9, norm__name="batchnorm", **{"test@adabn/accuracy": 0.85})
        for severity in (1, 3):
            study.shifts += [
                ("a", seed, "blur", severity, "none", 0.6),
                ("a", seed, "blur", severity, "recalibrated", 0.7),
                ("b", seed, "blur", severity, "ema", 0.3),
                ("b", seed, "blur", severity, "adabn", 0.6),
                ("b", seed, "contrast", severity, "ema", 0.9),
                ("b", seed, "contrast", severity, "adabn", 0.9),
            ]
    return study


def test_what_is_retained_is_a_share_of_ones_own(shifted):
    rows = retained_gap(BN, NONE, ["blur"], [1, 3])(shifted)
    assert list(rows["value"]) == pytest.approx([100 * (0.3 / 0.9 - 0.6 / 0.8)] * 3)


def test_what_is_recovered_is_a_share_of_the_loss(shifted):
    bn = recovered(BN, "adabn", ["blur"], [1, 3])
    none = recovered(NONE, "recalibrated", ["blur"], [1, 3], "none")
    assert list(bn(shifted)["value"]) == pytest.approx([0.5] * 3)
    assert list(none(shifted)["value"]) == pytest.approx([0.5] * 3)
    both = recovered_gap(BN, NONE, ("adabn", "recalibrated"), ["blur"], [1, 3])
    assert list(both(shifted)["value"]) == pytest.approx([0] * 3)
    shifted.marks["b", 1] = {"batches": "other"}
    with pytest.raises(IntegrityError, match="unpaired"):
        both(shifted)
    # a shift that costs nothing adds nothing to either sum
    rows = recovered(BN, "adabn", ["blur", "contrast"], [1, 3])(shifted)
    assert list(rows["value"]) == pytest.approx([0.5] * 3)


def test_shifted_accuracy_is_compared_with_the_clean_one_of_the_same_net(shifted):
    # the last five evaluations differ from the final one, that of the net that met the shifts
    draw(shifted, "b", 0, [0.1] * 5, "test/accuracy")
    rows = retained_gap(BN, NONE, ["blur"], [1, 3])(shifted)
    assert list(rows["treatment"]) == pytest.approx([100 * 0.3 / 0.9] * 3)
    draw(shifted, "b", 0, [0.1] * 5, "test@adabn/accuracy")
    assert list(cost(BN, "adabn", "blur", 3)(shifted)["baseline"]) == pytest.approx([85] * 3)
    assert list(change(BN, "adabn")(shifted)["value"]) == pytest.approx([0, -5, -5])


def test_a_change_of_policy(shifted):
    assert list(change(BN, "adabn")(shifted)["value"]) == pytest.approx([-5] * 3)


def test_the_cost_of_a_shift_is_under_one_policy(shifted):
    # 0.6 where the clean images have 0.85
    assert list(cost(BN, "adabn", "blur", 3)(shifted)["value"]) == pytest.approx([-25] * 3)
    with pytest.raises(LackingError, match="no accuracy under invert@adabn"):
        cost(BN, "adabn", "invert")(shifted)
