"""arms.csv says what was asked for, runs.csv what became of it."""

import csv
import json

import pytest

from bnbench.tracking.experiment_dir import (
    experiment_path,
    read_arms,
    read_experiment,
    tabulate,
    write_arms,
    write_experiment,
    write_runs,
)
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.whole_files import write_whole

SCIENCE = {"norm": {"name": "none"}, "batch_size": 64, "model": {"widths": [100, 100]}}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path):
    """An experiment that asks for two arms with two seeds each."""
    folder = experiment_path(tmp_path, "placement", "digits")
    other = {"norm": {"name": "batchnorm", "eps": 1e-05}, "batch_size": 64}
    asked = [("a", 0, SCIENCE), ("a", 1, SCIENCE), ("b", 0, other), ("b", 1, other)]
    write_arms(folder, asked)
    write_experiment(folder, {"question": "What?", "report": {"figures": []}})
    return folder


def test_tables_of_an_experiment(tmp_path, folder, end):
    asked = rows(folder / "arms.csv")
    assert list(asked[0])[:2] == ["arm", "seed"]
    assert asked[0]["model.widths"] == "[100, 100]"
    assert (asked[0]["norm.eps"], asked[2]["norm.eps"]) == ("", "1e-05")

    for arm, status in (("a", "done"), ("b", "diverged")):
        path = RunFolder.of(tmp_path, arm, 0).path
        with RunFolder(path).locked():
            RunFolder(path).begin(SCIENCE)
            end(path, status=status)
    path = RunFolder.of(tmp_path, "b", 1).path
    with RunFolder(path).locked():
        RunFolder(path).begin(SCIENCE)
        write_whole(path / "error.txt", "boom")

    runs = rows(write_runs(tmp_path, "placement", "digits"))
    assert list(runs[0])[:6] == ["arm", "seed", "status", "stuck", "norm.name", "batch_size"]
    assert [run["status"] for run in runs] == ["done", "missing", "diverged", "failed"]
    assert (runs[0]["test/accuracy"], runs[0]["val/loss"]) == ("0.5", "")
    assert (runs[0]["steps_to/0.5"], runs[0]["steps_to/0.95"]) == ("12.5", "")
    assert runs[1]["test/accuracy"] == ""
    assert json.loads(runs[0]["parameters"]) == 7


def test_a_run_whose_summary_is_damaged_has_no_result(tmp_path, folder, end):
    path = RunFolder.of(tmp_path, "a", 1).path
    with RunFolder(path).locked():
        RunFolder(path).begin(SCIENCE)
        end(path)
    file = path / "summary.json"
    file.write_text(file.read_text().replace("0.5", "0.6"))
    table = tabulate(tmp_path, "placement", "digits")
    assert table.rows[1]["status"] == "interrupted"
    assert "test/accuracy" not in table.header
    (line,) = table.damaged
    assert line.startswith(f"{file}: not what was written")


def test_a_record_stays_until_one_of_its_runs_is_there(tmp_path, folder, end):
    file = folder / "runs.csv"
    file.write_text("arm,seed,status\na,0,done\n")
    write_runs(tmp_path, "placement", "digits")
    assert file.read_text() == "arm,seed,status\na,0,done\n"
    path = RunFolder.of(tmp_path, "b", 1).path
    with RunFolder(path).locked():
        RunFolder(path).begin(SCIENCE)
        end(path)
    write_runs(tmp_path, "placement", "digits")
    assert [run["status"] for run in rows(file)] == ["missing", "missing", "missing", "done"]


