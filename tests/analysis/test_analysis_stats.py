"""Intervals against numbers computed by hand and scipy; comparisons against the right baseline."""

import math

import numpy as np
import pandas as pd
import pytest
from fake_results import arm_of, config, row, write_experiment
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from bnbench.analysis.load import load
from bnbench.analysis.stats import (
    arm_table,
    comparisons,
    interval_table,
    mean_interval,
    paired_difference,
)

ROUNDING = 1e-9  # a few float64 operations on numbers of order one


def runs_of(results, *groups):
    """The runs of arms given as (config, accuracies by seed); None is a diverged run."""
    rows = [
        row(tree, seed, "done" if value is not None else "diverged", **{"test/accuracy": value})
        for tree, values in groups
        for seed, value in enumerate(values)
    ]
    return load(write_experiment(results, "one", rows)).runs


def test_mean_interval_by_hand():
    # mean 2, s = 1, t(2, .975) = 4.302653: half-width 4.302653 / √3
    mean, low, high, n = mean_interval([1.0, 2.0, 3.0])
    assert (mean, n) == (2.0, 3)
    assert (low, high) == pytest.approx((2 - 2.4841377, 2 + 2.4841377), abs=1e-6)
    # the golden string of DomainBed, "20.0 +/- 4.7", is the standard error with ddof=0
    assert mean_interval([10.0, 20.0, 30.0]).high - 20 == pytest.approx(24.84, abs=0.01)


def test_a_wider_level_is_a_wider_interval():
    values = [1.0, 2.0, 4.0, 3.0]
    assert mean_interval(values, 0.90).high < mean_interval(values, 0.99).high


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan, math.inf]])
def test_fewer_than_three_values_have_no_interval(values):
    interval = mean_interval(values)
    finite = [value for value in values if math.isfinite(value)]
    assert interval.n == len(finite)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    if finite:
        assert interval.estimate == np.mean(finite)


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
        min_size=3,
        max_size=12,
        unique_by=lambda p: p,
    ).filter(lambda pairs: np.std([a - b for a, b in pairs]) > 1e-3)
)
def test_paired_difference_is_the_interval_of_the_paired_t_test(pairs):
    treatment, baseline = (pd.Series(values) for values in zip(*pairs, strict=True))
    interval = paired_difference(treatment, baseline)
    expected = ttest_rel(treatment, baseline).confidence_interval(0.95)
    assert interval.n == len(pairs)
    assert interval[1:3] == pytest.approx((expected.low, expected.high), rel=1e-6, abs=ROUNDING)


def test_paired_difference_uses_common_seeds_only():
    treatment = pd.Series([0.9, 0.8, 0.7, 0.5], index=[0, 1, 2, 9])
    baseline = pd.Series([0.5, 0.6, 0.1, 0.6], index=[2, 1, 5, 0])
    interval = paired_difference(treatment, baseline)
    assert interval.n == 3
    assert interval.estimate == pytest.approx((0.3 + 0.2 + 0.2) / 3)


def test_interval_table_agrees_with_mean_interval():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": np.repeat([3, 1, 2], [5, 4, 2]), "y": rng.normal(size=11)})
    frame.loc[0, "y"] = math.nan
    table = interval_table(frame, "x", "y")
    assert table.index.tolist() == [1, 2, 3]
    for x, line in table.iterrows():
        expected = mean_interval(frame.loc[frame["x"] == x, "y"])
        assert tuple(line) == pytest.approx(tuple(expected), abs=ROUNDING, nan_ok=True)


