"""Files of a results folder as an editor, Excel, git or a failing disk may leave them.

Whoever reads them gives the numbers of the undamaged folder, or one line that names the file; the
same sweep once more gives back the same bytes.
"""

import contextlib
import csv
import io
import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import hydra
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench import CONFIGS, ROOT, cli
from bnbench.analysis.load import load
from bnbench.config.arms import science
from bnbench.pages import report
from bnbench.running.launch import Work
from bnbench.tracking.experiment_dir import (
    experiment_path,
    find,
    write_arms,
    write_experiment,
    write_runs,
)
from bnbench.train import train_arm

SCRIPTS = ROOT / "scripts"
REQUEST = ("data=synthetic", "train=smoke", "track=csv", "device=cpu")
GRID = ("norm=none,batchnorm", "seeds=[0,1]", "shift=blur", "shift.severities=[1,5]")
FIGURE = {"kind": "versus", "title": "Accuracy", "x": "batch_size", "y": "test/accuracy"}


def compose(*overrides):
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        return cli.read([*REQUEST, *overrides], multirun=True)


def moved(request, results):
    """A request with its results elsewhere."""
    arms = {
        arm.id: replace(arm, config=replace(arm.config, results=str(results)))
        for arm in request.arms.values()
    }
    return replace(request, arms=arms, results=results)


def describe(request):
    """Write what a sweep writes beside its runs."""
    (experiment,) = request.experiments
    path = experiment_path(request.results, experiment.name, experiment.data)
    runs = (
        (arm, seed, science(request.arms[arm].config))
        for arm, seeds in experiment.runs.items()
        for seed in seeds
    )
    write_arms(path, runs)
    write_experiment(path, {"question": "What?", "report": {"figures": [FIGURE], "compare": []}})
    write_runs(request.results, experiment.name, experiment.data)


def train(request):
    """Train what a request lacks, as a sweep does."""
    lacking = Work(request).lacking()
    for arm in lacking:
        train_arm(request.arms[arm].config)
    assert Work(request).lacking() == {}
    return sum(map(len, lacking.values()))


def contents(results):
    (folder,) = find(results)
    experiment = load(folder)
    return experiment.info, experiment.runs, experiment.curves, experiment.shifts


def same(one, other):
    pairs = zip(one, other, strict=True)
    return all(a.equals(b) if isinstance(a, pd.DataFrame) else a == b for a, b in pairs)


