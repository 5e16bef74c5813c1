"""`make status`: a table of what became of the runs, why some failed, and nothing written."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bnbench import ROOT
from bnbench.config.schema import SCHEMA
from bnbench.tracking.experiment_dir import (
    FITTING,
    experiment_path,
    other_schema_line,
    write_arms,
    write_experiment,
)
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.whole_files import write_whole

SCRIPT = ROOT / "scripts" / "status.py"
SCIENCE = {"norm": {"name": "none"}}


@pytest.fixture
def status(tmp_path, monkeypatch, capsys):
    """Run the script on the results of the test: its exit code, its lines, its complaints."""

    def run(*arguments):
        given = arguments or (f"results={tmp_path}/results",)
        monkeypatch.setattr(sys, "argv", ["status.py", *given])
        code = runpy.run_path(str(SCRIPT))["main"]()
        out, err = capsys.readouterr()
        return code, [line.rstrip() for line in out.splitlines()], err

    return run


@pytest.fixture
def results(tmp_path, end):
    """Two experiments; one has a run that is done and one that failed."""
    results = tmp_path / "results"
    for name in ("depth", "placement"):
        folder = experiment_path(results, name, "digits")
        write_arms(folder, [("a", 0, SCIENCE), ("a", 1, SCIENCE), ("b", 0, SCIENCE)])
        write_experiment(folder, {"question": "What?"})
    with RunFolder.of(results, "a", 0).locked():
        RunFolder.of(results, "a", 0).begin(SCIENCE)
        end(RunFolder.of(results, "a", 0).path)
    fail(results, "b", 0, 'Traceback …\n  File "x"\nValueError: too [bold]deep[/bold]\n')
    return results


def fail(results, arm, seed, text):
    path = RunFolder.of(results, arm, seed).path
    with RunFolder(path).locked():
        RunFolder(path).begin(SCIENCE)
        write_whole(path / "error.txt", text)


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


HEAD = "experiment data arms runs done diverged running interrupted failed missing"
ROWS = ["depth digits 2 3 1 0 0 0 1 1", "placement digits 2 3 1 0 0 0 1 1"]
FAILED = "FAILED b seed 0: ValueError: too [bold]deep[/bold]"


def words(lines):
    return [" ".join(line.split()) for line in lines]


def test_a_table_then_what_failed_and_nothing_written(results, status):
    before = snapshot(results)
    code, out, err = status()
    assert (code, err) == (0, "")
    assert words(out[:-1]) == [HEAD, *ROWS, FAILED]  # an arm of two experiments failed once
    assert re.fullmatch(r"space: runs \d\.\d MB, W&B 0\.0 MB", out[-1])
    assert snapshot(results) == before


def test_many_failures_are_counted_not_listed(results, status):
    folder = experiment_path(results, "depth", "digits")
    write_arms(folder, [("c", seed, SCIENCE) for seed in range(25)])
    write_experiment(folder, {})
    for seed in range(25):
        fail(results, "c", seed, "" if seed == 3 else "boom")
    _, out, _ = status()
    assert out[3] == "FAILED c seed 0: boom"
    assert out[6] == "FAILED c seed 3: error.txt is empty"
    assert out[-3:-1] == ["FAILED c seed 19: boom", "and 6 more failed runs"]


def test_the_folder_may_be_given_in_two_ways(results, status):
    assert status("--results", str(results)) == status(f"results={results}")
    assert status()[0] == 0


@pytest.mark.parametrize("argument", ["seeds=[0]", "result=x", "results=", "x", "--results", "-x"])
def test_other_arguments_are_refused_in_one_line(status, argument, capsys):
    with pytest.raises(SystemExit) as stopped:
        status(argument)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert argument in err


def test_without_an_experiment_it_says_what_to_do(status):
    code, out, err = status()
    assert (code, out) == (2, [])
    assert "no experiment was run there yet (make sweep)" in err


def test_a_bad_experiment_is_one_line_and_the_others_are_shown(results, status):
    file = experiment_path(results, "depth", "digits") / "arms.csv"
    file.write_bytes(b"\xff\xfe\0\0")
    code, out, err = status()
    assert code == 1
    assert words(out[:-1]) == [HEAD, ROWS[1], FAILED]
    assert err.startswith(f"bnbench: {file}: ")
    assert err.count("\n") == 1


def test_a_damaged_summary_is_told_beside_its_row(results, status):
    file = RunFolder.of(results, "a", 0).path / "summary.json"
    file.write_text(file.read_text().replace("0.5", "0.6"))
    code, out, err = status()
    assert code == 1
    assert words(out)[1] == "depth digits 2 3 0 0 0 1 1 1"
    assert str(file) in err
    assert err.count("\n") == 1


def test_an_odd_folder_is_one_line_and_the_others_are_shown(results, status):
    (results / "experiments" / "linked").symlink_to(results / "experiments" / "depth")
    Path(os.fsdecode(os.fsencode(results / "experiments") + b"/\xff\n")).mkdir()
    code, out, err = status()
    assert code == 1
    assert words(out[:-1]) == [HEAD, *ROWS, FAILED]
    odd, linked = sorted(err.splitlines())
    assert odd.endswith(rf"/\udcff\n: expected {FITTING}")
    assert linked.endswith(
        "/linked: a link, which is not followed, expected a folder of these results; move it away"
    )


def test_a_curve_that_an_editor_saved_is_told_beside_its_row(results, status, end):
    path = RunFolder.of(results, "a", 0).path
    (path / "metrics.csv").write_bytes(b"step,samples,split,layer,metric,value\n")
    end(path)
    assert status()[0] == 0
    (path / "metrics.csv").write_bytes(b"step,samples,split,layer,metric,value\r\n")
    code, out, err = status()
    assert code == 1
    assert words(out)[1] == "depth digits 2 3 0 0 0 1 1 1"
    assert err.startswith(f"bnbench: {path / 'metrics.csv'}: not what the run wrote; the same")
    assert err.count("\n") == 1


def test_runs_that_no_experiment_asks_for_are_told_with_what_removes_them(results, status):
    """The list is for `xargs rm -r`, whatever the folder is called; strangers' names are not in."""
    kept = snapshot(results)
    for arm, seed in (("a", 2), ("old-none-none-0123abcd", 0)):
        fail(results, arm, seed, "x" * 100_000)
    (results / "runs" / "$(rm x)" / "seed-0").mkdir(parents=True)
    (results / "runs" / "b" / "seed-1").symlink_to(results / "runs" / "a" / "seed-0")
    _, out, _ = status()
    line = "no experiment asks for 2 runs (0.2 MB), which stay until you remove them: make status "
    assert out[-1].startswith(line)
    assert out[-1].endswith(" | xargs rm -r")
    code, out, err = status("--unasked", f"results={results}")
    assert (code, err) == (0, "")
    runs = results / "runs"
    assert [*map(Path, shlex.split(" ".join(out)))] == [
        runs / "a" / "seed-2",
        runs / "old-none-none-0123abcd" / "seed-0",
    ]
    subprocess.run(["xargs", "rm", "-r"], input="\n".join(out), text=True, check=True)
    assert status("--unasked", f"results={results}") == (0, [], "")
    assert kept.keys() <= snapshot(results).keys()


def test_nothing_counts_as_unasked_where_an_experiment_cannot_be_read(results, status):
    fail(results, "a", 2, "x")
    experiment_path(results, "depth", "digits").joinpath("arms.csv").write_bytes(b"\xff")
    assert "no experiment asks" not in "\n".join(status()[1])
    code, out, err = status("--unasked", f"results={results}")
    assert (code, out) == (1, [])
    assert "arms.csv" in err


def test_runs_of_another_schema_are_counted(results, status):
    write_experiment(experiment_path(results, "depth", "digits"), {"schema": SCHEMA - 1})
    _, out, _ = status()
    assert other_schema_line(3) in out
    assert words(out)[1:3] == ROWS
