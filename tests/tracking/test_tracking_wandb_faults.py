"""Runs whose W&B server is away, deaf, dead or hostile: their points are on disk and arrive later.

In one process, as a worker does it: the server is a stand-in, the training a few steps.
"""

import contextlib
import csv
import gc
import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from wandb_server import KEY, WandbServer

from bnbench import ROOT, __version__
from bnbench.config.arms import arm_id, science
from bnbench.tracking import wandb_log
from bnbench.tracking.meta import note_experiments, read_meta
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.tracking.upload import attempts, read_science, sync, upload_from_csv
from bnbench.tracking.wandb_environment import FOLLOWED
from bnbench.tracking.wandb_file import BLOCK, cut_torn_end, records
from bnbench.train import train_arm

SLOW = pytest.mark.slow


@pytest.fixture(autouse=True)
def patience(tmp_path, monkeypatch):
    """A home of the test's own, a W&B service of its own, and patience on a busy machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in FOLLOWED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wandb_log, "START_SECONDS", 60)
    monkeypatch.setattr(wandb_log, "END_SECONDS", 60)
    monkeypatch.setattr(wandb_log, "unreachable", False)
    end_wandb()  # one that another test began knows the server of that test
    yield
    end_wandb()


def end_wandb():
    """End wandb's process and wait for it, which wandb does not, so that Python does not warn."""
    import wandb

    processes = wandb_processes()
    with contextlib.suppress(Exception):
        wandb.teardown()
    for process in processes:
        process.wait()


def wandb_processes():
    """The wandb processes of this one; wandb has no name for them."""
    started = [item for item in gc.get_objects() if type(item) is subprocess.Popen]
    return [p for p in started if "wandb-core" in str(p.args) and p.returncode is None]


@pytest.fixture
def train(read, monkeypatch):
    """Train a small arm with some environment; its results folder and its runs' folders."""

    def run(*overrides, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        request = read("data=synthetic", "train=smoke", "device=cpu", "seeds=[0,1]", *overrides)
        (arm,) = request.arms.values()
        train_arm(arm.config)
        results = Path(arm.config.results)
        paths = [
            RunFolder.of(results, arm_id(science(arm.config)), s).path for s in arm.config.seeds
        ]
        assert [RunFolder(path).state() for path in paths] == [State.done] * len(paths)
        return results, paths

    return run


@pytest.fixture
def talk_to(monkeypatch):
    """Make a server the one that this process talks to from now on: wandb asks only once which."""

    def talk(server):
        end_wandb()
        monkeypatch.setattr(wandb_log, "START_SECONDS", 60)
        monkeypatch.setattr(wandb_log, "unreachable", False)
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)

    return talk


def meta(path):
    return json.loads((path / "meta.json").read_text())