def script(name, results):
    """Run a script in process: its exit code, what it printed, and its complaints."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, [name, f"results={results}"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = runpy.run_path(str(SCRIPTS / name))["main"]()
    finally:
        sys.argv = argv
    return code, out.getvalue(), err.getvalue()


def page_of(results):
    return (results / "report.html").read_text(encoding="utf-8")


class Whole:
    """Two arms with two seeds each under one shift, what is read of them, and damaged copies."""

    def __init__(self, folder: Path):
        self.copy = folder / "copy"
        self.results = folder / "results"
        self.request = moved(compose(*GRID), self.results)
        assert train(self.request) == 4
        describe(self.request)
        code, _, err = script("report.py", self.results)
        assert (code, err) == (0, "")
        self.page, self.status = page_of(self.results), script("status.py", self.results)
        self.contents = contents(self.results)

    def copied(self, name: str) -> Path:
        """The last file of that name in a copy of the results that is whole again."""
        for file in self.copy.rglob("*"):
            if file.is_dir() and self.original(file).is_file():
                file.rmdir()
            elif file.is_file() and not self.original(file).exists():
                file.unlink()
        for file in filter(Path.is_file, self.results.rglob("*")):
            copy = self.copy / file.relative_to(self.results)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists() or copy.read_bytes() != file.read_bytes():
                shutil.copyfile(file, copy)
        return sorted(self.copy.rglob(name))[-1]

    def original(self, file: Path) -> Path:
        return self.results / file.relative_to(self.copy)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "draw", lambda *_: None)  # figures are slow, and tested elsewhere
        yield Whole(tmp_path_factory.mktemp("damage"))


KINDS = ("flip", "cut", "append", "insert", "replace", "crlf", "bom", "semicolons", "drop")
changes = st.tuples(
    st.sampled_from([*KINDS, "double", "swap"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(max_size=20) | st.sampled_from([b"4,256,val,,loss,0.5\n", b'"', b"\0", b",,,,,\n"]),
)


def damage(file: Path, kind: str, where: float, junk: bytes) -> None:
    """Do to a file what another program or a crash may do to it."""
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    place, line = int(where * len(content)), int(where * len(lines))
    before, after = content[:place], content[place:]
    file.unlink()
    match kind:
        case "flip":
            content = before + bytes([b ^ (1 << len(junk) % 8) for b in after[:1]]) + after[1:]
        case "cut":
            content = before
        case "append":
            content = content + junk
        case "insert":
            content = before + junk + after
        case "replace":
            content = junk
        case "crlf":
            content = content.replace(b"\n", b"\r\n")
        case "bom":
            content = b"\xef\xbb\xbf" + content
        case "semicolons":
            content = content.replace(b",", b";")
        case "drop":
            content = b"".join(lines[:line] + lines[line + 1 :])
        case "double":
            content = b"".join(lines[: line + 1] + lines[line:])
        case "swap":
            fields = [part.split(b",") for part in lines[line : line + 1]]
            swapped = [b",".join([*rest, first]) for first, *rest in fields]
            content = b"".join(lines[:line] + swapped + lines[line + 1 :])
    file.write_bytes(content)


def names(error: str, file: Path) -> bool:
    """Whether a complaint is one line that names the file."""
    return str(file) in error and len(error.strip().splitlines()) == 1


READ = ["metrics.csv", "shifts.csv", "summary.json", "arms.csv", "runs.csv", "experiment.json"]
ELSE = ["meta.json", "config.yaml", "weights.pt", ".lock"]


def without_space(status: str) -> str:
    """What `make status` says, but for the space, in which a shorter file counts."""
    return "\n".join(line for line in status.splitlines() if not line.startswith("space: "))


def check_readers(whole: Whole, file: Path) -> None:
    """Every reader gives what the undamaged results say, or names the file."""
    try:
        read = contents(whole.copy)
    except ValueError as error:
        problem = str(error)
        assert names(problem, file)
    else:
        problem = ""
        assert same(read, whole.contents)

    code, _, err = script("report.py", whole.copy)
    if problem:
        assert code == 1
        assert names(err, file)
        assert str(file) in page_of(whole.copy)
    else:
        assert (code, err, page_of(whole.copy)) == (0, "", whole.page)

    code, out, err = script("status.py", whole.copy)
    if code == 0:
        assert (code, without_space(out), err) == (0, without_space(whole.status[1]), "")
    else:
        assert (code, names(err, file)) == (1, True)


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=30)
@given(name=st.sampled_from([*READ, *READ, *ELSE]), change=changes)
def test_readers_give_the_same_numbers_or_name_the_file(name, change, whole):
    file = whole.copied(name)
    damage(file, *change)
    check_readers(whole, file)


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=25)
@given(name=st.sampled_from(["metrics.csv", "shifts.csv", "summary.json"]), change=changes)
def test_the_same_sweep_gives_back_the_same_bytes(name, change, whole):
    damage(whole.copied(name), *change)
    assert train(moved(whole.request, whole.copy)) <= 1
    for file in whole.copy.rglob("*"):
        if file.name in ("metrics.csv", "shifts.csv"):
            assert file.read_bytes() == whole.original(file).read_bytes()
    assert same(contents(whole.copy)[2:], whole.contents[2:])


@pytest.mark.slow
@pytest.mark.parametrize("change", [("flip", 0.6, b""), ("cut", 0.9, b""), ("replace", 0, b"PK")])
def test_damaged_weights_evaluate_nothing(change, whole):
    """A flipped bit passes torch.load, and would change what later shifts measure."""
    weights = whole.copied("weights.pt")
    shifts, metrics = weights.with_name("shifts.csv"), weights.with_name("metrics.csv")
    one = ("norm=none", "seeds=[1]", "shift=blur", "shift.severities=[1,3,5]")
    more = moved(compose(*one), whole.copy)
    assert [run.weights for run in Work(more).arm_of] == [weights]
    train(more)
    expected = sorted(shifts.read_bytes().splitlines())
    damage(whole.copied("weights.pt"), *change)
    train(more)
    assert sorted(shifts.read_bytes().splitlines()) == expected
    assert metrics.read_bytes() == whole.original(metrics).read_bytes()


@pytest.mark.parametrize("name", READ)
def test_a_folder_in_the_place_of_a_file_is_named(name, whole):
    file = whole.copied(name)
    file.unlink()
    file.mkdir()
    code, _, err = script("report.py", whole.copy)
    assert code == 1
    assert names(err, file)
    if file.is_relative_to(whole.copy / "runs"):
        request = moved(whole.request, whole.copy)
        (arm,) = Work(request).lacking()
        assert str(file) in train_arm(request.arms[arm].config)[1]


@pytest.mark.parametrize("name", ["metrics.csv", "shifts.csv"])
def test_a_file_that_is_gone_is_named(name, whole):
    file = whole.copied(name)
    file.unlink()
    check_readers(whole, file)
    assert train(moved(whole.request, whole.copy)) == 1
    assert file.read_bytes() == whole.original(file).read_bytes()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2.5, float("nan"), float("inf"), 10**30, 10**400])
    | st.sampled_from(["", "x", "nan", "0.5", "a/b", "..", "\x00", "\ud800", "${oc.env:HOME}"])
    | st.sampled_from(["done", "curves", "seed", "seed ==", "64", "val/loss", "2025-06-01"]),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=3,
)


def places(value, path=()):
    """The paths of all values in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(value, path, new):
    if not path:
        return new
    node = value
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = new
    return value


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=30)
@given(name=st.sampled_from(["summary.json", "experiment.json"]), new=VALUES, draw=st.data())
def test_json_of_the_wrong_type_is_one_line(name, new, draw, whole):
    """As an older version or a hand may have written it: without checksums."""
    file = whole.copied(name)
    content = json.loads(file.read_bytes())
    del content["checksum"], content["sha256"]
    path = draw.draw(st.sampled_from(list(places(content))))
    file.write_text(json.dumps(put(content, path, new)))
    for reader in ("report.py", "status.py"):
        code, _, err = script(reader, whole.copy)
        assert (code, err) == (0, "") or (code == 1 and err.count("\n") == 1)


CELLS = ("", "x", "nan", "-1", "1.5", "1e999", "[", '["x"]', "done", "..", "a/b", "\0", "é", "1,5")


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=30)
@given(name=st.sampled_from(["arms.csv", "runs.csv"]), cell=st.sampled_from(CELLS), draw=st.data())
def test_cells_of_the_wrong_type_are_one_line(name, cell, draw, whole):
    file = whole.copied(name)
    file.with_name("experiment.json").unlink()  # which knows the hash of arms.csv
    if name == "runs.csv":
        file.with_name("arms.csv").unlink()  # from which it is derived
    rows = list(csv.reader(file.read_text().splitlines()))
    row = draw.draw(st.sampled_from(rows))
    row[draw.draw(st.integers(0, len(row) - 1))] = cell
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    code, _, err = script("report.py", whole.copy)
    assert (code, err) == (0, "") or (code == 1 and err.count("\n") == 1)
