"""Power as planned and as judged, and the exact tests of parts on a grid and of equal values."""

import math

import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import power as of_test
from bnbench.claims.judge import ALPHA, measure_part
from bnbench.claims.records import Above, Below, Between, ClaimPart, Sizing
from bnbench.claims.sizing import planned_power


def part(target, scale="linear", effect=0.0, std=1.0, n=12, **options):
    sizing = Sizing(effect, std, n, "by hand")
    return ClaimPart("pp", lambda study: None, target, scale, sizing=sizing, **options)


def judged(values, target, scale="grid", bounds=None, **options):
    columns = {"seed": range(len(values)), "value": values, "bound": bounds or [""] * len(values)}
    return measure_part("x", part(target, scale, **options), pd.DataFrame(columns))


def t_power(distance, n=12, alpha=ALPHA):
    critical = stats.t.ppf(1 - alpha, n - 1)
    return stats.nct.sf(critical, n - 1, distance * math.sqrt(n))


@pytest.mark.parametrize(
    ("target", "effect", "distance"),
    [
        (Above(1.0), 1.8, 0.8),
        (Above(-1.0), 0.0, 1.0),  # non-inferiority
        (Above(1.0), 0.2, 0.8),  # expected to fall short: that it is shown to
        (Below(-1.0), -1.8, 0.8),
        (Below(-1.0), 0.0, 1.0),
        (Above(1.0), 1.0, 0.0),
    ],
)
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_power_of_a_mean_is_of_its_distance_from_the_bound(target, effect, distance, scale):
    assert planned_power(part(target, scale, effect), ALPHA) == pytest.approx(t_power(distance))
    half = part(target, scale, effect / 2 + target[0] / 2, std=0.5)  # both half as large
    assert planned_power(half, ALPHA) == pytest.approx(t_power(distance))


def test_the_power_of_equivalence_is_of_both_sides():
    inside = part(Between(-1.0, 1.0), effect=0.3)
    assert planned_power(inside, 0.05) == of_test.tost_power(-1.3, 0.7, 1.0, 12, 0.05)
    for effect in (-1.8, 1.8):  # contrary, for which two tests are made
        outside = part(Between(-1.0, 1.0), effect=effect)
        assert planned_power(outside, 0.05) == pytest.approx(t_power(0.8))


def test_the_power_of_a_share_is_binomial():
    # of 10 seeds 9 are needed
    often = part(Above(0.5), "share", effect=0.9, n=10)
    assert planned_power(often, ALPHA) == pytest.approx(stats.binom.sf(8, 10, 0.9))
    seldom = part(Above(0.5), "share", effect=0.1, n=10)
    assert planned_power(seldom, ALPHA) == pytest.approx(stats.binom.sf(8, 10, 0.9))
    some = part(Above(0.3), "share", effect=0.1, n=30)  # at most 3: P(≤ 3) = 0.9 %, P(≤ 4) = 3 %
    assert planned_power(some, ALPHA) == pytest.approx(stats.binom.cdf(3, 30, 0.1))


def test_the_power_on_a_grid_is_of_the_sign_test():
    # of 12 seeds 10 are needed: P(≥ 10) = 79/4096 < 0.025 < 299/4096
    beyond = stats.norm.cdf(0.8)
    for target, effect in ((Above(1.0), 1.8), (Above(1.0), 0.2), (Below(1.0), 0.2)):
        found = planned_power(part(target, "grid", effect), ALPHA)
        assert found == pytest.approx(stats.binom.sf(9, 12, beyond))
    both = planned_power(part(Between(-1.0, 1.0), "grid"), 0.05)
    assert both == of_test.sign_tost_power(-1, 1, 1.0, 12, 0.05)
    outside = planned_power(part(Between(-1.0, 1.0), "grid", 1.8), 0.05)
    assert outside == pytest.approx(stats.binom.sf(9, 12, beyond))


def test_without_a_sizing_or_a_target_there_is_none():
    assert math.isnan(planned_power(ClaimPart("pp", lambda study: None, Above(0.0)), ALPHA))
    assert math.isnan(planned_power(part(None), ALPHA))


def test_more_demanding_levels_find_less():
    one = part(Above(0.0), effect=1.0)
    assert planned_power(one, ALPHA / 30) < planned_power(one, ALPHA)


GRID = [0.5, 0.625, 0.5, 0.75, 0.625, 0.625, 0.5, 0.625]


def test_a_grid_is_judged_by_its_median():
    result = judged(GRID, Above(0.375))
    assert result.verdict == "confirmed"
    assert result.p.confirmed == 0.5**8
    # 0.5, 0.5, 0.5, 0.625, …: the first and the last of eight leave 2/256
    assert result.interval == (0.625, 0.5, 0.75, 8)
    assert judged(GRID, Above(0.5)).p.confirmed == pytest.approx(
        sum(map(math.comb, [8] * 4, range(4))) / 256
    )
    assert judged(GRID, Above(0.875)).verdict == "smaller than claimed"
    assert judged(GRID, Below(-0.25)).verdict == "contrary"
    assert judged(GRID, Between(-1.0, 1.0)).p.confirmed == 0.5**8
    assert judged(GRID, Between(-0.25, 0.25)).verdict == "contrary"
    assert judged([0.0, 0.125] * 4, Above(0.5)).verdict == "no effect"


def test_a_bound_on_a_grid_shows_one_direction_alone():
    bounds = ["at least"] + [""] * 7
    assert judged(GRID, Above(0.375), bounds=bounds).verdict == "confirmed"
    assert math.isnan(judged(GRID, Above(0.75), bounds=bounds).p.smaller)
    assert math.isnan(judged(GRID, Between(-1.0, 1.0), bounds=bounds).p.confirmed)


def test_equal_values_are_no_certainty():
    five = judged([1.0] * 5, Above(0.5), "linear")
    assert (five.p.confirmed, five.verdict, five.power) == (0.5**5, "undecided", 0.0)
    assert math.isnan(five.interval.low)
    assert math.isnan(five.detectable)
    assert five.interval.estimate == 1
    six = judged([1.0] * 6, Above(0.5), "linear")
    assert (six.p.confirmed, six.verdict, six.power) == (0.5**6, "confirmed", 1.0)
    assert six.interval == (1, 1, 1, 6)
    assert judged([1.0] * 6, Above(1.0), "linear").verdict == "undecided"


def test_the_power_that_is_shown_is_that_of_the_test():
    grid = judged(GRID, Above(0.25))
    std = pd.Series(GRID).std()
    assert grid.power == of_test.sign_power(0.25, std, 8, ALPHA)
    assert grid.detectable == of_test.sign_detectable(std, 8, ALPHA)
    share = judged([1.0, 1.0, 0.0] * 4, Above(0.5), "share", interest=0.4)
    assert share.power == pytest.approx(stats.binom.sf(9, 12, 0.9))
    assert of_test.share_power(0.5 + share.detectable, 0.5, 12) == pytest.approx(0.8)
