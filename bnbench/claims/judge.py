"""From the numbers of every seed to verdicts (docs/statistics.md).

    part    a one-sided t test against its bound; where it does not confirm the claim, further ones
            tell whether the effect has the other sign, is smaller than claimed, or is none; TOST
            for `Between`; the exact binomial test for shares; the exact sign test on grids and
            where all values are equal
    claim   confirmed where all its parts are, so that its p-value is the greatest of the parts';
            any other verdict where any part has it, so that its p-value is the smallest of the
            parts' times their number (Bonferroni)
    family  Holm's adjustment over all claims about training on a data set, for each verdict by
            itself; a claim that was not run or cannot be tested counts as p = 1, so that the
            others' verdicts do not depend on it. Additions (A1 and so on), which were declared when
            the others had been judged, are a family of their own, so that they change nothing that
            was judged before them; so, beside these, are A11a, A11b and P4. Identities and problems
            without runs, which are the same on every data set, are of no family: a problem keeps
            its own p-value

A verdict needs p < 0.025, or p < 0.05 to confirm where every part tests equivalence. A claim that
is below only before the adjustment is undecided.
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bnbench.analysis import inference
from bnbench.analysis.stats import MIN_SEEDS, Interval, mean_interval
from bnbench.analysis.verdicts import TRAINING, kind_of
from bnbench.claims import sizing
from bnbench.claims.p_values import PValues, adjusted, p_of_part, p_of_parts
from bnbench.claims.records import Between, Claim, ClaimPart
from bnbench.claims.study import LackingError, Study

ALPHA, ALPHA_BETWEEN = 0.025, 0.05
LEVEL = 0.95  # of intervals; 1 - 2 alpha where the claim states equivalence
ADDITION = "A"  # the first letter of a claim that was declared when the others had been judged
LATER = ("A11", "P4")  # claims that were first run when some of the additions had been judged
NO_TEST = PValues()
CONFIRMED, UNDECIDED, NOT_RUN = "confirmed", "undecided", "not run here"

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
    seeds whose value is only a bound, or missing. `choices` holds what would decide under another
    choice -> its result, where it could be measured; `is_choice` marks such a result.
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
    choices: Mapping[str, "PartResult"] = field(default_factory=dict)
    is_choice: bool = False

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
    verdict, by itself if there is one. `p` is before the adjustment, `p_holm` after it. `power` is
    the least of its parts'. `reason` says why there is no verdict. `exact` holds the numbers of an
    exact claim beside their bounds, which decide without a test.
    """

    claim: Claim
    parts: tuple[PartResult, ...]
    verdict: str
    decisive: PartResult | None
    p_holm: float
    power: float
    reason: str = ""
    exact: pd.DataFrame | None = None
    p: PValues = NO_TEST

    @property
    def deciding(self) -> tuple[PartResult, ...]:
        """The measured parts that decide."""
        return tuple(part for part in self.parts if part.part.target)


