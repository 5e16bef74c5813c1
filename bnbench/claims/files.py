"""The files of the claims about a data set: scoreboard, parts, evidence.

results/claims/<data>/scoreboard.csv       one row per claim
                      parts.csv            one row per number that was estimated
                      evidence/<id>.csv    one row per number and seed
                      measured/            identities and problems, which need no runs
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.analysis.long_csv import read_table
from bnbench.analysis.verdicts import DEPTH
from bnbench.claims.judge import PartResult, PValues, Verdict, p_of_parts
from bnbench.claims.records import Above, Below, Between, ClaimPart
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.stored import make_folder

SCOREBOARD = [
    *("claim", "verdict", "distance", "statistic", "estimate", "ci_low", "ci_high", "ci_level"),
    *("n", "sesoi_low", "sesoi_high", "p_holm", "power", "experiment", "command"),
]
PARTS = [
    *("claim", "part", "role", "statistic", "estimate", "ci_low", "ci_high", "ci_level", "n"),
    *("sesoi_low", "sesoi_high", "interest", "p_confirmed", "p_contrary", "p_smaller", "p_none"),
    *("detectable", "censored", "verdict"),
]
P = [f"p_{kind}" for kind in PValues._fields]  # columns of PARTS
EVIDENCE = [
    *("part", "role", "seed", "value", "treatment", "baseline"),
    *("treatment_arm", "baseline_arm", "bound"),
]
EXACT = ["part", "statistic", "estimate", "direction", "bound", "holds"]


def write(verdicts: Iterable[Verdict], folder: Path) -> None:
    """Write scoreboard.csv, parts.csv and the evidence of every claim."""
    verdicts = list(verdicts)
    data = folder.name
    make_folder(folder / "evidence")
    board = (scoreboard_row(v, data) for v in verdicts)
    write_table(folder / "scoreboard.csv", SCOREBOARD, board, DEPTH)
    rows = [part_row(v.claim.id, part) for v in verdicts for part in v.parts]
    write_table(folder / "parts.csv", PARTS, rows, DEPTH)
    for verdict in verdicts:
        file = folder / "evidence" / f"{verdict.claim.id}.csv"
        if verdict.exact is not None:
            write_table(file, EXACT, _cells(verdict.exact[EXACT].to_numpy().tolist()))
        elif verdict.parts:
            tables = [
                part.rows.assign(part=part.name, role=role(part.part)) for part in verdict.parts
            ]
            write_table(file, EVIDENCE, _cells(pd.concat(tables)[EVIDENCE].to_numpy().tolist()))
        else:
            file.unlink(missing_ok=True)  # of an earlier judging


def scoreboard_row(verdict: Verdict, data: str) -> list[Any]:
    """Make the row of scoreboard.csv of a claim; a cell without a number is empty.

    An exact claim shows the first number that breaks its bound, or else its first number. The
    interval is the number itself.
    """
    claim, decisive = verdict.claim, verdict.decisive
    start: list[Any] = [claim.id, verdict.verdict]
    end = ["+".join(claim.experiments), command(claim.id, data) if claim.experiments else ""]
    if verdict.exact is not None:
        broken = verdict.exact[~verdict.exact["holds"]]
        row = (broken if len(broken) else verdict.exact).iloc[0]
        number, bound = float(row["estimate"]), float(row["bound"])
        limits = [bound, math.nan] if row["direction"] == ">=" else [math.nan, bound]
        numbers = [number, number, number, math.nan, 1, *limits, math.nan, math.nan]
        return [*start, cell(distance(number, limits)), row["statistic"], *map(cell, numbers), *end]
    if decisive is None:
        return [*start, *[""] * 11, *end]
    estimate, *interval = shown_interval(decisive)
    limits = shown_bounds(decisive.part)
    return [
        *start,
        cell(distance(estimate, limits)),
        f"{decisive.name}: {decisive.part.statistic}",
        *map(cell, [estimate, *interval, decisive.level, decisive.interval.n, *limits]),
        *map(cell, (verdict.p_holm, verdict.power)),
        *end,
    ]


def distance(estimate: float, limits: Iterable[float]) -> float:
    """Compute how far an estimate lies from the nearest bound, in the unit of both."""
    return min(abs(estimate - limit) for limit in limits if not math.isnan(limit))


def part_row(claim: str, part: PartResult) -> list[Any]:
    """Make the row of parts.csv of a part."""
    return [
        *(claim, part.name, role(part.part), part.part.statistic),
        *map(cell, [*shown_interval(part), part.level, part.interval.n]),
        *map(cell, shown_bounds(part.part)),
        cell(back_transformed(part.part, part.part.distance)) if part.part.target else "",
        *map(cell, (*part.p, back_transformed(part.part, part.detectable), part.censored)),
        part.verdict,
    ]


def p_values(folder: Path) -> dict[str, PValues]:
    """Read the p-values of claims from the parts.csv of a folder, by id; {} without that file.

    Raises:
        DamagedError: parts.csv cannot be read as a table of p-values.
    """
    try:
        types = {"claim": str, "role": str} | dict.fromkeys(P, float)
        table = read_table(folder / "parts.csv", DEPTH, usecols=list(types), dtype=types)
    except FileNotFoundError:
        return {}
    deciding = table[table["role"] == "verdict"]
    return {
        str(claim): p_of_parts([PValues(*row) for row in rows[P].to_numpy().tolist()])
        for claim, rows in deciding.groupby("claim")
    }


def role(part: ClaimPart) -> str:
    """Name the role of a part: a `verdict` part decides the claim, a `reading` is only shown."""
    return "verdict" if part.target is not None else "reading"


def back_transformed(part: ClaimPart, value: float) -> float:
    """Transform a tested value back to the shown one: a log ratio becomes the ratio.

    A detectable effect becomes the factor between the detectable ratio and the bound.
    """
    return math.exp(value) if part.scale == "log" else value


def shown_interval(result: PartResult) -> list[float]:
    """Estimate and interval of a part, back-transformed."""
    estimate, low, high, _ = result.interval
    return [back_transformed(result.part, value) for value in (estimate, low, high)]


def shown_bounds(part: ClaimPart) -> list[float]:
    """The two bounds of a part's target, back-transformed; NaN for a bound that it lacks."""
    match part.target:
        case Above(low):
            bounds = [low, math.nan]
        case Below(high):
            bounds = [math.nan, high]
        case Between(low, high):
            bounds = [low, high]
        case None:
            bounds = [math.nan, math.nan]
    return [back_transformed(part, value) for value in bounds]


def command(claim: str, data: str) -> str:
    """The make command that trains the missing runs of a claim and judges the claim again."""
    where = "" if data == "digits" else f"DATA={data} "
    return f"make claims {where}ARGS=claims={claim}"


def cell(value: float) -> str:
    """Write a number to the last bit as a cell; NaN becomes an empty cell."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _cells(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[cell(value) for value in row] for row in rows]
