"""The scoreboard of the claims as a terminal shows it."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from textwrap import fill

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bnbench.analysis import replication
from bnbench.analysis.verdict_table import VERDICT_TABLE
from bnbench.analysis.verdict_words import (
    KINDS,
    beside,
    by_kind,
    fold_line,
    row_texts,
    tally,
    verdict_label,
)
from bnbench.analysis.verdicts import IDENTITY, JudgedClaim
from bnbench.config.quoting import shown_path

WIDTH = 110  # where no terminal says how wide it is, and no wider where one does
VERDICT_WIDTH = 28  # of what stands below a verdict, so that the sentences keep their room


def show_scoreboard(
    claims: Sequence[JudgedClaim], report: Path, console: Console | None = None
) -> None:
    """Print the verdicts by family, the tally, where the report is, and how to repeat a claim.

    Claims about training stand first; what became of the identities is told in a line. Without a
    terminal there is no colour, and a width of 110 columns.
    """
    console = console or Console(highlight=False)
    width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, width=width)
    table.add_column("id", no_wrap=True)
    table.add_column("claim", ratio=1)
    table.add_column("verdict", no_wrap=True)
    table.add_column(Text("estimate [interval]"), max_width=32)
    table.add_column("n", justify="right", no_wrap=True)
    kinds = by_kind(claims)
    identities = kinds.pop(IDENTITY, [])
    for kind, own in kinds.items():
        for family, group in groupby(own, key=lambda claim: claim.view.family):
            table.add_section()
            heading = f"{family}: {kind}" if KINDS[kind] else family
            table.add_row("", Text(heading, style="bold"))
            for claim in group:
                table.add_row(*_cells(claim))
    if identities:
        table.add_section()
        table.add_row("", Text(fold_line(IDENTITY, identities), style="bold"))
        for claim in identities:
            if claim.row["verdict"] != "confirmed":  # a layer that breaks an identity is news
                table.add_row(*_cells(claim))
    # Text, never markup: sentences may have brackets. No wrapping: paths and commands are copied.
    console.print(table, width=width, crop=False)
    console.print(Text(tally(claims), style="bold"), soft_wrap=True)
    if told := replication.summary(claims):
        console.print(Text(told, style="bold"), soft_wrap=True)
    console.print(Text(f"report: {shown_path(report)}"), soft_wrap=True)
    shown = [*(claim for own in kinds.values() for claim in own), *identities]
    commands = [claim.row["command"] for claim in shown if claim.row["command"]]
    if commands:
        console.print(Text(f"repeat a claim, for example: {commands[0]}"), soft_wrap=True)


def _cells(claim: JudgedClaim) -> list[Text]:
    verdict = claim.row["verdict"]
    text = row_texts(claim)
    told = Text(verdict_label(verdict), style=VERDICT_TABLE[verdict].terminal)
    for words in filter(None, beside(claim).split(", ")):
        indent = dict.fromkeys(("initial_indent", "subsequent_indent"), "  ")
        told.append("\n" + fill(words, VERDICT_WIDTH, **indent), style="dim")
    estimate = Text(f"{text['estimate']} {text['sesoi']}" if claim.is_exact else text["estimate"])
    if there := replication.beside(claim):
        estimate.append(f"\n{there}", style="dim")
    return [
        Text(claim.view.id),
        Text(claim.view.sentence),
        told,
        estimate,
        Text(text["n"]),
    ]
