"""What a sweep says while it runs, from made-up run folders."""

import io

import pytest
from rich.console import Console

from bnbench.running.progress import Watcher, reached


@pytest.fixture
def arms(tmp_path):
    folders = {a: [tmp_path / a / f"seed-{k}" for k in (0, 1)] for a in ("one", "two")}
    for paths in folders.values():
        for path in paths:
            path.mkdir(parents=True)
    return folders


@pytest.fixture
def done(end):
    def write(path, accuracy, **changes):
        end(path, metrics={"test/accuracy": accuracy}, **changes)

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

    def settled(path):
        return (path / "summary.json").exists()

    def failed(path):
        return (path / "error.txt").exists()

    with Watcher(arms, settled, failed, Console(file=out, width=120)) as watcher:
        for path in arms["one"]:
            done(path, 0.75)
        done(arms["two"][0], 0.25)
        (arms["two"][1] / "error.txt").write_text("boom")
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("[1/2] one  2 of 2 runs, test accuracy 75.0 %")
    assert lines[1].startswith("[2/2] two  1 of 2 runs, test accuracy 25.0 %")
    assert watcher.failures == 1
