"""Recompute the committed verdicts from their evidence, with formulas of its own.

    python -m tests.tools.audit [FOLDER …]

A folder has scoreboard.csv, parts.csv, sensitivity.csv and evidence/; by default all that do under
results/reference/claims/, with their replications. Every disagreement is a line. Exit code 1 if
there is one, 2 where there is nothing to audit. Nothing of bnbench is imported: only what stands
in the files is believed, and of parts.csv only the declarations (bounds, `interest`, `scale`,
`null`). The rules for a number are in `recomputation`; those between numbers:

    family       claims about training, those that begin with A by themselves, and of these those of
                 A11; p = 1 for one whose parts were not run here or have no test, or the p of the
                 reference where it was run there. For each verdict by itself
    shown        the part that settles the verdict: the least certain of a confirmed claim, the one
                 farthest from confirmed of an undecided one, else the most certain of the verdict
    distance     that of the estimate to the nearest bound
    sensitivity  the verdict under each declared choice, by the median, and on the first half of the
                 seeds, the other claims being as they are. It flips where both verdicts are decided
                 and differ, or one is decided and false of what the other estimates
    replicated   whether the verdict on fresh seeds, under replication/, or else in the reference is
                 the same, and how many standard errors the two estimates are apart

`null`, like the bounds, is in the unit that is shown: 1 for a ratio, empty for a level. No claim
about training may rest on a seed of the first boards (0 to 19).
"""

import argparse
import csv
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.tools.audit_others import Judged, is_flipped, other_choices, standard_errors_apart
from tests.tools.recomputation import (
    KINDS,
    LEVEL,
    SHOWN,
    WORDS,
    Part,
    Row,
    combined,
    decisive,
    holm,
    is_near,
    number,
    verdict_of,
)

BOARDS = Path(__file__).parents[2] / "results" / "reference" / "claims"
PROBLEMS = {"least_squares", "linear_net", "two_branches", "random_nets"}  # measured without runs
DECLARED = ("sesoi_low", "sesoi_high", "interest", "null")
FIRST_SEEDS = range(20)  # of the first boards: no verdict on training rests on one of them
Numbers = Mapping[str, float | str]