def written(path):
    """The points of metrics.csv as the server should hold them, row by row."""
    rows = {}
    with (path / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            values = rows.setdefault(int(row["step"]), {"samples": int(row["samples"])})
            values[f"{row['split']}/{row['metric']}"] = float(row["value"])
    return [{"_step": step, **values} for step, values in rows.items()]


def arrived(server, path):
    """The rows that a server holds of a run, without wandb's own keys."""
    run = server.runs[meta(path)["wandb_id"]]
    own = ("_runtime", "_timestamp")
    return [{k: v for k, v in row.items() if k not in own} for row in run.points]


def assert_whole_and_once(server, paths):
    assert server.unknown == []
    for path in paths:
        run = server.runs[meta(path)["wandb_id"]]
        assert arrived(server, path) == written(path)
        assert run.sent == len(run.rows)
        assert (run.complete, run.exit_code) == (True, 0)
        assert run.tags == ["mlp", "batchnorm", "pre", "synthetic"]
        assert run.name == f"{path.parent.name}/{path.name}"
        summary = json.loads((path / "summary.json").read_text())
        assert run.summary["status"] == summary["status"]
    marked = {"interrupted", "failed"}
    ended = [run.name for run in server.runs.values() if not marked & set(run.tags)]
    assert sorted(ended) == sorted(f"{path.parent.name}/{path.name}" for path in paths)


@pytest.mark.slow
def test_an_online_run_arrives_and_needs_no_sync(train, talk_to):
    with WandbServer() as server:
        talk_to(server)
        results, paths = train(**server.env)
        assert_whole_and_once(server, paths)
        assert all(attempt.is_sent for attempt in attempts(results))
        assert sync(results) == ([], [], [])
        assert_whole_and_once(server, paths)


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", ["dead", "refuses", "no key", "silent"])
def test_without_a_server_a_run_is_logged_offline_and_arrives_later(
    train, behaviour, talk_to, capfd, monkeypatch
):
    monkeypatch.setattr(wandb_log, "START_SECONDS", 3)  # they are waited for in full
    with WandbServer("answers" if behaviour in ("dead", "no key") else behaviour) as server:
        if behaviour == "dead":
            server.die()
        environment = {**server.env}
        if behaviour == "no key":
            del environment["WANDB_API_KEY"]
        results, paths = train(**environment)
    errors = capfd.readouterr().err
    assert errors.count("WARNING: W&B cannot be reached") == 1  # and not again for the second run
    assert "make sync" in errors
    folders = [path.name for path in (results / "wandb").glob("*run-*") if not path.is_symlink()]
    assert len(folders) == 2
    assert all(name.startswith("offline-run-") for name in folders)
    with WandbServer() as later:
        talk_to(later)
        sent, unsent, _ = sync(results)
        assert (len(sent), unsent) == (2, [])
        assert_whole_and_once(later, paths)
        assert sync(results) == ([], [], [])
        assert_whole_and_once(later, paths)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 1])
def test_a_server_that_dies_in_mid_run_gets_all_of_it_later(
    train, rows, monkeypatch, talk_to, capfd
):
    """Rows may have arrived: uploaded under their old id they would be there twice."""
    monkeypatch.setattr(wandb_log, "END_SECONDS", 3)  # they are waited for in full
    with WandbServer(after_rows=rows) as server:
        if rows == 0:
            fit = "bnbench.train.fit"
            original = __import__("bnbench.train").train.fit
            monkeypatch.setattr(fit, lambda *a: (original(*a), server.die())[0])
        results, paths = train("seeds=[0]", **server.env)
    errors = capfd.readouterr().err
    assert "did not reach the W&B server in 3 s: all of it lies on disk" in errors
    old = meta(paths[0])["wandb_id"]
    with WandbServer() as later:
        later.runs = server.runs  # the same server, up again
        talk_to(later)
        sent, unsent, _ = sync(results)
        assert (len(sent), unsent) == (1, [])
        assert_whole_and_once(later, paths)
        assert sync(results) == ([], [], [])
    assert meta(paths[0])["wandb_id"] != old
    assert "interrupted" in server.runs[old].tags


@pytest.mark.slow
def test_a_server_that_refuses_in_mid_run_gets_all_of_it_later(train, monkeypatch, talk_to, capfd):
    with WandbServer() as server:
        original = __import__("bnbench.train").train.fit
        refuse = lambda *a: (original(*a), setattr(server, "behaviour", "refuses"))[0]  # noqa: E731
        monkeypatch.setattr("bnbench.train.fit", refuse)
        results, paths = train("seeds=[0]", **server.env)
        assert "the W&B server refused" in capfd.readouterr().err
        sent, unsent, _ = sync(results)
        assert (sent, len(unsent)) == ([], 1)
        server.behaviour = "answers"
        talk_to(server)
        sent, unsent, _ = sync(results)
        assert (len(sent), unsent) == (1, [])
        assert_whole_and_once(server, paths)


@pytest.mark.slow
def test_a_wandb_process_that_dies_costs_no_point(train, monkeypatch, talk_to, capfd):
    """The run is logged anew from its CSV, and the next run has a W&B process of its own."""
    original = __import__("bnbench.train").train.fit
    killed = []

    def fit(run, record):
        def and_die(step, point):
            record(step, point)
            if not killed:
                killed.extend(wandb_processes())
                for process in killed:
                    process.kill()
                    process.wait()

        return original(run, and_die)

    monkeypatch.setattr("bnbench.train.fit", fit)
    with WandbServer() as server:
        results, paths = train(WANDB_MODE="offline")
        assert len(killed) == 1
        assert "W&B failed for" in capfd.readouterr().err
        talk_to(server)
        _, unsent, _ = sync(results)
        assert unsent == []
        assert_whole_and_once(server, paths)


