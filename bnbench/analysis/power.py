"""The power of the tests of `inference`: the probability that they find an effect of a given size.

    t          noncentral t
    TOST       both tests at once: the normal mean within what each spread allows, over the
               distribution of the spread (Phillips 1990)
    sign, yes or no      the exact binomial distribution

Effects are distances from the bound, in the unit of the standard deviation, and values are normal;
`alpha` is of one one-sided test. NaN below three values.
"""

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import binom, chi, nct
from scipy.stats import t as student_t

from bnbench.analysis.stats import MIN_SEEDS
from bnbench.analysis.verdicts import POWER

HALF = 0.5  # the share of values beyond a median
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)  # of integrals over spreads
TAIL = 1e-12  # of the distribution of spreads, left out at either end


def power_of(effect: float, std: float, n: int, alpha: float = 0.025) -> float:
    """Compute the probability that a one-sided t test finds an effect beyond its bound.

    Without spread all values are equal, and the sign test decides (`inference.p_above`).

    Args:
        effect: the true distance of the mean from the bound.
        std: standard deviation of the paired differences.
        n: number of pairs.
        alpha: of the test.

    >>> round(power_of(detectable(2.0, 10), 2.0, 10), 6)
    0.8
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    if std == 0:
        return sign_power(effect, std, n, alpha)
    critical = student_t.ppf(1 - alpha, n - 1)
    return float(nct.sf(critical, n - 1, effect / std * math.sqrt(n)))


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
        The distance in the unit of `std`; NaN where no distance is found, as with few equal values.
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    if std == 0:
        return sign_detectable(std, n, alpha, power)
    critical = student_t.ppf(1 - alpha, n - 1)

    def lacking(noncentrality: float) -> float:
        return float(nct.sf(critical, n - 1, noncentrality)) - power

    noncentrality: Any = brentq(lacking, 0.0, 10 * critical)
    return std / math.sqrt(n) * float(noncentrality)


def tost_power(low: float, high: float, std: float, n: int, alpha: float = 0.05) -> float:
    """Compute the probability that two one-sided t tests show a mean of 0 to lie between bounds.

    Both succeed where the mean of the sample is farther than t·s/√n from either bound. Given s that
    is an interval of a normal variable; (n - 1)s²/σ² has a χ² distribution.

    Args:
        low: the lower bound minus the true mean.
        high: the upper bound minus the true mean.
        std: standard deviation σ of the paired differences.
        n: number of pairs.
        alpha: of each test.
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    if std == 0:
        return min(sign_power(-low, std, n, alpha), sign_power(high, std, n, alpha))
    error, t = std / math.sqrt(n), float(student_t.ppf(1 - alpha, n - 1))
    # of spreads s·√(n - 1)/σ; beyond the last one the margins meet, and no mean is between them
    last = (high - low) / (2 * t * error) * math.sqrt(n - 1)
    first, last = (min(float(end), last) for end in chi.ppf([TAIL, 1 - TAIL], n - 1))
    spreads = first + (last - first) * (1 + NODES) / 2
    margins = t * spreads / math.sqrt(n - 1)
    within = ndtr(high / error - margins) - ndtr(low / error + margins)
    return max(0.0, float((last - first) / 2 * (WEIGHTS * within * chi.pdf(spreads, n - 1)).sum()))


def share_power(share: float, bound: float, n: int, alpha: float = 0.025) -> float:
    """Compute the probability that the exact binomial test shows a share to lie above a bound.

    >>> round(share_power(0.9, 0.5, 6, 0.025), 6)  # 0.9⁶: six of six, since 0.5⁶ < 0.025 < 7·0.5⁶
    0.531441
    """
    if n < MIN_SEEDS or not math.isfinite(share):
        return math.nan
    return float(binom.sf(_not_enough(bound, n, alpha), n, share))


def _not_enough(bound: float, n: int, alpha: float) -> int:
    """Find the largest number of successes that leaves it open whether their share is `bound`."""
    reached = binom.sf(np.arange(-1, n), n, bound)  # P(at least 0, 1, …, n successes)
    return n - int((reached < alpha).sum())


def share_detectable(bound: float, n: int, alpha: float = 0.025, power: float = POWER) -> float:
    """Compute how far above its bound a share is found with a given power; NaN where none is."""
    if n < MIN_SEEDS or share_power(1.0, bound, n, alpha) < power:
        return math.nan
    found: Any = brentq(lambda share: share_power(share, bound, n, alpha) - power, bound, 1.0)
    return float(found) - bound


def sign_power(effect: float, std: float, n: int, alpha: float = 0.025) -> float:
    """Compute the probability that the sign test finds a median beyond its bound.

    A value lies beyond with probability Φ(effect/std). On a grid with the bound on one of its
    places, only what lies a whole place beyond does: take the effect half a place shorter.
    """
    return share_power(_share_beyond(effect, std), HALF, n, alpha)


def _share_beyond(effect: float, std: float) -> float:
    return float(ndtr(effect / std)) if std else float(effect > 0)


def sign_detectable(std: float, n: int, alpha: float = 0.025, power: float = POWER) -> float:
    """Compute the distance that the sign test finds with a given power; NaN where none is."""
    if not math.isfinite(std):
        return math.nan
    share = HALF + share_detectable(HALF, n, alpha, power)
    return std * float(ndtri(share)) if std else 0.0 * share


def sign_tost_power(low: float, high: float, std: float, n: int, alpha: float = 0.05) -> float:
    """Compute the probability that two sign tests show a median of 0 to lie between bounds.

    Each allows m values beyond its bound, so that it is P(X ≤ m, Y ≤ m) of the trinomial numbers of
    values below and above; the bounds are as in `tost_power`.
    """
    if n < MIN_SEEDS or not math.isfinite(std):
        return math.nan
    allowed = n - 1 - _not_enough(HALF, n, alpha)
    below, above = 1 - _share_beyond(-low, std), 1 - _share_beyond(high, std)
    if below == 1:
        return 0.0
    fewer = np.arange(allowed + 1)
    others = binom.cdf(allowed, n - fewer, min(1.0, above / (1 - below)))
    return float((binom.pmf(fewer, n, below) * others).sum())
