"""What a sweep says while it runs, from made-up run folders."""

import io

import pytest
from rich.console import Console

from bnbench.running.progress import Watcher, reached
from bnbench.tracking.run_dir import RunFolder


@pytest.fixture
def arms(tmp_path):
    folders = {a: [RunFolder(tmp_path / a / f"seed-{k}") for k in (0, 1)] for a in ("one", "two")}
    for runs in folders.values():
        for run in runs:
            run.path.mkdir(parents=True)
    return folders


@pytest.fixture
def done(end):
    def write(run, accuracy, **changes):
        end(run.path, metrics={"test/accuracy": accuracy}, **changes)

    return write


def test_words_for_an_arm(arms, done):
    first, second = arms["one"]
    assert reached(arms["one"]) == "0 of 2 runs"
    done(first, 0.5)
    assert reached(arms["one"]) == "1 of 2 runs, test accuracy 50.0 %"
    done(second, 0.1, status="diverged")
    assert reached(arms["one"]) == "2 of 2 runs, test accuracy 30.0 %, 1 diverged"
    done(first, 0.1, stuck=True)
    assert reached(arms["one"]).endswith("test accuracy 10.0 %, 1 diverged, 1 stuck")


def test_one_line_per_finished_arm_and_failures_counted(arms, done):
    out = io.StringIO()

    def settled(run):
        return run.summary.exists()

    def failed(run):
        return run.error.exists()

    with Watcher(arms, settled, failed, Console(file=out, width=120)) as watcher:
        for run in arms["one"]:
            done(run, 0.75)
        done(arms["two"][0], 0.25)
        arms["two"][1].error.write_text("boom")
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("[1/2] one  2 of 2 runs, test accuracy 75.0 %")
    assert lines[1].startswith("[2/2] two  1 of 2 runs, test accuracy 25.0 %")
    assert watcher.failures == 1
