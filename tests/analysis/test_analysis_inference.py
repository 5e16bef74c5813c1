import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bnbench.analysis.inference import (
    are_equal,
    holm,
    log_steps,
    median_interval,
    p_above,
    p_below,
    p_between,
    p_median_above,
    p_share_above,
    share_interval,
)

SAMPLE = [0.8, 1.9, -0.3, 2.4, 1.1, 0.7]
samples = st.lists(st.floats(-100, 100), min_size=3, max_size=12)


def test_one_sided_tests_by_hand():
    # mean 2, s = 1, standard error 1/√3; t(2) has the closed form F(t) = 1/2 + t/(2√(2+t²))
    t = 2 * math.sqrt(3)
    assert p_above([1, 2, 3], 0) == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)), rel=1e-12)


@pytest.mark.slow
@given(samples, st.floats(-100, 100))
def test_one_sided_tests_are_those_of_scipy(values, bound):
    if np.std(values) < 1e-6:
        return
    for ours, side in ((p_above, "greater"), (p_below, "less")):
        exact = stats.ttest_1samp(values, bound, alternative=side).pvalue
        assert ours(values, bound) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@given(samples, st.floats(-100, 100))
def test_the_two_sides_share_one(values, bound):
    if are_equal(values):
        return
    assert p_above(values, bound) + p_below(values, bound) == pytest.approx(1, abs=1e-9)


def test_equal_values_are_as_certain_as_coins_that_agree():
    # with four values t would be infinite, and p 0
    assert p_above([2.0] * 4, 1.0) == 0.5**4
    assert p_above([2.0] * 4, 3.0) == p_above([2.0] * 4, 2.0) == 1
    assert p_below([2.0] * 4, 3.0) == 0.5**4
    assert p_below([2.0] * 4, 2.0) == 1
    assert p_between([2.0] * 6, 1.0, 3.0) == 0.5**6
    assert p_between([2.0] * 6, 2.0, 3.0) == p_between([2.0] * 6, 3.0, 4.0) == 1


def test_equal_outcomes_are_equal_whatever_their_rounding():
    # gaps of accuracies on 360 images: 18 of them more, from different starts
    gaps = [100 * ((k + 18) / 360 - k / 360) for k in (300, 311, 327, 333, 341)]
    assert len(set(gaps)) > 1
    assert p_above(gaps, 1.0) == 0.5**5
    assert p_median_above(gaps, 5.0) == p_above(gaps, 5.0) == 1
    assert not are_equal([*gaps, 5.001])


@pytest.mark.parametrize(
    ("values", "bound", "p"),
    [
        ([1, 2, 3, 4, 5], 0.5, 1 / 32),
        ([1, 2, 3, 4, 5], 1, 6 / 32),  # one on the bound: 4 of 5 above
        ([1, 2, 3, 4, 5], 1.5, 6 / 32),
        ([0, 0, 0, 0], 0, 1.0),
        ([0.5, 0.5, 0.375, 0.75, 0.5, 0.625], 0.5, (15 + 20 + 15 + 6 + 1) / 64),  # 2 of 6
    ],
)
def test_the_sign_test_by_hand(values, bound, p):
    assert p_median_above(values, bound) == pytest.approx(p, rel=1e-12)


on_grid = st.lists(st.integers(-8, 8).map(lambda k: k / 8), min_size=3, max_size=15)


@given(on_grid, st.integers(-8, 8).map(lambda k: k / 8))
def test_the_sign_test_is_that_of_scipy_and_ties_never_help(values, bound):
    for p, side in (
        (p_median_above(values, bound), "greater"),
        (p_below(values, bound, p_median_above), "less"),
    ):
        exact = stats.quantile_test(values, q=bound, p=0.5, alternative=side).pvalue
        assert p == pytest.approx(exact, rel=1e-9)
    without = [value for value in values if value != bound]
    if len(without) >= 3:
        assert p_median_above(values, bound) >= p_median_above(without, bound)


def test_the_interval_of_a_median_by_hand():
    # 2·P(Binomial(6, 1/2) = 0) = 1/32 and 2·P(Binomial(9, 1/2) ≤ 1) = 20/512: below 5 %
    assert median_interval([6, 1, 5, 2, 4, 3]) == (3.5, 1, 6, 6)
    assert median_interval(list(range(9))) == (4, 1, 7, 9)
    assert median_interval(list(range(5)))[0] == 2
    assert math.isnan(median_interval(list(range(5))).low)  # 2/32 is above 5 %
    assert median_interval(list(range(5)), 0.9) == (2, 0, 4, 5)
    assert median_interval([0.5] * 6) == (0.5, 0.5, 0.5, 6)
    assert math.isnan(median_interval([]).estimate)


