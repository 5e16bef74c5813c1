"""Claims whose parts give what the evidence of an earlier judging says, instead of what runs say.

The evidence of a claim holds every number that decided on it, so a verdict can be judged anew from
it without a run.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.analysis.load import ExperimentData
from bnbench.analysis.long_csv import read_table
from bnbench.analysis.verdict_columns import DEPTH
from bnbench.claims.files import evidence_file
from bnbench.claims.judge import choice_name
from bnbench.claims.records import Claim, ClaimPart
from bnbench.claims.study import LackingError, Study
from bnbench.tracking.stored import DamagedError

NUMBERS = ("value", "treatment", "baseline", "treatment_rate", "baseline_rate")


class RecordedMeasurements(Study):
    """A study that has no runs, but the measurements without runs that a board keeps."""

    def __init__(self, board: Path) -> None:
        super().__init__(board.parent.parent, board.name)

    def experiment(self, name: str) -> ExperimentData:
        """Raise what a study does whose experiment was never asked for."""
        raise LackingError(f"no runs of the experiment {name}")


def recorded(claims: Iterable[Claim], board: Path) -> list[Claim]:
    """Make claims whose parts give what the evidence of a board says of them.

    A claim without evidence, and an exact one, stays as it is.

    Args:
        claims: as the registry declares them.
        board: results/claims/<data> of the judging.

    Raises:
        DamagedError: the evidence cannot be read as a table.
    """
    found = []
    for claim in claims:
        file = evidence_file(board, claim.id)
        if claim.experiments == ("exact",) or not file.exists():
            found.append(claim)
            continue
        rows = _evidence(file)
        parts = {name: _recorded(name, part, rows) for name, part in claim.parts.items()}
        found.append(replace(claim, parts=parts))
    return found


def _evidence(file: Path) -> pd.DataFrame:
    """Read the rows of an evidence file, every number to the last bit.

    Raises:
        DamagedError: the file holds no such table.
    """
    text = read_table(file, DEPTH + 1, dtype=str, keep_default_na=False)
    try:
        numbers = {
            name: [float(cell) if cell else math.nan for cell in text[name]]
            for name in NUMBERS
            if name in text
        }
        return text.assign(seed=text["seed"].map(int), **numbers)
    except (KeyError, ValueError) as error:
        raise DamagedError(f"{file}: {' '.join(str(error).split())}") from None


def _recorded(name: str, part: ClaimPart, rows: pd.DataFrame) -> ClaimPart:
    choices = {
        choice: _recorded(choice_name(name, choice), other, rows)
        for choice, other in part.choices.items()
    }
    stored = partial(_stored, rows[rows["part"] == name].drop(columns=["part", "role"]))
    return replace(part, measure=stored, choices=choices)


def _stored(rows: pd.DataFrame, _: Any) -> pd.DataFrame:
    """Give the rows of one part, or raise what a study does that has none."""
    if rows.empty:
        raise LackingError("not in the evidence")
    return rows
