"""The state of a run is what its folder says, and a dead process holds nothing."""

import errno
import json
import math
import os
import signal
import subprocess
import sys

import pytest

from bnbench.tracking.csv_log import CsvLog
from bnbench.tracking.run_dir import RunBusyError, RunFolder, State
from bnbench.tracking.whole_files import as_json, naming, replacing, write_whole

HOLD = """
import sys
from pathlib import Path
from bnbench.tracking.run_dir import RunFolder
run = RunFolder(Path(sys.argv[1]))
with run.locked():
    run.begin({"model": {"name": "mlp"}})
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    return RunFolder.of(tmp_path, "mlp-none-none-00000000", 0)


def test_where_a_run_lies(tmp_path, run):
    assert run.path == tmp_path / "runs" / "mlp-none-none-00000000" / "seed-0"
    assert (run.arm, run.seed) == ("mlp-none-none-00000000", 0)


def test_states_in_the_life_of_a_run(run, end):
    assert run.state() == State.missing
    with run.locked():
        assert run.state() == State.running
        run.begin({"batch_size": 64})
    assert run.state() == State.interrupted
    write_whole(run.error, "ValueError: no\n")
    assert run.state() == State.failed
    with run.locked():
        run.begin({"batch_size": 64})
        assert not run.error.exists()
        end(run.path)
    assert run.state() == State.done


def test_a_new_attempt_starts_from_an_empty_folder(run):
    with run.locked():
        for name in ("metrics.csv", "shifts.csv", "weights.pt", "meta.json", "summary.json"):
            write_whole(run.path / name, "old")
        run.begin({"batch_size": 64})
    assert sorted(p.name for p in run.path.iterdir()) == [".lock", "config.yaml"]


def test_a_second_process_is_refused_and_a_killed_one_lets_go(run):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert run.state() == State.running
        with pytest.raises(RunBusyError), run.locked():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert run.state() == State.interrupted
    with run.locked():
        pass


def test_asking_for_the_state_creates_nothing(run):
    run.state()
    assert not run.path.exists()
    run.path.mkdir(parents=True)
    assert run.state() == State.missing
    assert list(run.path.iterdir()) == []


def refuse(number):
    raise OSError(number, os.strerror(number))


def test_a_file_is_whole_or_absent(run, monkeypatch):
    run.path.mkdir(parents=True)
    write_whole(run.summary, "old")

    def full_disk(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left .*the disk is full.*summary\.json"):
        write_whole(run.summary, "new")
    assert run.summary.read_text() == "old"
    assert [p.name for p in run.path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EFBIG, "ulimit -f")],
)
def test_a_line_that_cannot_be_written_is_told_with_its_file(tmp_path, monkeypatch, number, words):
    log = CsvLog(tmp_path / "metrics.csv")
    with pytest.raises(OSError, match=rf"{words}.*metrics\.csv") as caught, naming(log.path):
        refuse(number)
    assert caught.value.errno == number
    monkeypatch.setattr("os.fsync", lambda _: refuse(number))
    with pytest.raises(OSError, match=rf"{words}.*metrics\.csv"):
        log.close()
    assert log.file.closed


def test_an_error_that_names_its_file_is_left_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="'/nowhere'"), naming(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file", "/nowhere")


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    """Both write at once: each finds its own unfinished file, and the last one wins whole."""
    path = tmp_path / "runs.csv"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


def test_a_look_does_not_keep_a_trainer_out(run):
    with run.locked():
        pass
    with run.locked(shared=True):
        assert run.state() == State.interrupted


def test_json_has_null_for_what_is_not_a_number():
    text = as_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}, "e": True})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": {"d": None}, "e": True}
