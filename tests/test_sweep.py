"""Sweeps as a user starts them: launched, repeated, failing, killed and interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnbench import ROOT

TRAIN = [sys.executable, str(ROOT / "scripts" / "train.py")]
SMOKE = ["data=synthetic", "train=smoke", "track=csv", "device=cpu", "hydra.launcher.n_jobs=2"]


@pytest.fixture
def sweep(tmp_path):
    """Start the command line with a results folder of the test's own."""

    def start(*arguments, **options):
        command = [*TRAIN, f"results={tmp_path}/results", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, **options)

    return start


@pytest.fixture
def warm_sweep(warm, tmp_path, tmp_path_factory):
    """Have a process that is warm do alike: its exit status, and what it prints."""

    def run(*arguments):
        command = [TRAIN[1], f"results={tmp_path}/results", *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return warm.run(command, tmp_path, env, tmp_path_factory.mktemp("printed") / "lines.txt")

    return run


def assert_quick(answer):
    """Check by what it imported that a command answers at once; returns what else it told.

    Seconds are of the machine.
    """
    slow = ("torch", "pandas", "scipy", "matplotlib", "wandb", "seaborn", "sklearn")
    loaded = re.findall(r"(?m)^import time:.*\| +([\w.]+)$", answer.stderr)
    assert "hydra" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(slow)
    return re.sub(r"(?m)^import time:.*\n", "", answer.stderr)


IMPORTS = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}


def summaries(tmp_path):
    return sorted((tmp_path / "results" / "runs").glob("*/seed-*/summary.json"))


@pytest.mark.slow
def test_a_sweep_trains_what_is_missing_and_only_that(sweep, warm_sweep, tmp_path):
    arguments = ["-m", "norm=none,batchnorm", "seeds=[0,1]", *SMOKE]
    first = sweep(*arguments)
    assert first.returncode == 0, first.stderr
    assert "2 arms, 4 runs: 0 done already, 4 to train" in first.stdout
    assert first.stdout.count("2 of 2 runs, test accuracy") == 2
    written = {path: path.stat().st_mtime_ns for path in summaries(tmp_path)}
    assert len(written) == 4
    (tmp_path / "results" / "experiments" / "adhoc" / "synthetic" / "runs.csv").unlink()

    status, again = warm_sweep(*arguments)
    assert status == 0
    assert "4 done already, 0 to train" in again
    assert {path: path.stat().st_mtime_ns for path in summaries(tmp_path)} == written
    assert (tmp_path / "results" / "experiments" / "adhoc" / "synthetic" / "runs.csv").exists()

    next(iter(written)).unlink()
    _, more = warm_sweep(*arguments[:-1], "hydra.launcher.n_jobs=1", "seeds=[0,1,2]")
    assert "2 arms, 6 runs: 3 done already, 3 to train" in more
    assert len(summaries(tmp_path)) == 6
    # Hydra and the launcher leave nothing of their own
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results"]
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["experiments", "runs"]
    facts = json.loads(
        (tmp_path / "results/experiments/adhoc/synthetic/experiment.json").read_text()
    )
    assert facts["command"].startswith("python scripts/train.py")
    assert facts["data"] == "synthetic"


@pytest.mark.slow
def test_a_done_run_of_another_experiment_is_noted_and_not_trained_again(warm_sweep, tmp_path):
    """Both ask for the MLP without norm at its own rate; the second for more rates."""
    common = ["model=mlp", "norm=none", "seeds=[0]", *SMOKE[:2], "device=cpu", "track.tags=[mine]"]
    common += ["track=default", "hydra.launcher.n_jobs=1"]
    assert warm_sweep("experiment=placement", *common)[0] == 0
    (path,) = (file.parent for file in summaries(tmp_path))
    first = {file.name: file.read_bytes() for file in path.iterdir()}
    meta = json.loads(first.pop("meta.json"))
    assert (meta["experiments"], meta["tags"]) == (["placement"], ["mine"])
    _, told = warm_sweep("experiment=lr_mult", *common, "track.tags=[later]")
    assert "1 done already, 2 to train" in told
    then = {file.name: file.read_bytes() for file in path.iterdir()}
    assert json.loads(then.pop("meta.json")) == {
        **meta,
        "experiments": ["placement", "lr_mult"],
        "wandb_lacks": ["lr_mult"],
    }
    assert then == first
    others = [json.loads((file.parent / "meta.json").read_text()) for file in summaries(tmp_path)]
    told = [(m["experiments"], m["tags"]) for m in others if m["tags"] != ["mine"]]
    assert told == 2 * [(["lr_mult"], ["later"])]
    again = path.parent.joinpath("seed-0", "meta.json").stat()
    warm_sweep("experiment=lr_mult", *common)
    assert path.joinpath("meta.json").stat() == again
    attempts = [p for p in tmp_path.glob("results/wandb/*run-*") if not p.is_symlink()]
    assert len(attempts) == 3


