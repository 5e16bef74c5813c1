"""What a sweep says while it runs, on terminals of fixed size, from made-up run folders."""

import io
import os
import re
import sys
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from bnbench.running import progress
from bnbench.running.progress import Row, Watcher
from bnbench.tracking.csv_log import CsvLog, latest
from bnbench.tracking.run_dir import RunFolder

KEY = ("val", "", "accuracy")


class FoundWork:
    """Work that is told by files alone: a summary settles a run, an error fails it."""

    reason = staticmethod(RunFolder.last_error)

    def settled(self, run):
        return run.summary.exists()

    def failed(self, run):
        return run.error.exists()


@pytest.fixture
def terminal():
    """A terminal that remembers all that was written to it."""
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24)


@pytest.fixture
def arms(tmp_path):
    folders = {a: [RunFolder(tmp_path / a / f"seed-{k}") for k in (0, 1)] for a in ("one", "two")}
    for run in (run for runs in folders.values() for run in runs):
        run.path.mkdir(parents=True)
    return folders


class FoundLeft:
    """The time left as two minutes; it remembers what it is told."""

    def __init__(self, runs):
        self.loads = {run: SimpleNamespace(steps=400) for run in runs}
        self.begun, self.ended, self.closed, self.counted = False, {}, set(), []

    def count(self, now, begun):
        self.counted.append((now, begun))

    def end(self, run, training, whole, steps):
        self.ended[run] = training, whole, steps

    def close(self, run):
        self.closed.add(run)

    def seconds(self, steps):
        self.steps = steps
        return 120.0


def watcher(arms, console, labels=None):
    """A watcher that looks when it is told to."""
    left = FoundLeft(run for runs in arms.values() for run in runs)
    named = {arm: arm for arm in arms} | (labels or {})
    found = Watcher(FoundWork(), arms, console, named, left)
    found.watch = lambda: None
    found.thread.run = found.watch
    return found


def drawn(rows, total=10, done=0, failures=0, diverged=0, width=80):
    """The lines that a terminal shows of a sweep of some runs, of which the first have failed."""
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=24
    )
    runs = [RunFolder.of(Path("nowhere"), "one", seed) for seed in range(total)]
    found = watcher({"one": runs}, console)
    found.open = set(runs[done:])
    found.results = {run: (0.5, []) for run in runs[failures:done]}
    found.results |= {run: (0.5, ["diverged"]) for run in runs[failures : failures + diverged]}
    found.rows = rows
    console.print(found.picture())
    return console.file.getvalue().splitlines()


def write_points(path, *points):
    log = CsvLog(path / "metrics.csv")
    for step, accuracy in points:
        values = {("train", "", "accuracy"): 1.0, KEY: accuracy, ("val", "", "loss"): 0.5}
        log.write(step, 64 * step, values | {("val@precise", "", "accuracy"): 0.0})
    log.close()


def test_the_last_validation_accuracy_of_a_run_that_is_trained(tmp_path):
    file = tmp_path / "metrics.csv"
    assert latest(file, KEY) is None
    write_points(tmp_path)
    assert latest(file, KEY) is None
    write_points(tmp_path, (10, 0.25), (20, 0.75))
    assert latest(file, KEY) == (20, 0.75)
    whole = file.read_bytes()
    ends = [whole.index(b"0.75") + k for k in range(5)]
    # cut within the number it is not yet there, whatever the digits that are
    assert [latest_of(file, whole[:end]) for end in ends] == [(10, 0.25)] * 5
    assert latest_of(file, whole[: ends[-1] + 1]) == (20, 0.75)
    assert latest_of(file, whole + b"30,1920,val,,accuracy,0.9x\n") == (20, 0.75)
    assert latest_of(file, whole + b"\xff\x00,,\n30,1") == (20, 0.75)


def latest_of(file, content):
    file.write_bytes(content)
    return latest(file, KEY)


def test_only_the_end_of_a_long_file_is_read(tmp_path):
    file = tmp_path / "metrics.csv"
    early = b"1,64,val,,accuracy,0.125\n"
    file.write_bytes(early + b"x" * 16_000 + b"\n")
    assert latest(file, KEY) == (1, 0.125)
    file.write_bytes(early + b"x" * 20_000 + b"\n")
    assert latest(file, KEY) is None


