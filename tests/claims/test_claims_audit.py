"""The audit of committed verdicts: agrees with what was judged, and finds what was edited."""

import csv
import math
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnbench import ROOT
from bnbench.claims import files
from bnbench.claims.judge import judge
from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.study import LackingError
from tests.tools import audit, recomputation

REFERENCE = ROOT / "results" / "reference" / "claims"
EXACT = pd.DataFrame(
    [("E1", "a", "error", 1e-12, "<=", 1e-10, True), ("E1", "b", "gap", 0.5, ">=", 0.1, True)],
    columns=["claim", "part", "statistic", "estimate", "direction", "bound", "holds"],
)


class OnPaper:
    """A study of identities alone; the parts of the claims bring their own numbers."""

    def measured(self, name):
        return EXACT


def rows(values, bounds=None):
    n = len(values)
    columns = dict.fromkeys(("treatment", "baseline"), [math.nan] * n)
    columns |= dict.fromkeys(("treatment_rate", "baseline_rate"), [math.nan] * n)
    columns |= dict.fromkeys(("treatment_arm", "baseline_arm"), ["a"] * n)
    bounds = bounds or [""] * n
    return pd.DataFrame({"seed": range(20, 20 + n), "value": values, **columns, "bound": bounds})


def part(values, target, bounds=None, **options):
    return ClaimPart("pp of something", lambda study: rows(values, bounds), target, **options)


def claim(name, experiments=("x",), **parts):
    return Claim(name, "It is so.", "N0", experiments, "digits", "above", parts=parts)


def lacking(study):
    raise LackingError("no runs of the experiment x")


def write(folder, shift=0.0):
    """Write a small board with every kind of claim."""
    near = [value + shift for value in (0.8, 1.9, 1.2, 1.4, 0.7, 1.1)]
    lower = part([value - 3 for value in near], Above(0.0))
    claims = [
        Claim("E1", "It is so.", "N0", ("exact",), "", ""),
        claim("C1", one=part([v + 3 for v in near], Above(1.0)), two=part(near, Above(0.0))),
        claim("C2", ratio=part(near, Above(math.log(1.5)), scale="log", interest=math.log(1.2))),
        claim("C3", same=part([v - 1.1 for v in near], Between(-1.0, 1.0)), level=part(near, None)),
        claim("C4", alike=part([2.0 + shift] * 6, Below(3.0), null=None)),
        claim("C5", bound=part(near, Above(2.0), ["at most", "", "none", "", "", ""])),
        claim("C6", trains=part([1.0] * 9 + [0.0], Above(0.5), scale="share")),
        claim("C7", one=part(near, Above(0.0), choices={"threshold 0.9": lower})),
        claim("C8", on_bound=part([1.0, 1.0, *[1.5] * 7], Above(1.0), scale="grid")),
        claim("M8", ("least_squares",), slope=part(near, Above(0.9))),
        claim("A1", added=part(near, Above(0.9))),
        claim("D1", missing=ClaimPart("pp", lacking, Above(0.0))),
        Claim("D2", "It is so.", "N0", (), "", "", reason="needs a GPU"),
    ]
    files.write(judge(claims, OnPaper()), folder)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("written") / "small")


@pytest.fixture
def board(written, tmp_path):
    return shutil.copytree(written, tmp_path / "small")


@pytest.fixture(scope="module")
def written_twice(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("written") / "small")
    write(folder / "replication", shift=-0.9)
    assert files.write_replication(folder) == []
    return folder


@pytest.fixture
def board_twice(written_twice, tmp_path):
    return shutil.copytree(written_twice, tmp_path / "twice")


def disagreements(folder, capsys):
    code = audit.main([str(folder)])
    *lines, summary = capsys.readouterr().out.splitlines()
    assert code == (1 if lines else 0)
    assert summary.endswith(f" {len(lines)} disagreements")
    return [line.removeprefix(f"{folder}: ") for line in lines]


def edit(file, change):
    """Change the rows of a table; `change` gives each row, a dict, anew, or None to drop it."""
    with file.open(newline="") as stream:
        old = list(csv.DictReader(stream))
    new = [row for row in map(change, old) if row is not None]
    assert new != old
    with file.open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(old[0]))
        table.writeheader()
        table.writerows(new)


