"""The measured files: what is in them, what is kept, and what is made anew."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest

from bnbench.measured import exact
from bnbench.measured import files as measure
from bnbench.measured.problems import PROBLEMS, Problem, least_squares

VALUES = {"a": 0.1 + 0.2, "b, with a comma": math.nan, "c": 5}
CALLS: list[str] = []


def numbers(seeds):
    CALLS.append("numbers")
    return [{quantity: value * (seed + 1) for quantity, value in VALUES.items()} for seed in seeds]


def table():
    return ("kind", "x"), [("grid", 1 / 3), ("path", 2)]


TOY = Problem(numbers, (0, 4), 1, {"surface": table})


@pytest.fixture
def one_problem(monkeypatch):
    """One toy instead of the problems, and one exact claim."""
    monkeypatch.setattr(measure, "PROBLEMS", {"toy": TOY})
    monkeypatch.setattr(exact, "EXACT", {"E8": exact.EXACT["E8"]})
    CALLS.clear()


def run(results: Path, **options):
    lines: list[str] = []
    folder = measure.measure(results, "digits", 1, lines.append, **options)
    return folder, lines


def rows(file: Path):
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def contents(folder: Path):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_files_and_lines(one_problem, tmp_path):
    folder, lines = run(tmp_path)
    assert folder == tmp_path / "claims/digits/measured"
    assert lines == ["[1/2] toy  3 quantities, 2 seeds", "[2/2] exact  1 of 1 claims hold"]
    assert sorted(contents(folder)) == ["exact.csv", "toy.csv", "toy.json", "toy_surface.csv"]
    assert (folder / "toy.csv").read_text(encoding="utf-8").splitlines() == [
        *("seed,quantity,value", "0,a,0.30000000000000004", '0,"b, with a comma",nan', "0,c,5.0"),
        *("4,a,1.5000000000000002", '4,"b, with a comma",nan', "4,c,25.0"),
    ]
    assert (folder / "toy_surface.csv").read_text(encoding="utf-8").splitlines() == [
        *("kind,x", "grid,0.3333333333333333", "path,2")
    ]


def test_exact_claims_part_by_part(one_problem, tmp_path):
    folder, _ = run(tmp_path)
    result, found = exact.run("E8"), rows(folder / "exact.csv")
    header = "claim,part,statistic,estimate,direction,bound,holds"
    assert list(found[0]) == header.split(",")
    assert [row["part"] for row in found] == ["law", "myth", "eps of 0"]
    for row, part in zip(found, result.parts, strict=True):
        assert row["claim"] == "E8"
        assert float(row["estimate"]) == part.estimate
        assert (float(row["bound"]), row["direction"]) == (part.bound, part.direction)
        assert row["holds"] == "True"


def test_a_claim_that_fails_is_written_so(one_problem, tmp_path, monkeypatch):
    faulty = dataclasses.replace(
        exact.EXACT["E8"], measure=lambda: {"law": 1.0, "myth": math.nan, "eps of 0": 0}
    )
    monkeypatch.setitem(exact.EXACT, "E8", faulty)
    folder, lines = run(tmp_path)
    assert lines[-1].endswith("exact  0 of 1 claims hold")
    found = rows(folder / "exact.csv")
    assert [row["holds"] for row in found] == ["False", "False", "True"]
    assert [row["estimate"] for row in found] == ["1.0", "nan", "0.0"]


def test_what_is_whole_is_kept_and_exact_claims_are_made_anew(one_problem, tmp_path):
    folder, _ = run(tmp_path)
    before = contents(folder)
    (folder / "exact.csv").write_text("", encoding="utf-8")
    _, lines = run(tmp_path)
    assert lines == ["[1/2] toy  kept", "[2/2] exact  1 of 1 claims hold"]
    assert CALLS == ["numbers"]
    assert contents(folder) == before


def torn(file):
    file.write_bytes(file.read_bytes()[:-5])


def changed(file):
    file.write_bytes(file.read_bytes().replace(b"3", b"8", 1))


def replaced(file):
    file.write_bytes(b"\xff\xfe{")


@pytest.mark.parametrize("name", ["toy.csv", "toy_surface.csv", "toy.json"])
@pytest.mark.parametrize("damage", [torn, changed, replaced, Path.unlink])
def test_damaged_files_are_made_anew_with_the_same_bytes(one_problem, tmp_path, name, damage):
    folder, _ = run(tmp_path)
    before = contents(folder)
    damage(folder / name)
    assert contents(folder) != before
    run(tmp_path)
    assert CALLS == ["numbers", "numbers"]
    assert contents(folder) == before


@pytest.mark.parametrize("change", [{"version": 2}, {"seeds": (0, 5)}, {"tables": {}}])
def test_another_version_of_a_problem_is_measured(one_problem, tmp_path, monkeypatch, change):
    folder, _ = run(tmp_path)
    now = dataclasses.replace(TOY, **change)
    monkeypatch.setattr(measure, "PROBLEMS", {"toy": now})
    run(tmp_path)
    assert CALLS == ["numbers", "numbers"]
    facts = json.loads((folder / "toy.json").read_bytes())
    assert (facts["version"], facts["seeds"]) == (now.version, list(now.seeds))


def test_a_measurement_that_breaks_off_leaves_no_file_that_counts(
    one_problem, tmp_path, monkeypatch
):
    def interrupted():
        raise KeyboardInterrupt

    broken = dataclasses.replace(TOY, tables={"surface": interrupted})
    monkeypatch.setattr(measure, "PROBLEMS", {"toy": broken})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(measure, "PROBLEMS", {"toy": TOY})
    folder, _ = run(tmp_path)
    assert CALLS == ["numbers", "numbers"]
    assert not list(folder.glob(".*"))


def test_a_problem_of_the_package_writes_what_it_measures(tmp_path, monkeypatch):
    monkeypatch.setattr(least_squares, "SCALES", (1, 3, 10))
    monkeypatch.setattr(least_squares, "HORIZON", 200)
    problem = dataclasses.replace(PROBLEMS["least_squares"], seeds=(3,))
    measure.measure_problem(tmp_path, "least_squares", problem)
    found = {row["quantity"]: row["value"] for row in rows(tmp_path / "least_squares.csv")}
    expected = least_squares.measure([3])[0]
    assert found == {quantity: repr(float(value)) for quantity, value in expected.items()}
    assert len(rows(tmp_path / "least_squares_surface.csv")) == 2 * (41**2 + 201)


@pytest.mark.slow
def test_processes_give_the_bytes_that_one_process_gives(tmp_path, monkeypatch):
    short = dataclasses.replace(PROBLEMS["least_squares"], seeds=(0, 1))
    monkeypatch.setattr(measure, "PROBLEMS", {"least_squares": short})
    alone = measure.measure(tmp_path / "alone", "digits", 1, lambda line: None)
    together = measure.measure(tmp_path / "together", "digits", 2, lambda line: None)
    assert contents(alone) == contents(together)
