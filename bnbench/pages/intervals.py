"""The small picture of a claim: where its intervals lie, beside what would confirm it.

It is drawn by the page's own style sheet, so it is sharp, as wide as the screen, and dark at night.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bnbench.analysis.verdict_words import bound_words, estimate_words, n_words, row_texts
from bnbench.analysis.verdicts import JudgedClaim, PartView

MOST = 4  # parts in the picture; it shares one screen with what else the claim has to say
APART = 16.0  # least distance of two words below an axis, in hundredths of the axis
MARGIN = 0.1  # of an axis, beyond its outermost number
NEAR = 2.0  # times the size of what is drawn: how far off no difference may be to be drawn too


def interval_picture(claim: JudgedClaim) -> dict[str, Any] | None:
    """Place the parts that decide a claim on axes; None without an estimate.

    Returns:
        alt: the picture in words.
        more: the number of parts that are left to the evidence.
        rows: label (empty for the only part), verdict, numbers, and from 0 to 100: `bar` (left end
            and width; None without an interval), `at` (the mean), `region` that would confirm
            (left end and width; None for none), `bounds` of it, `nothing` (no difference; None
            beyond the axis), `marks` (places with their words).
    """
    head = claim.headline
    shown = [head, *(row for row in claim.deciding if row["part"] != head["part"])]
    if claim.is_exact or claim.parts.empty:
        return None
    own = [(claim.part(row["part"]), row) for row in shown if _is_drawn(claim, row)]
    kept, alone = own[:MOST], len(own) == 1
    spans = {_key(part, row): _span(part, kept, _key(part, row)) for part, row in kept}
    if not kept or not all(math.isfinite(high - low) for low, high in spans.values()):
        return None
    rows = [
        {
            "label": "" if alone else part.label,
            "verdict": row["verdict"],
            "numbers": "" if alone else _numbers(part, row),
            **_placed(part, row, spans[_key(part, row)]),
        }
        for part, row in kept
    ]
    told = "; ".join(f"{part.label}: {_numbers(part, row)}" for part, row in kept)
    needed = row_texts(claim)["sesoi"]
    alt = f"Mean and interval beside what would confirm {claim.view.id} ({needed}). {told}"
    return {"alt": alt, "more": len(claim.deciding) - len(kept), "rows": rows}


def _is_drawn(claim: JudgedClaim, row: Mapping[str, Any]) -> bool:
    is_log = claim.part(row["part"]).ratio
    return math.isfinite(row["estimate"]) and (row["estimate"] > 0 or not is_log)


def _numbers(part: PartView, row: Mapping[str, Any]) -> str:
    n = "" if math.isnan(row["n"]) else f", n = {n_words(row)}"
    return f"{estimate_words(part, row)}{n}"


def _key(part: PartView, row: Mapping[str, Any]) -> tuple[str, str, bool]:
    """What parts must share to be measured on the same axis."""
    return str(row["statistic"]), part.unit, part.ratio


def _scaled(part: PartView, value: float) -> float | None:
    """A number on a linear axis, or of a ratio on a logarithmic one; None where it has no place."""
    if not math.isfinite(value) or (part.ratio and value <= 0):
        return None
    return math.log(value) if part.ratio else value


def _span(
    part: PartView, rows: Sequence[tuple[PartView, Mapping[str, Any]]], key: tuple[str, str, bool]
) -> tuple[float, float]:
    """Both ends of the axis that some rows share; no difference is on it where it is near."""
    columns = ("estimate", "ci_low", "ci_high", "sesoi_low", "sesoi_high")
    given = [
        place
        for other, row in rows
        if _key(other, row) == key
        for column in columns
        if (place := _scaled(part, row[column])) is not None
    ]
    low, high = min(given), max(given)
    size = high - low
    if low - NEAR * size < 0 < high + NEAR * size:  # the logarithm of 1 too
        low, high = min(low, 0.0), max(high, 0.0)
    size = (high - low) or abs(low) or 1.0
    return low - MARGIN * size, high + MARGIN * size


def _placed(part: PartView, row: Mapping[str, Any], span: tuple[float, float]) -> dict[str, Any]:
    low, high = span

    def place(value: float) -> float | None:
        scaled = _scaled(part, value)
        return None if scaled is None else round(100 * ((scaled - low) / (high - low)), 2)

    start, end = place(row["ci_low"]), place(row["ci_high"])
    bounds = place(row["sesoi_low"]), place(row["sesoi_high"])
    has_region = bounds[0] is not None or bounds[1] is not None
    left, right = bounds[0] or 0.0, 100.0 if bounds[1] is None else bounds[1]
    nothing = place(float(part.ratio))
    is_near = nothing is not None and 0 <= nothing <= 100
    words = [
        (bounds[0], bound_words(part, row["sesoi_low"])),
        (bounds[1], bound_words(part, row["sesoi_high"])),
        (nothing if is_near else None, bound_words(part, float(part.ratio))),
    ]
    marks: list[tuple[float, str]] = []
    for at, text in words:
        if at is not None and all(abs(at - other) >= APART for other, _ in marks):
            marks.append((at, text))
    return {
        "at": place(row["estimate"]),
        "bar": None if start is None or end is None else (start, round(end - start, 2)),
        "region": (left, round(right - left, 2)) if has_region else None,
        "bounds": [bound for bound in bounds if bound is not None],
        "nothing": nothing if is_near else None,
        "marks": marks,
    }
