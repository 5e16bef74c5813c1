"""From the numbers of every seed to verdicts (docs/statistics.md).

    part    a one-sided t test against its bound, in both directions; TOST for `Between`; the exact
            binomial test for shares
    claim   confirmed where all its parts are, so that its p-value is the greatest of the parts';
            refuted where any part is, so that its p-value is the smallest of the parts' times
            their number (Bonferroni)
    family  Holm's adjustment over all claims of a data set, for each direction by itself; a claim
            that was not run or cannot be tested counts as p = 1, so that the others' verdicts do
            not depend on it

A verdict needs p < 0.025, or p < 0.05 where every part tests equivalence. A claim that is below
only before the adjustment is inconclusive.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis import inference
from bnbench.analysis.stats import MIN_SEEDS, Interval, mean_interval
from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.study import LackingError, Study

ALPHA, ALPHA_BETWEEN = 0.025, 0.05
LEVEL = 0.95  # of intervals; 1 - 2 alpha where the claim states equivalence
CONFIRMED, REFUTED, INCONCLUSIVE, NOT_RUN = (
    *("confirmed", "refuted", "inconclusive"),
    "not run here",
)


class PValues(NamedTuple):
    """The p-values of a claim, in both directions and unadjusted; NaN where there is no test."""

    confirm: float
    refute: float


@dataclass(frozen=True)
class PartResult:
    """The estimate and p-values of one part, in the unit that is tested.

    `p_confirm` and `p_refute` are unadjusted, NaN where bounds or too few seeds forbid the test;
    a p-value below `alpha` decides. `censored` counts the seeds whose value is only a bound, or
    missing.
    """

    name: str
    part: ClaimPart
    rows: pd.DataFrame
    interval: Interval
    level: float
    p_confirm: float
    p_refute: float
    alpha: float
    detectable: float
    censored: int

    @property
    def verdict(self) -> str:
        """The verdict on this part alone, before any adjustment; empty for a reading."""
        if self.part.target is None:
            return ""
        return _verdict(self.p_confirm, self.p_refute, self.alpha)

    @property
    def powered(self) -> bool:
        """Whether the smallest detectable effect is within the smallest effect of interest."""
        return self.detectable <= self.part.distance


@dataclass(frozen=True)
class Verdict:
    """A judged claim: its verdict and the numbers behind it.

    `decisive` is the part that settles the verdict: of a confirmed claim the least certain part, of
    a refuted claim the most certainly refuted part, else the part farthest from confirmation.
    `reason` says why there is no verdict. `exact` holds the numbers of an exact claim beside their
    bounds, which decide without a test.
    """

    claim: Claim
    parts: tuple[PartResult, ...]
    verdict: str
    decisive: PartResult | None
    p_holm: float
    powered: bool
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
        p_of(parts) if parts else (elsewhere or {}).get(claim.id, PValues(math.nan, math.nan))
        for claim, parts, _ in measured
    ]
    testable = [bool(claim.verdict_parts) for claim, _, _ in measured]
    confirm = _family([p.confirm for p in p_values], testable)
    refute = _family([p.refute for p in p_values], testable)
    return [
        exact.get(one[0].id) or _claim_verdict(*one, p_confirm, p_refute)
        for one, p_confirm, p_refute in zip(measured, confirm, refute, strict=True)
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
    if 2 * bounds.get("none", 0) > len(rows):
        p_confirm = p_refute = math.nan
    else:
        p_confirm, p_refute = _p_values(part, values, set(bounds.index))
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
    power = (1 + inference.POWER) / 2 if is_between else inference.POWER
    detectable = inference.detectable(std, len(values), alpha, power)
    censored = len(rows) - int(bounds.get("", 0))
    return PartResult(
        name, part, rows, interval, level, p_confirm, p_refute, alpha, detectable, censored
    )


def _p_values(part: ClaimPart, values: list[float], bounds: set[str]) -> PValues:
    """Compute the p-values for the target and for its contrary.

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
            return PValues(math.nan, math.nan)
        case Above(low) if is_share:
            n, successes = len(values), int(sum(values))
            confirm = inference.p_share_above(successes, n, low)
            return PValues(confirm, inference.p_share_above(n - successes, n, 1 - low))
        case Above(low):
            return PValues(above(low), below(low))
        case Below(high):
            return PValues(below(high), above(high))
        case Between(low, high):
            is_exact = bounds.isdisjoint({"at most", "at least"})
            confirm = inference.p_between(values, low, high) if is_exact else math.nan
            return PValues(confirm, p_of_parts([], [above(high), below(low)]).refute)


def p_of(parts: Iterable[PartResult]) -> PValues:
    """Combine the p-values of the deciding parts into those of their claim."""
    deciding = [part for part in parts if part.part.target]
    return p_of_parts([part.p_confirm for part in deciding], [part.p_refute for part in deciding])


def p_of_parts(confirm: Sequence[float], refute: Sequence[float]) -> PValues:
    """Combine the p-values of parts into those of a claim that needs all parts.

    To confirm: the greatest p-value, NaN where a part has none. To refute: the smallest p-value
    times the number of parts.
    """
    no_part = not confirm or any(map(math.isnan, confirm))
    known = [p for p in refute if not math.isnan(p)]
    return PValues(
        math.nan if no_part else max(confirm),
        min(1.0, len(refute) * min(known)) if known else math.nan,
    )


def _family(p_values: Sequence[float], testable: Sequence[bool]) -> list[float]:
    """Adjust the p-values of testable claims by Holm's method; a missing p counts as 1."""
    counted = [
        (1.0 if math.isnan(p) else p) if t else math.nan
        for p, t in zip(p_values, testable, strict=True)
    ]
    adjusted = inference.holm(counted)
    return [a if not math.isnan(p) else math.nan for a, p in zip(adjusted, p_values, strict=True)]


def _verdict(p_confirm: float, p_refute: float, alpha: float) -> str:
    if p_confirm < alpha:
        return CONFIRMED
    return REFUTED if p_refute < ALPHA else INCONCLUSIVE


def _claim_verdict(
    claim: Claim, parts: tuple[PartResult, ...], reason: str, p_confirm: float, p_refute: float
) -> Verdict:
    deciding = [part for part in parts if part.part.target]
    if not deciding:
        return Verdict(claim, parts, NOT_RUN, None, math.nan, False, reason)
    alpha = min(part.alpha for part in deciding)
    verdict = _verdict(p_confirm, p_refute, alpha)
    if verdict == REFUTED:
        decisive = min(deciding, key=lambda part: _or(part.p_refute, 2))
        p_holm = p_refute
    else:
        decisive = max(deciding, key=lambda part: _or(part.p_confirm, 2))
        known = [p for p in (p_confirm, p_refute) if not math.isnan(p)]
        p_holm = p_confirm if verdict == CONFIRMED else min(known, default=math.nan)
    powered = all(part.powered for part in deciding)
    return Verdict(claim, parts, verdict, decisive, float(p_holm), powered, reason)


def _exact_verdict(claim: Claim, table: pd.DataFrame) -> Verdict:
    rows = table[table["claim"] == claim.id]
    if rows.empty:
        raise LackingError(f"{claim.id} was not measured")
    verdict = CONFIRMED if rows["holds"].all() else REFUTED
    return Verdict(claim, (), verdict, None, math.nan, True, exact=rows)


def _or(p: float, other: float) -> float:
    return other if math.isnan(p) else p