def changed(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: changed(text, ",64,", ",65,"),
        lambda text: text[: text.rindex("b,1")],  # the request of fewer runs
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "",
    ],
)
def test_arms_csv_is_what_the_sweep_wrote(folder, change):
    before = read_arms(folder)
    file = folder / "arms.csv"
    file.write_text(change(file.read_text()), newline="")
    with pytest.raises(DamagedError, match="not what the sweep wrote; the same `make sweep`") as e:
        read_arms(folder)
    assert str(e.value).startswith(f"{file}: ")
    file.write_text("arm,seed\na,0\n")
    write_experiment(folder, {})  # as the next sweep does
    assert read_arms(folder) == [{"arm": "a", "seed": "0"}] != before


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "expected the columns arm, seed and others, each once"),
        (b"arm;seed\na;0\n", "expected the columns arm, seed and others, each once"),
        (b"arm,seed,seed\na,0,0\n", "expected the columns arm, seed and others, each once"),
        (b"arm,seed\na,0,0\n", "line 2: expected 2 fields"),
        (b"arm,seed\na\n", "line 2: expected 2 fields"),
        (b"arm,seed\na,0\na,x\n", "line 3: expected an arm and its seed"),
        (b"arm,seed\na,-1\n", "line 2: expected an arm and its seed"),
        (b"arm,seed\n../a,1\n", "line 2: expected an arm and its seed"),
        (b"arm,seed\na,0\na,0\n", "line 3: the run is listed twice"),
        (b"arm,seed\na,\xff\n", "'utf-8' codec can't decode byte 0xff"),
        (b'arm,seed\n"a,0\n', "unexpected end of data"),
    ],
)
def test_an_arms_csv_without_a_hash_has_to_make_sense(folder, content, complaint):
    (folder / "experiment.json").unlink()
    (folder / "arms.csv").write_bytes(content)
    with pytest.raises(DamagedError) as error:
        read_arms(folder)
    assert str(error.value).startswith(f"{folder / 'arms.csv'}: {complaint}")
    assert "\n" not in str(error.value)


def test_excels_mark_and_line_ends_are_no_harm(folder):
    (folder / "experiment.json").unlink()
    before = read_arms(folder)
    text = (folder / "arms.csv").read_text()
    (folder / "arms.csv").write_text("\ufeff" + text, encoding="utf-8", newline="\r\n")
    assert read_arms(folder) == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda text: changed(text, "What?", "Why?"),
            "not what was written (its checksum differs)",
        ),
        (lambda text: changed(text, "checksum", "chequesum"), "not what was written"),
        (lambda text: text[:-5], "not JSON"),
        (lambda text: "[]", "expected a JSON object"),
        (lambda text: '{"report": []}', "report is of the wrong type"),
        (lambda text: '{"git_dirty": "no"}', "git_dirty is of the wrong type"),
        (lambda text: '{"tune": [100]}', "tune is of the wrong type"),
        (lambda text: '{"tune": {"seeds": 100}}', "tune.seeds is of the wrong type"),
    ],
)
def test_experiment_json_is_what_the_sweep_wrote(folder, change, complaint):
    assert read_experiment(folder)["question"] == "What?"
    file = folder / "experiment.json"
    file.write_text(change(file.read_text()))
    with pytest.raises(DamagedError) as error:
        read_experiment(folder)
    assert str(error.value).startswith(f"{file}: {complaint}")


def test_an_editor_may_lay_out_experiment_json_anew(folder):
    before = read_experiment(folder)
    file = folder / "experiment.json"
    file.write_text(json.dumps(json.loads(file.read_text()), sort_keys=True), newline="\r\n")
    assert read_experiment(folder) == before


def test_shifts_that_an_experiment_asks_for_are_columns(tmp_path, folder, end):
    """Others that its runs were evaluated under, for another experiment, are not."""
    run = RunFolder.of(tmp_path, "a", 0)
    with run.locked():
        run.begin(SCIENCE)
        lines = [
            "shift,severity,policy,metric,value",
            *("contrast,5,ema,accuracy,0.25", "contrast,5,precise,accuracy,0.5"),
            *("contrast,1,ema,accuracy,0.75", "blur,5,none,loss,1.5"),
        ]
        run.shifts.write_text("\n".join(lines) + "\n")
        end(run.path)
    assert not any("shift" in name for name in tabulate(tmp_path, "placement", "digits").header)
    write_experiment(folder, {"shifts": ["contrast-5", "blur-5"]})
    first, second, *_ = rows(write_runs(tmp_path, "placement", "digits"))
    assert {name: value for name, value in first.items() if "shift" in name} == {
        "shift/accuracy/contrast-5": "0.25",
        "shift@precise/accuracy/contrast-5": "0.5",
        "shift/loss/blur-5": "1.5",
    }
    assert second["shift/accuracy/contrast-5"] == ""