def test_a_row_per_run_that_is_held(arms, terminal, end):
    with watcher(arms, terminal, {"one": "mlp · no norm"}) as watching:
        end(arms["one"][0].path)
        write_points(arms["one"][1].path, (100, 0.5))
        write_points(arms["two"][0].path, (7, 0.125))  # of a process that was killed
        with arms["one"][1].locked():
            watching.look()
            assert list(watching.rows) == [Row(arms["one"][1], "mlp · no norm", 100, 400, 0.5)]
        watching.look()
        assert list(watching.rows) == []


def test_the_time_left_hears_what_ends_and_how_far_the_rest_is(arms, terminal, end, monkeypatch):
    monkeypatch.setattr("bnbench.running.progress.time.monotonic", lambda: 7.0)
    (trained, kept), (fails, goes_on) = arms.values()
    kept.config.write_text("trained before, and now evaluated under shifts")
    with watcher(arms, terminal) as watching:
        watching.look()
        assert watching.left.counted == [(7, False)]
        trained.config.write_text("batch_size: 64")
        for run in (trained, kept):
            end(run.path, seconds=3.5, steps=20)
        os.utime(trained.config, (1000, 1000))
        os.utime(trained.summary, (1000, 1004.25))
        fails.error.write_text("boom")
        write_points(goes_on.path, (100, 0.5))
        with goes_on.locked():
            watching.look()
        assert watching.left.ended == {trained: (3.5, 4.25, 20)}
        assert {kept, fails} <= watching.left.closed
        assert watching.left.steps == {goes_on: 100}
        assert watching.left.counted[-1] == (7, True)
        assert "2:00 left" in terminal.file.getvalue()


def test_finished_arms_and_failures_are_printed_above(arms, terminal, end):
    labels = {"one": "mlp · [bold]no norm[/]", "two": "vgg"}
    with watcher(arms, terminal, labels) as watching:
        end(arms["one"][0].path, metrics={"test/accuracy": 0.75})
        end(arms["one"][1].path, metrics={"test/accuracy": 0.25}, status="diverged")
        arms["two"][1].error.write_text("Traceback\n  …\nRuntimeError: [red]boom\n")
        watching.look()
        told = terminal.file.getvalue()
        end(arms["two"][0].path)
    assert "✗ failed \x1b[0mvgg, seed 1: RuntimeError: [red]boom" in told
    assert "test  50.0 %  mlp · [bold]no norm[/]\x1b[35m · 1 diverged" in told
    assert "3/4 runs" in told
    assert "test  50.0 %  vgg\x1b[31m · 1 of 2 runs" in terminal.file.getvalue()
    # the picture is gone, and the cursor is back
    assert terminal.file.getvalue().count("\x1b[?25l") == 1
    assert terminal.file.getvalue().rstrip().endswith("\x1b[2K")
    assert "\x1b[?25h" in terminal.file.getvalue()


def test_an_interrupt_leaves_the_bar_and_the_cursor(arms, terminal):
    with pytest.raises(KeyboardInterrupt), watcher(arms, terminal):
        raise KeyboardInterrupt
    end_of_output = terminal.file.getvalue()[-300:]
    assert "0/4 runs" in end_of_output
    assert end_of_output.endswith("\x1b[?25h")


def test_a_file_gets_no_picture_even_with_colours(arms, end):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, force_interactive=False, color_system=None)
    with watcher(arms, console):
        end(arms["one"][0].path)
        end(arms["one"][1].path)
    assert out.getvalue().startswith("[1/2] one: 2 of 2 runs, test accuracy 50.0 % (")
    assert "\x1b" not in out.getvalue()


def row(label, seed, step, steps, accuracy):
    return Row(RunFolder.of(Path("nowhere"), "one", seed), label, step, steps, accuracy)


ROWS = [row(f"vgg · batchnorm · pre · learning rate multiplier {k}", k, 41, 1140, k / 10)
        for k in range(10)]  # fmt: skip


@pytest.mark.parametrize("width", [20, 45, 60, 80, 100, 120, 200])
def test_lines_stay_within_the_terminal(width):
    lines = drawn(ROWS, 1234, 617, 12, 34, width=width)
    assert sum(line.startswith(("  v", "  …")) for line in lines) == 10
    assert max(map(len, lines)) <= min(width - progress.MARGIN, progress.WIDEST)


