"""The picture of a running sweep, drawn for terminals of fixed size from made-up run folders."""

import io

import pytest
from rich.console import Console

from bnbench.running import live
from bnbench.running.live import Row, finished_line, picture
from bnbench.running.progress import Watcher
from bnbench.tracking.csv_log import CsvLog, latest
from bnbench.tracking.run_dir import RunFolder

KEY = ("val", "", "accuracy")


def drawn(what, *args, width=80, height=24, **options):
    """The lines that a terminal shows of something."""
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height
    )
    console.print(what(console, *args, **options))
    return console.file.getvalue().splitlines()


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


def watcher(arms, console, **options):
    """A watcher that looks when it is told to; a summary settles a run, an error fails it."""
    found = Watcher(
        *(arms, lambda run: run.summary.exists(), lambda run: run.error.exists()),
        console,
        **options,
    )
    found.watch = lambda: None
    found.thread.run = found.watch
    return found


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
    steps = {"one": 400, "two": 400}
    with watcher(arms, terminal, labels={"one": "mlp · no norm"}, steps=steps) as watching:
        end(arms["one"][0].path)
        write_points(arms["one"][1].path, (100, 0.5))
        write_points(arms["two"][0].path, (7, 0.125))  # of a process that was killed
        with arms["one"][1].locked():
            watching.look()
            assert list(watching.rows) == [Row("mlp · no norm", 1, 1, 2, 100, 400, 0.5)]
        watching.look()
        assert list(watching.rows) == []


def test_what_an_earlier_attempt_left_is_not_shown(arms, terminal):
    run = arms["one"][0]
    with watcher(arms, terminal, steps={"one": 400}) as watching:
        write_points(run.path, (300, 0.75))
        watching.look()
        with run.locked():
            watching.look()
            assert watching.rows == [Row("one", 0, 0, 2, 0, 400, None)]
            run.metrics.unlink()
            write_points(run.path, (8, 0.25))
            watching.look()
            assert watching.rows == [Row("one", 0, 0, 2, 8, 400, 0.25)]


def test_the_time_left_goes_by_steps(arms, terminal, end, monkeypatch):
    clock = iter([100.0, 160.0, 160.0])
    monkeypatch.setattr("bnbench.running.progress.time.monotonic", lambda: next(clock))
    watching = watcher(arms, terminal, steps={"one": 100, "two": 1000})
    assert watching.time_left([]) is None
    watching.open -= set(arms["one"])
    # 60 s for 200 of 2200 steps, then for 700 of them
    assert watching.time_left([]) == pytest.approx(600)
    half = Row("two", 0, 0, 2, step=500, steps=1000)
    assert watching.time_left([half]) == pytest.approx(60 * 1500 / 700)


def test_finished_arms_and_failures_are_printed_above(arms, terminal, end):
    labels = {"one": "mlp · [bold]no norm[/]", "two": "vgg"}
    with watcher(arms, terminal, labels=labels) as watching:
        end(arms["one"][0].path, metrics={"test/accuracy": 0.75})
        end(arms["one"][1].path, metrics={"test/accuracy": 0.25}, status="diverged")
        arms["two"][1].error.write_text("Traceback\n  …\nRuntimeError: [red]boom\n")
        watching.look()
        told = terminal.file.getvalue()
        end(arms["two"][0].path)
    assert "✗ failed \x1b[0mvgg, seed 1: RuntimeError: [red]boom" in told
    assert "mlp · [bold]no norm[/]" in told
    assert "1 diverged" in told
    assert "test 50.0 %" in told
    assert (watching.failures, watching.diverged) == (1, 1)
    assert "1 of 2 runs" in terminal.file.getvalue()
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
    assert out.getvalue().startswith("[1/2] one  2 of 2 runs, test accuracy 50.0 %  (")
    assert "\x1b" not in out.getvalue()


ROWS = [Row(f"vgg · batchnorm · pre · learning rate multiplier {k}", k, 1, 3, 41, 1140, k / 10)
        for k in range(10)]  # fmt: skip


@pytest.mark.parametrize("width", [20, 45, 60, 80, 100, 120, 200])
def test_lines_stay_within_the_terminal(width):
    lines = drawn(picture, 1234, 617, 12, 34, 4000.0, ROWS, width=width)
    assert len(lines) == 11
    assert max(map(len, lines)) <= min(width - live.MARGIN, live.WIDEST)


def test_the_rows_at_80_columns():
    first, five, six = drawn(picture, 30, 15, 1, 2, 200.0, ROWS[5:7])
    assert first.startswith("training ━━━")
    assert first.endswith("15/30 runs · 1 failed · 2 diverged · 3:20 left")
    # the middle of a label goes: both ends tell arms apart
    assert five.startswith("  vgg · batchno")
    assert "…" in five
    assert "multiplier 5 seed 5 (2 of 3) step    41/1,140  val 50.0 %" in five
    assert six.endswith("multiplier 6 seed 6 (2 of 3) step    41/1,140  val 60.0 %")
    assert drawn(picture, 1, rows=[Row("vgg", 0, 0, 1)])[1].endswith("step 0    starting")


@pytest.mark.parametrize("width", [45, 80, 120])
def test_a_finished_arm_is_told_in_full_and_its_accuracy_stands_at_the_right(width):
    lines = drawn(finished_line, "3/20", ROWS[3].label, 3, 3, 0.5, {"diverged": 1}, width=width)
    assert " ".join(" ".join(lines).split()) == (
        f"✓ 3/20 {ROWS[3].label} 1 diverged 3 runs test 50.0 %"
    )
    assert len(lines[-1]) == min(width - live.MARGIN, live.WIDEST)
    assert lines[-1].endswith("3 runs  test 50.0 %")


@pytest.mark.parametrize("height", [1, 3, 4, 5, 8, 13, 14, 40])
def test_there_are_no_more_rows_than_the_terminal_has_lines(height):
    lines = drawn(picture, 10, rows=ROWS, height=height)
    assert len(lines) <= max(1, height - live.SPARE)
    told = sum("val" in line for line in lines)
    assert told == {1: 0, 3: 0, 4: 0, 5: 0, 8: 3, 13: 8, 14: 10, 40: 10}[height]
    if 4 < height < 14:
        assert lines[-1].strip() == f"and {10 - told} more"
