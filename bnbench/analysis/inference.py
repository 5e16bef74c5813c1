"""From paired seeds to a verdict: tests against the smallest effect of interest, and their power.

A claim says that an effect lies beyond a bound, its smallest effect of interest (SESOI), or that it
lies between two. Student's t decides, over the differences of paired seeds (DESIGN.md, section 6):

    beyond    one-sided t test against the bound, in both directions
    between   two one-sided tests (TOST; Schuirmann 1987): the p-value is the greater of the two
    shares    yes or no per seed: the exact binomial test, with Clopper & Pearson's interval (1934)
    several   Holm's step-down adjustment (Holm 1979), over the claims of one scale

Fewer than three values give no p-value: NaN, which no threshold admits.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, nct
from scipy.stats import t as student_t

from bnbench.analysis.stats import MIN_SEEDS, Interval

POWER = 0.8  # at which an effect counts as detectable


def p_above(values: Sequence[float], bound: float) -> float:
    """p-value of the one-sided t test whose alternative is that the mean lies above `bound`.

    >>> round(p_above([1.0, 2.0, 3.0], 0.0), 4)  # t = 2/(1/√3) with 2 degrees of freedom
    0.0371
    """
    given = np.asarray(values, float)
    if len(given) < MIN_SEEDS or not np.isfinite(given).all():
        return math.nan
    excess, error = given.mean() - bound, given.std(ddof=1) / math.sqrt(len(given))
    if error == 0:  # equal to the last bit: certain on either side, undecided on the bound
        return 0.5 if excess == 0 else float(excess < 0)
    return float(student_t.sf(excess / error, len(given) - 1))


def p_below(values: Sequence[float], bound: float) -> float:
    """The same for a mean below `bound`."""
    return p_above([-value for value in values], -bound)


def p_between(values: Sequence[float], low: float, high: float) -> float:
    """p-value of the two one-sided tests whose alternative is that the mean lies in between.

    Raises:
        ValueError: low is not below high.
    """
    if not low < high:
        raise ValueError(f"bounds {low} and {high}: expected the first below the second")
    p = p_above(values, low), p_below(values, high)
    return math.nan if any(map(math.isnan, p)) else max(p)


def p_share_above(successes: int, n: int, bound: float) -> float:
    """p-value of the exact binomial test whose alternative is a share of successes above `bound`.

    >>> p_share_above(3, 3, 0.5)
    0.125
    """
    if n < MIN_SEEDS:
        return math.nan
    return float(binomtest(successes, n, bound, alternative="greater").pvalue)


def share_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """The share of successes with the interval of Clopper & Pearson; NaN below `MIN_SEEDS`."""
    if n < MIN_SEEDS:
        return Interval(successes / n if n else math.nan, math.nan, math.nan, n)
    bounds = binomtest(successes, n).proportion_ci(level, "exact")
    return Interval(successes / n, float(bounds.low), float(bounds.high), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several: the k-th smallest of n counts n - k + 1 times.

    A NaN is not tested: it counts for nothing and stays NaN.

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
    """The distance from the bound that a one-sided t test finds with a probability of `power`.

    Two one-sided tests of an effect of zero succeed together with `POWER` where each does with
    (1 + `POWER`)/2, which is the `power` to give for them.

    Args:
        std: standard deviation of the paired differences.
        n: number of pairs.
        alpha: of the test.
        power: wanted.

    Returns:
        The distance in the unit of `std`; NaN below `MIN_SEEDS` pairs.
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    critical = student_t.ppf(1 - alpha, n - 1)

    def lacking(noncentrality: float) -> float:
        return float(nct.sf(critical, n - 1, noncentrality)) - power

    return std / math.sqrt(n) * float(brentq(lacking, 0.0, 10 * critical))


class Ratios(NamedTuple):
    """Paired log ratios with what is only known to lie beyond the budget.

    Attributes:
        values: ln(baseline/treatment) of the pairs that say something, above 0 where the treatment
            is faster; what was not reached counts as reached at the budget.
        bounds: of every pair, what its value is: "" a number; "at least", since only the baseline
            fell short: it cannot refute that the treatment is faster; "at most", since only the
            treatment did: it cannot confirm; "none", since both did: no value.
    """

    values: list[float]
    bounds: list[str]

    @property
    def too_few(self) -> bool:
        """Whether more than half of the pairs say nothing."""
        return 2 * self.bounds.count("none") > len(self.bounds)


BOUNDS = {(False, False): "", (True, False): "at least", (False, True): "at most"}


def log_ratios(
    baseline: Sequence[float | None], treatment: Sequence[float | None], budget: float
) -> Ratios:
    """Log ratios of steps to an accuracy over paired seeds; None is never reached (censored).

    Raises:
        ValueError: the sides are not paired, or a step is not within (0, budget].
    """
    if len(baseline) != len(treatment):
        raise ValueError(f"{len(baseline)} and {len(treatment)} seeds: expected pairs")
    for step in (*baseline, *treatment):
        if step is not None and not 0 < step <= budget:
            raise ValueError(f"step {step}: expected one of (0, {budget}]")
    pairs = list(zip(baseline, treatment, strict=True))
    bounds = [BOUNDS.get((a is None, b is None), "none") for a, b in pairs]
    values = [
        math.log((budget if a is None else a) / (budget if b is None else b))
        for (a, b), bound in zip(pairs, bounds, strict=True)
        if bound != "none"
    ]
    return Ratios(values, bounds)
