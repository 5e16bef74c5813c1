"""Claims whose verdicts differ between data sets, with the verdict on each."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bnbench.analysis.verdict_table import DECIDED
from bnbench.analysis.verdict_words import beside, row_texts
from bnbench.analysis.verdicts import TRAINING, JudgedClaim, read_claims
from bnbench.config.labels import count_label
from bnbench.tracking.stored import DamagedError

Boards = Mapping[str, Sequence[JudgedClaim]]  # data set -> its claims


class Disagreement(NamedTuple):
    """One claim whose verdicts differ between data sets.

    Attributes:
        id: of the claim.
        sentence: the claim itself.
        is_contrary: whether data sets decide the claim differently; else only some decide it.
        sides: data set -> `verdict`, what stands `beside` it, and the texts of
            `verdict_words.row_texts`.
    """

    id: str
    sentence: str
    is_contrary: bool
    sides: dict[str, dict[str, Any]]


def _judged(boards: Boards) -> dict[str, dict[str, JudgedClaim]]:
    """The claims by id and data set, without those that were not run."""
    by_id: dict[str, dict[str, JudgedClaim]] = {}
    for data, claims in boards.items():
        for claim in claims:
            if claim.row["verdict"] != "not run here":
                by_id.setdefault(claim.view.id, {})[data] = claim
    return by_id


def disagreements(boards: Boards) -> list[Disagreement]:
    """List the claims with several verdicts, contradictory ones first.

    A data set on which a claim was not run has no say in that claim.
    """
    found = []
    for name, sides in _judged(boards).items():
        verdicts = {claim.row["verdict"] for claim in sides.values()}
        if len(verdicts) > 1:
            sentence = next(iter(sides.values())).view.sentence
            texts = {data: _side(claim) for data, claim in sides.items()}
            found.append(Disagreement(name, sentence, len(verdicts & DECIDED) > 1, texts))
    return sorted(found, key=lambda one: not one.is_contrary)


def _side(claim: JudgedClaim) -> dict[str, Any]:
    told = {"verdict": claim.row["verdict"], "beside": beside(claim)}
    return {**told, **row_texts(claim)}


def summary(boards: Boards) -> str:
    """Say in one line on how many claims data sets agree, and how the others differ.

    Only claims about training are counted: a claim that needs no runs is the same everywhere.
    """
    found = disagreements(boards)
    shared = {
        name
        for name, sides in _judged(boards).items()
        if len(sides) > 1 and all(claim.kind == TRAINING for claim in sides.values())
    }
    agreed = len(shared - {one.id for one in found})
    contrary = sum(one.is_contrary for one in found)
    told = []
    if contrary:
        told.append(f"{count_label(contrary, 'claim')} decided differently")
    if alone := len(found) - contrary:
        told.append(f"{count_label(alone, 'claim')} decided on one alone")
    among = f"{count_label(len(shared), 'claim')} about training judged on more than one"
    agree = f"{' and '.join(boards)} agree on {agreed} of {among}"
    return f"{agree}: {', '.join(told)}." if told else f"{agree}."


def section(boards: Boards) -> dict[str, Any] | None:
    """Build the template's section on several data sets; None where there is only one."""
    if len(boards) < 2:
        return None
    return {"data": list(boards), "summary": summary(boards), "rows": disagreements(boards)}


def read_boards(
    folders: Sequence[Path], problems: list[str] | None = None
) -> dict[str, list[JudgedClaim]]:
    """Read the claims of results/claims/<data> folders; of two for one data set the first counts.

    Args:
        folders: the folders; one without a scoreboard is skipped.
        problems: a list that gets a line for each folder with a missing or damaged file, which is
            then skipped; None to raise instead.

    Raises:
        DamagedError: a file is missing or damaged, and `problems` is None.
    """
    boards: dict[str, list[JudgedClaim]] = {}
    for folder in folders:
        if folder.name in boards or not os.path.lexists(folder / "scoreboard.csv"):
            continue
        try:
            boards[folder.name] = read_claims(folder)
        except DamagedError as error:
            if problems is None:
                raise
            problems.append(str(error))
    return boards
