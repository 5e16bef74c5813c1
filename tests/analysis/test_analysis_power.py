"""Power in closed form and by hand; that it is what simulated seeds find: test_…_simulation.py."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bnbench.analysis.power import (
    detectable,
    power_of,
    share_detectable,
    share_power,
    sign_detectable,
    sign_power,
    sign_tost_power,
    tost_power,
)

sizes = st.integers(6, 60)


def test_the_power_of_t_by_hand():
    # n = 5, 2.5 % one-sided, power 0.8: an effect of 1.682 standard deviations (Cohen's tables)
    assert detectable(1.0, 5) == pytest.approx(1.682, abs=5e-4)
    assert power_of(1.682, 1.0, 5) == pytest.approx(0.8, abs=5e-4)
    assert power_of(0.0, 1.0, 5) == pytest.approx(0.025)


@given(st.floats(0, 3), st.floats(0.1, 5), sizes)
def test_power_is_of_the_effect_in_standard_deviations(effect, std, n):
    assert power_of(effect * std, std, n) == pytest.approx(power_of(effect, 1.0, n), abs=1e-9)


def test_without_spread_equal_values_are_enough_or_not():
    assert power_of(0.1, 0.0, 6) == sign_power(0.1, 0.0, 6) == 1  # 0.5⁶ < 0.025
    assert power_of(0.1, 0.0, 5) == 0  # 0.5⁵ > 0.025
    assert power_of(0.0, 0.0, 6) == power_of(-1.0, 0.0, 6) == 0
    assert detectable(0.0, 6) == 0
    assert math.isnan(detectable(0.0, 5))
    assert tost_power(-1.0, 1.0, 0.0, 5) == 1  # 0.5⁵ < 0.05
    assert tost_power(-1.0, 1.0, 0.0, 4) == tost_power(0.0, 1.0, 0.0, 5) == 0


def test_nothing_is_found_with_two_seeds():
    for number in (
        *(detectable(1.0, 2), detectable(math.nan, 5), power_of(1.0, 1.0, 2)),
        *(tost_power(-1, 1, 1.0, 2), share_power(1.0, 0.5, 2), share_detectable(0.5, 2)),
        *(sign_power(1.0, 1.0, 2), sign_detectable(1.0, 2), sign_tost_power(-1, 1, 1.0, 2)),
        sign_power(1.0, math.nan, 9),
    ):
        assert math.isnan(number)


@pytest.mark.parametrize("n", [3, 8, 30])
def test_with_a_far_bound_equivalence_is_one_test(n):
    one = power_of(1.2, 1.0, n, 0.05)
    assert tost_power(-1e3, 1.2, 1.0, n) == pytest.approx(one, abs=1e-7)
    assert tost_power(-1.2, 1e3, 1.0, n) == pytest.approx(one, abs=1e-7)


@given(st.floats(0.1, 3), st.floats(0.1, 3), sizes)
def test_equivalence_is_found_at_most_as_often_as_each_of_its_tests(below, above, n):
    both = tost_power(-below, above, 1.0, n)
    each = [power_of(margin, 1.0, n, 0.05) for margin in (below, above)]
    assert sum(each) - 1 - 1e-7 <= both <= min(each) + 1e-7  # Bonferroni
    assert both == pytest.approx(tost_power(-above, below, 1.0, n), abs=1e-7)


def test_the_power_of_shares_by_hand():
    # 9 of 10 are needed above one half: P(≥ 9) = 11/1024 < 0.025 < 56/1024
    assert share_power(0.9, 0.5, 10) == pytest.approx(0.9**10 + 10 * 0.9**9 * 0.1)
    assert share_power(0.5, 0.5, 10) == pytest.approx(11 / 1024)
    assert share_power(1.0, 0.5, 5) == 0  # even five of five leave 1/32
    found = share_detectable(0.5, 10)
    assert share_power(0.5 + found, 0.5, 10) == pytest.approx(0.8)
    assert math.isnan(share_detectable(0.5, 5))


def test_the_power_of_signs_is_that_of_the_share_beyond():
    assert sign_power(1.0, 2.0, 10) == share_power(stats.norm.cdf(0.5), 0.5, 10)
    assert sign_power(sign_detectable(2.0, 10), 2.0, 10) == pytest.approx(0.8)
    assert sign_detectable(0.0, 6) == 0
    assert math.isnan(sign_detectable(1.0, 5))


def test_the_power_of_two_sign_tests_by_hand():
    # six values at 5 %: none may be outside (1/64 < 0.05 < 7/64)
    inside = stats.norm.cdf(2) - stats.norm.cdf(-1)
    assert sign_tost_power(-1.0, 2.0, 1.0, 6) == pytest.approx(inside**6)
    # nine: one on either side, 10/512 < 0.05 < 46/512
    p = [stats.norm.cdf(-1), inside, stats.norm.sf(2)]
    allowed = [(0, 9, 0), (1, 8, 0), (0, 8, 1), (1, 7, 1)]
    expected = sum(stats.multinomial.pmf(counts, 9, p) for counts in allowed)
    assert sign_tost_power(-1.0, 2.0, 1.0, 9) == pytest.approx(expected)
    assert sign_tost_power(1.0, 2.0, 0.0, 9) == 0
    assert sign_tost_power(-1.0, 2.0, 0.0, 9) == 1


@given(st.floats(0.05, 3), sizes)
def test_more_seeds_find_more(effect, n):
    assert power_of(effect, 1.0, n + 1) >= power_of(effect, 1.0, n)
    assert sign_detectable(1.0, n + 10) < sign_detectable(1.0, n)


def test_a_distance_is_found_as_often_as_it_says_by_drawing_seeds():
    for n, alpha, power in ((5, 0.025, 0.8), (20, 0.05, 0.9)):
        effect = detectable(2.0, n, alpha, power)
        draws = np.random.default_rng(0).normal(effect, 2.0, (20_000, n))
        found = stats.ttest_1samp(draws, 0, axis=1, alternative="greater").pvalue < alpha
        assert found.mean() == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / 20_000))
