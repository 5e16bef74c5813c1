"""One scoreboard beside another: which verdicts agree, and how far apart the estimates are."""

import doctest
import math

import numpy as np
import pandas as pd
import pytest
from fake_claims import part, view, write_folder
from scipy import stats

from bnbench.analysis import replication
from bnbench.analysis.replication import (
    PartEstimate,
    beside,
    compare,
    standard_errors_apart,
    summary,
)
from bnbench.analysis.verdicts import read_claims, read_numbers
from bnbench.claims.files import write_replication
from bnbench.tracking.stored import DamagedError

ABOVE = {"sesoi": (1, None), "unit": "pp"}


def board(path, **verdicts):
    """A board of claims with these verdicts, or (verdict, parts)."""
    claims = []
    for name, given in verdicts.items():
        verdict, parts = given if isinstance(given, tuple) else (given, None)
        if verdict == "not run here":
            parts = []
        elif parts is None:
            parts = [part("a", verdict, 3.0, **ABOVE)]
        if name == "E1":
            parts = [("y", "largest error", 4e-16, "<=", 1e-10)]
        claims.append((view(name), verdict, parts, 0.9 if parts else None))
    write_folder(path, claims)
    return path


def columns(folder):
    table = pd.read_csv(folder / "scoreboard.csv", dtype=str, keep_default_na=False)
    return {row["claim"]: (row["reference"], row["replicated"]) for _, row in table.iterrows()}


@pytest.fixture
def own(tmp_path):
    return board(
        tmp_path / "results" / "claims" / "digits",
        E1="confirmed",
        C1="confirmed",
        C2="undecided",
        C3a="contrary",
        C4="not run here",
        C5="confirmed",
        C9="confirmed",
    )


@pytest.fixture
def reference(tmp_path):
    return board(
        tmp_path / "reference" / "claims" / "digits",
        E1="confirmed",
        C1="confirmed",
        C2="confirmed",
        C3a="no effect",
        C4="confirmed",
        C5="undecided",
    )


def test_the_columns_say_what_the_reference_found_and_whether_it_is_the_same(own, reference):
    assert write_replication(own, reference) == []
    assert columns(own) == {
        "E1": ("confirmed", "yes"),
        "C1": ("confirmed", "yes"),
        "C2": ("confirmed", "no"),
        "C3a": ("no effect", "no"),
        "C4": ("confirmed", ""),  # not run here
        "C5": ("undecided", "no"),
        "C9": ("", ""),  # the reference does not know it
    }
    again = (own / "replication.csv").read_bytes()
    write_replication(own, reference)
    assert (own / "replication.csv").read_bytes() == again


def test_a_line_says_how_many_verdicts_on_training_agree_and_names_the_others(own, reference):
    write_replication(own, reference)
    assert summary(read_claims(own)) == (
        "1 of 4 verdicts agree with the reference; 1 is undecided here (C2); "
        "1 is decided otherwise there (C3a); 1 is decided here alone (C5)."
    )


def test_many_that_disagree_are_named_up_to_a_handful(tmp_path):
    names = [f"C{n}" for n in range(1, 8)]
    own = board(tmp_path / "a" / "claims" / "digits", **dict.fromkeys(names, "undecided"))
    other = board(tmp_path / "b" / "claims" / "digits", **dict.fromkeys(names, "confirmed"))
    write_replication(own, other)
    told = "0 of 7 verdicts agree with the reference; 7 are undecided here (C1, C2, C3, C4, C5, …)."
    assert summary(read_claims(own)) == told


def test_a_board_that_holds_one_on_fresh_seeds_is_compared_with_that(own, reference):
    fresh = board(own / "replication", C1="confirmed", C2="confirmed", C5="undecided")
    write_replication(own, reference)
    assert columns(own)["C1"] == ("confirmed", "yes")
    assert columns(own)["C3a"] == ("", "")
    claims = {claim.view.id: claim for claim in read_claims(own)}
    assert beside(claims["C1"]).startswith("on fresh seeds: ✓ confirmed, +")
    assert summary(list(claims.values())) == (
        "1 of 3 verdicts are the same on fresh seeds; 1 is decided there alone (C2); "
        "1 is undecided there (C5)."
    )
    (fresh / "scoreboard.csv").unlink()
    write_replication(own, own)  # the published board itself, without fresh seeds
    assert set(columns(own).values()) == {("", "")}
    assert not (own / "replication.csv").exists()