def set_to(column, value, **where):
    """A change of one cell in the rows that have some values."""

    def change(row):
        return row | {column: value} if where.items() <= row.items() else row

    return change


def test_the_committed_verdicts_are_those_of_their_evidence(capsys):
    assert audit.main([]) == 0
    told = capsys.readouterr().out.split()
    assert told[1:3] == ["numbers", "of"]
    assert told[-2:] == ["0", "disagreements"]
    boards = list(REFERENCE.glob("*/**/scoreboard.csv"))
    assert len(boards) >= 2
    assert int(told[6]) == sum(len(pd.read_csv(board)) for board in boards)
    assert int(told[0]) > 10 * int(told[3])


def test_what_the_judge_writes_is_not_objected_to(board, board_twice, capsys):
    assert disagreements(board, capsys) == []
    assert disagreements(board_twice, capsys) == []
    assert disagreements(board_twice / "replication", capsys) == []


def test_the_audit_has_nothing_of_what_it_audits():
    for name in ("audit", "audit_others", "recomputation"):
        source = (ROOT / "tests" / "tools" / f"{name}.py").read_text(encoding="utf-8")
        assert not [
            line for line in source.splitlines() if re.match(r"(from|import) bnbench", line)
        ]


def test_the_formulas_on_numbers_by_hand():
    assert recomputation.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert recomputation.holm([0.02, math.nan, 0.02]) == pytest.approx(
        [0.06, math.nan, 0.06], nan_ok=True
    )
    rows = [{"seed": str(n), "value": str(n), "bound": ""} for n in (1, 2, 3)]
    one = recomputation.Part(
        "one",
        "verdict",
        rows,
        "linear",
        low=0.0,
        high=math.nan,
        interest=1.0,
        null=0.0,
        alpha=0.025,
    )
    assert one.p("greater", 0.0) == pytest.approx(0.0371, abs=5e-5)  # t = 2√3 with 2 degrees
    half = 4.302653 / math.sqrt(3)
    assert one.interval == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    # of normal values with a deviation of 1, so that the noncentrality is √3
    assert one.power == pytest.approx(stats.nct.sf(4.302653, 2, math.sqrt(3)), rel=1e-5)
    assert replace(one, scale="grid").p("greater", 1.0) == 0.5  # two of three: (3 + 1)/8
    share = replace(one, scale="share", low=0.5, rows=[row | {"value": "1"} for row in rows])
    assert share.p_values[:2] == (0.125, 1.0)
    assert share.interval == pytest.approx((1.0, 0.025 ** (1 / 3), 1.0))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("parts.csv", set_to("estimate", "1.3", claim="C1", part="two"), "C1: two: estimate is"),
        ("parts.csv", set_to("ci_low", "0.0", claim="C3", part="same"), "C3: same: ci_low is"),
        ("parts.csv", set_to("n", "7", claim="C2"), "C2: ratio: n is '7', recomputed 6"),
        ("parts.csv", set_to("p_confirmed", "1e-9", claim="C1"), "C1: one: p_confirmed is"),
        ("parts.csv", set_to("p_none", "", claim="C2"), "C2: ratio: p_none is ''"),
        ("parts.csv", set_to("verdict", "contrary", claim="C6"), "C6: trains: verdict is"),
        ("parts.csv", set_to("censored", "0", claim="C5"), "C5: bound: censored is '0'"),
        ("parts.csv", set_to("sesoi_low", "0.4", claim="C1", part="two"), "C1: two: p_"),
        ("parts.csv", set_to("claim", "C9", claim="C6"), "C9: trains: no such claim"),
        ("scoreboard.csv", set_to("verdict", "undecided", claim="C1"), "C1: verdict is"),
        ("scoreboard.csv", set_to("verdict", "confirmed", claim="D1"), "D1: verdict is"),
        ("scoreboard.csv", set_to("verdict", "contrary", claim="E1"), "E1: verdict is"),
        ("scoreboard.csv", set_to("estimate", "1.3", claim="C3"), "C3: estimate is '1.3'"),
        ("scoreboard.csv", set_to("ci_high", "9.0", claim="C2"), "C2: ci_high is '9.0'"),
        ("scoreboard.csv", set_to("p_holm", "0.001", claim="C2"), "C2: p_holm is '0.001'"),
        ("scoreboard.csv", set_to("distance", "0.1", claim="C4"), "C4: distance is '0.1'"),
        ("scoreboard.csv", set_to("distance", "1e-12", claim="E1"), "E1: distance is '1e-12'"),
        (
            "scoreboard.csv",
            set_to("statistic", "one: pp of something", claim="C1"),
            "C1: 'one' is shown, expected 'two'",
        ),
        ("evidence/C2.csv", lambda row: None if row["seed"] == "22" else row, "C2: ratio: n is"),
        ("evidence/C2.csv", set_to("seed", "21", seed="22"), "C2: ratio: a seed stands twice"),
        ("evidence/C2.csv", set_to("value", "0.5", seed="22"), "C2: ratio: estimate is"),
        ("evidence/C5.csv", set_to("bound", "", seed="20"), "C5: bound: p_confirmed is"),
        ("evidence/C6.csv", set_to("value", "0.5", seed="20"), "C6: trains: "),
        ("evidence/C1.csv", set_to("part", "three", part="two"), "C1: three: evidence of what"),
        ("evidence/E1.csv", set_to("estimate", "1.0", part="a"), "E1: a: holds is 'True'"),
    ],
)
def test_an_edit_of_one_file_is_found(board, capsys, file, change, told):
    edit(board / file, change)
    assert any(line.startswith(told) for line in disagreements(board, capsys))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("parts.csv", set_to("seeds", "9", claim="C2"), "C2: ratio: seeds is '9', recomputed 6"),
        ("parts.csv", set_to("detectable", "0.1", claim="C3"), "C3: same: detectable is '0.1'"),
        ("scoreboard.csv", set_to("power", "0.99", claim="C3"), "C3: power is '0.99'"),
        ("scoreboard.csv", set_to("depends_on", "", claim="C7"), "C7: depends_on is ''"),
        ("scoreboard.csv", set_to("replicated", "yes", claim="C2"), "C2: replicated is 'yes'"),
        ("scoreboard.csv", set_to("reference", "", claim="C2"), "C2: reference is ''"),
        ("sensitivity.csv", set_to("flips", "no", claim="C7"), "C7: threshold 0.9: flips is 'no'"),
        (
            "sensitivity.csv",
            set_to("verdict", "confirmed", claim="C7"),
            "C7: threshold 0.9: verdict is 'confirmed'",
        ),
        ("sensitivity.csv", set_to("n", "6", choice="half"), "C1: half: n is '6', recomputed 3"),
        (
            "sensitivity.csv",
            lambda row: None if row["choice"] == "median" else row,
            "C1: median: only in one of",
        ),
        ("sensitivity.csv", set_to("claim", "C99", claim="C7"), "C99: threshold 0.9: of no claim"),
        ("evidence/C7.csv", set_to("value", "0.5", role="choice"), "C7: one: threshold 0.9: "),
        ("replication.csv", set_to("replicated", "no", claim="C5"), "C5: replication: replicated"),
        ("replication.csv", set_to("distance", "0.1", claim="C2"), "C2: replication: distance"),
        ("replication.csv", set_to("other_n", "9", claim="C2"), "C2: replication: other_n"),
        (
            "replication.csv",
            lambda row: None if row["claim"] == "C2" else row,
            "replication.csv: of ",
        ),
        ("replication/evidence/C2.csv", set_to("value", "9.0", seed="22"), "C2: replication: "),
    ],
)
def test_an_edit_of_what_others_give_is_found(board_twice, capsys, file, change, told):
    edit(board_twice / file, change)
    assert any(line.startswith(told) for line in disagreements(board_twice, capsys))


