"""Verdicts and their numbers as words: the same on the pages, in the figures, in the terminal."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bnbench.analysis.verdicts import (
    IDENTITY,
    PROBLEM,
    TRAINING,
    VERDICTS,
    JudgedClaim,
    PartView,
    records,
)
from bnbench.config.labels import ABSENT, count_label

SYMBOLS = dict(zip(VERDICTS, "✓✗?–", strict=True))  # colour alone would not tell verdicts apart
COLOURS = dict(zip(VERDICTS, ("#00704f", "#b3400a", "#5a4b9c", "#5a6570"), strict=True))


def verdict_label(verdict: str) -> str:
    """A verdict with its symbol: `✓ confirmed`."""
    return f"{SYMBOLS[verdict]} {verdict}" if verdict in SYMBOLS else verdict


def tally(claims: Iterable[JudgedClaim]) -> str:
    """Say how many claims got which verdict, a line for each kind of claim.

    >>> tally([])
    'no claims'
    """
    told = [
        f"{kind}: {', '.join(f'{number[name]} {name}' for name in VERDICTS if number[name])}"
        for kind, number in counts(claims).items()
    ]
    return "\n".join(told) or "no claims"


def counts(claims: Iterable[JudgedClaim]) -> dict[str, Counter[str]]:
    """Count the verdicts of each kind of claim; a kind without claims is left out.

    This is the one place where claims are counted: an identity or a problem that needs no runs
    says nothing of training, and is the same on every data set.
    """
    number = {kind: Counter[str]() for kind in (TRAINING, PROBLEM, IDENTITY)}
    for claim in claims:
        number[claim.kind][claim.row["verdict"]] += 1
    return {kind: counter for kind, counter in number.items() if counter}


def numbers(values: Iterable[float], ratio: bool = False, signed: bool = False) -> list[str]:
    """Write numbers that belong together to two digits of their spread, a single one to three.

    Differences share a number of decimals, ratios a number of digits.

    >>> numbers([2.4123, 1.9811, 2.9312], ratio=True)
    ['2.41', '1.98', '2.93']
    >>> numbers([-0.4123, -1.01, 0.19], signed=True)
    ['−0.4', '−1.0', '+0.2']
    >>> numbers([1500.0])
    ['1,500']
    """
    given = list(values)
    finite = [value for value in given if math.isfinite(value)]
    spread = max(finite, default=0.0) - min(finite, default=0.0)
    digits, decimals = 3, None
    if spread > 0 and ratio and min(finite) > 0:
        digits = min(max(2 + math.ceil(-math.log10(math.log(max(finite) / min(finite)))), 2), 6)
    elif spread > 0:
        decimals = 1 - math.floor(math.log10(spread))
    return [_number(value, digits, decimals, signed) for value in given]


def _number(value: float, digits: int, decimals: int | None, signed: bool) -> str:
    if not math.isfinite(value):
        return ABSENT if math.isnan(value) else "−∞" if value < 0 else "∞"
    size = abs(value)
    if decimals is None:
        decimals = digits - 1 - math.floor(math.log10(size)) if size else 0
    far = size >= 1e6 or decimals > 7
    text = f"{size:.{digits - 1}e}" if far else f"{size:,.{max(decimals, 0)}f}"
    sign = "" if not value else "−" if value < 0 else "+" if signed else ""
    return sign + text


def with_unit(text: str, part: PartView) -> str:
    """Write one or more numbers in the unit of a part: `2.4×`, `0.5 pp`, `12 %`."""
    if text == ABSENT:
        return text
    return f"{text}×" if part.ratio else f"{text} {part.unit}".rstrip()


def estimate_words(part: PartView, row: Mapping[str, Any]) -> str:
    """Write an estimate with its interval, if it has one: `2.41× [1.98, 2.93]`."""
    ends = [row["ci_low"], row["ci_high"]]
    has_interval = not any(map(math.isnan, ends))
    signed = part.unit == "pp"
    if not has_interval:
        return with_unit(numbers([row["estimate"]], part.ratio, signed)[0], part)
    middle, low, high = numbers([row["estimate"], *ends], part.ratio, signed)
    return f"{with_unit(middle, part)} [{low}, {high}]"


def sesoi_words(part: PartView, row: Mapping[str, Any]) -> str:
    """Write the target of a part: `above 1.5×`, `within ±1 pp`, `–` for a reading."""
    low, high = (float(row[key]) for key in ("sesoi_low", "sesoi_high"))
    if math.isnan(low) and math.isnan(high):
        return ABSENT
    if math.isnan(high):
        return f"above {with_unit(_plain(low), part)}"
    if math.isnan(low):
        return f"below {with_unit(_plain(high), part)}"
    if low == -high:
        return f"within ±{with_unit(_plain(high), part)}"
    return f"{_plain(low)} to {with_unit(_plain(high), part)}"


def _plain(value: float) -> str:
    """Write a declared number as it was declared."""
    return f"{value:.6g}".replace(
        "-", "−", int(value < 0)
    )  # the sign of the number alone, not of its exponent


def p_words(p: float) -> str:
    """Write a p-value: `0.013`, `< 0.001`."""
    return ABSENT if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def exact_words(row: Mapping[str, Any]) -> tuple[str, str]:
    """Write a measured number and its bound: `4.0e-16`, `≤ 1e-10`."""
    sign = {"<=": "≤", ">=": "≥"}[row["direction"]]
    return _plain(float(f"{row['estimate']:.2g}")), f"{sign} {_plain(row['bound'])}"


def exact_headline(claim: JudgedClaim) -> Mapping[str, Any]:
    """Choose the part of an exact claim to show: the first that fails, else the first."""
    rows = records(claim.evidence)
    return next((row for row in rows if not row["holds"]), rows[0])


def row_texts(claim: JudgedClaim) -> dict[str, str]:
    """Write the numbers of a claim for its row of the scoreboard, with the measured quantity."""
    if claim.is_exact:
        row = exact_headline(claim)
        measured, bound = exact_words(row)
        texts = {"estimate": measured, "n": "exact", "sesoi": bound, "level": ""}
        return {**texts, "measure": row["statistic"]}
    row = claim.headline
    part, n, level = claim.part(row["part"]), row["n"], row["ci_level"]
    has_interval = math.isfinite(level) and math.isfinite(row["ci_low"])
    label = f" ({part.label})" if len(claim.deciding) > 1 and part.label else ""
    return {
        "estimate": estimate_words(part, row),
        "n": ABSENT if math.isnan(n) else f"{n:.0f}",
        "sesoi": sesoi_words(part, row),
        "level": f"{100 * level:.0f} %" if has_interval else "",
        "measure": f"{row['statistic']}{label}",
    }


def found(claim: JudgedClaim) -> str:
    """Write the evidence behind the verdict in plain words and numbers."""
    verdict, number = claim.row["verdict"], len(claim.deciding)
    if verdict == "not run here":
        return _capital(claim.view.reason)
    if claim.is_exact:
        return _found_exact(claim)
    words = []
    if verdict == "inconclusive":
        words.append("These data decide neither way.")
    if number > 1 and verdict == "confirmed":
        words.append(f"All {number} parts hold.")
    elif number > 1:
        counted = Counter(row["verdict"] for row in claim.deciding)
        told = [f"{counted[name]} {name}" for name in VERDICTS if counted[name]]
        words.append(f"All {number} parts must hold, of which {', '.join(told)}.")
    text = row_texts(claim)
    if text["estimate"] != ABSENT:
        interval = f" ({text['level']} interval, n = {text['n']})" if text["level"] else ""
        needed = "" if text["sesoi"] == ABSENT else f"; to confirm: {text['sesoi']}"
        words.append(f"{_capital(text['measure'])}: {text['estimate']}{interval}{needed}.")
    return " ".join(words)


def _found_exact(claim: JudgedClaim) -> str:
    row = exact_headline(claim)
    measured, bound = exact_words(row)
    failed = int((~claim.evidence["holds"].astype(bool)).sum())
    number = count_label(len(claim.evidence), "number")
    kept = f"{failed} of {number} broke the bound" if failed else f"{number} kept the bound"
    return f"{_capital(kept)}. {_capital(str(row['statistic']))}: {measured}, bound {bound}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