@pytest.mark.slow
def test_a_run_that_fails_is_marked_failed(read, monkeypatch):
    def fails(run, record):
        record(1, {("train@batch", "", "loss"): 2.5})
        raise ZeroDivisionError("one over zero")

    monkeypatch.setattr("bnbench.train.fit", fails)
    with WandbServer() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        (arm,) = read("data=synthetic", "train=smoke", "seeds=[0]").arms.values()
        assert train_arm(arm.config) == {0: "ZeroDivisionError: one over zero"}
        (run,) = server.runs.values()
    assert run.tags == ["mlp", "batchnorm", "pre", "synthetic", "failed"]
    assert run.exit_code == 1
    assert len(run.points) == 1


@pytest.mark.slow
def test_sync_takes_what_has_ended_and_what_can_be_read(train, talk_to):
    """Beside good runs: an attempt torn by a crash, an empty one, and one that still trains."""
    results, paths = train("seeds=[0,1,2,3]", WANDB_MODE="offline")
    torn, empty, training, _ = sorted(attempts(results), key=lambda attempt: attempt.run)
    for run in (torn.run, empty.run):
        run.summary.unlink()  # as if they had been killed
    content = torn.file.read_bytes()
    ends = [end for end, _ in records(content)]
    torn.file.write_bytes(content[: ends[-3] + 5])
    empty.file.write_bytes(content[:7])
    training.run.summary.unlink()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(training.run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with WandbServer() as server, holder:
        assert holder.stdout.readline() == b"held\n"
        talk_to(server)
        sent, unsent, complaints = sync(results)
        assert (len(sent), unsent, complaints) == (2, [], [])
        assert not training.is_sent
        assert torn.file.stat().st_size == ends[-3]
        assert set(server.runs) == {meta(torn.run.path)["wandb_id"], meta(paths[3])["wandb_id"]}
        assert arrived(server, torn.run.path) == written(torn.run.path)
        holder.communicate()
        sent, unsent, _ = sync(results)
        assert ([attempt.id for attempt in sent], unsent) == ([training.id], [])
        assert all(run.sent == len(run.rows) for run in server.runs.values())


HOLD = """
import sys
from pathlib import Path
from bnbench.tracking.run_dir import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_done_run_whose_wandb_file_is_damaged_is_uploaded_from_csv(train, talk_to):
    results, paths = train(WANDB_MODE="offline")
    bad = next(attempt for attempt in attempts(results) if attempt.run.path == paths[0])
    content = bytearray(bad.file.read_bytes())
    content[len(content) // 2] ^= 1
    bad.file.write_bytes(content)
    with WandbServer() as server:
        talk_to(server)
        sent, unsent, complaints = sync(results)
        assert (sorted(a.run.path for a in sent), unsent, complaints) == (sorted(paths), [], [])
        assert bad in sent
        assert_whole_and_once(server, paths)
        assert sync(results) == ([], [], [])


@pytest.mark.slow
def test_runs_without_wandb_are_uploaded_from_csv_once(train, monkeypatch):
    _, paths = train("track=csv")
    script = [sys.executable, str(ROOT / "scripts" / "wandb_upload.py")]
    results = paths[0].parents[2]
    with WandbServer() as server:
        environment = {**os.environ, **server.env}
        command = [*script, f"results={results}"]
        first = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert (first.returncode, first.stdout) == (0, "2 of 2 runs uploaded from CSV\n"), first
        assert_whole_and_once(server, paths)
        again = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert again.stdout == "0 of 0 runs uploaded from CSV\n"
        assert_whole_and_once(server, paths)
        (paths[0] / "config.yaml").write_text("{}")
        third = subprocess.run([*command, "--all"], capture_output=True, text=True, env=environment)
        assert third.returncode == 1
        assert third.stdout == "1 of 2 runs uploaded from CSV\n"
        assert third.stderr.splitlines()[:1] == [
            f"bnbench: {paths[0] / 'config.yaml'}: not the configuration of {paths[0].parent.name}"
        ]


@pytest.mark.slow
def test_the_records_of_a_wandb_file_are_those_that_wandb_reads(train):
    """Wherever the file is cut: as many records as wandb's own reader finds before the cut."""
    results, _ = train(
        *("seeds=[0]", "train.steps=200", "train.eval_points=100", "train.policy_points=all"),
        WANDB_MODE="offline",
    )
    (attempt,) = attempts(results)
    content = attempt.file.read_bytes()
    assert len(content) > 2 * BLOCK  # records that begin in one block and end in the next
    answer = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(attempt.file)],
        capture_output=True,
        check=True,
    )
    ends = [end for end, _ in records(content)]
    assert len(ends) == answer.stdout.count(b"\n")
    assert ends[-1] == len(content)
    for cut in (*range(300), *range(ends[-2] - 9, len(content))):
        assert [end for end, _ in records(content[:cut])] == [end for end in ends if end <= cut]
    attempt.file.write_bytes(content[:-1])
    assert cut_torn_end(attempt.file)
    assert attempt.file.read_bytes() == content[: ends[-2]]


