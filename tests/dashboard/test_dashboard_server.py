"""Workspaces saved to the stand-in for W&B's server: what they show is what it has of runs."""

import csv
import importlib
import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import hydra
import pytest

pytest.importorskip("wandb_workspaces", reason="the extra `workspace` is not installed")

from wandb_server import KEY, Received, WandbServer

from bnbench import CONFIGS, ROOT, cli
from bnbench.analysis.load import load
from bnbench.analysis.summary import summarise
from bnbench.config.arms import arm_id, flatten, science
from bnbench.config.points import shift_key
from bnbench.dashboard.specification import keys_logged
from bnbench.tracking.experiment_dir import experiment_path, write_arms, write_experiment
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.upload import attempts
from bnbench.tracking.wandb_log import read_records
from bnbench.train import train_arm

SCRIPTS = ROOT / "scripts"
pytestmark = pytest.mark.slow

ASKED = [
    *("data=synthetic", "train=smoke", "device=cpu", "seeds=[0,1]", "track.mode=offline"),
    *("norm=none,batchnorm", "placement=pre,post", "optim.lr_mult=1,5", "batch_size=16,32"),
    *("shift=blur", "shift.severities=[1,5]"),
]

REPORT = {
    "question": "Does it all show?",
    "answer": [
        {
            "statistic": "difference",
            "treatment": {"norm.name": "batchnorm"},
            "baseline": {"norm.name": "none"},
        }
    ],
    "figures": [],
    "compare": [],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an experiment in all that a dashboard shows, trained offline."""
    folder = tmp_path_factory.mktemp("trained")
    results = folder / "results"
    with (
        pytest.MonkeyPatch.context() as patch,
        hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"),
    ):
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(folder))
        request = cli.read([f"results={results}", *ASKED], multirun=True)
        runs = []
        for arm in request.arms.values():
            assert set(train_arm(arm.config).values()) == {"done"}
            plain = science(arm.config)
            runs += [(arm_id(plain), seed, plain) for seed in arm.config.seeds]
    path = experiment_path(results, "all", "synthetic")
    write_arms(path, runs)
    write_experiment(path, {"question": REPORT["question"], "report": REPORT})
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(trained, tmp_path / "results", symlinks=True))


def call(
    script: str, results: Path, *options: str, server: WandbServer | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script, logged in at a server or nowhere."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_"))}
    login = {k: v for k, v in server.env.items() if k != "WANDB_MODE"} if server else {}
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *options, f"results={results}"],
        env={**inherited, **login, **environment, "HOME": str(results.parent)},
        capture_output=True,
        text=True,
    )


def panels(spec: dict) -> dict[str, list[dict]]:
    """The panels of a workspace, by section."""
    return {s["name"]: s["panels"] for s in spec["section"]["panelBankConfig"]["sections"]}


def shown(panel: dict) -> set[tuple[str, str]]:
    """The keys that a panel of W&B's shows: where they are to be found, and their names."""
    config, kind = panel["config"], panel["viewType"]
    if kind == "Run History Line Plot":
        x = set() if config["xAxis"] == "_step" else {config["xAxis"]}
        return {("history", key) for key in {*config["metrics"]} | x}
    if kind == "Bar Chart":
        return {("summary", key) for key in config["metrics"]}
    if kind == "Scatter Plot":
        return {pair(config["xAxis"]), pair(config["yAxis"])}
    if kind == "Parallel Coordinates Plot":
        return {pair(column["accessor"]) for column in config["columns"]}
    assert kind == "Markdown Panel"
    return set()


def pair(accessor: str) -> tuple[str, str]:
    kind, _, name = accessor.partition(":")
    return kind, name


def has(run: Received, kind: str, name: str) -> bool:
    """Whether a server has something of a run under a key as W&B writes it."""
    if kind == "history":
        return any(name in row for row in run.points)
    if kind == "summary":
        return name in run.summary
    if kind == "config":
        first, value, *rest = name.split(".")
        assert value == "value"
        return ".".join((first, *rest)) in flatten(run.config)
    if (kind, name) == ("tags", "__ALL__"):
        return bool(run.tags)
    return (kind, name) in {("run", "displayName"), ("run", "notes")}  # those may be empty


def selected(server: WandbServer, spec: dict) -> list[Received]:
    """The runs that the filter of a workspace lets through."""
    (runset,) = spec["section"]["runSets"]
    runs = list(server.runs.values())
    for part in runset["filters"]["filters"]:
        assert part.get("connector", "AND") == "AND"
        name, values = part["key"]["name"], part["value"]
        if part["op"] == "IN":
            runs = [r for r in runs if r.config[name.removesuffix(".value")] in values]
        else:
            assert (name, part["op"]) == ("tags", "NIN")
            runs = [r for r in runs if not {*r.tags} & {*values}]
    return runs


def test_a_saved_workspace_shows_what_the_server_has(results: Path) -> None:
    with WandbServer() as server:
        before = call("dashboard.py", results, server=server)
        assert (before.returncode, before.stderr) == (0, "")
        assert "not saved to W&B: the runs are not on a server" in before.stdout
        assert not server.views
        assert call("sync.py", results, server=server).returncode == 0
        answer = call("dashboard.py", results, server=server)
        assert (answer.returncode, answer.stderr) == (0, "")
        (view,) = server.views.values()
        assert not server.unknown
        # of other experiments, and an attempt that another has replaced
        server.runs["elsewhere"] = Received(config={"arm": "mlp-other", "seed": 0})
        one = next(iter(server.runs.values()))
        server.runs["torn"] = Received(config=one.config, tags=["interrupted"])
    address = f"{server.url}/someone/bnbench?nw={view['name'][3:-2]}"
    assert answer.stdout == f"all on synthetic: {address}\n"
    assert (view["entityName"], view["projectName"]) == ("someone", "bnbench")
    spec = json.loads(view["spec"])
    assert spec == json.loads((results / "dashboards/all-synthetic.json").read_text())
    summary = summarise(experiment_path(results, "all", "synthetic"))
    assert summary
    (answer,) = map(str, summary.answers)
    assert answer.startswith("Test accuracy with BatchNorm rather than without a norm")
    (about,) = panels(spec)["About"]
    assert about["config"]["value"].split("\n\n")[1:3] == ["Does it all show?", answer]

    runs = selected(server, spec)
    arms = experiment_path(results, "all", "synthetic") / "arms.csv"
    with arms.open(newline="") as file:
        asked = sorted(f"{row['arm']}/seed-{row['seed']}" for row in csv.DictReader(file))
    assert sorted(run.name for run in runs) == asked

    found = panels(spec)
    kinds = {name: {panel["viewType"] for panel in part} for name, part in found.items()}
    assert kinds == {
        "About": {"Markdown Panel"},
        "Convergence": {"Run History Line Plot"},
        "Learning rate": {"Scatter Plot"},
        "Batch size": {"Scatter Plot"},
        "Shift": {"Markdown Panel", "Bar Chart"},
        "Parallel coordinates": {"Parallel Coordinates Plot"},
    }
    for panel in found["Convergence"]:
        wanted = {"groupAgg": "mean", "groupArea": "stddev"}
        assert wanted.items() <= panel["config"].items()
        assert "groupBy" not in panel["config"]  # then it has that of the table of runs
    assert spec["section"]["settings"]["useRunsTableGroupingInPanels"]
    curves = {(p["config"]["xAxis"], *p["config"]["metrics"]) for p in found["Convergence"]}
    for key in ("val/accuracy", "val/loss", "train/loss", "val@precise/accuracy"):
        assert {("samples", key), ("_step", key)} <= curves
    (runset,) = spec["section"]["runSets"]
    groups = [(key["section"], key["name"]) for key in runset["grouping"]]
    assert groups[:2] == [("config", "norm.value.name"), ("config", "placement.value")]
    columns = [pair(name) for name in runset["runFeed"]["columnOrder"]]
    assert ("summary", "shift/accuracy/blur-5") in columns
    keys = {key for part in found.values() for panel in part for key in shown(panel)}
    rows = {(key["key"]["section"], key["key"]["name"]) for key in runset["sort"]["keys"]}
    for kind, name in {*keys, *groups, *columns, *rows}:
        of = [run for run in runs if "@" not in name or run.config["norm"]["name"] == "batchnorm"]
        assert of
        assert all(has(run, kind, name) for run in of), (kind, name)


def test_a_second_call_updates_the_same_workspace(results: Path) -> None:
    with WandbServer() as server:
        assert call("sync.py", results, server=server).returncode == 0
        first = call("dashboard.py", results, server=server)
        sent = dict(server.views)
        again = call("dashboard.py", results, server=server)
        assert again.stdout == first.stdout
        ((name, view),) = server.views.items()
        assert view == {**sent[name], "id": name}

        server.views.clear()  # somebody has deleted it
        gone = call("dashboard.py", results, server=server)
        note = results / "dashboards" / "all-synthetic.saved.json"
        assert gone.returncode == 1
        assert gone.stderr.startswith("WARNING: all on synthetic: not saved to W&B (")
        assert f"without {note} there will be a new one" in gone.stderr
        note.write_text("[]")
        assert call("dashboard.py", results, server=server).returncode == 1
        note.unlink()
        assert call("dashboard.py", results, server=server).returncode == 0
        assert len(server.views) == 1
    held = [path.read_bytes() for path in results.rglob("*") if path.is_file()]
    said = first.stdout + first.stderr + gone.stdout + gone.stderr
    assert not any(KEY.encode() in content for content in [*held, said.encode()])


@pytest.mark.parametrize("fault", ["no key", "offline", "dead", "silent", "refuses"])
def test_offline_the_specification_is_written(fault: str, results: Path) -> None:
    """Nothing is asked of a server, or not for long."""
    with WandbServer() as server:
        if fault == "dead":
            server.die()
        elif fault in ("silent", "refuses"):
            server.behaviour = fault
        environment = {"WANDB_MODE": "offline"} if fault == "offline" else {}
        at = None if fault == "no key" else server
        answer = call("dashboard.py", results, server=at, **environment)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert not server.views
    file = results / "dashboards" / "all-synthetic.json"
    first, unsent, reason, leet = answer.stdout.splitlines()
    assert first == f"all on synthetic: {file}"
    assert unsent == "  24 of 24 runs are not on a server: make sync"
    assert reason.startswith("not saved to W&B: ")
    assert leet == f"  .venv/bin/wandb leet {results / 'wandb'}"
    assert list(panels(json.loads(file.read_text())))[1] == "Convergence"


def test_in_a_terminal_the_runs_open(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("bnbench.commands.wandb.dashboard")
    opened: list[list[str]] = []
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(script.subprocess, "run", opened.append)
    monkeypatch.setattr("sys.argv", ["dashboard.py", "--exp", "all", f"results={results}"])
    for answers, leet in (
        ((True, False), []),
        ((True, True), [["-m", "wandb", "leet", str(results / "wandb")]]),
    ):
        for stream, answer in zip((sys.stdin, sys.stdout), answers, strict=True):
            monkeypatch.setattr(stream, "isatty", lambda answer=answer: answer)
        assert script.main() == 0
        assert [command[1:] for command in opened] == leet


def test_some_runs_have_no_wandb_run_and_some_no_shifts_there(results: Path) -> None:
    first, *_ = found = attempts(results)
    shutil.rmtree(first.folder)
    other = found[-1].run
    assert other is not None
    lines = other.shifts.read_text().splitlines()
    more = [line.replace("blur,5", "blur,4") for line in lines if line.startswith("blur,5")]
    other.shifts.write_text("\n".join([*lines, *more, ""]))
    summary = json.loads(other.summary.read_text())
    del summary["sha256"], summary["checksum"]  # as older versions wrote it
    other.summary.write_text(json.dumps(summary))
    answer = call("dashboard.py", results)
    assert answer.stdout.splitlines()[1:4] == [
        "  1 of 24 runs have no W&B run: scripts/wandb_upload.py makes it from CSV",
        "  23 of 24 runs are not on a server: make sync",
        "  1 of 24 runs have shifts that W&B lacks: scripts/wandb_upload.py --all logs them anew",
    ]


def test_the_files_of_wandb_have_the_keys_that_are_taken_from_the_csv_files(results: Path) -> None:
    history, summary, config = set(), set(), set()
    for attempt in attempts(results):
        for record in read_records(attempt.file):
            history |= {".".join(item.nested_key) or item.key for item in record.history.item}
            summary |= {item.key for item in record.summary.update}
            values = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            config |= set(flatten(values))
    logged: dict[str, set[str]] = {}
    for key in keys_logged(load(experiment_path(results, "all", "synthetic"))):
        kind, _, name = key.partition(":")
        logged.setdefault(kind, set()).add(name)
    assert logged["history"] == {key for key in history if not key.startswith("_")}
    assert logged["summary"] <= summary | history
    assert {k for k in logged["summary"] if k.startswith("shift")} == {
        k for k in summary if k.startswith("shift")
    }
    assert logged["config"] <= config


def test_shifts_and_rate_are_the_same_logged_live_and_from_csv(results: Path) -> None:
    """And those of shifts.csv; the run that is replaced is in no comparison any more."""
    with WandbServer() as server:
        assert call("sync.py", results, server=server).returncode == 0
        live = {run.name: deepcopy(run) for run in server.runs.values()}
        ids = set(server.runs)
        answer = call("wandb_upload.py", results, "--all", server=server)
        assert answer.returncode == 0, answer.stderr
        again = {run.name: run for key, run in server.runs.items() if key not in ids}
        assert all("interrupted" in server.runs[key].tags for key in ids)
    assert set(again) == set(live)
    for name, run in live.items():
        arm, _, seed = name.partition("/seed-")
        with (RunFolder.of(results, arm, int(seed)).path / "shifts.csv").open(newline="") as file:
            rows = {
                shift_key(row["shift"], int(row["severity"]), row["policy"], row["metric"]): float(
                    row["value"]
                )
                for row in csv.DictReader(file)
            }
        optim = run.config["optim"]
        rows["learning_rate"] = optim["base_lr"] * optim["lr_mult"]
        assert rows.items() <= run.summary.items()
        assert rows.items() <= again[name].summary.items()
        assert "interrupted" not in again[name].tags


def test_without_wandb_runs_there_is_nothing_to_show(results: Path) -> None:
    shutil.rmtree(results / "wandb")
    answer = call("dashboard.py", results)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        "bnbench: all on synthetic: no run was logged to W&B here "
        "(scripts/wandb_upload.py does it from CSV)\n"
    )
