"""Where data sets disagree: claims whose verdict on one is not that on another, with both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bnbench.analysis.claim_views import Claim, read_claims
from bnbench.analysis.claim_words import shown
from bnbench.labels import count_label

Boards = Mapping[str, Sequence[Claim]]  # data set -> its claims
DECIDED = {"confirmed", "refuted"}


class Disagreement(NamedTuple):
    """One claim that data sets do not agree on.

    Attributes:
        id: of the claim.
        sentence: what is claimed.
        is_contrary: it is confirmed on one and refuted on another; else it is decided on one alone.
        sides: data set -> `verdict`, `underpowered`, and the texts of `claim_words.shown`.
    """

    id: str
    sentence: str
    is_contrary: bool
    sides: dict[str, dict[str, Any]]


def disagreements(boards: Boards) -> list[Disagreement]:
    """The claims with several verdicts, those that contradict each other first.

    A data set that a claim was not run on has no say in it.
    """
    by_id: dict[str, dict[str, Claim]] = {}
    for data, claims in boards.items():
        for claim in claims:
            if claim.row["verdict"] != "not run here":
                by_id.setdefault(claim.view.id, {})[data] = claim
    found = []
    for name, sides in by_id.items():
        verdicts = {claim.row["verdict"] for claim in sides.values()}
        if len(verdicts) > 1:
            sentence = next(iter(sides.values())).view.sentence
            texts = {data: _side(claim) for data, claim in sides.items()}
            found.append(Disagreement(name, sentence, verdicts >= DECIDED, texts))
    return sorted(found, key=lambda one: not one.is_contrary)


def _side(claim: Claim) -> dict[str, Any]:
    told = {"verdict": claim.row["verdict"], "underpowered": claim.is_underpowered}
    return {**told, **shown(claim)}


def summary(found: Sequence[Disagreement], data: Sequence[str]) -> str:
    """How many claims data sets disagree on, in one line.

    >>> summary([], ["digits", "fashion_mnist"])
    'digits and fashion_mnist agree on every claim that was judged on more than one.'
    """
    names = " and ".join(data)
    if not found:
        return f"{names} agree on every claim that was judged on more than one."
    contrary = sum(one.is_contrary for one in found)
    told = []
    if contrary:
        told.append(f"{count_label(contrary, 'claim')} confirmed on one and refuted on another")
    if alone := len(found) - contrary:
        told.append(f"{count_label(alone, 'claim')} decided on one alone")
    return f"{names} disagree: {', '.join(told)}."


def section(boards: Boards) -> dict[str, Any] | None:
    """What the templates say of several data sets; None where there is one."""
    if len(boards) < 2:
        return None
    found = disagreements(boards)
    return {"data": list(boards), "summary": summary(found, list(boards)), "rows": found}


def read_boards(folders: Sequence[Path]) -> dict[str, list[Claim]]:
    """The claims of some results/claims/<data> folders; of two on one data set the first counts.

    Raises:
        ValueError: a file is damaged.
        OSError: a file is missing.
    """
    boards: dict[str, list[Claim]] = {}
    for folder in folders:
        if folder.name not in boards and (folder / "scoreboard.csv").exists():
            boards[folder.name] = read_claims(folder)
    return boards
