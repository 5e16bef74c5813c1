"""From the numbers of every seed to verdicts (docs/statistics.md).

    part    a one-sided t test against its bound; where it does not confirm the claim, further ones
            tell whether the effect has the other sign, is smaller than claimed, or is none; TOST
            for `Between`; the exact binomial test for shares
    claim   confirmed where all its parts are, so that its p-value is the greatest of the parts';
            any other verdict where any part has it, so that its p-value is the smallest of the
            parts' times their number (Bonferroni)
    family  Holm's adjustment over all claims of a data set, for each verdict by itself; a claim
            that was not run or cannot be tested counts as p = 1, so that the others' verdicts do
            not depend on it

A verdict needs p < 0.025, or p < 0.05 to confirm where every part tests equivalence. A claim that
is below only before the adjustment is undecided.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis import inference
from bnbench.analysis.stats import MIN_SEEDS, Interval, mean_interval
from bnbench.analysis.verdicts import POWER
from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.study import LackingError, Study

ALPHA, ALPHA_BETWEEN = 0.025, 0.05
LEVEL = 0.95  # of intervals; 1 - 2 alpha where the claim states equivalence
CONFIRMED, UNDECIDED, NOT_RUN = "confirmed", "undecided", "not run here"


class PValues(NamedTuple):
    """The unadjusted p-values of a part or a claim, one for each verdict; NaN without a test.

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


# in the order in which they are asked for: one effect may be surely negative and surely small
VERDICT_OF = {
    "confirmed": CONFIRMED,
    "contrary": "contrary",
    "smaller": "smaller than claimed",
    "none": "no effect",
}


@dataclass(frozen=True)
class PartResult:
    """The estimate and p-values of one part, in the unit that is tested.

    `p` is unadjusted, NaN where bounds or too few seeds forbid the test; to confirm, a p-value
    below `alpha` decides. `power` is the probability that the test confirms an effect that lies
    `ClaimPart.distance` beyond the bound, or in the middle of the bounds. `censored` counts the
    seeds whose value is only a bound, or missing.
    """

    name: str
    part: ClaimPart
    rows: pd.DataFrame
    interval: Interval
    level: float
    p: PValues
    alpha: float
    detectable: float
    power: float
    censored: int

    @property
    def verdict(self) -> str:
        """The verdict on this part alone, before any adjustment; empty for a reading."""
        if self.part.target is None:
            return ""
        return _verdict(self.p, self.alpha)


@dataclass(frozen=True)
class Verdict:
    """A judged claim: its verdict and the numbers behind it.

    `decisive` is the part that settles the verdict: of a confirmed claim the least certain part, of
    an undecided one the part farthest from confirmation, else the part that most certainly has the
    verdict, by itself if there is one. `power` is the least of its parts'. `reason` says why there
    is no verdict. `exact` holds the numbers of an exact claim beside their bounds, which decide
    without a test.
    """

    claim: Claim
    parts: tuple[PartResult, ...]
    verdict: str
    decisive: PartResult | None
    p_holm: float
    power: float
    reason: str = ""
    exact: pd.DataFrame | None = None


def judge(
    claims: Iterable[Claim], study: Study, elsewhere: Mapping[str, PValues] | None = None
) -> list[Verdict]:
    """Judge the claims of one data set, together the family of Holm's adjustment.

    Args:
        claims: all claims of the data set.
        study: the runs of the data set.
        elsewhere: p-values by id for the claims that were not run here, so that the family is the
            same as where all were run.

    Raises:
        IntegrityError: some runs must not be compared.
    """
    measured: list[tuple[Claim, tuple[PartResult, ...], str]] = []
    exact: dict[str, Verdict] = {}
    for claim in claims:
        try:
            if claim.experiments == ("exact",):
                exact[claim.id] = _exact_verdict(claim, study.measured("exact"))
            measured.append((claim, measure(claim, study), claim.reason))
        except LackingError as error:
            measured.append((claim, (), str(error)))
    p_values = [
        p_of(parts) if parts else (elsewhere or {}).get(claim.id, PValues())
        for claim, parts, _ in measured
    ]
    testable = [bool(claim.verdict_parts) for claim, _, _ in measured]
    by_kind = [_family(of_kind, testable) for of_kind in zip(*p_values, strict=True)]
    adjusted = zip(*by_kind, strict=True)
    return [
        exact.get(one[0].id) or _claim_verdict(*one, PValues(*p))
        for one, p in zip(measured, adjusted, strict=True)
    ]


def measure(claim: Claim, study: Study) -> tuple[PartResult, ...]:
    """Measure the parts of a claim, the deciding ones first.

    A reading without runs is left out, such as one at a rate that only one side was tried at.

    Raises:
        LackingError: the runs or measurements of a deciding part are missing.
    """
    results = []
    is_between = all(isinstance(p.target, Between) for p in claim.verdict_parts.values())
    alpha = ALPHA_BETWEEN if is_between else ALPHA
    for name, part in sorted(claim.parts.items(), key=lambda item: item[1].target is None):
        try:
            results.append(measure_part(name, part, part.measure(study), alpha))
        except LackingError:
            if part.target is not None:
                raise
    return tuple(results)