def test_the_baseline_of_a_norm_is_equal_in_everything_else(results):
    accuracies = {1.0: [0.90, 0.91, 0.92], 5.0: [0.80, 0.82, 0.84]}
    groups = [(config(norm="none", optim__lr_mult=m), v) for m, v in accuracies.items()]
    trees = {
        (placement, m): config("mlp", "batchnorm", placement, optim__lr_mult=m)
        for placement in ("pre", "post")
        for m in accuracies
    }
    groups += [(tree, [0.95, 0.95, 0.95]) for tree in trees.values()]
    table = comparisons(runs_of(results, *groups), {"norm.name": "none"}).set_index("treatment")
    assert len(table) == 4
    for (_, m), tree in trees.items():
        found = table.loc[arm_of(tree)]
        assert found["baseline"] == arm_of(config(norm="none", optim__lr_mult=m))
        expected = mean_interval([100 * (0.95 - value) for value in accuracies[m]])
        assert tuple(found[["estimate", "low", "high", "n"]]) == pytest.approx(tuple(expected))


def test_the_baseline_of_a_setting_frees_that_setting_only(results):
    groups = [
        (config(norm=norm, optim__lr_mult=m), [0.9, 0.9, 0.9])
        for norm in ("none", "batchnorm")
        for m in (1.0, 5.0, 30.0)
    ]
    table = comparisons(runs_of(results, *groups), {"optim.lr_mult": 1.0})
    for _, found in table.iterrows():
        norm = found["treatment"].split("-")[1]
        assert found["baseline"] == arm_of(config(norm=norm, optim__lr_mult=1.0))
    assert len(table) == 4


def test_a_list_is_a_baseline(results):
    groups = [(config(model__widths=[w, w]), [0.9]) for w in (8, 16)]
    table = comparisons(runs_of(results, *groups), {"model.widths": [16, 16]})
    assert table["treatment"].tolist() == [arm_of(groups[0][0])]
    assert table["baseline"].tolist() == [arm_of(groups[1][0])]


def test_an_arm_without_baseline_is_told(results):
    groups = [(config(norm="none"), [0.9]), (config(batch_size=8), [0.9])]
    table = comparisons(runs_of(results, *groups), {"norm.name": "none"})
    assert table["treatment"].tolist() == [arm_of(groups[1][0])]
    assert table["baseline"].isna().all()
    assert table["n"].tolist() == [0]


def test_diverged_runs_enter_as_measured_or_are_counted(results):
    bn, none = config(), config(norm="none")
    runs = runs_of(results, (bn, [0.9, 0.9, 0.9, 0.9]), (none, [0.8, 0.8, 0.8, None]))
    runs.loc[runs["arm"].eq(arm_of(none)) & runs["seed"].eq(2), ["status", "test/accuracy"]] = [
        "diverged",
        0.1,
    ]
    (found,) = comparisons(runs, {"norm.name": "none"}).to_dict("records")
    assert found["estimate"] == pytest.approx((10 + 10 + 80) / 3)
    assert (found["n"], found["pairs"]) == (3, 4)
    assert (found["treatment_diverged"], found["baseline_diverged"]) == (0, 2)
    table = arm_table(runs).set_index("arm")
    assert table.loc[arm_of(none), ["runs", "diverged"]].tolist() == [4, 2]
    assert table.loc[arm_of(none), "accuracy"].n == 3


def test_an_unknown_baseline_column_is_refused(results):
    runs = runs_of(results, (config(), [0.9]))
    with pytest.raises(ValueError, match=r"norm\.nam'.*expected one of .*norm\.name"):
        comparisons(runs, {"norm.nam": "none"})


def test_a_threshold_not_reached_is_late_not_lost(results):
    runs = runs_of(results, (config(), [0.9, 0.9, 0.9]), (config(norm="none"), [0.9, 0.9, 0.9]))
    runs["steps_to/0.95"] = [10.0, math.nan, 30.0, math.nan, math.nan, 5.0]
    runs["steps_to/0.6"] = [1.0] * 6  # not among the arms' thresholds
    table = arm_table(runs)
    assert table["steps_to/0.95"].tolist() == [30.0, math.inf]
    assert table["steps_to/0.95 missed"].tolist() == [1, 2]
    assert table["steps_to/0.6"].isna().all()
