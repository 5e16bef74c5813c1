"""Judged claims as the pages show them: words from the registry, numbers from files.

The registry hands its words over as `ClaimView`; the numbers are read from the folder of the
verdicts, `results/claims/<data>/`. That folder keeps the words too (`claims.json`), so that the
files alone suffice to write the report anew.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd

from bnbench.analysis.verdict_columns import (
    DEPTH,
    EVIDENCE,
    PARTS,
    RATES,
    REPLICATION,
    SCOREBOARD,
    SENSITIVITY,
    read_columns,
)
from bnbench.analysis.verdict_table import DECIDED, VERDICTS
from bnbench.tracking.shapes import CLAIM, CLAIM_ID, JUDGED, checked, parsed
from bnbench.tracking.stored import DamagedError, content
from bnbench.tracking.whole_files import read_object, write_whole

FACTS = "judged.json"  # command, commit, versions, device
WORDS = "claims.json"
SENSITIVITY_FILE, REPLICATION_FILE = "sensitivity.csv", "replication.csv"
# measured without runs, like `exact`
PROBLEMS = ("least_squares", "linear_net", "two_branches", "random_nets")
TRAINING, PROBLEM, IDENTITY = "claims about training", "problems without runs", "identities"
POWER = 0.8  # at which an effect counts as detectable, and below which a claim is underpowered


@dataclass(frozen=True)
class PartView:
    """The label and unit of one part of a claim.

    Attributes:
        name: as in parts.csv.
        label: the name that people read.
        unit: of the estimate: `pp`, `%`, `nats`, …; empty for a bare number or a ratio.
        ratio: whether the estimate is a ratio, and the evidence its natural logarithm.
        sizing: how its number of seeds was set, in a sentence; empty where that is not told.
    """

    name: str
    label: str
    unit: str = ""
    ratio: bool = False
    sizing: str = ""


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
        why_statistic: why this statistic measures what the sentence says.
        why_bound: why the bound is where it is.
        would_change: what would change our mind about the verdict.
        by_construction: what of the numbers holds by construction; empty: nothing.
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
    why_statistic: str = ""
    why_bound: str = ""
    would_change: str = ""
    by_construction: str = ""


class JudgedClaim(NamedTuple):
    """A claim with its verdict.

    Attributes:
        view: the words of the claim.
        row: the row of scoreboard.csv, absent numbers as NaN.
        parts: the rows of parts.csv, deciding parts before readings and other choices.
        evidence: evidence/<id>.csv, or an empty table.
        sensitivity: the rows of sensitivity.csv: what other choices give.
        replication: the row of replication.csv, the verdict on other seeds or elsewhere; None where
            there is no other.
    """

    view: ClaimView
    row: dict[str, Any]
    parts: pd.DataFrame
    evidence: pd.DataFrame
    sensitivity: tuple[dict[str, Any], ...] = ()
    replication: dict[str, Any] | None = None

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

    def without_choices(self) -> "JudgedClaim":
        """Leave out the parts that would decide under other choices, and their evidence."""
        parts, evidence = (
            table if table.empty else table[table["role"] != "choice"].reset_index(drop=True)
            for table in (self.parts, self.evidence)
        )
        return self._replace(parts=parts, evidence=evidence)

    def rates(self, part: str) -> tuple[list[float], list[float]]:
        """The learning rates of treatment and baseline behind a part, each once, in order."""
        if self.is_exact or self.evidence.empty:
            return [], []
        own = self.evidence.loc[self.evidence["part"] == part, list(RATES)]
        of_treatment, of_baseline = (sorted(set(own[side].dropna())) for side in RATES)
        return of_treatment, of_baseline

    @property
    def deciding(self) -> list[dict[str, Any]]:
        """The rows of parts.csv that decide the verdict."""
        return records(self.parts[self.parts["role"] == "verdict"])

    @property
    def headline(self) -> dict[str, Any]:
        """The row of the part that the scoreboard names, whose numbers stand for the claim."""
        return headline_of(self.row, self.deciding)


def headline_of(row: Mapping[str, Any], deciding: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find the part that a row of scoreboard.csv names among the parts that decide its claim."""
    same = [one for one in deciding if f"{one['part']}: {one['statistic']}" == row["statistic"]]
    return next(iter([*same, *deciding]), {"part": "", "seeds": math.nan} | dict(row))


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
    other_choices = _by_claim(folder / SENSITIVITY_FILE, SENSITIVITY)
    replications = _by_claim(folder / REPLICATION_FILE, REPLICATION)
    claims = []
    for row, own in read_numbers(folder):
        name = row["claim"]
        if name not in views:
            raise DamagedError(f"{folder / WORDS}: nothing about claim {name!r} of scoreboard.csv")
        evidence = folder / "evidence" / f"{name}.csv"
        table = read_columns(evidence, EVIDENCE) if os.path.lexists(evidence) else pd.DataFrame()
        replication = next(iter(replications.get(name, ())), None)
        beside = tuple(other_choices.get(name, ())), replication
        claims.append(JudgedClaim(views[name], row, own, table, *beside))
    return claims


def read_numbers(folder: Path, depth: int = DEPTH) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Read the row of scoreboard.csv and the rows of parts.csv of each claim.

    Args:
        folder: with both files.
        depth: how deep it lies below the results folder.

    Raises:
        DamagedError: a file is missing or damaged.
    """
    scoreboard = read_columns(folder / "scoreboard.csv", SCOREBOARD, depth)
    parts = read_columns(folder / "parts.csv", PARTS, depth)
    parts = parts.sort_values("role", key=lambda role: role != "verdict", kind="stable")
    found = []
    for row in records(scoreboard):
        name = row["claim"]
        if not CLAIM_ID.fullmatch(name):
            raise DamagedError(f"{folder / 'scoreboard.csv'}: claim {name!r}: expected an id")
        if row["verdict"] not in VERDICTS:
            allowed = ", ".join(VERDICTS)
            raise DamagedError(
                f"{folder / 'scoreboard.csv'}: {name}: verdict {row['verdict']!r}: "
                f"expected one of {allowed}"
            )
        found.append((row, parts[parts["claim"] == name].reset_index(drop=True)))
    return found


def _by_claim(file: Path, columns: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Read the rows of a table by claim; {} without the file."""
    if not os.path.lexists(file):
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in records(read_columns(file, columns, DEPTH)):
        found.setdefault(row["claim"], []).append(row)
    return found


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