@pytest.mark.slow
@given(on_grid)
def test_the_interval_of_a_median_is_that_of_scipy_and_of_the_sign_test(values):
    found = median_interval(values)
    exact = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    assert found[1:3] == pytest.approx((exact.low, exact.high), nan_ok=True)
    if not math.isnan(found.low):
        assert (
            p_median_above(values, found.low - 1 / 16) <= 0.025 < p_median_above(values, found.low)
        )


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan], [1, 2, math.inf]])
def test_without_three_finite_values_there_is_no_p(values):
    assert math.isnan(p_above(values, 0))
    assert math.isnan(p_between(values, -1, 1))


def test_equivalence_is_the_worse_of_two_tests():
    low = stats.ttest_1samp(SAMPLE, -3, alternative="greater").pvalue
    high = stats.ttest_1samp(SAMPLE, 2, alternative="less").pvalue
    assert high > low
    assert p_between(SAMPLE, -3, 2) == pytest.approx(high, rel=1e-12)
    with pytest.raises(ValueError, match="expected the first below the second"):
        p_between(SAMPLE, 1, 1)


@given(samples)
def test_equivalence_at_5_percent_is_a_90_percent_interval_within_the_bounds(values):
    mean, half = np.mean(values), stats.sem(values) * stats.t.ppf(0.95, len(values) - 1)
    if np.std(values) < 1e-6 or abs(abs(mean) + half - 10) < 1e-6:
        return
    assert (p_between(values, -10, 10) < 0.05) == (abs(mean) + half < 10)


def test_shares_by_hand():
    assert p_share_above(10, 10, 0.5) == pytest.approx(0.5**10)
    assert p_share_above(9, 10, 0.5) == pytest.approx(11 * 0.5**10)
    interval = share_interval(10, 10)
    assert interval.low == pytest.approx(0.025 ** (1 / 10))  # p^n = 0.025
    assert (interval.estimate, interval.high, interval.n) == (1, 1, 10)
    assert math.isnan(p_share_above(2, 2, 0.5))
    assert math.isnan(share_interval(2, 2).low)


def test_holm_by_hand():
    # sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04, and never below the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    adjusted = holm([math.nan, 0.01, 0.04])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.02, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_no_adjustment_and_bonferroni(p_values):
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1, p * len(p_values))


def test_log_ratios_by_hand():
    baseline, treatment = [100, 200, None, 400, None], [50, 200, 100, None, None]
    ratios = log_steps([1, -1], [baseline, treatment], budget=800)
    expected = [math.log(2), 0, math.log(8), -math.log(2), math.nan]
    assert ratios.values == pytest.approx(expected, nan_ok=True)
    assert ratios.bounds == ["", "", "at least", "at most", "none"]


def test_a_contrast_of_three_arms_by_hand():
    # ln noisy's speed-up minus half of ln BN's = ½ ln none - ln noisy + ½ ln BN
    none, noisy, bn = [100, None, 100, 100], [50, 50, None, 50], [25, 25, 25, None]
    contrast = log_steps([0.5, -1, 0.5], [none, noisy, bn], budget=400)
    first = math.log(100 / 50) - 0.5 * math.log(100 / 25)
    assert contrast.values[0] == pytest.approx(first, abs=1e-12)
    assert contrast.bounds == ["", "at least", "at most", "at least"]


@given(st.lists(st.floats(1, 99), min_size=2, max_size=2), st.floats(100, 1000))
def test_a_bound_is_one(steps, longer):
    # had the run been longer, what was censored would have been reached later
    full = log_steps([1, -1], [[longer], [steps[0]]], budget=longer).values[0]
    cut = log_steps([1, -1], [[None], [steps[0]]], budget=100)
    assert cut.bounds == ["at least"]
    assert cut.values[0] <= full


@pytest.mark.parametrize(("baseline", "budget"), [([0.0], 10), ([11.0], 10), ([1.0, 2.0], 10)])
def test_impossible_steps_are_refused(baseline, budget):
    with pytest.raises(ValueError, match="expected"):
        log_steps([1, -1], [baseline, [1.0]], budget)