@pytest.mark.slow
@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "mode", ["offline", *(pytest.param(m, marks=SLOW) for m in ("online", "refused"))]
)
def test_the_key_is_in_no_file(train, mode, tmp_path, capfd):
    with WandbServer("refuses" if mode == "refused" else "answers") as server:
        environment = {**server.env, "WANDB_MODE": "offline" if mode == "offline" else "online"}
        results, _ = train(**environment)
        if mode == "offline":
            assert sync(results)[1:] == ([], [])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in "".join(capfd.readouterr())


OF_PLACEMENT = ("experiment=placement", "model=mlp", "norm=none", "seeds=[0]")
TAGS = ["mlp", "none", "synthetic", "placement", "paper", "it's ours"]
SAID = {
    "WANDB_TAGS": "paper, mlp,it's ours",
    "WANDB_NOTES": "why\nand how",
    "WANDB_MODE": "offline",
}


def test_what_describes_a_run_stands_in_its_wandb_file_and_in_meta_json(train):
    results, (path,) = train(*OF_PLACEMENT, **SAID)
    (attempt,) = attempts(results)
    runs = [r.run for r in wandb_log.read_records(attempt.file) if r.run.run_id]
    assert list(runs[0].tags) == [*TAGS, "interrupted"]
    assert list(runs[-1].tags) == TAGS
    assert {run.notes for run in runs} == {"why\nand how"}
    told = {item.key: json.loads(item.value_json) for item in runs[0].config.update}
    facts = read_meta(RunFolder(path))
    assert {key: told.pop(key) for key in ("arm", "seed", "experiments", "git_commit")} == {
        "arm": path.parent.name,
        "seed": 0,
        "experiments": ["placement"],
        "git_commit": facts["git_commit"],
    }
    assert told.pop("bnbench_version") == __version__
    told.pop("_wandb", None)
    assert told == read_science(RunFolder(path))
    assert (facts["experiments"], facts["tags"], facts["notes"]) == (
        *(["placement"], ["paper", "mlp", "it's ours"], "why\nand how"),
    )
    assert "wandb_lacks" not in facts


def description(run):
    """What a server has of a run beside its points."""
    return run.name, run.group, run.notes, run.tags, run.config, run.internal["_wandb"]["m"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["offline", "csv"])
def test_a_run_rebuilt_from_csv_is_described_as_it_was(train, talk_to, monkeypatch, mode):
    results, (path,) = train(*OF_PLACEMENT, f"track.mode={mode}", **SAID)
    with WandbServer() as server:
        talk_to(server)
        assert sync(results)[1:] == ([], [])
        earlier = deepcopy([*server.runs.values()])
        monkeypatch.setenv("WANDB_TAGS", "of another day")
        old = next(iter(attempts(results)), None)
        assert upload_from_csv(RunFolder(path), None, None, results, old)
        *replaced, again = server.runs.values()
    assert all("interrupted" in run.tags for run in replaced)
    assert len(earlier) == (mode == "offline")
    assert again.tags == TAGS
    assert again.config["experiments"] == ["placement"]
    assert again.config["git_commit"] == meta(path)["git_commit"]
    for run in earlier:
        assert description(run) == description(again)