@dataclass
class Board:
    """The files of a folder, and what its audit found."""

    folder: Path
    numbers: int = 0
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.claims = {row["claim"]: row for row in read(self.folder / "scoreboard.csv")}
        self.rows = read(self.folder / "parts.csv")
        self.choices = read(self.folder / "sensitivity.csv")
        self.parts = {claim: self.parts_of(claim) for claim in self.claims}
        deciding = {
            claim: {part.name: part for part in parts if part.role == "verdict"}
            for claim, parts in self.parts.items()
        }
        self.deciding = {claim: parts for claim, parts in deciding.items() if parts}
        self.p = {
            claim: p_of(self.deciding[claim]) if claim in self.deciding else self.elsewhere(claim)
            for claim in self.claims
        }
        self.family = [  # a claim without experiments has no parts anywhere
            claim
            for claim, row in self.claims.items()
            if not set(row["experiment"].split("+")) <= {"", "exact", *PROBLEMS}
        ]

    def parts_of(self, claim: str) -> list[Part]:
        """Read the parts of a claim with their evidence."""
        rows = [row for row in self.rows if row["claim"] == claim]
        bounds = [r["sesoi_low"] and r["sesoi_high"] for r in rows if r["role"] == "verdict"]
        alpha = 2 * LEVEL if all(bounds) else LEVEL
        evidence: dict[tuple[str, str], list[Row]] = {(r["part"], r["role"]): [] for r in rows}
        for one in read(self.folder / "evidence" / f"{claim}.csv") if rows else []:
            if (one["part"], one["role"]) in evidence:
                evidence[one["part"], one["role"]].append(one)
            else:
                self.found.append(f"{claim}: {one['part']}: evidence of what parts.csv lacks")
        for (part, role), own in evidence.items():
            if len({one["seed"] for one in own}) < len(own):
                self.found.append(f"{claim}: {part}: a seed stands twice in the evidence")
            experiments = (
                set(self.claims[claim]["experiment"].split("+")) if claim in self.claims else set()
            )
            if (
                role == "verdict"
                and experiments - PROBLEMS
                and {int(one["seed"]) for one in own} & {*FIRST_SEEDS}
            ):
                self.found.append(f"{claim}: {part}: a seed of the first boards")
        return [self.part_of(row, evidence[row["part"], row["role"]], alpha) for row in rows]

    def part_of(self, row: Row, rows: Sequence[Row], alpha: float) -> Part:
        """Declare a part as its row does, in the unit of the values."""
        is_log = row["scale"] == "log"
        declared = [number(row[key]) for key in DECLARED]
        with np.errstate(all="ignore"):
            declared = [float(np.log(one)) for one in declared] if is_log else declared
        return Part(row["part"], row["role"], rows, row["scale"], *declared, alpha, is_log)

    @property
    def reference(self) -> Path | None:
        """The folder of the published board, unless it is this one."""
        is_again = self.folder.name == "replication"
        folder = self.folder.parent if is_again else BOARDS / self.folder.name
        is_other = folder.resolve() != self.folder.resolve()
        return folder if is_other and (folder / "parts.csv").exists() else None

    def elsewhere(self, claim: str) -> Sequence[float]:
        """The p-values that a claim that was not run here has in the reference."""
        rows = read(self.reference / "parts.csv") if self.reference else []
        deciding = [row for row in rows if (row["claim"], row["role"]) == (claim, "verdict")]
        return combined([[number(row[kind]) for kind in KINDS] for row in deciding])

    def adjusted(self, claim: str, p: Sequence[float]) -> Sequence[float]:
        """Adjust the p-values of a claim, the others being as they are."""
        if claim not in self.family:
            return p
        members = [one for one in self.family if family_of(one) == family_of(claim)]
        family = [p if one == claim else self.p[one] for one in members]
        place = members.index(claim)
        return [holm(of_kind)[place] for of_kind in zip(*family, strict=True)]

    def audit(self) -> None:
        """Compare every number and verdict with what the evidence gives."""
        for row in self.rows:
            where = f"{row['claim']}: {row['part']}"
            parts = self.parts.get(row["claim"], [])
            for part in parts:
                if (part.name, part.role) == (row["part"], row["role"]):
                    self.check(where, row, part.numbers)
            if not parts:
                self.found.append(f"{where}: no such claim on the scoreboard")
        for row in self.choices:
            if row["claim"] not in self.deciding:
                self.found.append(f"{row['claim']}: {row['choice']}: of no claim that was judged")
        for file in sorted((self.folder / "evidence").glob("*.csv")):
            if file.stem not in self.claims:
                self.found.append(f"{file.stem}: evidence of no claim on the scoreboard")
        for claim, row in self.claims.items():
            if row["experiment"] == "exact":
                self.check_identity(row)
            elif claim in self.deciding:
                self.check_claim(row)
            else:
                told = ("estimate", "p_holm", "power", "n")
                self.check(claim, row, {"verdict": "not run here", **dict.fromkeys(told, math.nan)})
        self.check_replication()

    def check(self, where: str, row: Row, computed: Numbers) -> None:
        """Compare the cells of a row with what they should be."""
        self.numbers += len(computed)
        for key in differing(row, computed):
            stated = row.get(key, "")
            self.found.append(f"{where}: {key} is {stated!r}, recomputed {computed[key]!r}")

    def check_identity(self, row: Row) -> None:
        """Compare an identity, each of whose numbers keeps its bound or breaks it."""
        table = read(self.folder / "evidence" / f"{row['claim']}.csv")
        holds = []
        for one in table:
            over = number(one["estimate"]) - number(one["bound"])
            holds.append(over >= 0 if one["direction"] == ">=" else over <= 0)
            self.check(f"{row['claim']}: {one['part']}", one, {"holds": str(holds[-1])})
        one = table[holds.index(False) if False in holds else 0]
        bounds = (one["bound"], "") if one["direction"] == ">=" else ("", one["bound"])
        words = dict.fromkeys(SHOWN, one["estimate"]) | dict(zip(DECLARED, bounds, strict=False))
        words |= dict.fromkeys(("ci_level", "p_holm", "power"), "")
        words["distance"] = repr(abs(number(one["estimate"]) - number(one["bound"])))
        words |= {"n": "1", "verdict": WORDS[not all(holds)], "statistic": one["statistic"]}
        self.check(row["claim"], row, words)

    def judged(self, claim: str, parts: Mapping[str, Part], shown: str) -> Judged:
        """Judge a claim by its parts; `shown` is that which stands for it in the files."""
        p = self.adjusted(claim, p_of(parts))
        verdict = verdict_of(p, min(part.alpha for part in parts.values()))
        among = decisive(list(parts.values()), verdict)
        names = [part.name for part in among]
        if shown not in names:
            self.found.append(f"{claim}: {shown!r} is shown, expected {names[0]!r}")
        return Judged(parts, verdict, parts.get(shown, among[0]))

    def shown(self, claim: str) -> str:
        """The part whose numbers the scoreboard shows."""
        told = self.claims[claim]["statistic"]
        parts = [row["part"] for row in self.rows if row["claim"] == claim]
        statistics = [row["statistic"] for row in self.rows if row["claim"] == claim]
        names = [f"{part}: {statistic}" for part, statistic in zip(parts, statistics, strict=True)]
        return parts[names.index(told)] if told in names else told

    def check_claim(self, row: Row) -> None:
        """Compare a row of the scoreboard with its parts, and with other choices."""
        claim, parts = row["claim"], self.deciding[row["claim"]]
        main = self.judged(claim, parts, self.shown(claim))
        p = self.adjusted(claim, self.p[claim])
        known = [one for one in p if not math.isnan(one)]
        p_holm = (
            p[WORDS.index(main.verdict)] if main.verdict in WORDS else min(known, default=math.nan)
        )
        part = main.shown
        numbers = {key: part.numbers[key] for key in (*SHOWN, "ci_level", "n")}
        bounds = part.shown(part.low, part.high)
        distances = [abs(float(numbers["estimate"]) - one) for one in bounds if not math.isnan(one)]
        numbers |= {"verdict": main.verdict, "p_holm": p_holm, "distance": min(distances)}
        numbers |= dict(zip(DECLARED, bounds, strict=False))
        numbers["power"] = float(np.min([part.power for part in parts.values()]))
        numbers["depends_on"] = "+".join(self.check_choices(claim, main))
        self.check(claim, row, numbers)

    def check_choices(self, claim: str, main: Judged) -> list[str]:
        """Compare the rows of sensitivity.csv; the first words of the choices that flip."""
        rows = {row["choice"]: row for row in self.choices if row["claim"] == claim}
        choices = other_choices(self.parts[claim]) if claim in self.family else {}
        flipped = []
        for choice in sorted({*rows} ^ {*choices}):
            self.found.append(f"{claim}: {choice}: only in one of sensitivity.csv and the evidence")
        for choice, parts in choices.items():
            if choice in rows:
                other = self.judged(claim, parts, rows[choice]["part"])
                flips = is_flipped(main, other)
                flipped += [choice.split()[0]] * flips
                numbers = {key: other.shown.numbers[key] for key in (*SHOWN, "n")}
                words = {"verdict": other.verdict, "flips": "yes" if flips else "no"}
                self.check(f"{claim}: {choice}", rows[choice], numbers | words)
        return list(dict.fromkeys(flipped))

    def check_replication(self) -> None:
        """Compare what is said of the board on fresh seeds, or else of the reference."""
        fresh = self.folder / "replication"
        is_fresh = (fresh / "scoreboard.csv").exists()
        file = self.folder / "replication.csv"
        folder = fresh if is_fresh else self.reference if file.exists() else None
        other = Board(folder) if folder else None
        told = {row["claim"]: row for row in (read(file) if file.exists() else [])}
        shared = [claim for claim in self.claims if other and claim in other.claims]
        if [*told] != shared:
            self.found.append(f"replication.csv: of {[*told]}, expected {shared}")
        for claim, row in self.claims.items():
            words = {"reference": "", "replicated": ""}
            if other and claim in shared and claim in told:
                verdict = other.claims[claim]["verdict"]
                is_run = "not run here" not in (verdict, row["verdict"])
                words["reference"] = verdict
                words["replicated"] = ("no", "yes")[verdict == row["verdict"]] if is_run else ""
                part = other.shown(claim) if claim in other.deciding else ""
                own = [p for p in self.parts[claim] if p.name == part and p.role != "choice"]
                one = own[0] if own else None
                two = other.deciding.get(claim, {}).get(part)
                against = {"against": "fresh seeds" if is_fresh else "reference", "part": part}
                numbers = standard_errors_apart(one, two)
                self.check(f"{claim}: replication", told[claim], words | against | numbers)
            self.check(claim, row, words)


