"""From paired seeds to p-values: tests against the smallest effect of interest.

A claim says that an effect lies beyond a bound, its smallest effect of interest (SESOI), or that it
lies between two. Student's t decides, over the differences of paired seeds (docs/statistics.md):

    beyond    one-sided t test against the bound, in both directions
    between   two one-sided tests (TOST; Schuirmann 1987): the p-value is the greater of the two
    grids     values on a grid: the exact sign test of the median (Dixon & Mood 1946), with the
              interval of order statistics; it also takes the place of t where all values are equal
    shares    yes or no per seed: the exact binomial test, with Clopper & Pearson's interval (1934)
    several   Holm's step-down adjustment (Holm 1979), over the claims of one scale

Fewer than three values give no p-value: NaN, which no threshold admits. The power of these tests:
`power`.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr
from scipy.stats import binom, binomtest

from bnbench.analysis.stats import MIN_SEEDS, Interval

# (values, bound) -> the p-value that their centre lies above the bound
OneSided = Callable[[Sequence[float], float], float]

ROUNDING = 1e-9  # numbers that are closer, by their size if it is above 1, differ by rounding alone


def p_above(values: Sequence[float], bound: float) -> float:
    """Compute the p-value of the one-sided t test for a mean above `bound`.

    Equal values have no spread for t to go by, and five that agree are no certainty: then it is
    that of the sign test, 0.5ⁿ or 1.

    >>> round(p_above([1.0, 2.0, 3.0], 0.0), 4)  # t = 2/(1/√3) with 2 degrees of freedom
    0.0371
    >>> p_above([1.0, 1.0, 1.0], 0.0), p_above([1.0, 1.0, 1.0], 1.0)
    (0.125, 1.0)
    """
    given = np.asarray(values, float)
    n = len(given)
    if n < MIN_SEEDS or not np.isfinite(given).all():
        return math.nan
    if are_equal(values):
        return p_median_above(values, bound)
    t = (given.mean() - bound) / (given.std(ddof=1) / math.sqrt(n))
    return float(stdtr(n - 1, -t))


def p_median_above(values: Sequence[float], bound: float) -> float:
    """Compute the p-value of the exact sign test for a median above `bound`.

    Were the median at the bound or below it, a value would lie above the bound with a probability
    of at most 1/2, whatever the distribution: P(at least as many do) under Binomial(n, 1/2). A
    value on the bound does not lie above it, nor below it in the test of the other side.

    >>> p_median_above([0.5, 0.5, 0.25, 0.5], 0.25)  # 3 of 4: (4 + 1)/16
    0.3125
    """
    given = np.asarray(values, float)
    if len(given) < MIN_SEEDS or not np.isfinite(given).all():
        return math.nan
    n, above = len(given), int((given > bound + ROUNDING * max(1.0, abs(bound))).sum())
    return sum(math.comb(n, k) for k in range(above, n + 1)) / 2**n


def are_equal(values: Sequence[float]) -> bool:
    """Whether all of some values are the same, rounding aside."""
    return float(np.ptp(values)) <= ROUNDING * max(1.0, float(np.abs(values).max()))


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Estimate a median with its interval of order statistics.

    From the k-th smallest to the k-th largest value, with the largest k at which
    P(Binomial(n, 1/2) < k) ≤ (1 - level)/2: the medians that the sign test does not reject. NaN
    where there is no such k, as with five values or fewer at 95 %.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    Interval(estimate=3.5, low=1.0, high=9.0, n=6)
    """
    ordered, n = np.sort(np.asarray(values, float)), len(values)
    estimate = float(np.median(ordered)) if n else math.nan
    k = int((binom.cdf(np.arange(n), n, 0.5) <= (1 - level) / 2).sum()) if n >= MIN_SEEDS else 0
    if k == 0 or not np.isfinite(ordered).all():
        return Interval(estimate, math.nan, math.nan, n)
    return Interval(estimate, float(ordered[k - 1]), float(ordered[n - k]), n)


def p_below(values: Sequence[float], bound: float, above: OneSided = p_above) -> float:
    """Compute the p-value of the one-sided test `above` for a centre below `bound`."""
    return above([-value for value in values], -bound)


def p_between(values: Sequence[float], low: float, high: float, above: OneSided = p_above) -> float:
    """Compute the p-value of two one-sided tests for a centre between two bounds.

    Args:
        values: one per seed.
        low: the lower bound.
        high: the upper bound.
        above: the test, `p_above` of the mean or `p_median_above`.

    Raises:
        ValueError: low is not below high.
    """
    if not low < high:
        raise ValueError(f"bounds {low} and {high}: expected the first below the second")
    p = above(values, low), p_below(values, high, above)
    return math.nan if any(map(math.isnan, p)) else max(p)


def p_share_above(successes: int, n: int, bound: float) -> float:
    """Compute the p-value of the exact binomial test for a share of successes above `bound`.

    >>> p_share_above(3, 3, 0.5)
    0.125
    """
    if n < MIN_SEEDS:
        return math.nan
    return float(binomtest(successes, n, bound, alternative="greater").pvalue)


def share_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Estimate a share of successes with Clopper & Pearson's interval; NaN below `MIN_SEEDS`."""
    if n < MIN_SEEDS:
        return Interval(successes / n if n else math.nan, math.nan, math.nan, n)
    bounds = binomtest(successes, n).proportion_ci(level, "exact")
    return Interval(successes / n, float(bounds.low), float(bounds.high), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's method: the k-th smallest of n counts n - k + 1 times.

    A NaN stands for a claim without a test: it is not counted in n and stays NaN.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, least = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(tested):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        adjusted[place] = least
    return adjusted


class LogSteps(NamedTuple):
    """A contrast of log steps per seed, and the direction in which each value is censored.

    Attributes:
        values: one per seed; NaN where nothing is known.
        bounds: "" for an exact value; "at least" for a lower bound, which cannot refute that the
            contrast is above something; "at most" for an upper bound, which cannot confirm it;
            "none" where the contrast may be anything.
    """

    values: list[float]
    bounds: list[str]


def log_steps(
    weights: Sequence[float], steps: Sequence[Sequence[float | None]], budget: float
) -> LogSteps:
    """Compute Σ weight · ln(steps to an accuracy) over arms with the same seeds.

    Weights of 1 for a baseline and -1 for a treatment give the log of how many times as fast the
    treatment is. An accuracy that was not reached counts as reached at the budget, which makes the
    sum a lower bound where the weight is positive and an upper bound where it is negative
    (right-censoring).

    Args:
        weights: one per arm.
        steps: one sequence per arm, with a number per seed; None for an accuracy never reached.
        budget: the steps of a run.

    Raises:
        ValueError: the arms are not paired, or a step is not within (0, budget].
    """
    if len({len(arm) for arm in steps}) != 1 or len(weights) != len(steps):
        raise ValueError(f"{[len(arm) for arm in steps]} seeds: expected as many of each arm")
    for step in (step for arm in steps for step in arm):
        if step is not None and not 0 < step <= budget:
            raise ValueError(f"step {step}: expected one of (0, {budget}]")
    values, bounds = [], []
    for seed in zip(*steps, strict=True):
        missed = {weight > 0 for weight, step in zip(weights, seed, strict=True) if step is None}
        known = [budget if step is None else step for step in seed]
        value = sum(w * math.log(step) for w, step in zip(weights, known, strict=True))
        bound = {(): "", (True,): "at least", (False,): "at most"}.get(tuple(missed), "none")
        values.append(math.nan if bound == "none" else value)
        bounds.append(bound)
    return LogSteps(values, bounds)
