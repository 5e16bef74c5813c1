"""Every number that the READMEs and docs/findings.md tell of a claim stands in a kept table."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bnbench.claims.table import CLAIMS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference" / "claims"
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
PAGES = [path for path in (*READMES, ROOT / "docs" / "findings.md") if path.exists()]
ID = re.compile(r"\b[ECMPBD]\d{1,2}\b", re.ASCII)  # so that Chinese is no part of a word
NUMBER = r"[−+]?\d[\d,]*(?:\.\d+)?"
INTERVAL = re.compile(rf"({NUMBER})[^\[\]|;\d]{{0,12}}\[({NUMBER}), ({NUMBER})\]")
TOLD = re.compile(rf"({NUMBER})(?: (?:pp|%|decades)|×)")  # a number in the unit of a result
TALLY = re.compile(
    r"(\d+) (?:are )?confirmed, (\d+) refuted(?:,| and) (\d+) inconclusive"
    r"|(\d+) 条证实、(\d+) 条推翻、(\d+) 条无定论"
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
        names = [name for name in ID.findall(paragraph) if name in CLAIMS]
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


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_tallies_of_a_readme_are_those_of_the_scoreboards(page):
    text = " ".join(page.read_text(encoding="utf-8").split())
    told = [tuple(int(n) for n in numbers if n) for numbers in TALLY.findall(text)]
    kept = []
    for board in BOARDS:
        verdicts = pd.read_csv(board)["verdict"].value_counts()
        names = ("confirmed", "refuted", "inconclusive")
        kept.append(tuple(int(verdicts.get(name, 0)) for name in names))
    assert sorted(told) == sorted(kept)