def test_evidence_of_another_data_set_is_found(board, tmp_path, capsys):
    other = write(tmp_path / "other", shift=0.3)
    assert disagreements(other, capsys) == []
    shutil.copy(other / "evidence" / "C1.csv", board / "evidence")
    found = disagreements(board, capsys)
    assert [line for line in found if line.startswith("C1: one: estimate is")]
    assert not [line for line in found if line.startswith("C3: same")]


def test_evidence_of_no_claim_is_found(board, capsys):
    (board / "evidence" / "C2.csv").rename(board / "evidence" / "C98.csv")
    assert disagreements(board, capsys)[0].startswith("damaged: FileNotFoundError")
    shutil.copy(board / "evidence" / "C98.csv", board / "evidence" / "C2.csv")
    assert disagreements(board, capsys) == ["C98: evidence of no claim on the scoreboard"]


def test_a_damaged_cell_is_a_line(board, capsys):
    edit(board / "evidence" / "C1.csv", set_to("value", "many", seed="21"))
    (line,) = disagreements(board, capsys)
    assert line == "damaged: ValueError: could not convert string to float: 'many'"


def test_a_folder_without_a_board_is_a_bad_request(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        audit.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert f"{tmp_path}: no scoreboard.csv" in capsys.readouterr().err


eighths = st.integers(-24, 24).map(lambda number: number / 8)
of_scale = {
    "linear": st.one_of(st.floats(-3, 3).map(lambda x: round(x, 4)), eighths),
    "log": st.floats(-2, 2).map(lambda x: round(x, 4)),
    "share": st.sampled_from([0.0, 1.0, 1.0, 1.0]),
    "grid": eighths,
}


@st.composite
def parts(draw, scale=None, choices=True):
    scale = scale or draw(st.sampled_from(list(of_scale)))
    few = draw(st.sampled_from([[], [0.5], [-1.5, -1.5, -1.5]]))
    values = draw(st.lists(of_scale[scale], min_size=2, max_size=14))
    if scale == "share":
        targets = [Above(0.5), Above(0.25), Above(0.9)]
    else:
        values += few
        if draw(st.booleans()):
            values = [value / 8 + draw(eighths) for value in [*values, *values]]
        bound = draw(st.integers(-8, 8).map(lambda number: number / 8))
        targets = [Above(bound), Below(bound), Between(bound - 0.5, bound + 0.75)]
    bounds = ["", "", "", "", draw(st.sampled_from(["", "at least", "at most", "none"]))]
    bounds = [draw(st.sampled_from(bounds)) for _ in values]
    target = draw(st.sampled_from(targets))
    null = draw(st.sampled_from([0.0, None]))
    interest = draw(st.sampled_from([0.25, 1.0]))
    one = part(values, target, bounds, scale=scale, null=null, interest=interest)
    if choices and draw(st.booleans()):
        other = draw(parts(scale=scale, choices=False))
        other = replace(other, target=target, null=null, interest=interest)
        one = replace(one, choices={draw(st.sampled_from(["rate up", "rate down"])): other})
    return one


@st.composite
def boards(draw):
    claims = []
    for number in range(draw(st.integers(1, 4))):
        names = "abc"[: draw(st.integers(1, 3))]
        given = {name: draw(parts()) for name in names}
        is_between = draw(st.booleans())
        if is_between and given["a"].scale != "share":
            given = {"a": replace(given["a"], target=Between(-1.0, 1.0))}
        given["reading"] = replace(draw(parts(choices=False)), target=None)
        if draw(st.integers(0, 5)) == 0:
            given["a"] = replace(given["a"], measure=lacking)
        experiments = draw(st.sampled_from([("x",), ("x",), ("least_squares",)]))
        claims.append(claim(f"C{number}", experiments, **given))
    return claims


def check(folder, claims):
    files.write(judge(claims, OnPaper()), folder)
    found = audit.Board(folder)
    found.audit()
    assert found.found == []
    assert found.numbers > 0


@given(boards())
@settings(max_examples=5)
def test_what_is_judged_is_recomputed(tmp_path_factory, claims):
    check(tmp_path_factory.mktemp("boards") / "made_up", claims)


@pytest.mark.slow
@given(boards())
@settings(max_examples=60)
def test_whatever_is_judged_is_recomputed(tmp_path_factory, claims):
    check(tmp_path_factory.mktemp("boards") / "made_up", claims)