@pytest.mark.slow
def test_a_failed_run_is_told_and_the_rest_is_done(sweep, warm_sweep, tmp_path):
    """A file stands where one run's folder should be; the other runs do not care."""
    arguments = ["-m", "norm=none", "seeds=[0,1]", *SMOKE]
    alone = [*arguments[:-1], "hydra.launcher.n_jobs=1"]  # before and after in one process
    assert warm_sweep(*alone)[0] == 0
    (arm,) = (tmp_path / "results" / "runs").iterdir()
    run = arm / "seed-1"
    (run / "summary.json").unlink()
    (run / "metrics.csv").unlink()
    (run / "metrics.csv").mkdir()
    answer = sweep(*arguments)
    assert answer.returncode == 1
    assert f"FAILED {arm.name} seed 1: " in answer.stdout
    assert "1 of 1 runs failed" in answer.stdout
    assert "Traceback" in (run / "error.txt").read_text()
    (run / "metrics.csv").rmdir()
    assert warm_sweep(*alone)[0] == 0
    assert not (run / "error.txt").exists()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("multirun", [[], ["-m"]])
def test_a_bad_request_is_one_line_and_code_two(sweep, tmp_path, multirun):
    answer = sweep(*multirun, "norm=batchnrom", env=IMPORTS)
    assert (answer.returncode, answer.stdout) == (2, "")
    told = assert_quick(answer)
    assert told.count("\n") == 1
    assert "(did you mean batchnorm?)" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "arguments", [["--cfg", "nope"], ["--cfg", "job", "norm=nope"], ["--nope"], ["-cn", "x"]]
)
def test_bad_options_are_one_line_too(sweep, arguments):
    answer = sweep(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1


@pytest.mark.slow
def test_hydras_own_conveniences_work(sweep):
    usage = sweep("--help", env=IMPORTS)
    assert_quick(usage)
    assert usage.returncode == 0
    assert "norm: batch_renorm, batchnorm, batchnorm_lrn, ghost_batchnorm" in usage.stdout
    config = sweep("--cfg", "job", "--resolve", "norm=lrn", "model=vgg")
    assert "name: lrn" in config.stdout
    assert "base_lr: 0.01" in config.stdout
    package = sweep("--cfg", "job", "--package", "optim", "optim=adam")
    assert "beta1: 0.9" in package.stdout
    assert "model/mlp" in sweep("--info", "defaults").stdout


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def workers_of(pid):
    """The processes that a process has started and that still run."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in children for word in path.read_text().split()]


@pytest.mark.slow
def test_an_interrupted_sweep_leaves_no_worker(tmp_path):
    """After SIGINT to the leader alone; test_crashes.py has the other signals."""
    command = [
        *TRAIN, f"results={tmp_path}/results", "-m", "norm=none,batchnorm", "seeds=[0]",
        "data=digits", "train.steps=1000", "track=csv", "hydra.launcher.n_jobs=2",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: len(list(tmp_path.glob("results/runs/*/seed-0/metrics.csv"))) == 2, process)
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130, (output, errors)
    deadline = time.monotonic() + 600  # however busy the machine is
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker goes on training"
        time.sleep(0.1)
    assert summaries(tmp_path) == []


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
