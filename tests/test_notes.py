"""docs/notes.md: no sentence of the notes is missing, and each verdict is that of the boards.

The notes themselves are not in the repository: of them this file has the number of lines.
"""

import re
from itertools import pairwise

import pytest

from bnbench import ROOT
from bnbench.claims.registry.table import claims_on
from tests.tools import notes

PAGE = notes.PAGE.read_text(encoding="utf-8")
BOARDS = [notes.read_board(notes.BOARDS / data) for data in notes.DATA]
ROWS = notes.rows(PAGE)
MYTHS = notes.MYTHS.read_text(encoding="utf-8")
CLAIMS = {name: claim for data in notes.DATA for name, claim in claims_on(data).items()}
LINES = {"N0": 68, "N1": 120, "N2": 23, "N3": 91, "N4": 60}
# note, what its lines are, which ones: `2‑3, 5`
LEFT_OUT = re.findall(r"^\| (N\d) \| ([^|]+) \| ([\d‑, ]+) \|$", PAGE, re.M)
ROW = "| N0:1 | a sentence | {cover} |"


def lines_of(text):
    """The numbers of `2‑3, 5`."""
    pairs = [part.partition("‑") for part in text.split(", ")]
    return [n for first, _, last in pairs for n in range(int(first), int(last or first) + 1)]


def test_verdicts_counts_and_links_are_those_of_the_boards():
    again = "write them anew: python -m tests.tools.notes"
    assert notes.written(PAGE, BOARDS).splitlines() == PAGE.splitlines(), again
    assert notes.written(PAGE, BOARDS) == PAGE


@pytest.mark.parametrize("note", LINES)
def test_every_line_has_a_row_or_is_not_about_batch_normalization(note):
    left_out = [n for name, _, text in LEFT_OUT if name == note for n in lines_of(text)]
    told = {n for row in ROWS if row.note == note for n in row.lines}
    assert not told & {*left_out}
    assert sorted([*left_out, *told]) == list(range(1, LINES[note] + 1))


def test_rows_stand_in_the_order_of_the_notes():
    assert [*dict.fromkeys(row.note for row in ROWS)] == [*LINES]
    for one, other in pairwise(ROWS):
        assert (one.note, one.lines[0]) <= (other.note, other.lines[0])
    assert len({(row.place, row.sentence) for row in ROWS}) == len(ROWS)
    assert len(re.findall(r"^\| N\d:", PAGE, re.M)) == len(ROWS)


def test_what_has_no_verdict_of_a_claim_has_a_test():
    tested = {*re.findall(r"^\*\*(N\d-\d+): ", MYTHS, re.M), *dict(notes.TEST.findall(PAGE))}
    for row in ROWS:
        if row.kind == "covered" and not CLAIMS.keys() & {*row.labels}:
            assert tested & {*row.labels}, row.place


def test_tests_are_listed_in_order_and_each_is_named():
    listed = [label for label, _ in notes.TEST.findall(PAGE)]
    assert listed == [f"T{k + 1}" for k in range(len(listed))]
    assert f"T1 to {listed[-1]} [tests]" in PAGE
    assert {*listed} <= {label for row in ROWS for label in row.labels}


def test_a_claim_that_a_note_makes_covers_a_sentence_of_that_note():
    """So a sentence is no longer "not measured yet" when a claim says that the note makes it."""
    for name, claim in CLAIMS.items():
        for note in re.findall(r"\bN[0-4]\b", claim.says):
            own = [row for row in ROWS if row.note == note]
            assert any(name in row.labels for row in own), f"{name} covers what of {note}?"


def test_every_myth_is_told_of_its_note_with_the_claims_that_test_it():
    claims_of = dict(re.findall(r"^\| (N\d-\d+) \|.*\| ([^|]+) \|$", MYTHS, re.M))
    for myth in notes.myths(MYTHS):
        own = [row for row in ROWS if row.note == myth[:2] and myth in row.labels]
        assert own, myth
        named = {label for row in own for label in row.labels}
        cited = re.sub(r"\b([A-Z]\d+[a-z]?)\b", r"[\1]", claims_of.get(myth, ""))
        assert {*notes.labels(cited)} <= named, myth


