"""The scoreboards as Markdown: what a code host shows, links that lead somewhere, escaped text."""

import doctest
import html
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from fake_claims import EVIL, five_claims, part, write_folder
from markdown_it import MarkdownIt

from bnbench import CONFIGS
from bnbench.analysis.verdict_table import VERDICT_TABLE
from bnbench.analysis.verdicts import ClaimView
from bnbench.pages import claims_markdown
from bnbench.pages.claims import judged_boards
from bnbench.pages.claims_markdown import markdown, plain, write_markdown

REFERENCE = CONFIGS.parent / "results" / "reference"
LINK = re.compile(r"(?<!\\)\]\(([^)]*)\)")


@pytest.fixture
def readme(results):
    five_claims(results / "claims" / "digits")
    return written(results)


def written(results):
    problems: list[str] = []
    write_markdown(results, judged_boards(results, problems))
    assert problems == []
    return results / "claims" / "README.md"


def test_the_committed_page_is_what_the_committed_scoreboards_give():
    judged = judged_boards(REFERENCE, [])
    assert list(judged) == ["digits", "fashion_mnist"]
    text = markdown(REFERENCE / "claims", judged)
    assert (REFERENCE / "claims" / "README.md").read_text(encoding="utf-8") == text, (
        "write it anew: make report ARGS=results=results/reference"
    )
    assert "Judged on runs of schema 2" not in text


def test_links_and_pictures_of_the_committed_page_are_there():
    page = REFERENCE / "claims" / "README.md"
    links = every_link_leads_somewhere(page)
    pictures = {link for link in links if link.endswith(".png")}
    kept = {f"{path.parents[1].name}/figures/{path.name}" for path in page.parent.rglob("*.png")}
    assert pictures == kept


def every_link_leads_somewhere(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    anchors = re.findall(r'<a id="([^"]*)">', text)
    assert len(anchors) == len(set(anchors))
    links = LINK.findall(text)
    for link in links:
        assert (
            link[1:] in anchors if link.startswith("#") else (page.parent / unquote(link)).is_file()
        )
    return links


def test_it_has_what_the_page_has(readme):
    text = readme.read_text(encoding="utf-8")
    for look in VERDICT_TABLE.values():
        assert look.meaning in text
    order = ["Convergence", "[C1](#digits-c1)", "Placement", "### Evidence", "Identities, settled"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    (row,) = [line for line in text.splitlines() if line.startswith("| [C3]")]
    assert "?&nbsp;undecided<br>0.85 from the bound, underpowered" in row
    assert text.count("underpowered") == 2  # there, and where the word is explained
    for words in ("All 2 parts must hold", "make claims ARGS=C1", "It needs a GPU."):
        assert words in text
    assert "make claims ARGS=P4" not in text
    every_link_leads_somewhere(readme)


def test_text_from_outside_is_no_markdown(results):
    bad = f"{EVIL} | `a` [x](https://x.example) ![y](z) **b** :tada: $x$ www.x.example\n\n# head"
    words = ClaimView("C1", bad, bad, bad, bad, bad, traps=(bad,), caveats=(bad,))
    given = [part("a", "confirmed", 1.0, statistic=bad, label=bad, unit="pp")]
    for data in ("digits", "a [b](c) |d|"):
        write_folder(results / "claims" / data, [(words, "contrary", given, 0.9)])
    page = written(results)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r"(?<!\\)(`a|:tada|://|\$x|!\[y|\*\*b|# head)|www\.x", text)
    for line in text.splitlines():
        if line.startswith("| [C1]"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 7)
    assert set(every_link_leads_somewhere(page)) == {
        *("#digits-c1", "#a-b-c-d-c1", "#on-digits", "#on-a-b-c-d-", "digits/evidence/C1.csv"),
        "a%20%5Bb%5D%28c%29%20%7Cd%7C/evidence/C1.csv",
    }


@pytest.mark.parametrize(
    "text", [EVIL, "a\\*b*_c_ `d`", "[x]: y", "<b>&lt; ~~e~~", "1. f", "# g", "> h"]
)
def test_a_parser_of_markdown_reads_the_text_itself(text):
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    shown = html.escape(text)
    assert html.unescape(parser.render(plain(text))) == html.unescape(f"<p>{shown}</p>\n")
    table = parser.render(f"| a | b |\n| --- | --- |\n| {plain(text)} | |")
    assert html.unescape(f"<td>{shown}</td>\n<td></td>") in html.unescape(table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "\\- a"),
        ("12. a", "12\\. a"),
        ("+0.5 pp [1.2, 3]", "+0.5 pp \\[1.2, 3\\]"),
        ("1.5× of 2.", "1.5× of 2."),
        ("---", "\\---"),
        ("n: 10, a_b", "n: 10, a\\_b"),
    ],
)
def test_only_what_markdown_reads_is_escaped(text, expected):
    assert plain(text) == expected


def test_results_without_claims_get_no_page(results):
    assert not written(results).exists()


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(claims_markdown).failed == 0
