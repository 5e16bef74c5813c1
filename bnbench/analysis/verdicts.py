"""Judged claims as the pages show them: words from the registry, numbers from files.

The registry hands its words over as `ClaimView`; the numbers are read from the folder of the
verdicts, `results/claims/<data>/`. That folder keeps the words too (`claims.json`), so that the
files alone suffice to write the report anew.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd

from bnbench.analysis.long_csv import read_table
from bnbench.analysis.verdict_table import DECIDED, VERDICTS
from bnbench.tracking.shapes import CLAIM, CLAIM_ID, JUDGED, checked, parsed
from bnbench.tracking.stored import DamagedError, content
from bnbench.tracking.whole_files import read_object, write_whole

DEPTH = 2  # below the results folder: claims/<data>
FACTS = "judged.json"  # command, commit, versions, device
WORDS = "claims.json"
PROBLEMS = ("least_squares", "linear_net", "two_branches")  # measured without runs, like `exact`
TRAINING, PROBLEM, IDENTITY = "claims about training", "problems without runs", "identities"
P_KINDS = ("confirmed", "contrary", "smaller", "none")  # the verdicts that have p-values
NUMBERS = (
    *("estimate", "ci_low", "ci_high", "ci_level", "n", "sesoi_low", "sesoi_high"),
    *("p_holm", "power", "distance"),
    *("interest", *(f"p_{kind}" for kind in P_KINDS), "detectable", "censored"),
    *("seed", "value", "treatment", "baseline"),
)
SCOREBOARD = ("claim", "verdict", "statistic", *NUMBERS[:10], "experiment", "command")
PARTS = ("claim", "part", "role", "statistic", *NUMBERS[:7], *NUMBERS[11:17], "verdict")
POWER = 0.8  # at which an effect counts as detectable, and below which a claim is underpowered
EVIDENCE = ("role", "seed", "value", "treatment", "baseline", "bound")
EXACT = ("statistic", "estimate", "direction", "bound", "holds")
WORDS_OF = {  # column -> allowed words
    "role": {"verdict", "reading"},
    "direction": {"<=", ">="},
    "holds": {"True", "False"},
}
TEXT = ("claim", "part", "role", "statistic", "verdict", "experiment", "command", "direction")


@dataclass(frozen=True)
class PartView:
    """The label and unit of one part of a claim.

    Attributes:
        name: as in parts.csv.
        label: the name that people read.
        unit: of the estimate: `pp`, `%`, `nats`, …; empty for a bare number or a ratio.
        ratio: whether the estimate is a ratio, and the evidence its natural logarithm.
    """

    name: str
    label: str
    unit: str = ""
    ratio: bool = False


@dataclass(frozen=True)
class ClaimView:
    """The words of a claim.

    Attributes:
        id: as in scoreboard.csv.
        family: the heading under which it stands.
        sentence: the claim itself.
        says: its source, and the number given there.
        rule: how the verdict follows from the numbers.
        statistic: the measured quantity, in a sentence; scoreboard.csv has only its name.
        parts: a view for each part that needs a label, unit or scale of its own.
        traps: ways in which the comparison could mislead, and the remedy for each.
        caveats: conclusions that the verdict does not allow.
        reason: why the claim is not run here; empty for a claim that is.
    """

    id: str
    family: str
    sentence: str
    says: str
    rule: str = ""
    statistic: str = ""
    parts: tuple[PartView, ...] = ()
    traps: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    reason: str = ""


class JudgedClaim(NamedTuple):
    """A claim with its verdict.

    Attributes:
        view: the words of the claim.
        row: the row of scoreboard.csv, absent numbers as NaN.
        parts: the rows of parts.csv, deciding parts before readings.
        evidence: evidence/<id>.csv, or an empty table.
    """

    view: ClaimView
    row: dict[str, Any]
    parts: pd.DataFrame
    evidence: pd.DataFrame

    @property
    def is_exact(self) -> bool:
        """Whether the parts are single numbers beside bounds, not samples over seeds."""
        return "holds" in self.evidence

    @property
    def kind(self) -> str:
        """The kind that the claim is counted in: `TRAINING`, `PROBLEM` or `IDENTITY`."""
        return kind_of(self.row["experiment"].split("+"))

    @property
    def is_underpowered(self) -> bool:
        """Whether a claim is undecided, and could only have shown effects beyond its smallest.

        A decided claim has shown its effect, or that there is none of that size, whatever n was.
        """
        return self.row["verdict"] not in DECIDED and bool(self.row["power"] < POWER)

    @property
    def is_adjusted_away(self) -> bool:
        """Whether the parts alone would decide the claim, but the adjustment leaves it open."""
        verdicts = set(self.parts.loc[self.parts["role"] == "verdict", "verdict"])
        decided = bool(verdicts & (DECIDED - {"confirmed"})) or verdicts == {"confirmed"}
        return self.row["verdict"] == "undecided" and decided

    def part(self, name: str) -> PartView:
        """The view of a part; a part without one is labelled by its name."""
        known = {part.name: part for part in self.view.parts}
        return known.get(name, PartView(name, name))

    @property
    def deciding(self) -> list[dict[str, Any]]:
        """The rows of parts.csv that decide the verdict."""
        return records(self.parts[self.parts["role"] == "verdict"])

    @property
    def headline(self) -> dict[str, Any]:
        """The row of the part that the scoreboard names, whose numbers stand for the claim."""
        named = self.row["statistic"]
        same = [row for row in self.deciding if f"{row['part']}: {row['statistic']}" == named]
        return next(iter([*same, *self.deciding]), {"part": ""} | self.row)


def kind_of(experiments: Iterable[str]) -> str:
    """Name the kind of a claim from what measures it.

    Arithmetic settles an identity, and a few made-up numbers a problem without runs; neither
    depends on a data set. Every other claim is about training, even one with a problem among its
    parts.

    >>> kind_of(["claim_ics", "linear_net"])
    'claims about training'
    """
    names = set(experiments)
    if names == {"exact"}:
        return IDENTITY
    return PROBLEM if names and names <= set(PROBLEMS) else TRAINING


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """List the rows of a table as dictionaries."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def write_views(folder: Path, views: Sequence[ClaimView]) -> None:
    """Write claims.json, the words of the claims, beside their numbers."""
    words = [asdict(view) for view in views]
    write_whole(folder / WORDS, json.dumps(words, indent=1, ensure_ascii=False) + "\n", DEPTH)


