"""What two data sets disagree on: every verdict that differs, and nothing else."""

import pytest
from fake_claims import part, write_folder
from report_page import Page

from bnbench.analysis.agreement import disagreements, read_boards, section, summary
from bnbench.analysis.verdicts import ClaimView
from bnbench.pages.claims import write_claims

RUN = ("confirmed", "contrary", "undecided")


def folder(path, **verdicts):
    """A folder of claims with these verdicts, each of one part; E1 is an identity."""
    claims = []
    for name, verdict in verdicts.items():
        reason = "" if verdict in RUN else "it needs a GPU."
        view = ClaimView(
            name, "Convergence", f"{name} <is> so.", "A source", "A rule.", reason=reason
        )
        parts = [part("a", verdict, 3.0, sesoi=(1, None), unit="pp")] if verdict in RUN else []
        if name == "E1":
            parts = [("y", "largest error", 4e-16, "<=", 1e-10)]
        claims.append((view, verdict, parts, 0.9 if parts else None))
    path.mkdir(parents=True)
    write_folder(path, claims)
    return path


@pytest.fixture
def two(tmp_path):
    digits = folder(
        tmp_path / "claims/digits",
        E1="confirmed",
        C1="confirmed",
        C2="undecided",
        C3="contrary",
        C4="contrary",
        C5="not run here",
    )
    fashion = folder(
        tmp_path / "claims/fashion_mnist",
        E1="confirmed",
        C1="confirmed",
        C2="confirmed",
        C3="confirmed",
        C4="not run here",
        C5="contrary",
    )
    return [digits, fashion]


def test_contradictions_come_before_claims_that_one_leaves_open(two):
    found = disagreements(read_boards(two))
    assert [(one.id, one.is_contrary) for one in found] == [("C3", True), ("C2", False)]
    sides = found[0].sides
    assert {data: side["verdict"] for data, side in sides.items()} == {
        "digits": "contrary",
        "fashion_mnist": "confirmed",
    }


def test_one_line_counts_them(two):
    assert summary(read_boards(two)) == (
        "digits and fashion_mnist agree on 1 of 3 claims about training judged on more than one: "
        "1 claim decided differently, 1 claim decided on one alone."
    )


def test_one_line_says_that_there_is_nothing_to_disagree_on(two):
    (digits, fashion) = read_boards(two).values()
    same = [claim for claim in digits if claim.view.id in ("E1", "C1")]
    line = summary({"digits": same, "fashion_mnist": fashion})
    assert line == (
        "digits and fashion_mnist agree on 1 of 1 claim about training judged on more than one."
    )


def test_one_data_set_has_nothing_to_disagree_with(two):
    assert section(read_boards(two[:1])) is None


def test_of_two_folders_on_one_data_set_the_first_counts(two, tmp_path):
    other = folder(tmp_path / "reference/digits", C3="confirmed")
    boards = read_boards([*two, other, tmp_path / "reference/none"])
    assert [claim.view.id for claim in boards["digits"]] == ["E1", "C1", "C2", "C3", "C4", "C5"]


@pytest.mark.slow
def test_the_page_shows_both_sides(two):
    boards = read_boards(two)
    views = [claim.view for claim in boards["fashion_mnist"]]
    page = Page(write_claims(two[1], views, others={"digits": boards["digits"]}))
    assert "1 claim decided differently" in page.text
    (table,) = (table for table in page.tables if "on digits" in table[0])
    assert table[0] == ["id", "claim", "on fashion_mnist", "on digits"]
    assert [row[0] for row in table[1:]] == ["C3", "C2"]
    assert table[1][1] == "C3 <is> so."
    for cell, verdict in zip(table[1][2:], ("✓ confirmed", "✗ contrary"), strict=True):
        assert verdict in cell
        assert "to confirm: above 1 pp" in cell
