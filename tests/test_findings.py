"""Every number that a page of findings, the card or a README tells of claims is in a kept table.

So do the counts of identities, of problems without runs and of claims about training.
"""

import re

import pandas as pd
import pytest

from bnbench import ROOT
from bnbench.analysis.verdict_words import counts
from bnbench.analysis.verdicts import IDENTITY, PROBLEM, TRAINING, kind_of, read_claims
from bnbench.claims.judge import ADDITION
from bnbench.claims.registry.table import claims_on

REFERENCE = ROOT / "results" / "reference" / "claims"
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
PAGES = [*READMES, ROOT / "docs" / "findings.md", ROOT / "docs" / "card.md"]
ID = re.compile(r"\b[ECMPBD]\d{1,2}[a-z]?\b", re.ASCII)  # so that Chinese is no part of a word
NUMBER = r"[−+]?\d[\d,]*(?:\.\d+)?"
INTERVAL = re.compile(rf"({NUMBER})[^\[\]|;\d]{{0,12}}\[({NUMBER}), ({NUMBER})\]")
TOLD = re.compile(rf"({NUMBER})(?: (?:pp|%|decades)|×)")  # a number in the unit of a result
NUMBERS_OF = {
    IDENTITY: re.compile(r"(\d+) (?:identities|条恒等式)"),
    PROBLEM: re.compile(r"(\d+) (?:problems without runs|个无需运行的问题)"),
    TRAINING: re.compile(r"(\d+) (?:claims about training|条关于训练的论断)"),
}
WORDS = ("confirmed", "smaller than claimed", "no effect", "contrary", "undecided")
IN_CHINESE = ("证实", "小于所称", "无效应", "相反", "未决")
TALLY = re.compile(  # of claims about training
    "(?:,| and) ".join(rf"(\d+) {word}" for word in WORDS)
    + "|"
    + "、".join(rf"(\d+) 条{word}" for word in IN_CHINESE)
)
BOARDS = sorted(REFERENCE.glob("*/scoreboard.csv"))
PARTS = pd.concat([pd.read_csv(board.parent / "parts.csv") for board in BOARDS])
COLUMNS = ["estimate", "ci_low", "ci_high"]
BOUNDS = ["sesoi_low", "sesoi_high", "interest", "detectable"]


def value(text):
    return float(text.replace(",", "").replace("−", "-"))


def is_told_as(text, number):
    """Whether a number of a table is what a text says, to the digits that it gives."""
    decimals = len(text.partition(".")[2])
    return abs(number - value(text)) <= 0.5 * 10**-decimals * (1 + 1e-9)


def statements(page):
    """The lines of a page that name a claim of the registry, joined to sentences of a paragraph."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\* )|\n(?=\|)", page.read_text(encoding="utf-8")):
        names = [name for name in ID.findall(paragraph) if name in claims_on("digits")]
        if names:
            yield names, " ".join(paragraph.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_interval_is_one_of_the_claims_that_its_paragraph_names(page):
    for names, text in statements(page):
        rows = PARTS[PARTS["claim"].isin(names)]
        for told in INTERVAL.findall(text):
            known = [
                row
                for row in rows[COLUMNS].itertuples(index=False)
                if all(map(is_told_as, told, row))
            ]
            assert known, (names, told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_result_is_one_of_the_claims_that_its_paragraph_names(page):
    for names, text in statements(page):
        rows = PARTS[PARTS["claim"].isin(names)]
        numbers = rows[COLUMNS + BOUNDS].stack()
        for told in TOLD.findall(text):
            # a loss may be told by its size
            sizes = [told, f"−{told}"]
            assert any(is_told_as(size, n) for size in sizes for n in numbers), (names, told)


def test_the_readmes_tell_the_same_intervals_of_the_same_claims():
    english, chinese = (
        [(sorted(names), INTERVAL.findall(text)) for names, text in statements(page)]
        for page in READMES
    )
    assert chinese == english


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_counts_of_a_page_are_those_of_the_scoreboards(page):
    text = " ".join(page.read_text(encoding="utf-8").replace("*", "").split())
    told = [tuple(int(n) for n in numbers if n) for numbers in TALLY.findall(text)]
    kept = [counts(read_claims(board.parent)) for board in BOARDS]
    kept = [count for count in kept if any(count[TRAINING][name] for name in WORDS)]
    assert kept, "a board without a judged claim about training is not told"
    assert told == [tuple(count[TRAINING][name] for name in WORDS) for count in kept]
    judged = {
        kind: [sum(count[kind][name] for name in WORDS) for count in kept] for kind in NUMBERS_OF
    }
    assert {
        kind: {int(number) for number in pattern.findall(text)}
        for kind, pattern in NUMBERS_OF.items()
    } == {kind: {*numbers} for kind, numbers in judged.items()}
    for kind in (IDENTITY, PROBLEM):  # the pages say that all of them are
        assert [count[kind]["confirmed"] for count in kept] == judged[kind]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.parent.name)
def test_the_kinds_of_a_kept_scoreboard_are_those_of_the_registry(board):
    kept = {claim.view.id: claim.kind for claim in read_claims(board.parent)}
    registry = claims_on(board.parent.name)
    known = {name: kind_of(claim.experiments) for name, claim in registry.items()}
    # additions stand there when they have been judged
    assert kept == {k: v for k, v in known.items() if k in kept or not k.startswith(ADDITION)}
    identities = [name for name, kind in kept.items() if kind == IDENTITY]
    assert identities == [f"E{number}" for number in range(1, 12)]