def family_of(claim: str) -> str:
    """Name the family of a claim about training."""
    if claim == "P4" or claim.startswith("A11"):
        return "later"
    return "added" if claim.startswith("A") else ""


def p_of(parts: Mapping[str, Part]) -> Sequence[float]:
    return combined([part.p_values for part in parts.values()])


def differing(row: Row, computed: Numbers) -> list[str]:
    """The columns whose cells are not the computed ones."""
    return [key for key, value in computed.items() if not agrees(key, row.get(key, ""), value)]


def agrees(column: str, cell: str, value: float | str) -> bool:
    """Whether a cell is a computed value, up to rounding."""
    if isinstance(value, str):
        return cell == value
    if cell == "" or math.isnan(value):
        return cell == "" and math.isnan(value)
    return is_near(float(cell), value, is_p=column.startswith("p_"))


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(argv: Sequence[str] | None = None) -> int:
    """Audit folders and print what disagrees; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="*", type=Path)
    folders: list[Path] = parser.parse_args(argv).folder
    folders = folders or sorted(file.parent for file in BOARDS.glob("*/**/scoreboard.csv"))
    for folder in folders or [BOARDS]:
        if not (folder / "scoreboard.csv").exists():
            parser.error(f"{folder}: no scoreboard.csv")
    numbers = parts = claims = faults = 0
    for folder in folders:
        try:
            board = Board(folder)
            board.audit()
        except (OSError, ValueError, LookupError, TypeError) as error:
            print(f"{folder}: damaged: {type(error).__name__}: {error}")
            faults += 1
            continue
        for line in board.found:
            print(f"{folder}: {line}")
        numbers, parts = numbers + board.numbers, parts + len(board.rows)
        claims, faults = claims + len(board.claims), faults + len(board.found)
    what = f"{numbers} numbers of {parts} parts and {claims} claims"
    print(f"{what} recomputed, {faults} disagreements")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