@pytest.mark.slow
@pytest.mark.parametrize("was_sent", [True, False])
def test_a_done_run_that_another_experiment_asks_for_is_tagged_at_the_next_sync(
    train, talk_to, was_sent
):
    results, (path,) = train(*OF_PLACEMENT, **SAID)
    written_before = {p.name: p.read_bytes() for p in path.iterdir() if p.name != "meta.json"}
    with WandbServer() as server:
        talk_to(server)
        if was_sent:
            assert sync(results)[1:] == ([], [])
            (run,) = server.runs.values()
            before = deepcopy(run)
            assert run.tags == TAGS
        note_experiments(RunFolder(path), ["placement", "lr_mult"])
        assert meta(path)["experiments"] == ["placement", "lr_mult"]
        assert meta(path)["wandb_lacks"] == ["lr_mult"]
        assert sync(results)[1:] == ([], [])
        ((name, run),) = server.runs.items()
        assert name == meta(path)["wandb_id"]
        assert run.tags == [*TAGS, "lr_mult"]
        assert run.config["experiments"] == ["placement", "lr_mult"]
        assert meta(path)["wandb_lacks"] == []
        assert_points_once(server, path)
        if was_sent:
            before.tags, before.config = run.tags, run.config
            assert run == before
        asked = server.asked
        assert sync(results) == ([], [], [])
        assert server.asked == asked
        assert server.unknown == []
    assert {p.name: p.read_bytes() for p in path.iterdir() if p.name != "meta.json"} == (
        written_before
    )


def assert_points_once(server, path):
    run = server.runs[meta(path)["wandb_id"]]
    assert arrived(server, path) == written(path)
    assert run.sent == len(run.rows)
    assert (run.complete, run.exit_code, run.notes) == (True, 0, "why\nand how")


@pytest.mark.slow
def test_a_tag_that_cannot_be_sent_is_told_and_sent_later(train, talk_to, monkeypatch):
    monkeypatch.setattr(wandb_log, "START_SECONDS", 3)
    results, (path,) = train(*OF_PLACEMENT, **SAID)
    with WandbServer() as server:
        talk_to(server)
        assert sync(results)[1:] == ([], [])
        note_experiments(RunFolder(path), ["lr_mult"])
        server.behaviour = "refuses"
        sent, unsent, (line,) = sync(results)
        assert (sent, unsent) == ([], [])
        assert line.startswith("1 W&B runs are not tagged with an experiment that asked for them ")
        assert "\n" not in line
        server.behaviour = "answers"
        assert sync(results) == ([], [], [])
        (run,) = server.runs.values()
        assert run.tags == [*TAGS, "lr_mult"]
        note_experiments(RunFolder(path), ["shift"])
        server.runs.clear()  # somebody has deleted it there
        assert sync(results) == ([], [], [])
        assert meta(path)["wandb_lacks"] == []
        assert server.runs == {}


def test_a_run_that_is_asked_for_again_or_in_other_hands_keeps_its_meta_json(tmp_path):
    run = RunFolder.of(tmp_path, "arm", 0)
    note_experiments(run, ["a"])
    assert not run.path.exists()
    run.path.mkdir(parents=True)
    run.meta.write_text('{"experiments": ["a"], "wandb_id": "x"}')
    before = run.meta.stat()
    for names in ([], ["a"]):
        note_experiments(run, names)
    with run.locked():
        note_experiments(run, ["b"])
    assert run.meta.stat() == before
    run.meta.write_text('{"experiments": [3]}')
    note_experiments(run, ["b"])
    assert run.meta.read_text() == '{"experiments": [3]}'
    run.meta.write_text('{"wandb_id": "x"}')  # as older versions wrote it
    note_experiments(run, ["b", "c"])
    assert read_meta(run) == {"wandb_id": "x", "experiments": ["b", "c"], "wandb_lacks": ["b", "c"]}
