"""The files of the claims about a data set: scoreboard, parts, evidence, sensitivity.

results/claims/<data>/scoreboard.csv       one row per claim
                      parts.csv            one row per number that was estimated
                      evidence/<id>.csv    one row per number and seed
                      sensitivity.csv      one row per claim and other choice
                      declarations.json    digests of what was declared and of the evidence
                      replication.csv      one row per claim that was judged elsewhere too
                      measured/            identities and problems, which need no runs
"""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.analysis import verdict_columns as columns
from bnbench.analysis.long_csv import read_table
from bnbench.analysis.replication import FRESH, PUBLISHED, Replication, compare
from bnbench.analysis.verdict_columns import DEPTH
from bnbench.analysis.verdicts import REPLICATION_FILE, SENSITIVITY_FILE, read_numbers
from bnbench.claims.judge import PartResult, Verdict
from bnbench.claims.p_values import PValues, p_of_parts
from bnbench.claims.records import Above, Below, Between, ClaimPart
from bnbench.claims.sensitivity import OtherChoice, depends_on, other_choices
from bnbench.config.quoting import subcommand
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.stored import DamagedError, make_folder

SCOREBOARD = [*columns.SCOREBOARD]
PARTS = [*columns.PARTS]
EVIDENCE = [*columns.EVIDENCE]
EXACT = [*columns.EXACT]
P = [f"p_{kind}" for kind in PValues._fields]  # columns of PARTS


def write(verdicts: Iterable[Verdict], folder: Path) -> None:
    """Write scoreboard.csv, parts.csv, sensitivity.csv and the evidence of every claim.

    The columns `reference` and `replicated` are left to `write_replication`.
    """
    verdicts = list(verdicts)
    data = folder.name
    make_folder(folder / "evidence")
    choices = other_choices(verdicts)
    depends = depends_on(choices)
    board = (scoreboard_row(v, data, depends.get(v.claim.id, "")) for v in verdicts)
    write_table(folder / "scoreboard.csv", SCOREBOARD, board, DEPTH)
    rows = [part_row(v.claim.id, part) for v in verdicts for part in with_choices(v.parts)]
    write_table(folder / "parts.csv", PARTS, rows, DEPTH)
    write_table(
        folder / SENSITIVITY_FILE, columns.SENSITIVITY, map(sensitivity_row, choices), DEPTH
    )
    for verdict in verdicts:
        file = evidence_file(folder, verdict.claim.id)
        if verdict.exact is not None:
            write_table(file, EXACT, _cells(verdict.exact[EXACT].to_numpy().tolist()))
        elif verdict.parts:
            tables = [
                part.rows.assign(part=part.name, role=role(part))
                for part in with_choices(verdict.parts)
            ]
            table = pd.concat(tables).reindex(columns=EVIDENCE)
            write_table(file, EVIDENCE, _cells(table.to_numpy().tolist()))
        else:
            file.unlink(missing_ok=True)  # of an earlier judging


def evidence_file(board: Path, claim: str) -> Path:
    """The file with every number behind the verdict on a claim."""
    return board / "evidence" / f"{claim}.csv"


def with_choices(parts: Iterable[PartResult]) -> list[PartResult]:
    """List parts, each followed by what would decide under other choices."""
    return [one for part in parts for one in (part, *part.choices.values())]


def scoreboard_row(verdict: Verdict, data: str, depends: str = "") -> list[Any]:
    """Make the row of scoreboard.csv of a claim; a cell without a number is empty.

    An exact claim shows the first number that breaks its bound, or else its first number. The
    interval is the number itself.
    """
    claim, decisive = verdict.claim, verdict.decisive
    start: list[Any] = [claim.id, verdict.verdict, depends]
    end = [
        "",
        "",
        "+".join(claim.experiments),
        command(claim.id, data) if claim.experiments else "",
    ]
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
        *(claim, part.name, role(part), part.part.statistic, part.part.scale),
        *map(cell, [*shown_interval(part), part.level, part.interval.n, len(part.rows)]),
        *map(cell, shown_bounds(part.part)),
        cell(back_transformed(part.part, part.part.distance)) if part.part.target else "",
        "" if part.part.null is None else cell(back_transformed(part.part, part.part.null)),
        *map(cell, (*part.p, back_transformed(part.part, part.detectable), part.censored)),
        part.verdict,
    ]


def sensitivity_row(one: OtherChoice) -> list[Any]:
    """Make the row of sensitivity.csv of a claim under another choice."""
    part = one.decisive
    numbers = map(cell, [*shown_interval(part), part.interval.n])
    return [one.claim, one.choice, part.name, *numbers, one.verdict, "yes" if one.flips else "no"]


def write_replication(folder: Path, reference: Path | None = None) -> list[str]:
    """Compare a written board with another: replication.csv, and two columns of its scoreboard.

    The other board is that on fresh seeds, in the folder `replication` of the board itself, or else
    the reference. Where neither is there, or it is the board itself, the columns are empty.

    Args:
        folder: results/claims/<data>, with scoreboard.csv and parts.csv.
        reference: the folder of the published board.

    Returns:
        A line for an other board that cannot be read, which is then left out.

    Raises:
        DamagedError: the board itself cannot be read.
    """
    fresh = folder / "replication"
    other, depth, against = reference, DEPTH, PUBLISHED
    if os.path.lexists(fresh / "scoreboard.csv"):
        other, depth, against = fresh, DEPTH + 1, FRESH
    elif reference and (
        not os.path.lexists(reference / "scoreboard.csv") or reference.resolve() == folder.resolve()
    ):
        other = None
    rows: list[Replication] = []
    problems: list[str] = []
    if other is not None:
        try:
            there = read_numbers(other, depth)
        except DamagedError as error:
            problems.append(f"not compared with the {against}: {error}")
        else:
            rows = compare(read_numbers(folder), there)
    if rows:
        cells = ([one.claim, against, *one[1:4], *_numbers(one)] for one in rows)
        write_table(folder / REPLICATION_FILE, columns.REPLICATION, cells, DEPTH)
    else:
        (folder / REPLICATION_FILE).unlink(missing_ok=True)
    known = {one.claim: one for one in rows}
    text = {"dtype": str, "keep_default_na": False}
    board = read_table(folder / "scoreboard.csv", DEPTH, **text).to_dict("records")
    for row in board:
        one = known.get(row["claim"])
        row |= {
            "reference": one.reference if one else "",
            "replicated": one.replicated if one else "",
        }
    write_table(
        folder / "scoreboard.csv", SCOREBOARD, ([r[c] for c in SCOREBOARD] for r in board), DEPTH
    )
    return problems


def _numbers(one: Replication) -> list[str]:
    sides = [
        [*map(cell, side[:-1]), cell(side.n if math.isnan(side.n) else int(side.n))]
        for side in (one.own, one.other)
    ]
    return [*sides[0], *sides[1], cell(one.distance)]


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


def role(result: PartResult) -> str:
    """Name the role of a part: only a `verdict` decides the claim.

    A `choice` would decide it under another choice, a `reading` is only shown.
    """
    if result.is_choice:
        return "choice"
    return "reading" if result.part.target is None else "verdict"


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
    """The command that trains the missing runs of a claim and judges the claim again."""
    return subcommand("claims", [f"claims={claim}"], data="" if data == "digits" else data)


def cell(value: float) -> str:
    """Write a number to the last bit as a cell; NaN becomes an empty cell."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _cells(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[cell(value) for value in row] for row in rows]
