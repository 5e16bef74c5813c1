"""From paired seeds to a verdict: tests against the smallest effect of interest, and their power.

A claim says that an effect lies beyond a bound, its smallest effect of interest (SESOI), or that it
lies between two. Student's t decides, over the differences of paired seeds (docs/statistics.md):

    beyond    one-sided t test against the bound, in both directions
    between   two one-sided tests (TOST; Schuirmann 1987): the p-value is the greater of the two
    shares    yes or no per seed: the exact binomial test, with Clopper & Pearson's interval (1934)
    several   Holm's step-down adjustment (Holm 1979), over the claims of one scale

Fewer than three values give no p-value: NaN, which no threshold admits.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, nct
from scipy.stats import t as student_t

from bnbench.analysis.stats import MIN_SEEDS, Interval
from bnbench.analysis.verdicts import POWER


def p_above(values: Sequence[float], bound: float) -> float:
    """Compute the p-value of the one-sided t test for a mean above `bound`.

    >>> round(p_above([1.0, 2.0, 3.0], 0.0), 4)  # t = 2/(1/√3) with 2 degrees of freedom
    0.0371
    """
    given = np.asarray(values, float)
    if len(given) < MIN_SEEDS or not np.isfinite(given).all():
        return math.nan
    excess, error = given.mean() - bound, given.std(ddof=1) / math.sqrt(len(given))
    if error == 0:  # all values equal: certain on either side of the bound, undecided on the bound
        return 0.5 if excess == 0 else float(excess < 0)
    return float(student_t.sf(excess / error, len(given) - 1))


def p_below(values: Sequence[float], bound: float) -> float:
    """Compute the p-value of the one-sided t test for a mean below `bound`."""
    return p_above([-value for value in values], -bound)


def p_between(values: Sequence[float], low: float, high: float) -> float:
    """Compute the p-value of the two one-sided tests for a mean between two bounds.

    Raises:
        ValueError: low is not below high.
    """
    if not low < high:
        raise ValueError(f"bounds {low} and {high}: expected the first below the second")
    p = p_above(values, low), p_below(values, high)
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


def detectable(std: float, n: int, alpha: float = 0.025, power: float = POWER) -> float:
    """Compute the distance from the bound that a one-sided t test finds with a given power.

    For two one-sided tests give (1 + `POWER`)/2: at an effect of zero both succeed together with
    probability `POWER` if each succeeds with that one.

    Args:
        std: standard deviation of the paired differences.
        n: number of pairs.
        alpha: of the test.
        power: probability that the test succeeds.

    Returns:
        The distance in the unit of `std`; NaN below `MIN_SEEDS` pairs.
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    critical = student_t.ppf(1 - alpha, n - 1)

    def lacking(noncentrality: float) -> float:
        return float(nct.sf(critical, n - 1, noncentrality)) - power

    noncentrality: Any = brentq(lacking, 0.0, 10 * critical)
    return std / math.sqrt(n) * float(noncentrality)


def power_of(effect: float, std: float, n: int, alpha: float = 0.025) -> float:
    """Compute the probability that a one-sided t test finds an effect beyond its bound.

    Args:
        effect: the true distance of the mean from the bound.
        std: standard deviation of the paired differences.
        n: number of pairs.
        alpha: of the test.

    Returns:
        The power; NaN below `MIN_SEEDS` pairs.

    >>> round(power_of(detectable(2.0, 10), 2.0, 10), 6)
    0.8
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    if std == 0:
        return float(effect > 0)
    critical = student_t.ppf(1 - alpha, n - 1)
    return float(nct.sf(critical, n - 1, effect / std * math.sqrt(n)))


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
