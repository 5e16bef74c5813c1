"""What the pages say of a claim: the words of its registry record beside the numbers of its files.

The registry hands its words over as `ClaimView`; the numbers are read from the folder that the
verdicts were written to, `results/claims/<data>/`. The words are kept there too (`claims.json`), so
that the report over everything can be written anew by whoever has the files alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd

from bnbench.tracking.run_dir import write_whole

WORDS = "claims.json"
VERDICTS = ("confirmed", "refuted", "inconclusive", "not run here")
TEXT = ("claim", "part", "role", "statistic", "verdict", "experiment", "command", "direction")


@dataclass(frozen=True)
class PartView:
    """How one part of a claim is called and shown.

    Attributes:
        name: as in parts.csv.
        label: what people read instead.
        unit: of the estimate: `pp`, `%`, `nats`, …; empty for a bare number. A ratio needs none.
        ratio: the estimate is a ratio and the evidence its natural logarithm.
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
        sentence: what is claimed.
        says: who says it, and their number.
        rule: how the verdict follows from the numbers.
        statistic: what is measured; a sentence, where scoreboard.csv has a name.
        parts: a view for each part that needs a label, unit or scale of its own.
        traps: how the comparison could mislead, and what was done about it.
        caveats: what the verdict does not say.
        reason: why it is not run here, where it is not.
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


class Claim(NamedTuple):
    """A claim with its verdict.

    Attributes:
        view: its words.
        row: its row of scoreboard.csv, absent numbers as NaN.
        parts: its rows of parts.csv, those that decide before the readings.
        evidence: evidence/<id>.csv, or an empty table.
    """

    view: ClaimView
    row: dict[str, Any]
    parts: pd.DataFrame
    evidence: pd.DataFrame

    @property
    def is_exact(self) -> bool:
        """Whether its parts are single numbers beside bounds, not samples."""
        return "holds" in self.evidence

    @property
    def is_underpowered(self) -> bool:
        """Whether its smallest detectable effect exceeds the smallest effect of interest."""
        return str(self.row["powered"]) == "False"

    @property
    def is_adjusted_away(self) -> bool:
        """Whether its parts by themselves would decide it, and the adjustment leaves it open."""
        verdicts = set(self.parts.loc[self.parts["role"] == "verdict", "verdict"])
        decided = "refuted" in verdicts or verdicts == {"confirmed"}
        return self.row["verdict"] == "inconclusive" and decided

    def part(self, name: str) -> PartView:
        """The view of a part; one that the registry says nothing of is called by its name."""
        known = {part.name: part for part in self.view.parts}
        return known.get(name, PartView(name, name))

    @property
    def deciding(self) -> list[dict[str, Any]]:
        """The rows of parts.csv that the verdict rests on."""
        return records(self.parts[self.parts["role"] == "verdict"])

    @property
    def headline(self) -> dict[str, Any]:
        """The row whose numbers stand for the claim: the part that the scoreboard names."""
        named = self.row["statistic"]
        same = [row for row in self.deciding if f"{row['part']}: {row['statistic']}" == named]
        return next(iter([*same, *self.deciding]), {"part": ""} | self.row)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def write_views(folder: Path, views: Sequence[ClaimView]) -> None:
    """Keep the words of the claims beside their numbers."""
    words = [asdict(view) for view in views]
    write_whole(folder / WORDS, json.dumps(words, indent=1, ensure_ascii=False) + "\n")


def read_claims(folder: Path) -> list[Claim]:
    """The claims that a folder has verdicts on, in the order of its scoreboard.

    Raises:
        ValueError: a file is damaged, or the scoreboard names a claim without words.
        OSError: a file is missing.
    """
    views = {view.id: view for view in _read_views(folder / WORDS)}
    scoreboard, parts = (_read(folder / name) for name in ("scoreboard.csv", "parts.csv"))
    parts = parts.sort_values("role", key=lambda role: role != "verdict", kind="stable")
    claims = []
    for row in records(scoreboard):
        name = row["claim"]
        if name not in views:
            raise ValueError(f"{folder / WORDS}: nothing about claim {name!r} of scoreboard.csv")
        if row["verdict"] not in VERDICTS:
            allowed = ", ".join(VERDICTS)
            raise ValueError(
                f"{folder / 'scoreboard.csv'}: {name}: verdict {row['verdict']!r}: "
                f"expected one of {allowed}"
            )
        evidence = folder / "evidence" / f"{name}.csv"
        table = _read(evidence) if evidence.exists() else pd.DataFrame()
        own = parts[parts["claim"] == name].reset_index(drop=True)
        claims.append(Claim(views[name], row, own, table))
    return claims


def _read_views(path: Path) -> list[ClaimView]:
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return [
            ClaimView(
                **record
                | {key: tuple(record[key]) for key in ("traps", "caveats")}
                | {"parts": tuple(PartView(**part) for part in record["parts"])}
            )
            for record in records
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({error})") from None


def _read(path: Path) -> pd.DataFrame:
    """A table with its texts as str, absent ones empty, and its numbers with NaN where absent."""
    table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str))
    texts = [key for key in TEXT if key in table]
    texts += ["bound"] if "seed" in table else []  # of an exact claim it is a number
    return table.assign(**{key: table[key].astype(object).fillna("") for key in texts})