def read_claims(folder: Path) -> list[JudgedClaim]:
    """Read the judged claims of a folder, in the order of its scoreboard.

    Raises:
        DamagedError: a file is missing or damaged, or the scoreboard names a claim without words.
    """
    views = {view.id: view for view in _read_views(folder / WORDS)}
    scoreboard = _read(folder / "scoreboard.csv", SCOREBOARD, DEPTH)
    parts = _read(folder / "parts.csv", PARTS, DEPTH)
    parts = parts.sort_values("role", key=lambda role: role != "verdict", kind="stable")
    claims = []
    for row in records(scoreboard):
        name = row["claim"]
        if not CLAIM_ID.fullmatch(name) or name not in views:
            raise DamagedError(f"{folder / WORDS}: nothing about claim {name!r} of scoreboard.csv")
        if row["verdict"] not in VERDICTS:
            allowed = ", ".join(VERDICTS)
            raise DamagedError(
                f"{folder / 'scoreboard.csv'}: {name}: verdict {row['verdict']!r}: "
                f"expected one of {allowed}"
            )
        evidence = folder / "evidence" / f"{name}.csv"
        table = _read(evidence, ("part",)) if os.path.lexists(evidence) else pd.DataFrame()
        own = parts[parts["claim"] == name].reset_index(drop=True)
        claims.append(JudgedClaim(views[name], row, own, table))
    return claims


def read_judged(folder: Path) -> dict[str, Any]:
    """Read the circumstances of the judging: command, commit, versions, device.

    Raises:
        FileNotFoundError: there is no judged.json.
        DamagedError: judged.json is damaged.
    """
    return read_object(folder / FACTS, JUDGED, DEPTH)


def _read_views(path: Path) -> list[ClaimView]:
    try:
        records = checked(parsed(content(path, depth=DEPTH)), [CLAIM])
        return [
            ClaimView(
                **record
                | {key: tuple(record[key]) for key in ("traps", "caveats")}
                | {"parts": tuple(PartView(**part) for part in record["parts"])}
            )
            for record in records
        ]
    except FileNotFoundError:
        raise DamagedError(f"{path}: missing") from None
    except DamagedError:
        raise
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({error})") from None


def _read(path: Path, needed: Sequence[str], depth: int = DEPTH + 1) -> pd.DataFrame:
    """Read a table; an absent text becomes the empty string, an absent number NaN.

    Raises:
        DamagedError: the file is missing, or a column or a cell is not as expected; one line.
    """
    try:
        table = read_table(path, depth, dtype=dict.fromkeys(TEXT, str))
        is_evidence = needed == ("part",)
        if is_evidence:
            needed = (*needed, *(EXACT if "holds" in table else EVIDENCE))
        if lacking := [column for column in needed if column not in table]:
            is_older = "powered" in table or "p_refute" in table  # its verdicts have other words
            words = "judged by an older version: make claims judges it anew"
            raise ValueError(words if is_older else f"no column {', '.join(lacking)}")
        texts = [key for key in TEXT if key in table]
        texts += (
            ["bound"] if "seed" in table else []
        )  # in the evidence of an exact claim `bound` is a number
        numbers = table.columns.intersection([*NUMBERS, *({"bound"} - set(texts))])
        if len(table) or is_evidence:
            _check(table, numbers)
        return table.assign(**{key: table[key].astype(object).fillna("") for key in texts})
    except FileNotFoundError:
        raise DamagedError(f"{path}: missing") from None
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError(f"{path}: {error}") from None


def _check(table: pd.DataFrame, numbers: Iterable[str]) -> None:
    """Refuse a table with cells that judging does not write.

    Raises:
        ValueError: there is such a cell, or no row at all.
    """
    if table.empty:
        raise ValueError("expected a row at least")
    for column in numbers:
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise ValueError(f"column {column} holds something that is not a number")
    for column, allowed in WORDS_OF.items():
        given = set(map(str, table[column])) if column in table else set()
        if strange := sorted(given - allowed):
            expected = ", ".join(sorted(allowed))
            raise ValueError(f"{column} {strange[0][:40]!r}: expected one of {expected}")