def test_the_rows_at_80_columns():
    first, five, six = drawn(ROWS[5:7], 30, 15, 1, 2)
    assert first.startswith("training ━━━")
    assert re.search(r" 15/30 runs · 1 failed · 2 diverged · \d:\d\d left$", first)
    # the middle of a label goes: both ends tell arms apart
    assert five.startswith("  vgg · batchnorm")
    assert "…" in five
    assert five.endswith("multiplier 5 seed 5 step    41/1,140  val 50.0 %")
    assert six.endswith("multiplier 6 seed 6 step    41/1,140  val 60.0 %")
    assert drawn([row("vgg", 0, 0, 400, None)])[1].endswith("step   0/400    starting")


def test_there_are_no_more_rows_than_the_terminal_has_lines(arms):
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=6)
    with watcher(arms, console) as watching:
        watching.running = lambda: ROWS
        watching.look()
        assert sum("vgg" in line for line in console.file.getvalue().splitlines()) == 4


def test_a_line_per_arm_where_there_is_no_terminal(arms, end):
    out = io.StringIO()
    with watcher(arms, Console(file=out, width=120)):
        end(arms["one"][0].path, metrics={"test/accuracy": 0.5})
        end(arms["one"][1].path, metrics={"test/accuracy": 0.1}, status="diverged")
        end(arms["two"][0].path, metrics={"test/accuracy": 0.25}, stuck=True)
        arms["two"][1].error.write_text("boom")
    failed, one, two = out.getvalue().splitlines()
    assert failed == "failed: two, seed 1: boom"
    assert one.startswith("[1/2] one: 2 of 2 runs, test accuracy 30.0 %, 1 diverged (")
    assert two.startswith("[2/2] two: 1 of 2 runs, test accuracy 25.0 %, 1 stuck at chance (")


class Cell:
    """The output of a notebook's cell, which remembers all that was drawn in it."""

    def __init__(self):
        self.drawn = []

    def update(self, data, raw):
        assert raw
        (text,) = data.values()
        assert list(data) == ["text/plain"]
        self.drawn.append(text)


@pytest.fixture
def cell(monkeypatch):
    """The cell that a notebook would show: what IPython is in a process with a kernel."""
    cell = Cell()

    def display(data, raw, display_id):
        assert display_id is True
        cell.update(data, raw)
        return cell

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return cell


def test_a_notebook_shows_one_bar_that_is_drawn_anew_and_goes_when_all_is_done(arms, cell, end):
    console = Console(file=io.StringIO(), width=80)
    with watcher(arms, console) as shown:
        shown.look()
        end(arms["one"][0].path)
        shown.look()
        assert cell.drawn[0] == ""
        first, second = cell.drawn[1:3]
        assert first.startswith("training")
        assert "0/4 runs · 2:00 left" in first
        assert "1/4 runs" in second
        assert second.count("━") > first.count("━") == 0
        assert "\x1b" not in second
        for run in (run for runs in arms.values() for run in runs):
            end(run.path)
    assert cell.drawn[-1] == ""
    assert console.file.getvalue().count("test accuracy 50.0 %") == 2  # a line for each arm


def test_what_an_interrupted_sweep_came_to_stays_in_the_notebook(arms, cell):
    with pytest.raises(KeyboardInterrupt), watcher(arms, Console(file=io.StringIO(), width=80)):
        raise KeyboardInterrupt
    assert "0/4 runs" in cell.drawn[-1]


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["script", "ipython in a shell"])
def test_without_a_kernel_there_is_no_cell(shell, cell, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    assert progress.notebook_output() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert progress.notebook_output() is None


def test_the_thread_that_looks_draws_for_the_cell_that_began_the_sweep(arms, terminal):
    asked = ContextVar("cell")
    asked.set("this cell")
    left = FoundLeft(run for runs in arms.values() for run in runs)
    found = Watcher(FoundWork(), arms, terminal, {arm: arm for arm in arms}, left)
    seen = []
    found.look = lambda: seen.append(asked.get())
    found.stop.wait = lambda seconds: bool(seen)  # a single look
    found.thread.start()
    found.thread.join()
    assert seen == ["this cell"]