def judge(
    claims: Iterable[Claim], study: Study, elsewhere: Mapping[str, PValues] | None = None
) -> list[Verdict]:
    """Judge the claims of one data set, together the families of Holm's adjustment.

    Args:
        claims: all claims of the data set.
        study: the runs of the data set.
        elsewhere: p-values by id for the claims that were not run here, so that the families are
            the same as where all were run.

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
    p = {
        claim.id: p_of(parts) if parts else (elsewhere or {}).get(claim.id, PValues())
        for claim, parts, _ in measured
    }
    after = p | after_adjustment(p, (claim for claim, *_ in measured))
    return [
        exact.get(claim.id) or verdict_of(claim, parts, p[claim.id], after[claim.id], reason)
        for claim, parts, reason in measured
    ]


def after_adjustment(p: Mapping[str, PValues], claims: Iterable[Claim]) -> dict[str, PValues]:
    """Adjust the p-values of claims by Holm's method, within each family by itself.

    Args:
        p: id -> p-values before the adjustment.
        claims: the claims; those of no family are left out of the result.
    """
    families: dict[str, dict[str, PValues]] = {}
    for claim in claims:
        if family := family_of(claim):
            families.setdefault(family, {})[claim.id] = p[claim.id]
    return {name: after for family in families.values() for name, after in adjusted(family).items()}


def family_of(claim: Claim) -> str:
    """Name the family of Holm's adjustment that a claim is of.

    Returns:
        `first` for a claim about training that is tested; `added` for such a claim that was
        declared when the first had been judged, `later` for one whose form was declared when some
        of these had been; empty for a claim of no family.
    """
    if not claim.verdict_parts or kind_of(claim.experiments) != TRAINING:
        return ""
    if claim.id.startswith(LATER):
        return "later"
    return "added" if claim.id.startswith(ADDITION) else "first"


def measure(claim: Claim, study: Study) -> tuple[PartResult, ...]:
    """Measure the parts of a claim, the deciding ones first, each with its other choices.

    A reading or another choice without runs is left out, such as one at a rate that only one side
    was tried at.

    Raises:
        LackingError: the runs or measurements of a deciding part are missing.
    """
    results = []
    alpha = alpha_of(claim)
    for name, part in sorted(claim.parts.items(), key=lambda item: item[1].target is None):
        try:
            result = measure_part(name, part, part.measure(study), alpha)
        except LackingError:
            if part.target is not None:
                raise
            continue
        choices = {}
        for choice, other in part.choices.items():
            with suppress(LackingError):
                rows = other.measure(study)
                one = measure_part(choice_name(name, choice), other, rows, alpha)
                choices[choice] = replace(one, is_choice=True)
        results.append(replace(result, choices=choices))
    return tuple(results)


def alpha_of(claim: Claim) -> float:
    """The level at which a claim is confirmed: higher where all its parts state equivalence."""
    is_between = all(isinstance(p.target, Between) for p in claim.verdict_parts.values())
    return ALPHA_BETWEEN if is_between else ALPHA


def choice_name(part: str, choice: str) -> str:
    """Name a part under another choice, as in parts.csv and the evidence."""
    return f"{part}: {choice}"


def measure_part(
    name: str, part: ClaimPart, rows: pd.DataFrame, alpha: float = ALPHA
) -> PartResult:
    """Compute the interval and p-values of one part from its rows, at the claim's `alpha`.

    A value that is not finite, of a run that diverged say, forbids interval and test; `n` counts
    the others.
    """
    known = rows.loc[rows["bound"] != "none", "value"]
    bounds = rows["bound"].value_counts()
    is_between = isinstance(part.target, Between)
    level = 1 - 2 * alpha if is_between else LEVEL
    values = list(known)
    says_nothing = 2 * bounds.get("none", 0) > len(rows)
    p = PValues() if says_nothing else p_of_part(part, values, set(bounds.index))
    finite = bool(np.isfinite(values).all())
    has_spread = len(values) >= MIN_SEEDS and finite
    is_equal = has_spread and inference.are_equal(values)
    std = 0.0 if is_equal else float(known.std(ddof=1)) if has_spread else math.nan
    if part.scale == "share":
        interval = inference.share_interval(int(sum(values)), len(values), level)
    elif finite and (part.scale == "grid" or is_equal):
        interval = inference.median_interval(values, level)
    elif finite:
        interval = mean_interval(values, level)
    else:
        interval = Interval(math.nan, math.nan, math.nan, int(np.isfinite(values).sum()))
    detectable = sizing.detectable(part, std, len(values), alpha)
    power = sizing.power_of_interest(part, std, len(values), alpha)
    censored = len(rows) - int(np.isfinite(rows.loc[rows["bound"] == "", "value"]).sum())
    return PartResult(name, part, rows, interval, level, p, alpha, detectable, power, censored)


def p_of(parts: Iterable[PartResult]) -> PValues:
    """Combine the p-values of the deciding parts into those of their claim."""
    return p_of_parts([part.p for part in parts if part.part.target])


def _verdict(p: PValues, alpha: float) -> str:
    """Choose the verdict: the first of `VERDICT_OF` whose p-value is small enough."""
    if p.confirmed < alpha:
        return CONFIRMED
    return next((VERDICT_OF[kind] for kind, one in p._asdict().items() if one < ALPHA), UNDECIDED)


def verdict_of(
    claim: Claim,
    parts: tuple[PartResult, ...],
    before: PValues,
    after: PValues,
    reason: str = "",
) -> Verdict:
    """Give the verdict on a claim from its parts and its p-values.

    Args:
        claim: the claim.
        parts: its measured parts; none where it was not run.
        before: its p-values before the adjustment.
        after: those after it, which decide.
        reason: why it was not run.
    """
    deciding = [part for part in parts if part.part.target]
    if not deciding:
        return Verdict(claim, parts, NOT_RUN, None, math.nan, math.nan, reason, p=before)
    verdict = _verdict(after, min(part.alpha for part in deciding))
    if verdict in (CONFIRMED, UNDECIDED):
        decisive = max(deciding, key=lambda part: _or(part.p.confirmed, 2))
    else:
        (kind,) = (kind for kind, word in VERDICT_OF.items() if word == verdict)
        # a part that shows the verdict by itself, before one that shows another beside it
        alike = [part for part in deciding if part.verdict == verdict] or deciding
        decisive = min(alike, key=lambda part: _or(getattr(part.p, kind), 2))
    of_verdict = (p for kind, p in after._asdict().items() if VERDICT_OF[kind] == verdict)
    known = [p for p in after if not math.isnan(p)]
    p_holm = next(of_verdict, min(known, default=math.nan))
    power = min((part.power for part in deciding), key=lambda one: _or(one, -1))
    return Verdict(claim, parts, verdict, decisive, float(p_holm), power, reason, p=before)


def _exact_verdict(claim: Claim, table: pd.DataFrame) -> Verdict:
    rows = table[table["claim"] == claim.id]
    if rows.empty:
        raise LackingError(f"{claim.id} was not measured")
    verdict = CONFIRMED if rows["holds"].all() else VERDICT_OF["contrary"]
    return Verdict(claim, (), verdict, None, math.nan, math.nan, exact=rows)


def _or(p: float, other: float) -> float:
    return other if math.isnan(p) else p
