"""arms.csv says what was asked for, runs.csv what became of it."""

import csv
import json

from bnbench.tracking.experiment_dir import experiment_path, write_arms, write_runs
from bnbench.tracking.run_dir import PENDING, begin, finish, locked, run_path, write_summary, write_whole

SUMMARY = {
    "status": "done",
    "stuck": False,
    "metrics": {"test/accuracy": 0.5, "val/loss": None},
    "steps_to": {"0.95": None, "0.5": 12.5},
    "samples_to": {"0.95": None, "0.5": 800.0},
    "steps": 20,
    "samples": 1280,
    "seconds": 0.1,
    "parameters": 7,
}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_of_an_experiment(tmp_path):
    science = {"norm": {"name": "none"}, "batch_size": 64, "model": {"widths": [100, 100]}}
    other = {"norm": {"name": "batchnorm", "eps": 1e-05}, "batch_size": 64}
    folder = experiment_path(tmp_path, "placement", "digits")
    write_arms(folder, [("a", 0, science), ("a", 1, science), ("b", 0, other), ("c", 0, other)])
    asked = rows(folder / "arms.csv")
    assert list(asked[0])[:2] == ["arm", "seed"]
    assert asked[0]["model.widths"] == "[100, 100]"
    assert (asked[0]["norm.eps"], asked[2]["norm.eps"]) == ("", "1e-05")

    for arm, summary in (("a", SUMMARY), ("b", {**SUMMARY, "status": "diverged"})):
        path = run_path(tmp_path, arm, 0)
        with locked(path):
            begin(path, science)
            write_summary(path, summary, PENDING)
            finish(path)
    path = run_path(tmp_path, "c", 0)
    with locked(path):
        begin(path, science)
        write_whole(path / "error.txt", "boom")

    runs = rows(write_runs(tmp_path, "placement", "digits"))
    assert list(runs[0])[:6] == ["arm", "seed", "status", "stuck", "norm.name", "batch_size"]
    assert [run["status"] for run in runs] == ["done", "missing", "diverged", "failed"]
    assert (runs[0]["test/accuracy"], runs[0]["val/loss"]) == ("0.5", "")
    assert (runs[0]["steps_to/0.5"], runs[0]["steps_to/0.95"]) == ("12.5", "")
    assert runs[1]["test/accuracy"] == ""
    assert json.loads(runs[0]["parameters"]) == 7
