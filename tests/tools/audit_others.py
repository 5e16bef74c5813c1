"""The rules of `audit` for what other choices give, and for a claim that was judged twice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tests.tools.recomputation import SHOWN, WORDS, Part


class Judged(NamedTuple):
    """A claim's deciding parts by name, its verdict, and the part that is shown for it."""

    parts: Mapping[str, Part]
    verdict: str
    shown: Part


def other_choices(parts: Sequence[Part]) -> dict[str, Mapping[str, Part]]:
    """The deciding parts of a claim under each other choice: those declared, median, half."""
    main = {part.name: part for part in parts if part.role == "verdict"}
    found: dict[str, dict[str, Part]] = {}
    name = ""
    for part in parts:
        if part.role != "choice":
            name = part.name
        elif name in main:  # a choice stands below its part
            own = replace(part, name=name, role="verdict")
            found.setdefault(part.name.removeprefix(f"{name}: "), {})[name] = own
    by_mean = {n: part for n, part in main.items() if part.scale in ("linear", "log")}
    if by_mean:
        found["median"] = {n: replace(part, scale="grid") for n, part in by_mean.items()}
    found["half"] = {n: first_half(part) for n, part in main.items()}
    return {choice: main | parts for choice, parts in found.items()}


def first_half(part: Part) -> Part:
    """The part on the lower half of its seeds, the greater half where their number is odd."""
    ordered = sorted(part.rows, key=lambda row: int(row["seed"]))
    return replace(part, rows=ordered[: math.ceil(len(ordered) / 2)])


def is_flipped(main: Judged, other: Judged) -> bool:
    """Whether two verdicts say different things."""
    decided = [one for one in (main, other) if one.verdict in WORDS]
    if len(decided) != 1:
        return bool(decided) and main.verdict != other.verdict
    (sure,) = decided
    unsure = other if sure is main else main
    # all parts confirm: what is farthest from it tells; any other verdict is that of its part
    pivot = unsure.shown if sure.verdict == WORDS[0] else sure.shown
    part = unsure.parts[pivot.name]
    return not math.isnan(part.interval[0]) and not part.says(sure.verdict, part.interval[0])


def standard_errors_apart(own: Part | None, other: Part | None) -> dict[str, float | str]:
    """Two estimates of a number with their intervals, and how many standard errors lie between."""
    names = (*SHOWN, "ci_level", "n")
    here = own.numbers if own else dict.fromkeys(names, math.nan)
    there = other.numbers if other else dict.fromkeys(names, math.nan)
    others = ("other_estimate", "other_low", "other_high", "other_level", "other_n")
    numbers = {name: here[name] for name in names}
    numbers |= {new: there[name] for new, name in zip(others, names, strict=True)}
    distance = math.nan
    if own and other:
        gap = abs(own.interval[0] - other.interval[0])
        error = math.hypot(own.error, other.error)
        distance = gap / error if error else 0.0 if gap == 0 else math.nan
    return numbers | {"distance": distance}
