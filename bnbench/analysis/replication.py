"""A scoreboard beside another of the same claims: those published, or those on fresh seeds.

For each claim: whether the verdicts agree, and how far the two estimates lie apart in standard
errors, on the scale that is tested.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import stdtrit

from bnbench.analysis.stats import MIN_SEEDS
from bnbench.analysis.verdict_columns import INTERVAL
from bnbench.analysis.verdict_table import DECIDED
from bnbench.analysis.verdict_words import estimate_words, verdict_label
from bnbench.analysis.verdicts import TRAINING, JudgedClaim, headline_of, kind_of, records

PUBLISHED, FRESH = "reference", "fresh seeds"  # what a scoreboard is compared with
NOT_RUN = "not run here"
NAMED = 5  # claims that the summary names of a kind
ON_FRESH_SEEDS = (
    *("are the same on fresh seeds", "decided otherwise on fresh seeds"),
    *("undecided there", "decided there alone"),
)
WITH_REFERENCE = (
    *("agree with the reference", "decided otherwise there"),
    *("decided here alone", "undecided here"),
)

Board = Sequence[tuple[dict[str, Any], pd.DataFrame]]  # as `verdicts.read_numbers` gives it


class PartEstimate(NamedTuple):
    """A row of parts.csv as far as two are compared; NaN for what it lacks."""

    estimate: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    ci_level: float = math.nan
    n: float = math.nan


class Replication(NamedTuple):
    """One claim on two scoreboards.

    Attributes:
        claim: its id.
        reference: the verdict on the other scoreboard.
        replicated: `yes` where the verdicts are the same, else `no`; empty where one was not run.
        part: the part whose estimates are compared: the other's headline.
        own: the estimate here; NaN where there is no such part here.
        other: the estimate there.
        distance: of the two in standard errors; NaN where it cannot be computed.
    """

    claim: str
    reference: str
    replicated: str
    part: str
    own: PartEstimate
    other: PartEstimate
    distance: float


def compare(own: Board, other: Board) -> list[Replication]:
    """Compare the claims that two scoreboards share."""
    there = {row["claim"]: (row, parts) for row, parts in other}
    return [
        _compared(row, parts, *there[row["claim"]]) for row, parts in own if row["claim"] in there
    ]


def board_table(one: Board, other: Board) -> pd.DataFrame:
    """Put the verdicts of two scoreboards beside each other, for the claims that both have.

    Returns:
        One row per claim: `claim`, `kind`, the verdicts `one` and `other`, whether they `agree`
        (`yes`, `no`, empty where one was not run), and of the `part` that the other scoreboard
        names `statistic`, `scale`, `one_estimate`, `one_low`, `one_high`, `one_n`, likewise for
        the other, and their `distance` in standard errors.
    """
    verdicts = {row["claim"]: (kind_of(row["experiment"].split("+")), row) for row, _ in one}
    parts = {row["claim"]: {p["part"]: p for p in records(own)} for row, own in other}
    rows = []
    for found in compare(one, other):
        kind, row = verdicts[found.claim]
        part = parts[found.claim].get(found.part, {})
        rows.append(
            {"claim": found.claim, "kind": kind, "one": row["verdict"], "other": found.reference}
            | {"agree": found.replicated, "part": found.part}
            | {key: part.get(key, "") for key in ("statistic", "scale")}
            | _numbers_of("one", found.own)
            | _numbers_of("other", found.other)
            | {"distance": found.distance}
        )
    return pd.DataFrame(rows)


def _numbers_of(side: str, estimate: PartEstimate) -> dict[str, float]:
    names = ("estimate", "low", "high", "level", "n")
    return {f"{side}_{name}": number for name, number in zip(names, estimate, strict=True)}


def _compared(
    row: dict[str, Any], parts: pd.DataFrame, other_row: dict[str, Any], other_parts: pd.DataFrame
) -> Replication:
    verdicts = row["verdict"], other_row["verdict"]
    replicated = "yes" if verdicts[0] == verdicts[1] else "no"
    deciding = records(other_parts[other_parts["role"] == "verdict"])
    head = headline_of(other_row, deciding) if deciding else {"part": ""}
    same = records(parts[(parts["part"] == head["part"]) & (parts["role"] != "choice")])
    one, two = (
        PartEstimate(*(float(found[0][key]) for key in INTERVAL)) if found else PartEstimate()
        for found in (same, deciding and [head])
    )
    is_log = head.get("scale") == "log"
    return Replication(
        *(row["claim"], verdicts[1], "" if NOT_RUN in verdicts else replicated, head["part"]),
        *(one, two, standard_errors_apart(one, two, is_log)),
    )


def standard_errors_apart(one: PartEstimate, other: PartEstimate, is_log: bool = False) -> float:
    """Compute |a - b|/√(se_a² + se_b²), of ratios on logarithms; NaN where an interval lacks.

    >>> one, other = PartEstimate(1.0, 0.0, 2.0, 0.95, 10), PartEstimate(2.0, 1.0, 3.0, 0.95, 10)
    >>> round(standard_errors_apart(one, other), 4)  # se = 1/2.2622 each
    1.5996
    """
    (a, error), (b, error_of_other) = (_tested(side, is_log) for side in (one, other))
    error = math.hypot(error, error_of_other)
    if error == 0:
        return 0.0 if a == b else math.nan
    return abs(a - b) / error


def _tested(side: PartEstimate, is_log: bool) -> tuple[float, float]:
    """The estimate on the scale that is tested, and its standard error."""
    ends = side.estimate, side.ci_low, side.ci_high
    if not all(map(math.isfinite, (*ends, side.ci_level, side.n))) or side.n < MIN_SEEDS:
        return math.nan, math.nan
    if is_log and min(ends) <= 0:
        return math.nan, math.nan
    estimate, low, high = map(math.log, ends) if is_log else ends
    quantile = float(stdtrit(side.n - 1, (1 + side.ci_level) / 2))
    return estimate, (high - low) / 2 / quantile


def beside(claim: JudgedClaim) -> str:
    """Write what the other scoreboard says of a claim; empty where there is none.

    Of an identity that holds on both there is nothing to tell.

    `reference: ✓ confirmed, +0.8 pp [+0.2, +1.4], 1.3 s.e. apart`
    """
    told = claim.replication
    if told is None or (claim.is_exact and told["replicated"] == "yes"):
        return ""
    name = "on fresh seeds" if told["against"] == FRESH else PUBLISHED
    words = [f"{name}: {verdict_label(told['reference'])}"]
    estimate, low, high = (told[f"other_{key}"] for key in ("estimate", "low", "high"))
    if not math.isnan(estimate):
        part = claim.part(told["part"])
        numbers = {"estimate": estimate, "ci_low": low, "ci_high": high}
        is_other = told["part"] != claim.headline["part"]
        label = f" ({part.label})" if is_other else ""
        words.append(f"{estimate_words(part, numbers)}{label}")
    if not math.isnan(told["distance"]):
        words.append(f"{told['distance']:.1f} s.e. apart")
    return ", ".join(words)


def summary(claims: Sequence[JudgedClaim]) -> str:
    """Say how many verdicts on training agree with the other scoreboard, and which do not.

    Empty where there is no other scoreboard.
    """
    told = [
        (claim.view.id, claim.row["verdict"], claim.replication)
        for claim in claims
        if claim.kind == TRAINING and claim.replication and claim.replication["replicated"]
    ]
    if not told:
        return ""
    is_fresh = told[0][2]["against"] == FRESH
    verdicts = [(name, verdict, other["reference"]) for name, verdict, other in told]
    return agreement_line(verdicts, *(ON_FRESH_SEEDS if is_fresh else WITH_REFERENCE))


def agreement_line(
    told: Sequence[tuple[str, str, str]],
    same: str,
    otherwise: str,
    one_alone: str,
    other_alone: str,
) -> str:
    """Say how many verdicts of two scoreboards are the same, and which are not.

    Args:
        told: id of a claim, its verdict, and that on the other scoreboard.
        same: words for verdicts that are the same.
        otherwise: for claims that both decide, in different ways.
        one_alone: for claims that the first scoreboard alone decides.
        other_alone: for claims that the other alone decides.
    """
    groups: dict[str, list[str]] = {}
    for name, verdict, other in told:
        if verdict == other:
            continue
        words = one_alone if verdict in DECIDED else other_alone
        if verdict in DECIDED and other in DECIDED:
            words = otherwise
        groups.setdefault(words, []).append(name)
    agreed = len(told) - sum(map(len, groups.values()))
    words = [f"{agreed} of {len(told)} verdicts {same}"]
    for group, names in groups.items():
        are = "is" if len(names) == 1 else "are"
        shown = ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])
        words.append(f"{len(names)} {are} {group} ({shown})")
    return f"{'; '.join(words)}."