def test_links_lead_to_the_sentence_that_was_judged():
    scoreboard = (notes.BOARDS / "README.md").read_text(encoding="utf-8")
    for label, target in re.findall(r"^\[([\w-]+)\]: (.*)$", PAGE, re.M):
        file, _, anchor = target.partition("#")
        assert not file or (ROOT / "docs" / file).exists()
        if label in BOARDS[0]:
            assert f'<a id="{anchor}"></a>' in scoreboard
            assert anchor == f"digits-{label.lower()}"


@pytest.mark.parametrize(
    ("cover", "told"),
    [
        ("[E1]", "✓&nbsp;confirmed"),
        ("[E1], [E2]", "✓&nbsp;confirmed"),
        ("[C1a]", "=&nbsp;no&nbsp;effect†"),
        ("[C1a] to [C1b]", "=&nbsp;no&nbsp;effect: C1a†, C1b"),
        ("[C3b] to [C3d], [E1]", "✓&nbsp;confirmed: E1<br>not&nbsp;run&nbsp;here: C3b to C3d"),
        (
            "[E1]. Against it [C1b]",
            "✓&nbsp;confirmed: E1<br>against it:<br>=&nbsp;no&nbsp;effect: C1b",
        ),
        ("Against it [E1]", "against it:<br>✓&nbsp;confirmed: E1"),
        ("**Wrong:** [E1], [N0-1]", "wrong<br>✓&nbsp;confirmed: E1"),
        ("**Wrong:** [N0-1]", "wrong, by test"),
        ("[T1]", "right, by test"),
        ("Not measured yet", "not measured yet"),
        ("Cannot be tested: why", "–"),
    ],
)
def test_a_cell_tells_verdicts_with_their_claims(cover, told):
    (row,) = notes.rows(ROW.format(cover=cover))
    effect = ("no effect", "rate"), ("no effect", "")
    board = {"E1": ("confirmed", ""), "E2": ("confirmed", ""), "C1a": effect[0], "C1b": effect[1]}
    claims = ["E1", "E2", "C1a", "C1b", "C3b", "C3c", "C3d"]
    assert notes.cell(row, board, claims) == told


def test_another_verdict_changes_the_cells_of_its_claim_alone():
    one, other = (
        notes.written(PAGE, [board | {"M7": (verdict, "")} for board in BOARDS]).splitlines()
        for verdict in ("confirmed", "contrary")
    )
    changed = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    assert len(changed) == sum("M7" in row.labels for row in ROWS)
    assert all("[M7]" in before and "✗&nbsp;contrary" in after for before, after in changed)


def test_the_command_writes_the_page(tmp_path, monkeypatch, capsys):
    spoilt = PAGE.replace("✓&nbsp;confirmed", "?&nbsp;undecided")
    spoilt = re.sub(r"^\*\*\d+ statements", "**7 statements", spoilt, flags=re.M)
    page = tmp_path / "notes.md"
    page.write_text(re.sub(r"^\[M7\]: .*\n", "", spoilt, flags=re.M), encoding="utf-8")
    monkeypatch.setattr(notes, "PAGE", page)
    notes.main()
    assert page.read_text(encoding="utf-8") == PAGE
    told = capsys.readouterr().out
    changed = sum("✓&nbsp;confirmed" in line for line in notes.rows_of(PAGE))
    assert told == f"notes.md: {changed} of {len(ROWS)} rows changed\n"


@pytest.mark.parametrize(
    ("cover", "message"),
    [
        ("[C99]", r"N0:1: \[C99\] is no claim, no myth and no test"),
        ("[N0-99]", "no myth"),
        ("[T99]", "no test"),
        ("", "name what covers"),
        ("It is right", "name what covers 'a sentence'"),
        ("Not measured yet, but for [C1a]", "name nothing"),
    ],
)
def test_a_row_that_names_what_is_not_there_is_refused(cover, message):
    with pytest.raises(ValueError, match=message):
        notes.written(ROW.format(cover=cover or "-"), BOARDS)