def measure_part(
    name: str, part: ClaimPart, rows: pd.DataFrame, alpha: float = ALPHA
) -> PartResult:
    """Compute the interval and p-values of one part from its rows, at the claim's `alpha`."""
    known = rows.loc[rows["bound"] != "none", "value"]
    bounds = rows["bound"].value_counts()
    is_between = isinstance(part.target, Between)
    level = 1 - 2 * alpha if is_between else LEVEL
    values = list(known)
    says_nothing = 2 * bounds.get("none", 0) > len(rows)
    p = PValues() if says_nothing else _p_values(part, values, set(bounds.index))
    finite = bool(np.isfinite(values).all())
    std = float(known.std(ddof=1)) if len(values) >= MIN_SEEDS and finite else math.nan
    if part.scale == "share":
        interval = inference.share_interval(int(sum(values)), len(values), level)
        std = math.sqrt(0.25)  # the largest standard deviation of a share, that of one half
    elif finite:
        interval = mean_interval(values, level)
    else:
        interval = Interval(math.nan, math.nan, math.nan, len(values))
    # an effect of zero passes both tests of TOST with the power where it passes each with more
    needed = (1 + POWER) / 2 if is_between else POWER
    detectable = inference.detectable(std, len(values), alpha, needed)
    power = inference.power_of(part.distance, std, len(values), alpha)
    power = max(0.0, 2 * power - 1) if is_between else power
    censored = len(rows) - int(bounds.get("", 0))
    return PartResult(name, part, rows, interval, level, p, alpha, detectable, power, censored)


def _p_values(part: ClaimPart, values: list[float], bounds: set[str]) -> PValues:
    """Compute the p-values of a part.

    A value that is a lower bound may stand for a larger one, so it cannot show a low mean.
    """
    is_share = part.scale == "share"
    assert not is_share or isinstance(part.target, Above | None), "a share is above a bound"

    def above(bound: float) -> float:
        return math.nan if "at most" in bounds else inference.p_above(values, bound)

    def below(bound: float) -> float:
        return math.nan if "at least" in bounds else inference.p_below(values, bound)

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
            inside = inference.p_between(values, low, high) if is_exact else math.nan
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


def p_of(parts: Iterable[PartResult]) -> PValues:
    """Combine the p-values of the deciding parts into those of their claim."""
    return p_of_parts([part.p for part in parts if part.part.target])


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


def _family(p_values: Sequence[float], testable: Sequence[bool]) -> list[float]:
    """Adjust the p-values of testable claims by Holm's method; a missing p counts as 1."""
    counted = [
        (1.0 if math.isnan(p) else p) if t else math.nan
        for p, t in zip(p_values, testable, strict=True)
    ]
    adjusted = inference.holm(counted)
    return [a if not math.isnan(p) else math.nan for a, p in zip(adjusted, p_values, strict=True)]


def _verdict(p: PValues, alpha: float) -> str:
    """Choose the verdict: the first of `VERDICT_OF` whose p-value is small enough."""
    if p.confirmed < alpha:
        return CONFIRMED
    return next((VERDICT_OF[kind] for kind, one in p._asdict().items() if one < ALPHA), UNDECIDED)


def _claim_verdict(
    claim: Claim, parts: tuple[PartResult, ...], reason: str, adjusted: PValues
) -> Verdict:
    deciding = [part for part in parts if part.part.target]
    if not deciding:
        return Verdict(claim, parts, NOT_RUN, None, math.nan, math.nan, reason)
    verdict = _verdict(adjusted, min(part.alpha for part in deciding))
    if verdict in (CONFIRMED, UNDECIDED):
        decisive = max(deciding, key=lambda part: _or(part.p.confirmed, 2))
    else:
        (kind,) = (kind for kind, word in VERDICT_OF.items() if word == verdict)
        # a part that shows the verdict by itself, before one that shows another beside it
        alike = [part for part in deciding if part.verdict == verdict] or deciding
        decisive = min(alike, key=lambda part: _or(getattr(part.p, kind), 2))
    of_verdict = (p for kind, p in adjusted._asdict().items() if VERDICT_OF[kind] == verdict)
    known = [p for p in adjusted if not math.isnan(p)]
    p_holm = next(of_verdict, min(known, default=math.nan))
    power = min((part.power for part in deciding), key=lambda one: _or(one, -1))
    return Verdict(claim, parts, verdict, decisive, float(p_holm), power, reason)


def _exact_verdict(claim: Claim, table: pd.DataFrame) -> Verdict:
    rows = table[table["claim"] == claim.id]
    if rows.empty:
        raise LackingError(f"{claim.id} was not measured")
    verdict = CONFIRMED if rows["holds"].all() else VERDICT_OF["contrary"]
    return Verdict(claim, (), verdict, None, math.nan, math.nan, exact=rows)


def _or(p: float, other: float) -> float:
    return other if math.isnan(p) else p
