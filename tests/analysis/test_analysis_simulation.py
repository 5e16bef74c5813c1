"""How often the tests of claims are wrong, and how often they find what is there, by drawing seeds.

Outcomes are of the kinds that training has: normal differences; few images, so that accuracies lie
on a grid of 1/360; rates on a grid of 1/8 decade; heavy tails; runs that diverge and can but guess;
steps that were not reached within the budget; outcomes that are all equal. Where a test does not
hold its level, it is asserted how far it is off; docs/statistics.md tells the same numbers.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis.inference import (
    log_steps,
    p_above,
    p_between,
    p_median_above,
    p_share_above,
)
from bnbench.analysis.power import (
    power_of,
    share_power,
    sign_power,
    sign_tost_power,
    tost_power,
)
from bnbench.claims.judge import ALPHA, ALPHA_BETWEEN, measure_part
from bnbench.claims.records import Above, ClaimPart

DRAWS = 20_000
IMAGES, PLACE = 100 / 360, 1 / 8  # one image of 360, in pp; one place of eight in a decade


def p_of_medians(values, bound):
    """`p_median_above` of every row."""
    n = values.shape[1]
    return stats.binom.sf(range(-1, n), n, 0.5)[(values > bound + 1e-9).sum(axis=1)]


def p_of_means(values, bound):
    """`p_above` of every row."""
    n, excess, std = values.shape[1], values.mean(axis=1) - bound, values.std(axis=1, ddof=1)
    is_equal = np.ptp(values, axis=1) < 1e-9
    t = excess / np.where(is_equal, 1.0, std / math.sqrt(n))
    return np.where(is_equal, p_of_medians(values, bound), stats.t.sf(t, n - 1))


OF_ROWS = {p_above: p_of_means, p_median_above: p_of_medians}


def rate(above, values, bound, alpha):
    """The share of rows that a test says to lie above a bound."""
    p = OF_ROWS[above](values, bound)
    some = [*range(20), *np.flatnonzero(np.ptp(values, axis=1) < 1e-9)[:5]]
    assert p[some] == pytest.approx([above(values[row], bound) for row in some])
    return float((p < alpha).mean())


def rate_between(above, values, low, high, alpha):
    """The share of rows that two tests say to lie between two bounds."""
    p = np.maximum(OF_ROWS[above](values, low), OF_ROWS[above](-values, -high))
    assert p[:20] == pytest.approx([p_between(row, low, high, above) for row in values[:20]])
    return float((p < alpha).mean())


def four_errors(p):
    """What a share of draws may be off by, four standard errors."""
    return 4 * math.sqrt(p * (1 - p) / DRAWS)


def at_most(alpha):
    return alpha + four_errors(alpha)


def rng_of(*key):
    return np.random.default_rng(sum(map(ord, "".join(map(str, key)))))


def rounded(values, step):
    return np.round(values / step) * step


def normal(rng, shape):
    return rng.normal(0, 0.8, shape)


def few_images(rng, shape):
    """The difference of two accuracies on 360 images, in pp."""
    return rounded(normal(rng, shape), IMAGES)


def on_grid(rng, shape):
    """Places of learning rates, of which a few occur."""
    return rounded(rng.normal(0, 0.1, shape), PLACE)


def heavy_tailed(rng, shape):
    return rng.standard_t(3, shape) / math.sqrt(3)


def either_side_diverges(rng, shape):
    """A tenth of the runs of either arm are 80 pp below the others."""
    diverged = rng.random((2, *shape)) < 0.1
    return rng.normal(0, 0.5, shape) - 80.0 * diverged[0] + 80.0 * diverged[1]


def skewed(rng, shape):
    """Places of which half are above 0, by one mostly, and two fifths below, by up to eight."""
    above = rng.choice([1, 2, 3, 8], shape, p=[0.5, 0.2, 0.2, 0.1])
    below = -rng.integers(1, 9, shape)
    return PLACE * np.choose(rng.choice(3, shape, p=[0.4, 0.1, 0.5]), [below, 0, above])


SYMMETRIC = [normal, few_images, on_grid, heavy_tailed, either_side_diverges]


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("kind", SYMMETRIC)
def test_t_holds_its_level_where_both_tails_are_alike(kind, n):
    values = kind(rng_of(kind.__name__, n), (DRAWS, n))
    assert rate(p_above, values, 0.0, ALPHA) <= at_most(ALPHA)


@pytest.mark.parametrize("kind", SYMMETRIC)
@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_not_worse_than_a_margin_is_shown_too_often_by_no_kind(kind, margin):
    # non-inferiority, where the treatment is worse by just the margin
    values = kind(rng_of(kind.__name__, margin), (DRAWS, 12)) - margin
    assert rate(p_above, values, -margin, ALPHA) <= at_most(ALPHA)


@pytest.mark.parametrize("kind", SYMMETRIC)
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_equivalence_is_shown_too_often_by_no_kind(kind, side):
    # the mean is on one of the bounds of ±1
    values = kind(rng_of(kind.__name__, side), (DRAWS, 12)) + side
    assert rate_between(p_above, values, -1.0, 1.0, ALPHA_BETWEEN) <= at_most(ALPHA_BETWEEN)


@pytest.mark.parametrize("n", [5, 6, 9, 20])
def test_values_that_agree_are_as_certain_as_their_number(n):
    assert rate(p_above, np.zeros((30, n)), 0.0, ALPHA) == 0
    assert rate(p_above, np.full((30, n), 0.1), 0.0, ALPHA) == power_of(0.1, 0.0, n)
    # two outcomes with the bound between them: t would be sure of those that agree
    values = rng_of("agree", n).choice([0.0, PLACE], (DRAWS, n))
    agree = (values == PLACE).all(axis=1)
    assert agree.mean() == pytest.approx(0.5**n, abs=four_errors(0.5**n))
    assert p_of_means(values[agree], PLACE / 2) == pytest.approx(0.5**n)


def test_two_outcomes_are_too_few_for_t_and_not_for_signs():
    """Outcomes of -1 and 1, as likely as each other: the level of every n, exactly."""

    def level(above, n, alpha):
        samples = ([1.0] * k + [-1.0] * (n - k) for k in range(n + 1))
        p = np.array([above(sample, 0.0) for sample in samples])
        return stats.binom.pmf(range(n + 1), n, 0.5)[p < alpha].sum()

    levels = [level(p_above, n, ALPHA) for n in range(3, 41)]
    assert max(levels) == pytest.approx(0.0625)  # with seven seeds
    assert max(levels[6:]) == pytest.approx(0.0461, abs=1e-4)  # from nine seeds on
    of_tost = [level(p_above, n, ALPHA_BETWEEN) for n in range(3, 41)]
    assert max(of_tost) == pytest.approx(0.0898, abs=1e-4)
    assert max(level(p_median_above, n, ALPHA) for n in range(3, 41)) <= ALPHA


@pytest.mark.parametrize(("n", "level"), [(5, 0.592), (10, 0.349), (20, 0.122), (40, 0.079)])
def test_t_does_not_see_what_hardly_any_seed_shows(n, level):
    """A tenth of the treatment's runs diverge, which lowers its mean by 8 pp.

    The n seeds show none of it with probability 0.9ⁿ, and then all that is seen are the others.
    """
    rng = rng_of("one side", n)
    values = rng.normal(0, 0.5, (DRAWS, n)) - 80.0 * (rng.random((DRAWS, n)) < 0.1)
    wrong = rate(p_above, values, -8.0, ALPHA)
    assert wrong == pytest.approx(level, abs=four_errors(level) + 0.001)
    assert wrong >= 0.9**n - four_errors(0.9**n)
    # the other way round the test is too careful instead
    assert rate(p_above, -values, 8.0, ALPHA) <= 0.01
    # signs are about the median, which 5/9 of the others lie above, and hold their level
    median = 0.5 * stats.norm.ppf(4 / 9)
    assert rate(p_median_above, values, median, ALPHA) <= at_most(ALPHA)


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("offset", [0.03, PLACE / 2])
def test_on_a_grid_as_fine_as_the_spread_t_is_nearly_right(offset, n):
    places = PLACE * np.arange(-20, 21)
    edges = stats.norm.cdf(np.append(places - PLACE / 2, np.inf), offset, 0.1)
    mean = float((places * np.diff(edges)).sum())
    values = rounded(rng_of(offset, n).normal(offset, 0.1, (DRAWS, n)), PLACE)
    for sign in (1, -1):
        assert rate(p_above, sign * values, sign * mean, ALPHA) <= at_most(0.029)


def test_t_is_wrong_on_a_grid_that_is_coarser_than_the_spread():
    # nearly all are 0, and the mean is below by the few that are not: ten seeds show none of them
    values = rng_of("coarse").choice([0.0, -PLACE], (DRAWS, 10), p=[0.96, 0.04])
    wrong = rate(p_above, values, -0.04 * PLACE, ALPHA)
    assert wrong == pytest.approx(0.96**10, abs=four_errors(0.96**10))  # 0.66
    assert rate(p_median_above, values, 0.0, ALPHA) == 0


@pytest.mark.parametrize("n", [6, 9, 20])
@pytest.mark.parametrize("kind", [*SYMMETRIC, skewed])
def test_the_sign_test_holds_its_level_whatever_the_distribution(kind, n):
    values = kind(rng_of(kind.__name__, n, "signs"), (DRAWS, n))
    assert rate(p_median_above, values, 0.0, ALPHA) <= at_most(ALPHA)
    assert rate(p_median_above, -values, 0.0, ALPHA) <= at_most(ALPHA)


@pytest.mark.parametrize("n", [3, 6, 10, 24, 40])
@pytest.mark.parametrize("bound", [0.5, 0.8])
def test_shares_hold_their_level_and_power_exactly(n, bound):
    p = np.array([p_share_above(k, n, bound) for k in range(n + 1)])
    assert stats.binom.pmf(range(n + 1), n, bound)[p < ALPHA].sum() <= ALPHA
    for share in (0.6, 0.9, 1.0):
        found = stats.binom.pmf(range(n + 1), n, share)[p < ALPHA].sum()
        assert share_power(share, bound, n, ALPHA) == pytest.approx(found, abs=1e-12)


def rate_confirmed(rng, budget, gain, bound):
    """The share of claims confirmed on log ratios of steps over twelve pairs, within a budget.

    The true mean is `gain`. What is missed by the slow side makes a lower bound; an upper bound
    forbids the test; pairs of which both miss are left out, and are too many if they are most.
    """
    slow, fast = rng.normal(gain, 0.5, (DRAWS, 12)), rng.normal(0.0, 0.5, (DRAWS, 12))
    values = np.minimum(slow, budget) - np.minimum(fast, budget)
    neither = (slow > budget) & (fast > budget)
    testable = (2 * neither.sum(axis=1) <= 12) & ~((fast > budget) & ~neither).any(axis=1)
    p = np.ones(DRAWS)
    for missing in range(7):
        rows = testable & (neither.sum(axis=1) == missing)
        known = values[rows][~neither[rows]].reshape(-1, 12 - missing)
        p[rows] = p_of_means(known, bound)
    for row in range(30):  # the same as is judged
        steps = [[math.exp(x) if x <= budget else None for x in arm[row]] for arm in (slow, fast)]
        found = log_steps([1.0, -1.0], steps, math.exp(budget))
        rows = pd.DataFrame({"seed": range(12), "value": found.values, "bound": found.bounds})
        part = ClaimPart("steps", lambda study: None, Above(bound), "log")
        judged = measure_part("x", part, rows).p.confirmed
        assert p[row] == pytest.approx(1.0 if math.isnan(judged) else judged, abs=1e-9)
    return float((p < ALPHA).mean())


@pytest.mark.parametrize("budget", [0.3, 0.8])  # which a quarter of the fast miss, or a twentieth
def test_what_was_not_reached_confirms_no_speed_that_is_not_there(budget):
    for gain in (0.0, 0.3, 0.6):
        wrong = rate_confirmed(rng_of("censored", budget, gain), budget, gain, gain)
        assert wrong <= at_most(ALPHA)
    # and is found less often than if it had all been seen: a bound counts as the bound
    found = rate_confirmed(rng_of("found", budget), budget, 0.6, 0.0)
    assert 0.05 < found < power_of(0.6, 0.5 * math.sqrt(2), 12, ALPHA)


# Power


@pytest.mark.parametrize("n", [6, 12, 24])
@pytest.mark.parametrize("effect", [0.5, 1.0])
@pytest.mark.parametrize("kind", [normal, few_images])
def test_t_finds_as_much_as_is_stated(kind, effect, n):
    values = kind(rng_of(kind.__name__, effect, n, "power"), (DRAWS, n)) + effect
    stated = power_of(effect, 0.8, n, ALPHA)
    slack = 0.015 if kind is few_images else 0.0  # the grid adds IMAGES²/12 to the variance
    found = rate(p_above, values, 0.0, ALPHA)
    assert found == pytest.approx(stated, abs=four_errors(stated) + slack)


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("effect", [0.7, 1.0])
def test_heavy_tails_cost_little_power(n, effect):
    values = heavy_tailed(rng_of(n, effect), (DRAWS, n)) + effect
    assert rate(p_above, values, 0.0, ALPHA) > power_of(effect, 1.0, n, ALPHA) - 0.03


def test_runs_that_diverge_cost_power():
    # a tenth of the runs of the baseline are worse still, which hides what the others show
    rng = rng_of("diverged")
    trained = rng.normal(2.0, 1.0, (DRAWS, 10))
    values = trained + 80.0 * (rng.random((DRAWS, 10)) < 0.1)
    assert rate(p_above, trained, 1.0, ALPHA) > 0.79 > power_of(1.0, 1.0, 10, ALPHA) - 0.02
    assert rate(p_above, values, 1.0, ALPHA) < 0.31


@pytest.mark.parametrize("n", [6, 12, 24])
@pytest.mark.parametrize("effect", [0.0, 0.4])
def test_equivalence_is_found_as_often_as_is_stated(effect, n):
    values = normal(rng_of(effect, n, "tost"), (DRAWS, n)) + effect
    stated = tost_power(-1.0 - effect, 1.0 - effect, 0.8, n, ALPHA_BETWEEN)
    found = rate_between(p_above, values, -1.0, 1.0, ALPHA_BETWEEN)
    assert found == pytest.approx(stated, abs=four_errors(stated))


@pytest.mark.parametrize("n", [8, 12, 20])
@pytest.mark.parametrize("effect", [0.1, 0.2])
def test_signs_find_as_much_as_is_stated(effect, n):
    rng, std = rng_of(effect, n, "signs"), 0.15
    draws = rng.normal(effect, std, (DRAWS, n))
    stated = sign_power(effect, std, n, ALPHA)
    assert rate(p_median_above, draws, 0.0, ALPHA) == pytest.approx(stated, abs=four_errors(stated))
    # on a grid with the bound on a place, those of half a place less
    stated = sign_power(effect - PLACE / 2, std, n, ALPHA)
    found = rate(p_median_above, rounded(draws, PLACE), 0.0, ALPHA)
    assert found == pytest.approx(stated, abs=four_errors(stated))
    stated = sign_tost_power(-0.25 - effect, 0.4 - effect, std, n, ALPHA_BETWEEN)
    found = rate_between(p_median_above, draws, -0.25, 0.4, ALPHA_BETWEEN)
    assert found == pytest.approx(stated, abs=four_errors(stated))
