"""The p-values of parts and of claims, before and after the adjustment for many claims.

docs/statistics.md tells them by example; `judge` makes verdicts of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bnbench.analysis import inference
from bnbench.claims.records import Above, Below, Between, ClaimPart


class PValues(NamedTuple):
    """The p-values of a part or a claim, one for each verdict; NaN without a test.

    Attributes:
        confirmed: that the mean lies beyond the bound, or between the bounds.
        contrary: that the effect has the other sign, or lies beyond the bounds of no difference.
        smaller: that the effect has the claimed sign and does not reach the bound.
        none: that the effect is nearer to 0 than the smallest of interest, on either side.
    """

    confirmed: float = math.nan
    contrary: float = math.nan
    smaller: float = math.nan
    none: float = math.nan


def p_of_part(part: ClaimPart, values: list[float], bounds: set[str]) -> PValues:
    """Compute the p-values of a part.

    A value that is a lower bound may stand for a larger one, so it cannot show a low mean.

    Args:
        part: the part.
        values: one for each seed that tells anything.
        bounds: the kinds of values among them: "" for exact ones, "at least", "at most".
    """
    is_share = part.scale == "share"
    assert not is_share or isinstance(part.target, Above | None), "a share is above a bound"
    test = inference.p_median_above if part.scale == "grid" else inference.p_above

    def above(bound: float) -> float:
        return math.nan if "at most" in bounds else test(values, bound)

    def below(bound: float) -> float:
        return math.nan if "at least" in bounds else inference.p_below(values, bound, test)

    match part.target:
        case None:
            return PValues()
        case Above(low) if is_share:
            n, successes = len(values), int(sum(values))
            fewer = inference.p_share_above(n - successes, n, 1 - low)
            return PValues(inference.p_share_above(successes, n, low), fewer)
        case Above(low):
            return _directed(part, low, 1, above, below)
        case Below(high):
            return _directed(part, high, -1, below, above)
        case Between(low, high):
            is_exact = bounds.isdisjoint({"at most", "at least"})
            inside = inference.p_between(values, low, high, test) if is_exact else math.nan
            return PValues(inside, least_of([above(high), below(low)]))


def _directed(
    part: ClaimPart,
    bound: float,
    sign: int,
    beyond: Callable[[float], float],
    short_of: Callable[[float], float],
) -> PValues:
    """Compute the p-values of a part that claims an effect of one sign.

    Where the bound lies on the other side of no effect, as in "at most 0.3 pp more", or there is no
    such value, whatever does not reach it is contrary.

    Args:
        part: the part.
        bound: its bound.
        sign: 1 for an effect above it, -1 for one below.
        beyond: the p-value that the mean lies beyond a number, in the direction of the claim.
        short_of: the p-value that it lies on the other side.
    """
    if part.null is None or sign * (bound - part.null) < 0:
        return PValues(beyond(bound), short_of(bound))
    margin = abs(bound - part.null) or part.distance
    none = greatest_of([beyond(part.null - sign * margin), short_of(part.null + sign * margin)])
    smaller = [math.nan if bound == part.null else beyond(part.null), short_of(bound)]
    return PValues(beyond(bound), short_of(part.null), greatest_of(smaller), none)


def p_of_parts(parts: Sequence[PValues]) -> PValues:
    """Combine the p-values of parts into those of a claim that needs all parts.

    To confirm: the greatest p-value, NaN where a part has none. Else: `least_of` the parts.
    """
    if not parts:
        return PValues()
    confirmed, *others = zip(*parts, strict=True)
    return PValues(greatest_of(confirmed), *map(least_of, others))


def greatest_of(p_values: Sequence[float]) -> float:
    """Compute the p-value that all of several tests succeed: the greatest, NaN where one is."""
    return math.nan if any(map(math.isnan, p_values)) else max(p_values)


def least_of(p_values: Sequence[float]) -> float:
    """Compute the p-value that any of several tests succeeds: the smallest times their number."""
    known = [p for p in p_values if not math.isnan(p)]
    return min(1.0, len(p_values) * min(known)) if known else math.nan


def adjusted(family: Mapping[str, PValues]) -> dict[str, PValues]:
    """Adjust the p-values of a family of claims by Holm's method, for each verdict by itself.

    A missing p-value counts as 1, so that the others' verdicts do not depend on it, and stays
    missing.

    Args:
        family: id -> p-values of every claim that is tested.
    """
    columns = [
        [
            after if not math.isnan(before) else math.nan
            for after, before in zip(inference.holm(_counted(column)), column, strict=True)
        ]
        for column in zip(*family.values(), strict=True)
    ]
    rows = zip(*columns, strict=True)
    return {name: PValues(*row) for name, row in zip(family, rows, strict=True)}


def _counted(p_values: Sequence[float]) -> list[float]:
    return [1.0 if math.isnan(p) else p for p in p_values]