def test_without_another_board_there_is_nothing_to_say(own, tmp_path):
    assert write_replication(own, tmp_path / "nowhere") == []
    assert write_replication(own) == []
    claims = read_claims(own)
    assert {beside(claim) for claim in claims} == {""}
    assert summary(claims) == ""


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("scoreboard.csv", "claim,verdict\nC1,confirmed\n", "no column depends_on"),
        ("scoreboard.csv", "\x00", "scoreboard.csv"),
        ("parts.csv", None, "missing"),
        ("parts.csv", "older", "judged by an older version"),
    ],
)
def test_a_reference_that_cannot_be_read_is_one_line(own, reference, file, text, told):
    path = reference / file
    if text == "older":
        table = pd.read_csv(path)
        table.drop(columns=["seeds", "scale"]).to_csv(path, index=False)
    elif text is None:
        path.unlink()
    else:
        path.write_text(text)
    (line,) = write_replication(own, reference)
    assert line.startswith("not compared with the reference: ")
    assert told in line
    assert "\n" not in line
    assert set(columns(own).values()) == {("", "")}
    assert len(read_claims(own)) == 7


def test_a_damaged_comparison_is_a_damaged_board(own, reference):
    write_replication(own, reference)
    file = own / "replication.csv"
    file.write_text(file.read_text().replace(",yes,", ",maybe,"))
    with pytest.raises(DamagedError, match="replicated 'maybe': expected one of"):
        read_claims(own)


def test_the_distance_is_in_standard_errors_of_both():
    rng = np.random.default_rng(0)
    samples = rng.normal(1.0, 2.0, 12), rng.normal(2.0, 0.5, 7)
    given = []
    for values, level in zip(samples, (0.95, 0.90), strict=True):
        low, high = stats.ttest_1samp(values, 0).confidence_interval(level)
        given.append(PartEstimate(values.mean(), low, high, level, len(values)))
    errors = [stats.sem(values) for values in samples]
    expected = abs(samples[0].mean() - samples[1].mean()) / math.hypot(*errors)
    assert standard_errors_apart(*given) == pytest.approx(expected)
    ratios = [PartEstimate(*map(math.exp, one[:3]), *one[3:]) for one in given]
    assert standard_errors_apart(*ratios, is_log=True) == pytest.approx(expected)


def test_a_distance_without_intervals_is_no_number():
    known = PartEstimate(1.0, 0.5, 1.5, 0.95, 10)
    assert math.isnan(standard_errors_apart(known, PartEstimate()))
    assert math.isnan(standard_errors_apart(known, known._replace(n=2)))
    assert math.isnan(standard_errors_apart(known._replace(ci_low=-0.5), known, is_log=True))
    point = PartEstimate(1.0, 1.0, 1.0, 0.95, 5)
    assert standard_errors_apart(point, point) == 0
    assert math.isnan(standard_errors_apart(point, point._replace(estimate=2.0)))


def test_the_estimates_compared_are_of_the_part_that_the_reference_shows(tmp_path):
    one, two = part("a", "confirmed", 3.0, **ABOVE), part("b", "confirmed", 5.0, **ABOVE)
    own = board(tmp_path / "a" / "claims" / "digits", C1=("confirmed", [one, two]))
    lone = board(tmp_path / "c" / "claims" / "digits", C1=("confirmed", [one]))
    other = part("b", "confirmed", 4.0, **ABOVE)
    there = board(tmp_path / "b" / "claims" / "digits", C1=("confirmed", [other, one]))
    (found,) = compare(read_numbers(own), read_numbers(there))
    assert found.part == "b"
    assert found.own.estimate == pytest.approx(two["row"]["estimate"])
    assert found.other.estimate == pytest.approx(other["row"]["estimate"])
    assert found.distance > 0
    write_replication(own, there)
    (claim,) = read_claims(own)
    assert claim.headline["part"] == "a"
    assert " (b), " in beside(claim)
    assert beside(claim).endswith(f"{found.distance:.1f} s.e. apart")
    # where this board has no such part, what the reference found is told alone
    (found,) = compare(read_numbers(lone), read_numbers(there))
    assert (found.replicated, math.isnan(found.own.n)) == ("yes", True)
    write_replication(lone, there)
    (claim,) = read_claims(lone)
    assert beside(claim).startswith("reference: ✓ confirmed, ")
    assert beside(claim).endswith("] (b)")


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(replication).failed == 0
