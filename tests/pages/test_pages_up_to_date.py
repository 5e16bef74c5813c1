"""A report is written where anything that it shows has changed, and only there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_results import config, write_experiment, write_run

from bnbench import ROOT
from bnbench.commands.report import write_changed
from bnbench.pages import report as pages
from bnbench.pages import up_to_date
from bnbench.tracking.run_dir import RunFolder

VERSUS = {"kind": "versus", "title": "Accuracy", "x": "batch_size", "y": "test/accuracy"}
FIGURE = "experiments/one/digits/figures/01-accuracy"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bnbench" / "reports"


@pytest.fixture
def folder(results):
    rows = [write_run(results, config(), seed) for seed in range(2)]
    return write_experiment(results, "one", rows, report={"figures": [VERSUS], "compare": []})


@pytest.fixture
def written(results, folder, monkeypatch):
    """Write a first report; from then on a report is counted and not made."""
    assert write_changed(results) == (results / "report.html", [])
    calls = []

    def write(results, jobs):
        calls.append(results)
        return up_to_date.Report(results / "report.html", [])

    monkeypatch.setattr(pages, "write_report", write)
    return calls


def test_unchanged_results_keep_their_report_to_the_byte(results, written):
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert write_changed(results) == (results / "report.html", [])
    assert written == []
    assert before == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}


def flip(file):
    """Change one digit of a file; its size and times stay."""
    facts, text = file.stat(), file.read_bytes()
    file.write_bytes(text[:-2] + bytes([text[-2] ^ 1]) + text[-1:])
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES = {
    "a value of a run": lambda results: flip(next(results.glob("runs/*/seed-0/metrics.csv"))),
    "a run that is gone": lambda results: shutil.rmtree(next(results.glob("runs/*/seed-1"))),
    "a run that began": lambda results: (results / "runs/mlp-none/seed-0").mkdir(parents=True),
    "a declaration": lambda results: flip(results / "experiments/one/digits/experiment.json"),
    "another experiment": lambda results: (results / "experiments/two/digits").mkdir(parents=True),
    "the scoreboard of claims": lambda results: (results / "claims/digits").mkdir(parents=True),
    "a page edited by hand": lambda results: flip(results / "report.html"),
    "a figure painted over": lambda results: flip(results / f"{FIGURE}.png"),
    "a figure that is gone": lambda results: (results / f"{FIGURE}.svg").unlink(),
    "a page that is a link": lambda results: (
        (results / "report.html").rename(results / "a")
        and (results / "report.html").symlink_to(results / "a")
    ),
    "a pipe": lambda results: os.mkfifo(results / "runs" / "pipe"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_report_is_written_anew_where_something_changed(results, written, change):
    change(results)
    write_changed(results)
    assert written == [results]


def test_weights_are_not_read_for_a_report(results, written):
    (next(results.glob("runs/*/seed-0")) / "weights.pt").write_bytes(b"weights")
    write_changed(results)
    assert written == []


def test_a_run_in_training_is_a_change_without_any_file(results, folder, monkeypatch):
    with RunFolder.of(results, "mlp-none-none-01234567", 0).locked():
        pass
    write_changed(results)
    calls = []
    monkeypatch.setattr(pages, "write_report", lambda results, jobs: calls.append(results))
    run = RunFolder.of(results, "mlp-none-none-01234567", 0)
    with run.locked(), pytest.raises(AttributeError):  # no report came of it
        write_changed(results)
    assert calls == [results]
    write_changed(results)
    assert calls == [results]


def test_other_code_or_another_library_writes_anew(results, written, monkeypatch):
    monkeypatch.setattr(up_to_date, "version", lambda name: "0")
    write_changed(results)
    assert written == [results]


def test_a_source_that_an_editor_takes_away_meanwhile_is_no_problem(results, folder, monkeypatch):
    read, gone = Path.read_bytes, up_to_date.CONFIGS / "config.yaml"

    def taken_away(path):
        if path == gone:
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", taken_away)
    assert write_changed(results) == (results / "report.html", [])


def test_pages_of_a_stranger_are_never_taken_for_ours(results, written, tmp_path):
    """Whoever knows how a report is remembered may write all of it into a folder, but one."""
    other = tmp_path / "sent"
    shutil.copytree(results, other)
    (other / "report.html").write_text("<script>alert(1)</script>")
    write_changed(other)
    assert written == [other]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": NaN, "b": [{}]}', "[" * 100_000, "\0"])
def test_a_damaged_memory_is_none(results, written, cache, text):
    for file in cache.iterdir():
        file.write_text(text)
    write_changed(results)
    write_changed(results)
    assert written == [results]  # and the second time it is remembered again


def test_only_the_last_of_many_results_are_remembered(results, written, cache, monkeypatch):
    before = {*cache.iterdir()}
    assert len(before) == 2  # a report, and the figures of its experiment
    monkeypatch.setattr(up_to_date, "KEPT", 2)
    for name in ("a", "b"):
        up_to_date._remember(results / name, {})
    assert len({*cache.iterdir()}) == 2
    assert not before & {*cache.iterdir()}


def test_a_report_with_a_problem_is_tried_again(results, folder, cache):
    (folder / "experiment.json").write_text("[]")
    for _ in range(2):
        assert len(write_changed(results).problems) == 1
    assert not cache.exists()


def test_what_is_trained_while_a_report_is_written_is_in_the_next_one(
    results, folder, cache, monkeypatch
):
    write = pages.write_report

    def slowly(results, jobs):
        made = write(results, jobs)
        flip(next(results.glob("runs/*/seed-0/metrics.csv")))
        return made

    monkeypatch.setattr(pages, "write_report", slowly)
    assert write_changed(results).problems == []
    assert up_to_date._remembered(results) == {}


@pytest.mark.slow
@pytest.mark.parametrize("has_home", [True, False])
def test_nothing_is_remembered_without_a_place_for_it(results, folder, monkeypatch, has_home):
    def home():
        if has_home:
            return Path("/dev/null")
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(Path, "home", home)
    for _ in range(2):
        assert write_changed(results).problems == []
    assert not os.path.lexists("relative")


def test_an_unchanged_report_imports_nothing_that_draws(results, written):
    code = (
        "import sys; sys.argv[1:] = [f'results={sys.argv[1]}']\n"
        "from bnbench.commands.report import main\n"
        "assert main() == 0\n"
        "print(sorted({'pandas', 'matplotlib', 'scipy', 'torch', 'jinja2'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(results)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout == f"report: {results / 'report.html'}\n[]\n"


def drawn(monkeypatch):
    """Count the figures that are drawn."""
    calls, draw = [], pages.draw
    monkeypatch.setattr(
        pages,
        "draw",
        lambda spec, experiment: calls.append(experiment.name) or draw(spec, experiment),
    )
    return calls


@pytest.mark.slow
def test_figures_are_drawn_only_where_their_experiment_changed(results, folder, monkeypatch):
    """The page is the same as from an empty memory, whichever figures were kept."""
    rows = [write_run(results, config(), seed) for seed in range(3)]
    write_experiment(results, "two", rows, report={"figures": [VERSUS, VERSUS], "compare": []})
    calls = drawn(monkeypatch)
    pages.write_report(results)
    assert calls == ["one", "two", "two"]
    page = (results / "report.html").read_bytes()
    (results / "report.html").unlink()
    calls.clear()
    pages.write_report(results)
    assert calls == []
    assert (results / "report.html").read_bytes() == page
    (results / f"{FIGURE}.png").unlink()
    pages.write_report(results)
    assert calls == ["one"]
    calls.clear()
    flip(next(results.glob("runs/*/seed-2/metrics.csv")))
    pages.write_report(results)
    assert set(calls) <= {"two"}


@pytest.mark.slow
def test_processes_draw_the_same_bytes(results, monkeypatch):
    rows = [write_run(results, config(), seed) for seed in range(3)]
    titles = [{**VERSUS, "title": f"Accuracy {n}"} for n in range(2)]
    for name in ("one", "two", "three"):
        write_experiment(results, name, rows, report={"figures": titles, "compare": []})
    pages.write_report(results, jobs=1)
    files = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    shutil.rmtree(results / "experiments/two/digits/figures")
    pages.write_report(results, jobs=2)
    assert files == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
