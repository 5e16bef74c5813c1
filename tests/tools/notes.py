"""Write the verdicts of docs/notes.md anew from the boards: `python -m tests.tools.notes`.

The first three columns of its table are written by hand: the place in the notes (its lines joined
by ‑, where no line breaks), what the note says, and what covers it. So is the list of tests below.
The rest follows from them:

    verdicts   the last two columns, from results/reference/claims/<data>/scoreboard.csv
    counts     the line that begins with the number of statements
    links      the last lines of the page, which lead from ids to scoreboards, myths and tests

What covers a statement are ids in brackets: of a claim [C1a] or of several [C3a] to [C3f], of a
paragraph of docs/myths.md [N0-1], of a test in the list [T1]. Ids behind "Against it" claim what
the note denies. What nothing covers begins with one of `OTHERWISE`, and has no ids.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bnbench import ROOT
from bnbench.analysis.verdict_table import VERDICTS
from bnbench.analysis.verdict_words import verdict_label
from bnbench.claims.registry.table import claims_on

PAGE = ROOT / "docs" / "notes.md"
MYTHS = ROOT / "docs" / "myths.md"
BOARDS = ROOT / "results" / "reference" / "claims"
DATA = ("digits", "fashion_mnist")  # in the order of the columns
OTHERWISE = ("Not measured yet", "Cannot be tested")
WRONG, AGAINST = "**Wrong", "Against it"
ROW = re.compile(r"^\| (N\d):(\d+)(?:‑(\d+))? \| ([^|]+) \| ([^|]+) \|.*$", re.M)
NOT_RUN = "not run here"
LABEL = re.compile(r"\[([A-Z]\d+(?:-\d+)?[a-z]?)\](?: to \[([A-Z]\d+[a-z])\])?")
TEST = re.compile(r"^\* (T\d+) `(\w+::\w+)`", re.M)
COUNTS = re.compile(r"^\*\*\d+ statements\*\*.*$", re.M)
LINK = re.compile(r"^\[[A-Z]\d+(?:-\d+)?[a-z]?\]: .*\n", re.M)
Board = Mapping[str, tuple[str, str]]  # claim -> its verdict, and what that depends on


class Statement(NamedTuple):
    """A row of the table, without its verdicts.

    Attributes:
        note: N0 to N4.
        lines: of the note.
        sentence: what the note says.
        cover: what covers it.
    """

    note: str
    lines: range
    sentence: str
    cover: str

    @property
    def place(self) -> str:
        """The note and its lines, as in the first column."""
        last = f"‑{self.lines[-1]}" if len(self.lines) > 1 else ""
        return f"{self.note}:{self.lines[0]}{last}"

    @property
    def labels(self) -> list[str]:
        """The ids that cover the statement."""
        return labels(self.cover)

    @property
    def against(self) -> list[str]:
        """Those of them that claim what the note denies."""
        return labels(self.cover.partition(AGAINST)[2])

    @property
    def is_wrong(self) -> bool:
        """Whether arithmetic or the paper contradicts the note."""
        return self.cover.startswith(WRONG)

    @property
    def kind(self) -> str:
        """`covered`, or the one of `OTHERWISE` that the row begins with.

        Raises:
            ValueError: a row has ids and says that there are none, or neither.
        """
        said = [words for words in OTHERWISE if self.cover.startswith(words)]
        if bool(said) == bool(self.labels):
            raise ValueError(
                f"{self.place}: name what covers {self.sentence!r}, or begin with one of "
                f"{', '.join(OTHERWISE)} and name nothing"
            )
        return said[0] if said else "covered"


def labels(text: str) -> list[str]:
    """List the ids in brackets, in order; `[C3a] to [C3c]` is three."""
    found = []
    for first, last in LABEL.findall(text):
        letters = range(ord(first[-1]), ord(last[-1]) + 1) if last else ()
        found += [first[:-1] + chr(letter) for letter in letters] or [first]
    return found


def rows(page: str) -> list[Statement]:
    """Read the rows of the table."""
    return [
        Statement(note, range(int(first), int(last or first) + 1), sentence, cover)
        for note, first, last, sentence, cover in ROW.findall(page)
    ]


def myths(text: str) -> dict[str, str]:
    """Find the anchor of the section that tells of each myth in the text of docs/myths.md."""
    found, anchor = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            anchor = re.sub(r"[^\w\- ]", "", line[3:].lower()).replace(" ", "-")
        elif told := re.match(r"(?:\*\*|\| )(N\d-\d+)\b", line):
            found[told[1]] = anchor
    return found


def read_board(folder: Path) -> Board:
    """Read what scoreboard.csv says of each claim."""
    with (folder / "scoreboard.csv").open(encoding="utf-8", newline="") as file:
        return {row["claim"]: (row["verdict"], row["depends_on"]) for row in csv.DictReader(file)}


def cell(row: Statement, board: Board, claims: Iterable[str]) -> str:
    """Write what one board says of a row: verdicts with their claims, † where one depends.

    Args:
        row: of the table.
        board: with the claims that were judged; any other is not run here.
        claims: all that are declared, in the order in which they are told.
    """
    if row.kind != "covered":
        return "not measured yet" if row.kind == OTHERWISE[0] else "–"
    own = [name for name in claims if name in row.labels]
    if not own:
        return f"{'wrong' if row.is_wrong else 'right'}, by test"
    lines = ["wrong"] if row.is_wrong else []
    for against in (False, True):
        some = [name for name in own if (name in row.against) == against]
        judged = {name: board.get(name, (NOT_RUN, "")) for name in some}
        lines += ["against it:"] if against and some else []
        for verdict in VERDICTS:
            of_it = {name: "†" if on else "" for name, (v, on) in judged.items() if v == verdict}
            told = verdict if verdict == NOT_RUN else verdict_label(verdict)
            told = told.replace(" ", "&nbsp;")
            if len(of_it) == len(own) and len(set(of_it.values())) == 1 and not lines:
                return told + of_it[own[0]]
            if of_it:
                lines.append(f"{told}: {', '.join(shortened([*map(''.join, of_it.items())]))}")
    return "<br>".join(lines)


def shortened(names: list[str]) -> Iterator[str]:
    """Write three and more names that follow each other, C3a, C3b, C3c, as `C3a to C3c`."""
    start = 0
    for k, name in enumerate(names, start=1):
        following = names[k] if k < len(names) else ""
        if following != name[:-1] + chr(ord(name[-1]) + 1):
            run, start = names[start:k], k
            yield from [f"{run[0]} to {run[-1]}"] if len(run) > 2 else run


def links(named: Iterable[str], anchors: Mapping[str, str]) -> str:
    """Write the lines that lead from ids to myths, to tests, or to the scoreboards."""
    board = (BOARDS / "README.md").read_text(encoding="utf-8")
    lines = []
    for label in sorted(set(named)):
        shown = f"digits-{label.lower()}"
        if label in anchors:
            target = f"{MYTHS.name}#{anchors[label]}"
        elif label.startswith("T"):
            target = "#tests"
        else:
            target = "../results/reference/claims/README.md"
            target += f"#{shown}" if f'<a id="{shown}"></a>' in board else ""
        lines.append(f"[{label}]: {target}\n")
    return "".join(lines)


def counts(table: list[Statement]) -> str:
    """Say how many statements there are, and what became of them."""
    kinds = [row.kind for row in table]
    covered, open_, untestable = (kinds.count(kind) for kind in ("covered", *OTHERWISE))
    wrong = sum(row.is_wrong for row in table)
    return (
        f"**{len(table)} statements**: {covered} are covered, {open_} are not measured yet, and "
        f"{untestable} cannot be tested. {wrong} are wrong as they stand."
    )


def written(page: str, boards: Iterable[Board]) -> str:
    """Write the verdicts, the counts and the links of the page anew.

    Raises:
        ValueError: a row names nothing, or what is no claim, myth or test.
    """
    boards, table = list(boards), rows(page)
    claims = dict.fromkeys(name for data in DATA for name in claims_on(data))
    anchors = myths(MYTHS.read_text(encoding="utf-8"))
    tests = dict(TEST.findall(page))
    for row in table:
        for label in row.labels:
            if not any(label in known for known in (claims, anchors, tests)):
                raise ValueError(f"{row.place}: [{label}] is no claim, no myth and no test")
    cells = iter([[cell(row, board, claims) for board in boards] for row in table])

    def anew(match: re.Match[str]) -> str:
        by_hand = "|".join(match[0].split("|")[:4])
        return f"{by_hand}| {' | '.join(next(cells))} |"

    page = COUNTS.sub(counts(table), ROW.sub(anew, page))
    named = [label for row in table for label in row.labels]
    return f"{LINK.sub('', page).rstrip()}\n\n{links(named, anchors)}"


def main() -> None:
    """Write the page where it stands."""
    before = PAGE.read_text(encoding="utf-8")
    after = written(before, [read_board(BOARDS / data) for data in DATA])
    changed = sum(one != other for one, other in zip(*map(rows_of, (before, after)), strict=True))
    PAGE.write_text(after, encoding="utf-8")
    print(f"{PAGE.name}: {changed} of {len(rows(after))} rows changed")


def rows_of(page: str) -> list[str]:
    """The lines of the table that have a place in a note."""
    return [match[0] for match in ROW.finditer(page)]


if __name__ == "__main__":
    main()
