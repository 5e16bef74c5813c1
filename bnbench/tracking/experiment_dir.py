"""The folder of an experiment on one data set: which runs it asks for, and what became of them."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bnbench.config import flatten
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.run_dir import State, read_summary, run_path, state, write_whole


def experiment_path(results: Path, name: str, data: str) -> Path:
    """The folder of an experiment on a data set."""
    return results / "experiments" / name / data


def write_arms(path: Path, runs: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:
    """Write arms.csv, before training: every asked-for run (arm, seed, science config)."""
    rows = [{"arm": arm, "seed": seed, **columns(science)} for arm, seed, science in runs]
    path.mkdir(parents=True, exist_ok=True)
    header = list(dict.fromkeys(key for row in rows for key in row))
    write_table(path / "arms.csv", header, ([row.get(k, "") for k in header] for row in rows))


def write_experiment(path: Path, facts: Mapping[str, Any]) -> None:
    """Write experiment.json: question, command, commit, versions, figures and comparisons."""
    path.mkdir(parents=True, exist_ok=True)
    write_whole(path / "experiment.json", json.dumps(facts, indent=2) + "\n")


def write_runs(results: Path, name: str, data: str) -> Path:
    """Write runs.csv: for every run of arms.csv its status, config and final metrics."""
    path = experiment_path(results, name, data)
    with (path / "arms.csv").open(newline="", encoding="utf-8") as file:
        asked = list(csv.DictReader(file))
    rows = []
    for run in asked:
        folder = run_path(results, run["arm"], int(run["seed"]))
        rows.append({"arm": run["arm"], "seed": run["seed"], **outcome(folder), **run})
    header = list(dict.fromkeys(key for row in rows for key in row))
    # what identifies and describes a run comes first, what was measured after it
    config = [key for key in (asked[0] if asked else {}) if key not in ("arm", "seed")]
    lead = ["arm", "seed", "status", "stuck", *config]
    header = [*lead, *(key for key in header if key not in lead)]
    write_table(path / "runs.csv", header, ([row.get(k, "") for k in header] for row in rows))
    return path / "runs.csv"


def outcome(folder: Path) -> dict[str, Any]:
    """The status of a run and, where it is done, its final numbers by column name."""
    status = state(folder)
    if status != State.done:
        return {"status": status, "stuck": ""}
    summary = read_summary(folder)
    numbers = {
        **summary["metrics"],
        **{f"steps_to/{k}": v for k, v in summary["steps_to"].items()},
        **{f"samples_to/{k}": v for k, v in summary["samples_to"].items()},
        **{key: summary[key] for key in ("steps", "samples", "seconds", "parameters")},
    }
    cells = {key: "" if value is None else value for key, value in numbers.items()}
    return {"status": summary["status"], "stuck": summary["stuck"], **cells}


def columns(science: Mapping[str, Any]) -> dict[str, Any]:
    """The science config as one row of a table: dotted keys, lists as JSON."""
    return {
        key: json.dumps(value) if isinstance(value, list) else value
        for key, value in flatten(science).items()
    }
