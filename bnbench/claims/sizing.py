"""How many seeds a part of a claim needs: the power of its test, as set before its runs are made.

The tests are those of `judge`: t, TOST, the sign test on a grid, the binomial test of shares.
"""

import math

from bnbench.analysis import power as of_test
from bnbench.analysis.verdicts import POWER
from bnbench.claims.records import Above, Below, Between, ClaimPart


def planned_power(part: ClaimPart, alpha: float) -> float:
    """Compute the power that `part.sizing` states, for its effect, spread and number of seeds.

    An effect beyond the bound, or between the bounds: the probability that the part is confirmed.
    An effect that falls short of the bound, as where the sentence is expected to be false: the
    probability that the mean is shown to fall short of it, which contrary, smaller than claimed and
    no effect all need. Outside two bounds: that the mean is shown to lie beyond the nearer one.

    Args:
        part: with a target and a sizing; NaN without one.
        alpha: of one one-sided test. Beyond two bounds there are two such tests, which share it.
    """
    if part.sizing is None:
        return math.nan
    effect, std, n, _ = part.sizing
    return power_at(part, effect, std, n, alpha)


def power_at(part: ClaimPart, effect: float, std: float, n: int, alpha: float) -> float:
    """Compute the power of a part's test if the centre of its values is `effect`.

    See `planned_power`; `std` is not used for a share, whose spread its effect settles.
    """
    one_sided = of_test.sign_power if part.scale == "grid" else of_test.power_of
    match part.target:
        case None:
            return math.nan
        case Above(low) if part.scale == "share":
            is_beyond = effect > low
            share, bound = (effect, low) if is_beyond else (1 - effect, 1 - low)
            return of_test.share_power(share, bound, n, alpha)
        case Above(bound) | Below(bound):
            return one_sided(abs(effect - bound), std, n, alpha)
        case Between(low, high) if low < effect < high:
            both = of_test.sign_tost_power if part.scale == "grid" else of_test.tost_power
            return both(low - effect, high - effect, std, n, alpha)
        case Between(low, high):
            return one_sided(max(low - effect, effect - high), std, n, alpha / 2)


def power_of_interest(part: ClaimPart, std: float, n: int, alpha: float) -> float:
    """Compute the power for an effect that lies the smallest effect of interest beyond the bound.

    Between two bounds it is that for no difference, in the middle of them.
    """
    match part.target:
        case None:
            return of_test.power_of(part.distance, std, n, alpha)
        case Above(low) if part.scale == "share":
            return power_at(part, min(1.0, low + part.distance), std, n, alpha)
        case Above(low):
            return power_at(part, low + part.distance, std, n, alpha)
        case Below(high):
            return power_at(part, high - part.distance, std, n, alpha)
        case Between(low, high):
            return power_at(part, (low + high) / 2, std, n, alpha)


def detectable(part: ClaimPart, std: float, n: int, alpha: float) -> float:
    """Compute the smallest distance from the bound that the part's test finds with `POWER`.

    An effect of zero passes both tests of TOST with that power where it passes each with more.
    """
    power = (1 + POWER) / 2 if isinstance(part.target, Between) else POWER
    match part.scale, part.target:
        case "share", Above(low):
            return of_test.share_detectable(low, n, alpha, power)
        case "grid", _:
            return of_test.sign_detectable(std, n, alpha, power)
        case _:
            return of_test.detectable(std, n, alpha, power)
