"""A claim is taken from elsewhere only where neither declaration nor evidence has changed."""

import json
from dataclasses import replace

import pytest

from bnbench.claims import files
from bnbench.claims.declarations import (
    declaration,
    read_declarations,
    unchanged,
    write_declarations,
)
from bnbench.claims.judge import judge
from bnbench.claims.recorded import RecordedMeasurements, recorded
from bnbench.claims.records import Above, Below, Claim, ClaimPart, Sizing
from bnbench.claims.statistics import gap
from bnbench.claims.study import LackingError, StudyArm
from bnbench.tracking.stored import DamagedError

NONE = StudyArm("x", {"norm.name": "none"}, 0.1)
BN = NONE.but(norm__name="batchnorm")
PART = ClaimPart(
    "test accuracy (pp)",
    gap(BN, NONE),
    Above(0.0),
    interest=1.0,
    choices={"rate above": ClaimPart("test accuracy (pp)", gap(NONE, BN), Above(0.0))},
)
CLAIM = Claim(*("C1", "BN is better.", "N0", ("x",), "three seeds", "above 0"), parts={"end": PART})
ARMS = {"x": [["mlp", [0, 1, 2]]], "y": []}


@pytest.fixture
def board(study, tmp_path):
    for seed, bn in ((0, 0.95), (1, 0.97), (2, 0.961)):
        study.run("a", seed, acc=0.9)
        study.run("b", seed, acc=bn, norm__name="batchnorm")
    folder = tmp_path / "results" / "claims" / "digits"
    files.write(judge([CLAIM], study), folder)
    write_declarations(folder, {"C1": declaration(CLAIM, ARMS)})
    return folder


def test_a_claim_that_is_declared_alike_is_taken(board):
    assert unchanged(board, {"C1": declaration(CLAIM, ARMS)}) == (["C1"], [])
    reworded = replace(CLAIM, says="N1", caveats=("a caveat",), why_bound="it matters")
    assert unchanged(board, {"C1": declaration(reworded, ARMS)}) == (["C1"], [])


@pytest.mark.parametrize(
    "change",
    [
        {"sentence": "BN is worse."},
        {"rule": "above 1"},
        {"protocol": "four seeds"},
        {"experiments": ("x", "y")},
        {"parts": {"the end": PART}},
        *(
            {"parts": {"end": replace(PART, **change)}}
            for change in (
                {"statistic": "test accuracy (%)"},
                {"target": Above(0.1)},
                {"target": Below(0.0)},
                {"target": None},
                {"scale": "grid"},
                {"interest": 2.0},
                {"null": None},
                {"sizing": Sizing(1.0, 1.0, 3, "a pilot")},
                {"choices": {}},
                {"choices": {"rate above": PART}},
            )
        ),
    ],
)
def test_a_claim_that_is_declared_otherwise_is_not_taken(board, change):
    other = replace(CLAIM, **change)
    assert unchanged(board, {"C1": declaration(other, ARMS)}) == ([], [])


def test_other_arms_or_seeds_are_another_declaration(board):
    for arms in ({"x": [["mlp", [0, 1]]]}, {"x": [["vgg", [0, 1, 2]]]}, {}):
        assert unchanged(board, {"C1": declaration(CLAIM, arms)}) == ([], [])
    of_others = {**ARMS, "y": [["vgg", [0]]]}  # of an experiment that the claim does not read
    assert unchanged(board, {"C1": declaration(CLAIM, of_others)}) == (["C1"], [])


@pytest.mark.parametrize("text", ["part,role\n", None])
def test_evidence_that_has_changed_is_not_taken_and_one_line_says_so(board, text):
    file = board / "evidence" / "C1.csv"
    file.write_text(text) if text else file.unlink()
    found, (line,) = unchanged(board, {"C1": declaration(CLAIM, ARMS)})
    assert found == []
    assert line == f"{file}: not what was judged, so C1 is not taken from it"


def test_damaged_declarations_are_one_line(board):
    (board / "declarations.json").write_text('{"C1": {"declaration": "no hash"}}')
    found, (line,) = unchanged(board, {"C1": declaration(CLAIM, ARMS)})
    assert found == []
    assert "declarations.json" in line
    with pytest.raises(DamagedError):
        read_declarations(board)
    write_declarations(board, {"C1": declaration(CLAIM, ARMS)})  # which writes them anew
    assert unchanged(board, {"C1": declaration(CLAIM, ARMS)}) == (["C1"], [])


def test_what_was_declared_of_others_is_kept_while_their_evidence_is_unchanged(board):
    evidence = board / "evidence"
    (evidence / "C2.csv").write_bytes((evidence / "C1.csv").read_bytes())
    write_declarations(board, {"C2": declaration(CLAIM, ARMS), "C3": declaration(CLAIM, ARMS)})
    assert list(read_declarations(board)) == ["C1", "C2"]  # C3 has no evidence
    (evidence / "C1.csv").write_text("part\n")
    write_declarations(board, {})
    assert list(json.loads((board / "declarations.json").read_text())) == ["C2"]
    assert read_declarations(board.parent / "nowhere") == {}


def test_a_verdict_from_recorded_evidence_is_the_same_to_the_byte(board, study, tmp_path):
    again = tmp_path / "again" / "claims" / "digits"
    (claim,) = recorded([CLAIM], board)
    study.rows.clear()  # nothing is measured anew
    files.write(judge([claim], study), again)
    for file in ("scoreboard.csv", "parts.csv", "sensitivity.csv", "evidence/C1.csv"):
        assert (again / file).read_bytes() == (board / file).read_bytes()


def test_what_has_no_evidence_stays_as_it_is_or_lacks_its_part(board):
    other, exact = replace(CLAIM, id="C2"), replace(CLAIM, id="E1", experiments=("exact",))
    assert recorded([other, exact], board) == [other, exact]
    more = replace(CLAIM, parts={"end": PART, "more": PART})
    (claim,) = recorded([more], board)
    with pytest.raises(LackingError, match="not in the evidence"):
        claim.parts["more"].measure(None)
    with pytest.raises(LackingError, match=r"exact\.csv was not measured"):
        RecordedMeasurements(board).measured("exact")
