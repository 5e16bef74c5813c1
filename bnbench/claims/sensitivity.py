"""What other choices that could be defended make of a verdict.

    median     the exact sign test on the median, in the place of the mean
    half       the first half of the seeds
    others     those that the parts of a claim declare, such as another threshold or learning rate

Under each choice the p-values of the claim are computed anew and adjusted within the family, whose
other members keep theirs.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from bnbench.analysis.verdict_table import DECIDED
from bnbench.claims.judge import (
    CONFIRMED,
    VERDICT_OF,
    PartResult,
    Verdict,
    after_adjustment,
    family_of,
    measure_part,
    p_of,
    verdict_of,
)
from bnbench.claims.records import Above, Below, Between, ClaimPart

MEDIAN, HALF = "median", "half"


class OtherChoice(NamedTuple):
    """The verdict on a claim under one other choice.

    Attributes:
        claim: its id.
        choice: such as `median`, `half`, `threshold 0.9`.
        decisive: the part that settles the verdict then.
        verdict: the verdict then.
        flips: whether it says something else, not only less or more of the same.
    """

    claim: str
    choice: str
    decisive: PartResult
    verdict: str
    flips: bool


def other_choices(verdicts: Iterable[Verdict]) -> list[OtherChoice]:
    """Compute what other choices make of every claim about training that was judged.

    Args:
        verdicts: of all claims of a data set, the families of Holm's adjustment.
    """
    verdicts = list(verdicts)
    claims = [one.claim for one in verdicts]
    before = {one.claim.id: one.p for one in verdicts}
    found = []
    for one in verdicts:
        if not family_of(one.claim) or one.decisive is None:
            continue
        for choice, parts in choices_of(one):
            p = p_of(parts)
            after = after_adjustment(before | {one.claim.id: p}, claims)[one.claim.id]
            other = verdict_of(one.claim, parts, p, after)
            if other.decisive is not None:
                row = (one.claim.id, choice, other.decisive, other.verdict, flips(one, other))
                found.append(OtherChoice(*row))
    return found


def choices_of(verdict: Verdict) -> Iterator[tuple[str, tuple[PartResult, ...]]]:
    """Give each other choice with the parts that decide under it.

    A part without such a choice keeps what it is; the median of a share or on a grid is no other
    choice.
    """
    deciding = verdict.deciding
    for choice in dict.fromkeys(name for part in deciding for name in part.choices):
        yield (
            choice,
            tuple(replace(part.choices.get(choice, part), name=part.name) for part in deciding),
        )
    if any(part.part.scale in ("linear", "log") for part in deciding):
        yield MEDIAN, tuple(map(of_median, deciding))
    yield HALF, tuple(map(of_first_half, deciding))


def of_median(result: PartResult) -> PartResult:
    """Measure a part by its median instead of its mean; a share or a grid stays as it is."""
    if result.part.scale not in ("linear", "log"):
        return result
    on_grid = replace(result.part, scale="grid")
    by_median = measure_part(result.name, on_grid, result.rows, result.alpha)
    return replace(by_median, part=result.part)  # whose scale tells how it is shown


def of_first_half(result: PartResult) -> PartResult:
    """Measure a part on the lower half of its seeds, the greater half where they are odd."""
    rows = result.rows.nsmallest(math.ceil(len(result.rows) / 2), "seed")
    return measure_part(result.name, result.part, rows, result.alpha)


def flips(one: Verdict, other: Verdict) -> bool:
    """Whether two verdicts on one claim say different things.

    They do where both decide it and differ; and where one decides it and what the other estimates
    lies outside of what that verdict says. What is merely less certain is no flip.
    """
    decided = [verdict for verdict in (one, other) if verdict.verdict in DECIDED]
    if len(decided) == 2:
        return one.verdict != other.verdict
    if not decided:
        return False
    (sure,) = decided
    unsure = other if sure is one else one
    # to confirm, all parts are needed: the one that is farthest from it tells
    pivot = unsure.decisive if sure.verdict == CONFIRMED else sure.decisive
    assert pivot is not None
    part = next(part for part in unsure.deciding if part.name == pivot.name)
    estimate = part.interval.estimate
    return not (math.isnan(estimate) or is_said(sure.verdict, part.part, estimate))


def is_said(verdict: str, part: ClaimPart, estimate: float) -> bool:
    """Whether an estimate, were it the mean, makes a decided verdict true of a part.

    >>> part = ClaimPart("pp", measure=lambda study: None, target=Above(1.0))
    >>> [is_said("smaller than claimed", part, estimate) for estimate in (-0.5, 0.5, 1.5)]
    [False, True, False]
    """
    if isinstance(part.target, Between):
        inside = part.target.low <= estimate <= part.target.high
        return inside if verdict == CONFIRMED else not inside
    assert isinstance(part.target, Above | Below)
    (bound,) = part.target
    sign = 1 if isinstance(part.target, Above) else -1
    beyond = sign * (estimate - bound)
    if verdict == CONFIRMED:
        return beyond >= 0
    if part.scale == "share" or part.null is None or sign * (bound - part.null) < 0:
        return beyond <= 0  # whatever does not reach the bound is contrary
    effect = sign * (estimate - part.null)
    margin = abs(bound - part.null) or part.distance
    said = {
        VERDICT_OF["contrary"]: effect <= 0,
        VERDICT_OF["smaller"]: effect >= 0 and beyond <= 0,
        VERDICT_OF["none"]: abs(effect) <= margin,
    }
    return said[verdict]


def depends_on(choices: Sequence[OtherChoice]) -> dict[str, str]:
    """Name the choices that flip each verdict, by their first words: `threshold+rate`."""
    kinds: dict[str, dict[str, None]] = {}
    for one in choices:
        if one.flips:
            kinds.setdefault(one.claim, {})[one.choice.split()[0]] = None
    return {claim: "+".join(words) for claim, words in kinds.items()}
