"""Put two results side by side: what differs, paired differences, verdicts on the claims.

python scripts/compare.py results elsewhere/results                  # of two machines, or commits
python scripts/compare.py results elsewhere/results experiment=placement data=digits
python scripts/compare.py mlp-batchnorm-pre mlp-batchnorm-post  # two arms, by their ids' beginnings
python scripts/compare.py results elsewhere/results --latex          # a table for a paper

A side is a results folder, an experiment (its name, or its folder) or an arm (its id); names and
ids are looked up in results=PATH. Intervals are Student's t at 95 %, over the seeds that both have.
"""

import math
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from bnbench.analysis.replication import agreement_line
from bnbench.analysis.verdict_table import VERDICT_TABLE
from bnbench.analysis.verdict_words import estimate_words, numbers, unit_of, verdict_label
from bnbench.analysis.verdicts import IDENTITY, TRAINING, PartView, records
from bnbench.api.comparison import ComparisonTable, compare
from bnbench.commands.arguments import Parser
from bnbench.config.checks import RequestError
from bnbench.config.labels import (
    ABSENT,
    column_label,
    count_label,
    is_accuracy,
    metric_label,
    value_label,
)
from bnbench.request.refusal import allowed, print_error

KEYS = ("experiment", "data", "results")
ALWAYS = ("runs", "commit", "device")  # facts that are told where they are the same, too
ALL, USUAL = "all", "test/accuracy"
WIDTH = 100  # where no terminal says how wide it is
NAMED = 5  # arms of one side that a line names
WITH_OTHER = (
    *("are the same", "decided otherwise"),
    *("decided in the first alone", "decided in the other alone"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; 2 where there is nothing to compare."""
    parser = Parser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("words", metavar="SIDE or key=value", nargs="*", help="two sides, and keys")
    parser.add_argument(
        "--metric", action="append", metavar="KEY", help=f"such as val/loss; {ALL} for every one"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="print the table for a paper alone")
    form.add_argument("--csv", action="store_true", help="print the table as CSV alone")
    args = parser.parse_intermixed_args(argv)
    given = {w.partition("=")[0]: w.partition("=")[2] for w in args.words if _is_key(w)}
    sides = [word for word in args.words if not _is_key(word)]
    if len(sides) != 2:
        named = f": {' '.join(sides)}" if sides else ""
        parser.error(f"expected two results folders, experiments or arms, got {len(sides)}{named}")
    if empty := [key for key, value in given.items() if not value]:
        parser.error(f"{empty[0]}=: expected a name")
    try:
        table = compare(*sides, **given)
        shown = chosen(table, args.metric or [])
        if shown.empty and (args.latex or args.csv):
            raise ValueError("they share claims alone: expected runs in common for a table")
    except (RequestError, OSError, ValueError) as error:
        return print_error(str(error))
    if args.latex or args.csv:
        print(shown.to_latex() if args.latex else shown.to_csv(), end="")
        return 0
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    show(console, table, shown, sides)
    return 0


def _is_key(word: str) -> bool:
    return word.partition("=")[0] in KEYS and "=" in word


def chosen(table: ComparisonTable, metrics: Sequence[str]) -> ComparisonTable:
    """Select the rows of some metrics; without a name those of the test accuracy.

    Raises:
        ValueError: there is no such metric.
    """
    there = list(dict.fromkeys(table["metric"]))
    for metric in metrics:
        if metric not in (ALL, *there):
            raise ValueError(f"--metric {metric}: {allowed(metric, [*there, ALL])}")
    usual = [USUAL] if USUAL in there else there[:1]
    wanted = there if ALL in metrics else list(metrics) or usual
    rows = table[table["metric"].isin(wanted)]
    assert isinstance(rows, ComparisonTable)
    return rows


def show(
    console: Console, table: ComparisonTable, shown: ComparisonTable, sides: Sequence[str]
) -> None:
    """Print what differs, the differences, how many runs are equal, and the verdicts.

    Args:
        console: where to.
        table: every metric.
        shown: the rows of the metrics that were asked for.
        sides: the sides as typed.
    """
    console.print(what_differs(table, sides))
    for line in alone_lines(table):
        console.print(line, soft_wrap=True)
    for metric, rows in shown.groupby("metric", sort=False):
        told = rows[rows["verdict"] != "equal"]
        if len(told):
            console.print()
            console.print(differences(str(metric), told))
        if 0 < len(told) < len(rows):
            console.print(f"{count_label(len(rows) - len(told), 'other arm')}: all pairs are equal")
    if len(table):
        console.print()
        console.print(runs_line(table), style="bold", soft_wrap=True)
        others = table["metric"].nunique() - shown["metric"].nunique()
        if others and not table.pairs["equal"].all():
            told = f"--metric KEY shows one, --metric {ALL} each"
            console.print(f"{count_label(others, 'other metric')}: {told}", soft_wrap=True)
    for data, own in table.claims.groupby("data") if len(table.claims) else ():
        show_claims(console, str(data), own)


def what_differs(table: ComparisonTable, sides: Sequence[str]) -> Table:
    """Make the table of both sides: where they came from, and the settings that differ."""
    found = Table("", *(Column(side, overflow="fold") for side in ("one", "other")), box=None)
    found.pad_edge = False
    found.add_row("", *sides)
    facts = [
        row for row in records(table.facts) if row["fact"] in ALWAYS or row["one"] != row["other"]
    ]
    rows = [(row["fact"], row["one"], row["other"]) for row in facts]
    rows += [
        (column_label(row["key"]), value_label(row["one"]), value_label(row["other"]))
        for row in records(table.settings)
    ]
    for name, *values in rows:
        found.add_row(name, *(value or "not recorded" for value in values))
    return found


def alone_lines(table: ComparisonTable) -> list[str]:
    """Say which arms one side alone has."""
    lines = []
    for side, own in table.alone.groupby("side", sort=False):
        labels = list(own["label"])
        named = ", ".join([*labels[:NAMED], *(["…"] if len(labels) > NAMED else [])])
        lines.append(f"{count_label(len(labels), 'arm')} in {side} alone: {named}")
    return lines


def differences(metric: str, rows: pd.DataFrame) -> Table:
    """Make the table of one metric: both means and the difference of each arm."""
    factor = 100 if is_accuracy(metric) else 1
    names = (Column(n, justify="right", no_wrap=True) for n in ("one", "other"))
    table = Table("arm", *names, Column("one − other [95 %]", justify="right"), "n", "verdict")
    table.box, table.pad_edge = None, False
    unit = "; differences in points" if factor > 1 else ""
    table.title, table.title_justify = f"{metric_label(metric)}{unit}", "left"
    for arm, row in zip(rows.index, records(rows), strict=True):
        means = [_mean(row[side], factor) for side in ("one", "other")]
        ends = [factor * row[key] for key in ("difference", "ci_low", "ci_high")]
        table.add_row(str(arm), *means, interval_words(ends), str(row["n"]), row["verdict"])
    return table


def _mean(value: float, factor: int) -> str:
    return f"{factor * value:.2f}" if factor > 1 else f"{value:.4g}"


def interval_words(values: Sequence[float]) -> str:
    """Write a difference with its interval, if it has one, to two digits of the interval's width.

    >>> interval_words([5.0, 3.1234, 6.8766]), interval_words([0.0, 0.0, 0.0])
    ('+5.0 [+3.1, +6.9]', '0')
    """
    difference, low, high = values
    if math.isnan(low) or low == high:
        return numbers([difference], signed=True)[0] if difference else "0"
    middle, *ends = numbers([difference, low, high], signed=True)
    return f"{middle} [{', '.join(ends)}]"


def runs_line(table: ComparisonTable) -> str:
    """Say how many runs both sides have, and how many of those are equal in every metric."""
    equal, shared = int(table.pairs["equal"].sum()), len(table.pairs)
    if equal == shared:
        are = "is equal" if shared == 1 else "are all equal"
        return f"{count_label(shared, 'paired run')} {are}, in every metric: no difference at all."
    return f"{count_label(shared, 'paired run')}, {equal:,} of them equal in every metric."


def show_claims(console: Console, data: str, claims: pd.DataFrame) -> None:
    """Print the verdicts of two scoreboards beside each other, and how many agree.

    Left out are claims that neither side ran, and identities that hold on both.
    """
    rows = [row for row in records(claims) if is_told(row)]
    are_equal = all(row["agree"] == "yes" and _is_equal(row) for row in rows)
    console.print(f"\nClaims on {data}", style="bold")
    if rows and not are_equal:
        verdicts = (Column(side, min_width=12) for side in ("one", "other"))
        table = Table("id", *verdicts, Column("s.e. apart", justify="right"), box=None)
        table.pad_edge = False
        for row in rows:
            cells = (_verdict_cell(row, side) for side in ("one", "other"))
            apart = ABSENT if math.isnan(row["distance"]) else f"{row['distance']:.1f}"
            table.add_row(row["claim"], *cells, apart)
        console.print(table)
    for line in claims_lines(rows, are_equal):
        console.print(line, style="bold", soft_wrap=True)


def is_told(row: Mapping[str, Any]) -> bool:
    """Whether a row of the verdicts tells a reader something."""
    if row["kind"] == IDENTITY:
        return row["one"] != row["other"]
    return not row["one"] == row["other"] == "not run here"


def _is_equal(row: Mapping[str, Any]) -> bool:
    one, other = row["one_estimate"], row["other_estimate"]
    return one == other or (math.isnan(one) and math.isnan(other))


def _verdict_cell(row: Mapping[str, Any], side: str) -> Text:
    verdict = row[side]
    told = Text(verdict_label(verdict), style=VERDICT_TABLE[verdict].terminal)
    if not math.isnan(row[f"{side}_estimate"]):
        part = PartView(row["part"], row["part"], unit_of(row["statistic"]), row["scale"] == "log")
        ends = {"ci_low": row[f"{side}_low"], "ci_high": row[f"{side}_high"]}
        words = estimate_words(part, {"estimate": row[f"{side}_estimate"], **ends})
        told.append(f"\n  {words}", style="dim")
    return told


def claims_lines(rows: Iterable[Mapping[str, Any]], are_equal: bool) -> list[str]:
    """Say how many verdicts on training agree, and how far the estimates lie apart."""
    training = [row for row in rows if row["kind"] == TRAINING and row["agree"]]
    if not training:
        return ["no claim about training was run in both"]
    told = [(row["claim"], row["one"], row["other"]) for row in training]
    lines = [agreement_line(told, *WITH_OTHER)]
    distances = {row["claim"]: row["distance"] for row in training}
    apart = {claim: far for claim, far in distances.items() if not math.isnan(far)}
    if are_equal:
        lines.append("All estimates are equal too.")
    elif apart:
        farthest = max(apart, key=apart.__getitem__)
        middle = pd.Series(apart).median()
        lines.append(
            f"Estimates lie {middle:.1f} standard errors apart in the median, "
            f"{apart[farthest]:.1f} at most ({farthest})."
        )
    return lines
