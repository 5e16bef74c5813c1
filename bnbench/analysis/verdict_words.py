"""Verdicts and their numbers as words: the same on the pages, in the figures, in the terminal."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bnbench.analysis.verdict_table import VERDICT_TABLE, VERDICTS
from bnbench.analysis.verdicts import (
    IDENTITY,
    PROBLEM,
    TRAINING,
    JudgedClaim,
    PartView,
    records,
)
from bnbench.config.labels import ABSENT, count_label

SYMBOLS = {name: look.symbol for name, look in VERDICT_TABLE.items()}
COLOURS = {name: look.light for name, look in VERDICT_TABLE.items()}  # of figures, on white
CHOICES = {"median": "mean or median", "half": "the number of seeds"}  # what a verdict depends on
KINDS = {  # of claims, in the order in which they are told, with what settles those without runs
    TRAINING: "",
    PROBLEM: "measured on made-up numbers",
    IDENTITY: "settled by arithmetic",
}
UNITS = ("pp", "%")  # which a statistic may name in brackets


def verdict_label(verdict: str) -> str:
    """A verdict with its symbol: `✓ confirmed`."""
    return f"{SYMBOLS[verdict]} {verdict}" if verdict in SYMBOLS else verdict


def tally(claims: Iterable[JudgedClaim]) -> str:
    """Say how many claims got which verdict, a line for each kind of claim.

    >>> tally([])
    'no claims'
    """
    told = [f"{kind}: {counted(number)}" for kind, number in counts(claims).items()]
    return "\n".join(told) or "no claims"


def counted(number: Mapping[str, int]) -> str:
    """Say how often each verdict was given: `9 confirmed, 5 contrary`."""
    return ", ".join(f"{number[name]} {name}" for name in VERDICTS if number.get(name))


def by_kind(claims: Iterable[JudgedClaim]) -> dict[str, list[JudgedClaim]]:
    """Sort claims by kind, those about training first; a kind without claims is left out."""
    found: dict[str, list[JudgedClaim]] = {kind: [] for kind in KINDS}
    for claim in claims:
        found[claim.kind].append(claim)
    return {kind: own for kind, own in found.items() if own}


def fold_line(kind: str, claims: Iterable[JudgedClaim]) -> str:
    """Say in one line what became of the claims of a kind that needs no runs."""
    number = Counter(str(claim.row["verdict"]) for claim in claims)
    return f"{_capital(kind)}, {KINDS[kind]}: {counted(number)}"


def counts(claims: Iterable[JudgedClaim]) -> dict[str, Counter[str]]:
    """Count the verdicts of each kind of claim; a kind without claims is left out.

    This is the one place where claims are counted: an identity or a problem that needs no runs
    says nothing of training, and is the same on every data set.
    """
    return {
        kind: Counter(str(claim.row["verdict"]) for claim in own)
        for kind, own in by_kind(claims).items()
    }


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


def unit_of(statistic: str) -> str:
    """Read the unit that a statistic names in brackets; empty for a bare number.

    >>> unit_of("difference of test accuracy (pp)")
    'pp'
    """
    return next((unit for unit in UNITS if f"({unit})" in statistic), "")


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
        return f"above {bound_words(part, low)}"
    if math.isnan(low):
        return f"below {bound_words(part, high)}"
    if low == -high:
        return f"within ±{bound_words(part, high)}"
    return f"{_plain(low)} to {bound_words(part, high)}"


def bound_words(part: PartView, value: float) -> str:
    """Write a declared number in the unit of its part: `1.5×`, `−5 pp`."""
    return with_unit(_plain(value), part)


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
    part, level = claim.part(row["part"]), row["ci_level"]
    has_interval = math.isfinite(level) and math.isfinite(row["ci_low"])
    label = f" ({part.label})" if len(claim.deciding) > 1 and part.label else ""
    return {
        "estimate": estimate_words(part, row),
        "n": n_words(row),
        "sesoi": sesoi_words(part, row),
        "level": f"{100 * level:.0f} %" if has_interval else "",
        "measure": f"{row['statistic']}{label}",
    }


def n_words(row: Mapping[str, Any]) -> str:
    """Write how many seeds an estimate is of: `10`, or `8 of 10` where two gave no number."""
    n, seeds = row["n"], row["seeds"]
    if math.isnan(n):
        return ABSENT
    return f"{n:.0f} of {seeds:.0f}" if seeds > n else f"{n:.0f}"


def rates_words(claim: JudgedClaim, part: str) -> str:
    """Write the learning rates of treatment and baseline behind a part; empty where none is known.

    `at rates 0.3 and 0.1`; `at the rate 0.1` where both have the same, or there is one side.
    """
    sides = [
        f"{rates[0]:.3g}" if len(rates) == 1 else f"{rates[0]:.3g} to {rates[-1]:.3g}"
        for rates in claim.rates(part)
        if rates
    ]
    if len(set(sides)) == 1:
        return f"at the rate {sides[0]}"
    return f"at rates {' and '.join(sides)}" if sides else ""


def found(claim: JudgedClaim) -> str:
    """Write the evidence behind the verdict in plain words and numbers."""
    text = row_texts(claim)
    rates = "" if claim.is_exact else rates_words(claim, claim.headline["part"])
    told = [f"{text['level']} interval", f"n = {text['n']}", *([rates] if rates else [])]
    interval = f" ({', '.join(told)})" if text["level"] else ""
    numbers = f": {text['estimate']}{interval}"
    return " ".join(filter(None, (lead(claim), measured(claim, numbers))))


def measured(claim: JudgedClaim, numbers: str = "") -> str:
    """Write what was measured, and what would confirm; empty where there is no estimate of it."""
    text = row_texts(claim)
    if claim.row["verdict"] == "not run here" or claim.is_exact or text["estimate"] == ABSENT:
        return ""
    needed = "" if text["sesoi"] == ABSENT else f"; to confirm: {text['sesoi']}"
    return f"{_capital(text['measure'])}{numbers}{needed}."


def lead(claim: JudgedClaim) -> str:
    """Write how the verdict follows from the parts, or why there is none; may be empty."""
    verdict, number = claim.row["verdict"], len(claim.deciding)
    if verdict == "not run here":
        return _capital(claim.view.reason)
    if claim.is_exact:
        return _found_exact(claim)
    words = []
    if verdict == "undecided":
        words.append("These data decide nothing.")
    if number > 1 and verdict == "confirmed":
        words.append(f"All {number} parts hold.")
    elif number > 1:
        parts = Counter(str(row["verdict"]) for row in claim.deciding)
        words.append(f"All {number} parts must hold, of which {counted(parts)}.")
    return " ".join(words)


def beside(claim: JudgedClaim) -> str:
    """Write what stands beside a verdict: `0.3 pp from the bound, depends on the threshold`."""
    told = []
    if claim.row["verdict"] == "undecided":
        part, distance = claim.part(claim.headline["part"]), claim.row["distance"]
        far = with_unit(_plain(float(f"{distance:.2g}")), replace(part, ratio=False))
        told += [] if math.isnan(distance) else [f"{far} from the bound"]
        told += ["underpowered"] if claim.is_underpowered else []
    if claim.row["depends_on"]:
        kinds = claim.row["depends_on"].split("+")
        told.append(
            f"depends on {' and '.join(CHOICES.get(kind, f'the {kind}') for kind in kinds)}"
        )
    return ", ".join(told)


def _found_exact(claim: JudgedClaim) -> str:
    row = exact_headline(claim)
    measured, bound = exact_words(row)
    failed = int((~claim.evidence["holds"].astype(bool)).sum())
    number = count_label(len(claim.evidence), "number")
    kept = f"{failed} of {number} broke the bound" if failed else f"{number} kept the bound"
    return f"{_capital(kept)}. {_capital(str(row['statistic']))}: {measured}, bound {bound}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
